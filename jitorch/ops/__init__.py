"""The ops, a file a family.  Importing this package defines them all."""

from jitorch.ops import (
    arrange,
    conv,
    convert,
    create,
    diagonal,
    differences,
    factory,
    gather,
    index,
    linalg,
    math,
    parts,
    random,
    reduce,
    reduction,
    scan,
    sets,
    shape,
    sorting,
    structure,
)
from jitorch.ops.registry import OPS, PUBLIC, Function, Op, Sample, elementwise, function, op, primitive

__all__ = [
    "Function", "OPS", "Op", "PUBLIC", "Sample", "arrange", "conv", "convert", "create", "diagonal", "differences",
    "elementwise", "factory", "function", "gather", "index", "linalg", "math", "op", "parts", "primitive", "random",
    "reduce", "reduction", "scan", "sets", "shape", "sorting", "structure",
]  # fmt: skip
