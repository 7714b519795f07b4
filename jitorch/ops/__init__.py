"""The ops, a file a family.  Importing this package defines them all."""

from jitorch.ops import (
    activation,
    arithmetic,
    conv,
    create,
    cross_entropy,
    dropout,
    embedding,
    gather,
    index,
    linalg,
    loss,
    math,
    normalization,
    pooling,
    reduce,
    softmax,
    structure,
)
from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

__all__ = [
    "OPS", "PUBLIC", "Function", "Op", "Sample", "activation", "arithmetic", "conv", "create", "cross_entropy",
    "dropout", "elementwise", "embedding", "function", "gather", "index", "linalg", "loss", "math", "normalization",
    "op", "pooling", "primitive", "reduce", "softmax", "structure",
]  # fmt: skip
