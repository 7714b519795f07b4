"""The ops, a file a family.  Importing this package defines them all."""

from importlib import import_module

from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

FAMILIES = (
    "activation",
    "adaptive",
    "arithmetic",
    "arrange",
    "attention",
    "contraction",
    "conv",
    "conv_transpose",
    "convert",
    "create",
    "cross_entropy",
    "decompositions",
    "diagonal",
    "differences",
    "distance",
    "dropout",
    "einsum",
    "elementary",
    "embedding",
    "factory",
    "fold",
    "gamma",
    "gather",
    "generator",
    "index",
    "indexing",
    "linalg",
    "loss",
    "math",
    "matrix",
    "matrix_functions",
    "multihead",
    "normalization",
    "norms",
    "padding",
    "parts",
    "pooling",
    "predicates",
    "queries",
    "random",
    "reduce",
    "reduction",
    "resize",
    "scan",
    "scatter",
    "search",
    "sets",
    "shape",
    "softmax",
    "sorting",
    "special",
    "strided",
    "structure",
)

for _family in FAMILIES:
    import_module(f"jitorch.ops.{_family}")

__all__ = ["FAMILIES", "OPS", "PUBLIC", "Function", "Op", "Sample", "elementwise", "function", "op", "primitive"]
