"""Arithmetic on numbers that only the program knows: Python's, with its exceptions.

Python divides by zero with an exception, and its integers never overflow.  The program checks for both: where such a
check fails, nothing is written, and the call runs again in plain Python, which does what it does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from jitorch import dims
from jitorch.dims import SymDim
from jitorch.ir.types import FLOAT, INT
from jitorch.ops import OPS
from jitorch.tensor import Number

_DIVISIONS = frozenset(("truediv", "floordiv", "mod"))
_GROWING = frozenset(("mul", "lshift", "pow"))
"""Operations on integers that a few steps may bring beyond 64 bits; a sum would need a few billion."""
_LIMIT = 2.0**62
_COMPARISONS = {
    "eq": ("==", False), "ne": ("!=", False), "lt": ("<", False), "le": ("<=", False), "gt": ("<", True),
    "ge": ("<=", True),
}  # fmt: skip
"""The relation of two sizes that a comparison asks for, and whether its sides change places."""
_INEXACT = frozenset(("truediv", "pow"))


def arithmetic(name: str, a: Any, b: Any, check: Callable[[Any], None]) -> Any:
    """``operator.<name>(a, b)`` where one operand is a number or a size of the traced program, and none is a tensor.

    ``check`` records that the program goes on only where its argument holds.  NotImplemented if neither is one.
    """
    if isinstance(a, SymDim) or isinstance(b, SymDim):
        if name in _COMPARISONS and any(isinstance(x, SymDim) and not dims.is_known(x) for x in (a, b)):
            return compared(name, a, b)
        if name in ("eq", "ne") and all(isinstance(x, (int, SymDim)) for x in (a, b)):
            return dims.equal(a, b) == (name == "eq")
        if name in _INEXACT or isinstance(a, float) or isinstance(b, float):
            a, b = _as_number(a), _as_number(b)
    if not isinstance(a, Number) and not isinstance(b, Number):
        return NotImplemented
    if name in _DIVISIONS and (isinstance(b, Number) or b == 0):
        check(OPS["ne"](b, 0) if isinstance(b, Number) else False)
    result = getattr(operator, name)(a, b)
    if name in _GROWING and isinstance(result, Number) and result.type is INT:
        check(OPS["lt"](abs(getattr(operator, name)(_as_float(a), _as_float(b))), _LIMIT))
    return result


def compared(name: str, a: Any, b: Any) -> Any:
    """A comparison with a size that the program computes: a bool of the program, or a plain one if ranges tell."""
    if all(isinstance(x, (int, SymDim)) for x in (a, b)):
        relation, swapped = _COMPARISONS[name]
        known = dims.decide(relation, *((b, a) if swapped else (a, b)))
        if known is not None:
            return known
    return OPS[name](_as_number(a), _as_number(b))


def _as_number(value: Any) -> Any:
    return OPS["size_of"](size=value) if isinstance(value, SymDim) else value


def _as_float(value: Any) -> Any:
    return OPS["cast"](value, dtype=FLOAT.dtype, number=True) if isinstance(value, Number) else float(value)
