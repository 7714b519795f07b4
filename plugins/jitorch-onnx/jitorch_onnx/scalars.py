"""ONNX for each machine scalar of `jitorch.ir.scalars`: one function over the names of the operands.

Where ONNX has no operator, or one with other corner cases, the function composes it.  Known
differences: a NaN among the operands of a maximum may get lost in a runtime, and a cast of a float
that does not fit an integer is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category

if TYPE_CHECKING:
    from jitorch_onnx.context import Context

Emit = Callable[..., str]

SCALARS: dict[str, Emit] = {}
"""By the name of the scalar: ``(ctx, *operand names) -> name``."""

_UNSIGNED = {8: dtypes.uint8, 16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}


def scalar(name: str) -> Callable[[Emit], Emit]:
    """Register the function for one machine scalar."""

    def register(function: Emit) -> Emit:
        SCALARS[name] = function
        return function

    return register


def _direct(name: str, op_type: str) -> None:
    SCALARS[name] = lambda ctx, *operands: ctx.node(op_type, *operands)


for _name, _op_type in {
    "sub": "Sub", "div": "Div", "pow": "Pow", "eq": "Equal", "neg": "Neg", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "erf": "Erf",
}.items():  # fmt: skip
    _direct(_name, _op_type)


def _is_bool(ctx: Context, name: str) -> bool:
    return ctx.file.dtype(name) is dtypes.bool_


def _is_integer(ctx: Context, name: str) -> bool:
    return ctx.file.dtype(name).category is Category.INT


# ---- what bool does in its own way ----------------------------------------------------------------
def _bool_or(name: str, op_type: str, bool_op_type: str) -> None:
    """``op_type`` for numbers, ``bool_op_type`` for bool."""
    SCALARS[name] = lambda ctx, x, y: ctx.node(bool_op_type if _is_bool(ctx, x) else op_type, x, y)


_bool_or("add", "Add", "Or")
_bool_or("mul", "Mul", "And")
_bool_or("maximum", "Max", "Or")
_bool_or("minimum", "Min", "And")
_bool_or("and", "BitwiseAnd", "And")
_bool_or("or", "BitwiseOr", "Or")
_bool_or("xor", "BitwiseXor", "Xor")


@scalar("not")
def _not(ctx: Context, x: str) -> str:
    return ctx.node("Not" if _is_bool(ctx, x) else "BitwiseNot", x)


@scalar("ne")
def _ne(ctx: Context, x: str, y: str) -> str:
    return ctx.node("Not", ctx.node("Equal", x, y))


@scalar("where")
def _where(ctx: Context, condition: str, x: str, y: str) -> str:
    # Runtimes select neither bools nor narrow integers.
    if _is_bool(ctx, x):
        chosen = ctx.node("And", condition, x)
        return ctx.node("Or", chosen, ctx.node("And", ctx.node("Not", condition), y))
    dtype = ctx.file.dtype(x)
    wide = dtypes.int32 if dtype.category is Category.INT and dtype.bits < dtypes.int32.bits else dtype
    return ctx.cast(ctx.node("Where", condition, ctx.cast(x, wide), ctx.cast(y, wide)), dtype)


def _order(name: str, op_type: str, negated: int, bool_op_type: str) -> None:
    """An order relation; of bools it is ``bool_op_type`` with operand ``negated`` negated."""

    def emit(ctx: Context, *operands: str) -> str:
        if not _is_bool(ctx, operands[0]):
            return ctx.node(op_type, *operands)
        return ctx.node(bool_op_type, *(ctx.node("Not", x) if i == negated else x for i, x in enumerate(operands)))

    SCALARS[name] = emit


_order("lt", "Less", 0, "And")
_order("le", "LessOrEqual", 0, "Or")
_order("gt", "Greater", 1, "And")
_order("ge", "GreaterOrEqual", 1, "Or")


def _unless_bool(name: str, op_type: str) -> None:
    SCALARS[name] = lambda ctx, x: x if _is_bool(ctx, x) else ctx.node(op_type, x)


_unless_bool("abs", "Abs")
_unless_bool("sign", "Sign")


# ---- division with remainder ----------------------------------------------------------------------
def _divisor(ctx: Context, y: str) -> tuple[str, str | None]:
    """An integer divisor that cannot trap, and where ``y`` is one that can: 0, or -1 (the least integer overflows).

    There the divisor is 1, so that the remainder is 0.
    """
    array = ctx.file.array(y)
    if array is not None and array.all() and (array != -1).all():
        return y, None
    traps = ctx.node("Equal", y, ctx.like(0, y))
    if ctx.file.dtype(y).is_signed:
        traps = ctx.node("Or", traps, ctx.node("Equal", y, ctx.like(-1, y)))
    return _where(ctx, traps, ctx.like(1, y), y), traps


def _signs_differ(ctx: Context, x: str, y: str) -> str:
    zero = ctx.like(0, x)
    return ctx.node("Xor", ctx.node("Less", x, zero), ctx.node("Less", y, zero))


@scalar("floordiv")
def _floordiv(ctx: Context, x: str, y: str) -> str:
    if not _is_integer(ctx, x):
        return ctx.node("Floor", ctx.node("Div", x, y))
    safe, traps = _divisor(ctx, y)
    # ONNX truncates: one too much where the division leaves a rest and the signs differ.
    quotient = ctx.node("Div", x, safe)
    has_rest = ctx.node("Not", ctx.node("Equal", ctx.node("Mod", x, safe), ctx.like(0, x)))
    too_much = ctx.node("And", has_rest, _signs_differ(ctx, x, safe))
    result = _where(ctx, too_much, ctx.node("Sub", quotient, ctx.like(1, x)), quotient)
    # x // 0 is 0 and x // -1 is -x.
    return result if traps is None else _where(ctx, traps, ctx.node("Mul", x, y), result)


@scalar("mod")
def _mod(ctx: Context, x: str, y: str) -> str:
    if _is_integer(ctx, x):
        return ctx.node("Mod", x, _divisor(ctx, y)[0])
    rest = ctx.node("Mod", x, y, fmod=1)
    is_zero = ctx.node("Equal", rest, ctx.like(0, x))
    moves = ctx.node("And", _signs_differ(ctx, rest, y), ctx.node("Not", is_zero))
    return _where(ctx, moves, ctx.node("Add", rest, y), rest)


@scalar("fmod")
def _fmod(ctx: Context, x: str, y: str) -> str:
    return ctx.node("Mod", x, _divisor(ctx, y)[0] if _is_integer(ctx, x) else y, fmod=1)


# ---- shifts ---------------------------------------------------------------------------------------
def _shift(ctx: Context, x: str, count: str, direction: str) -> str:
    """A logical shift by ``count``, which is within the width; ONNX shifts unsigned integers only."""
    dtype = ctx.file.dtype(x)
    unsigned = _UNSIGNED[dtype.bits]
    return ctx.cast(ctx.node("BitShift", ctx.cast(x, unsigned), ctx.cast(count, unsigned), direction=direction), dtype)


def _too_wide(ctx: Context, x: str, count: str) -> str:
    """Where the shift is by the width or more; a negative one counts as such."""
    bits = ctx.file.dtype(x).bits
    wide = ctx.node("GreaterOrEqual", count, ctx.like(bits, count))
    return ctx.node("Or", wide, ctx.node("Less", count, ctx.like(0, count)))


@scalar("shl")
def _shl(ctx: Context, x: str, count: str) -> str:
    wide, zero = _too_wide(ctx, x, count), ctx.like(0, x)
    return _where(ctx, wide, zero, _shift(ctx, x, _where(ctx, wide, zero, count), "LEFT"))


@scalar("shr")
def _shr(ctx: Context, x: str, count: str) -> str:
    wide = _too_wide(ctx, x, count)
    if not ctx.file.dtype(x).is_signed:
        zero = ctx.like(0, x)
        return _where(ctx, wide, zero, _shift(ctx, x, _where(ctx, wide, zero, count), "RIGHT"))
    # x >> n == ~(~x >> n), and ~x == -1 - x is not negative where x is.
    negative, ones = ctx.node("Less", x, ctx.like(0, x)), ctx.like(-1, x)
    count = _where(ctx, wide, ctx.like(ctx.file.dtype(x).bits - 1, x), count)
    shifted = _shift(ctx, _where(ctx, negative, ctx.node("Sub", ones, x), x), count, "RIGHT")
    return _where(ctx, negative, ctx.node("Sub", ones, shifted), shifted)


# ---- functions that ONNX lacks --------------------------------------------------------------------
@scalar("trunc")
def _trunc(ctx: Context, x: str) -> str:
    return ctx.node("Mul", ctx.node("Sign", x), ctx.node("Floor", ctx.node("Abs", x)))


@scalar("tan")
def _tan(ctx: Context, x: str) -> str:
    if ctx.file.dtype(x) is not dtypes.float64:
        return ctx.node("Tan", x)
    # Runtimes lack the tangent of float64, not the sine and cosine.
    return ctx.node("Div", ctx.node("Sin", x), ctx.node("Cos", x))


@scalar("expm1")
def _expm1(ctx: Context, x: str) -> str:
    # exp(x) - 1 == tanh(x / 2) * (exp(x) + 1), which does not cancel near 0.
    half = ctx.node("Tanh", ctx.node("Mul", x, ctx.like(0.5, x)))
    return ctx.node("Mul", half, ctx.node("Add", ctx.node("Exp", x), ctx.like(1, x)))


@scalar("log1p")
def _log1p(ctx: Context, x: str) -> str:
    # log(u) * x / (u - 1) with u == 1 + x rounded: the error of u cancels (Kahan; see Higham, "Accuracy and
    # Stability of Numerical Algorithms", 2002, section 1.14.1).  Where u is 1 or infinite the result is x.
    one = ctx.like(1, x)
    u = ctx.node("Add", x, one)
    is_x = ctx.node("Or", ctx.node("Equal", u, one), ctx.node("Equal", u, ctx.like(np.inf, x)))
    divisor = ctx.node("Where", is_x, one, ctx.node("Sub", u, one))
    ratio = ctx.node("Div", x, divisor)
    return ctx.node("Where", is_x, x, ctx.node("Mul", ctx.node("Log", u), ratio))


@scalar("log2")
def _log2(ctx: Context, x: str) -> str:
    return ctx.node("Mul", ctx.node("Log", x), ctx.like(1 / math.log(2), x))


@scalar("log10")
def _log10(ctx: Context, x: str) -> str:
    return ctx.node("Mul", ctx.node("Log", x), ctx.like(1 / math.log(10), x))


@scalar("atan2")
def _atan2(ctx: Context, y: str, x: str) -> str:
    # Of two infinite coordinates only the signs count.
    infinite = ctx.like(np.inf, x)
    both = ctx.node("And", *(ctx.node("Equal", ctx.node("Abs", c), infinite) for c in (x, y)))
    y, x = (ctx.node("Where", both, ctx.node("Sign", c), c) for c in (y, x))
    zero = ctx.like(0, x)
    below = ctx.node("Less", y, zero)
    half_plane = ctx.node("Where", below, ctx.like(-math.pi, x), ctx.like(math.pi, x))
    right = ctx.node("Atan", ctx.node("Div", y, x))
    left = ctx.node("Add", right, half_plane)
    # On the y axis the ratio is infinite or undefined.
    on_axis = ctx.node("Mul", ctx.node("Sign", y), ctx.like(math.pi / 2, x))
    aside = ctx.node("Where", ctx.node("Less", x, zero), left, right)
    return ctx.node("Where", ctx.node("Equal", x, zero), on_axis, aside)
