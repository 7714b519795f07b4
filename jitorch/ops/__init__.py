"""The ops, a file a family.  Importing this package defines them all."""

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
    embedding,
    fold,
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
    reduce,
    resize,
    scatter,
    search,
    softmax,
    structure,
)
from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

__all__ = [
    "OPS", "PUBLIC", "Function", "Op", "Sample", "activation", "adaptive", "arithmetic", "attention", "contraction",
    "conv", "conv_transpose", "create", "cross_entropy", "distance", "dropout", "einsum", "elementwise",
    "embedding", "fold", "function", "gather", "index", "indexing", "linalg", "loss", "math", "multihead",
    "normalization", "norms", "op", "padding", "pooling", "primitive", "reduce", "resize", "scatter", "search",
    "softmax", "structure",
]  # fmt: skip
