"""The ops, a file a family.  Importing this package defines them all."""

<<<<<<< HEAD
from importlib import import_module

from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

FAMILIES = (
    "activation",
    "adaptive",
    "arithmetic",
    "arrange",
    "attention",
    "conv",
    "conv_transpose",
    "convert",
    "create",
    "cross_entropy",
    "diagonal",
    "differences",
    "distance",
    "dropout",
    "embedding",
    "factory",
    "fold",
    "gather",
    "generator",
    "index",
    "indexing",
    "linalg",
    "loss",
    "math",
    "multihead",
    "normalization",
    "norms",
    "padding",
    "parts",
    "pooling",
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
    "structure",
)

for _family in FAMILIES:
    import_module(f"jitorch.ops.{_family}")

__all__ = ["FAMILIES", "OPS", "PUBLIC", "Function", "Op", "Sample", "elementwise", "function", "op", "primitive"]
=======
from jitorch.ops import (
    activation,
    adaptive,
    arithmetic,
    attention,
    contraction,
    conv,
    conv_transpose,
    create,
    cross_entropy,
    distance,
    dropout,
    einsum,
    elementary,
    embedding,
    fold,
    gamma,
    gather,
    index,
    indexing,
    linalg,
    loss,
    math,
    multihead,
    normalization,
    norms,
    padding,
    pooling,
    predicates,
    reduce,
    resize,
    scatter,
    search,
    softmax,
    special,
    structure,
)
from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

__all__ = [
    "OPS", "PUBLIC", "Function", "Op", "Sample", "activation", "adaptive", "arithmetic", "attention", "contraction",
    "conv", "conv_transpose", "create", "cross_entropy", "distance", "dropout", "einsum", "elementary",
    "elementwise", "embedding", "fold", "function", "gamma", "gather", "index", "indexing", "linalg", "loss",
    "math", "multihead", "normalization", "norms", "op", "padding", "pooling", "predicates", "primitive", "reduce",
    "resize", "scatter", "search", "softmax", "special", "structure",
]  # fmt: skip
>>>>>>> ops2
