"""The ops, a file a family.  Importing this package defines them all."""

from jitorch.ops import (
    arrange,
    conv,
    convert,
    create,
    diagonal,
    factory,
    gather,
    index,
    linalg,
    math,
    parts,
    random,
    reduce,
    reduction,
    shape,
    structure,
)
from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

__all__ = [
    "OPS", "PUBLIC", "Function", "Op", "Sample", "arrange", "conv", "convert", "create", "diagonal", "elementwise",
    "factory", "function", "gather", "index", "linalg", "math", "op", "parts", "primitive", "random", "reduce", "reduction", "shape",
    "structure",
]  # fmt: skip
