"""The ops, a file a family.  Importing this package defines them all."""

from importlib import import_module

from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

FAMILIES = (
    "activation",
    "arithmetic",
    "arrange",
    "conv",
    "convert",
    "create",
    "cross_entropy",
    "diagonal",
    "dropout",
    "embedding",
    "factory",
    "gather",
    "index",
    "linalg",
    "loss",
    "math",
    "normalization",
    "parts",
    "pooling",
    "random",
    "reduce",
    "reduction",
    "shape",
    "softmax",
    "structure",
)

for _family in FAMILIES:
    import_module(f"jitorch.ops.{_family}")

__all__ = ["FAMILIES", "OPS", "PUBLIC", "Function", "Op", "Sample", "elementwise", "function", "op", "primitive"]
