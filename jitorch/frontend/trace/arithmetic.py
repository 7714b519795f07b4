"""Arithmetic on numbers that only the program knows: Python's, with its exceptions.

Python divides by zero with an exception, and its integers never overflow.  The program checks for both: where such a
check fails, nothing is written, and the call runs again in plain Python, which does what it does.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from jitorch import dims
from jitorch.dims import SymDim
from jitorch.ir.types import BOOL, FLOAT, INT
from jitorch.ops import OPS
from jitorch.tensor import Number

_DIVISIONS = frozenset(("truediv", "floordiv", "mod"))
_SHIFTS = frozenset(("lshift", "rshift"))
_GROWING = frozenset(("mul", "lshift", "pow"))
"""Operations on integers that a few steps may bring beyond 64 bits."""
_STEPPING = frozenset(("add", "sub", "floordiv", "neg", "abs"))
"""Those that only do so for a number near the end of its range: billions of steps of a counter are no case."""
_STEP = 2**31
_LIMIT = 2.0**62
_COMPARISONS = {
    "eq": ("==", False), "ne": ("!=", False), "lt": ("<", False), "le": ("<=", False), "gt": ("<", True),
    "ge": ("<=", True),
}  # fmt: skip
"""The relation of two sizes that a comparison asks for, and whether its sides change places."""
_INEXACT = frozenset(("truediv", "pow"))
_OF_BITS = frozenset(("lshift", "rshift", "and_", "or_", "xor"))
_OF_BOOLS = frozenset(("and_", "or_", "xor"))
"""Operations that give a bool of bools; for others these are the ints 0 and 1."""
_NOT_OF_SIZES = frozenset(("abs", "invert"))
"""What numbers have and sizes have not."""


def arithmetic(name: str, operands: Sequence[Any], check: Callable[[Any], None]) -> Any:
    """``operator.<name>(*operands)`` where one is a number or a size of the traced program, and none is a tensor.

    ``check`` records that the program goes on only where its argument holds.  NotImplemented if none is one.
    """
    if len(operands) == 1:
        return _unary(name, operands[0], check)
    a, b = operands
    if isinstance(a, SymDim) or isinstance(b, SymDim):
        if name in _COMPARISONS and any(isinstance(x, SymDim) and not dims.is_known(x) for x in (a, b)):
            return compared(name, a, b)
        if name in ("eq", "ne") and all(isinstance(x, (int, SymDim)) for x in (a, b)):
            return dims.equal(a, b) == (name == "eq")
        if name in _INEXACT or name in _OF_BITS or isinstance(a, float) or isinstance(b, float):
            a, b = _as_number(a), _as_number(b)
    if not isinstance(a, Number) and not isinstance(b, Number):
        return NotImplemented
    if name not in _COMPARISONS and name not in _OF_BOOLS:
        a, b = _without_bool(a), _without_bool(b)
    if name in _DIVISIONS and (isinstance(b, Number) or b == 0):
        check(OPS["ne"](b, 0) if isinstance(b, Number) else False)
    if name in _SHIFTS and (isinstance(b, Number) or b < 0):
        check(OPS["ge"](b, 0) if isinstance(b, Number) else False)
    if name == "pow":
        a = _base(a, b, check)
    result: Any = getattr(operator, name)(a, b)
    if isinstance(result, Number) and result.type is INT and _may_overflow(name, a, b):
        a, b = _as_float(a), _as_float(b)
        check_range(a * 2.0**b if name == "lshift" else getattr(operator, name)(a, b), check)
    if name == "pow" and isinstance(result, Number) and result.type is FLOAT:
        check(OPS["lt"](OPS["abs"](result), math.inf))
    return result


def _base(a: Any, b: Any, check: Callable[[Any], None]) -> Any:
    """The base of ``a ** b``: an int with a negative exponent counts as a float.

    Zero has no negative powers, and those of a negative number are complex where the exponent has a fraction.
    """
    if not _is_float(a) and not _is_float(b):
        if isinstance(b, Number):
            check(OPS["ge"](b, 0))
            return a
        if b >= 0:
            return a
        a = _as_float(a)
    if isinstance(b, Number):
        if isinstance(a, Number) or a <= 0:
            whole = OPS["logical_and"](OPS["eq"](b, OPS["floor"](_as_float(b))), OPS["ge"](b, 0))
            check(OPS["logical_or"](OPS["gt"](a, 0), whole) if isinstance(a, Number) else whole)
    elif not float(b).is_integer():
        check(OPS["gt" if b < 0 else "ge"](a, 0))
    elif b < 0:
        check(OPS["ne"](a, 0))
    return a


def _is_float(value: Any) -> bool:
    return value.type is FLOAT if isinstance(value, Number) else isinstance(value, float)


def _unary(name: str, a: Any, check: Callable[[Any], None]) -> Any:
    a = _without_bool(a)
    if name == "pos":
        return a
    if isinstance(a, SymDim) and name in _NOT_OF_SIZES:
        a = _as_number(a)
    if not isinstance(a, Number):
        return NotImplemented
    if name in _STEPPING and _is_of_full_range(a):
        check_range(_as_float(a), check)
    return getattr(operator, name)(a)


def check_range(value: Any, check: Callable[[Any], None]) -> None:
    """Go on only where the float ``value`` is well within the integers of 64 bits: no NaN, and not infinite."""
    check(OPS["lt"](abs(value), _LIMIT))


def _may_overflow(name: str, a: Any, b: Any) -> bool:
    if name in _GROWING:
        return True
    if name not in _STEPPING:
        return False
    return _is_of_full_range(a) or _is_of_full_range(b) or (name != "floordiv" and not (_is_step(a) or _is_step(b)))


def _is_of_full_range(value: Any) -> bool:
    """Whether it is an element of a tensor, of which nothing was checked yet."""
    node = value._value.node if isinstance(value, Number) and value.type is INT else None
    return node is not None and node.op is OPS["number_of"]


def _was_bool(number: Number) -> bool:
    node = number._value.node
    return node is not None and node.op is OPS["cast"] and node.inputs[0].type is BOOL


def _is_step(value: Any) -> bool:
    """Whether it is a number by which a counter may move."""
    if isinstance(value, Number):
        return _was_bool(value)
    return isinstance(value, SymDim) or abs(value) < _STEP


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


def _without_bool(value: Any) -> Any:
    is_bool = isinstance(value, Number) and value.type is BOOL
    return OPS["cast"](value, dtype=INT.dtype, number=True) if is_bool else value


def _as_float(value: Any) -> Any:
    return OPS["cast"](value, dtype=FLOAT.dtype, number=True) if isinstance(value, Number) else float(value)
