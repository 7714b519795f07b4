"""The ops, a file a family.  Importing this package defines them all."""

from jitorch.ops import (
    conv,
    create,
    gather,
    index,
    linalg,
    math,
    reduce,
    structure,
)
from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

__all__ = [
    "OPS", "PUBLIC", "Function", "Op", "Sample", "conv", "create", "elementwise", "function", "gather", "index",
    "linalg", "math", "op", "primitive", "reduce", "structure",
]  # fmt: skip
