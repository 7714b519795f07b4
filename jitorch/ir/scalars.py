"""The closed list of scalar functions: what a machine can do to one element.

Every elementwise op, kernel expression and renderer vocabulary uses these names and no others, so
a backend is complete when it has a word for each.  All are *total*: defined for every input,
never trapping.

* integer arithmetic wraps; ``floordiv`` and ``mod`` round towards minus infinity as in Python, and
  give 0 for a zero divisor;
* ``cast`` from float to int truncates, saturates, and gives 0 for NaN;
* ``maximum`` and ``minimum`` propagate NaN; comparisons with NaN are false, except ``ne``;
* shifts by the width or more give 0, or the sign for an arithmetic right shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.ir.erf import erf

Categories = frozenset[dtypes.Category]
_ALL = frozenset(dtypes.Category)
_REAL = frozenset({dtypes.Category.BOOL, dtypes.Category.INT, dtypes.Category.FLOAT})
_NUMBER = frozenset({dtypes.Category.INT, dtypes.Category.FLOAT, dtypes.Category.COMPLEX})
_FLOAT = frozenset({dtypes.Category.FLOAT, dtypes.Category.COMPLEX})
_BITS = frozenset({dtypes.Category.BOOL, dtypes.Category.INT})
_INT = frozenset({dtypes.Category.INT})
_REAL_FLOAT = frozenset({dtypes.Category.FLOAT})


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """One scalar function.

    All operands have one dtype (``where``: all but the condition).  The result has that dtype too,
    unless ``to_bool`` or ``to_bits``.  ``numpy`` gives its meaning on whole arrays.
    """

    name: str
    arity: int
    accepts: Categories
    numpy: Callable[..., Any]
    doc: str
    to_bool: bool = False
    to_bits: bool = False

    def result(self, *operands: DType) -> DType:
        if self.to_bits:
            return dtypes.int64 if operands[-1] is dtypes.float64 else dtypes.int32
        return dtypes.bool_ if self.to_bool else operands[-1]

    def __repr__(self) -> str:
        return f"<scalar {self.name}>"


TABLE: dict[str, Scalar] = {}


def _define(
    name: str,
    arity: int,
    accepts: Categories,
    fn: Callable[..., Any],
    doc: str,
    to_bool: bool = False,
    to_bits: bool = False,
) -> None:
    TABLE[name] = Scalar(name, arity, accepts, fn, doc, to_bool, to_bits)


def _floordiv(x: Any, y: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    if y.dtype.kind not in "iu":
        return np.floor_divide(x, y)
    return np.where(y == 0, x.dtype.type(0), np.floor_divide(x, np.where(y == 0, y.dtype.type(1), y)))


def _mod(x: Any, y: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    if y.dtype.kind not in "iu":
        return np.mod(x, y)
    return np.where(y == 0, x.dtype.type(0), np.mod(x, np.where(y == 0, y.dtype.type(1), y)))


def _fmod(x: Any, y: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    if y.dtype.kind not in "iu":
        return np.fmod(x, y)
    return np.where(y == 0, x.dtype.type(0), np.fmod(x, np.where(y == 0, y.dtype.type(1), y)))


def _shift_left(x: Any, y: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    wide = (y < 0) | (y >= 8 * x.dtype.itemsize)
    return np.where(wide, x.dtype.type(0), np.left_shift(x, np.where(wide, y.dtype.type(0), y)))


def _shift_right(x: Any, y: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    wide = (y < 0) | (y >= 8 * x.dtype.itemsize)
    return np.right_shift(x, np.where(wide, y.dtype.type(8 * x.dtype.itemsize - 1), y)) * (
        1 if x.dtype.kind == "i" else np.where(wide, x.dtype.type(0), x.dtype.type(1))
    )


def _pow(x: Any, y: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    if y.dtype.kind != "i":
        return np.power(x, y)
    # A negative exponent of an integer is the truncated reciprocal: 0 except for 1 and -1.
    power = np.power(x, np.where(y < 0, y.dtype.type(0), y))
    odd = (y & 1).astype(bool)
    reciprocal = np.where(x == 1, 1, np.where(x == -1, np.where(odd, -1, 1), 0)).astype(x.dtype)
    return np.where(y < 0, reciprocal, power)


def _sign(x: Any) -> Any:
    return np.sign(x) if np.asarray(x).dtype.kind != "b" else np.asarray(x)


def _to_bits(x: Any) -> Any:
    x = np.asarray(x)
    x = x if x.dtype == np.float64 else x.astype(np.float32)
    return np.where(np.isnan(x), x.dtype.type(np.nan), x).view(np.int64 if x.dtype == np.float64 else np.int32)


def _round(x: Any) -> Any:
    return np.rint(x)


_define("add", 2, _ALL, np.add, "``x + y``; logical or for bool")
_define("sub", 2, _NUMBER, np.subtract, "``x - y``")
_define("mul", 2, _ALL, np.multiply, "``x * y``; logical and for bool")
_define("div", 2, _FLOAT, np.divide, "``x / y``")
_define("floordiv", 2, _INT | _REAL_FLOAT, _floordiv, "``floor(x / y)``")
_define("mod", 2, _INT | _REAL_FLOAT, _mod, "``x - y * floor(x / y)``: the sign of y, as Python's ``%``")
_define("fmod", 2, _INT | _REAL_FLOAT, _fmod, "``x - y * trunc(x / y)``: the sign of x, as C's ``%``")
_define("pow", 2, _NUMBER, _pow, "``x`` to the power ``y``")
_define("maximum", 2, _REAL, np.maximum, "the greater; NaN if either is NaN")
_define("minimum", 2, _REAL, np.minimum, "the smaller; NaN if either is NaN")
_define("atan2", 2, _REAL_FLOAT, np.arctan2, "angle of the point ``(y, x)``, in radians")
_define("eq", 2, _ALL, np.equal, "``x == y``", to_bool=True)
_define("ne", 2, _ALL, np.not_equal, "``x != y``", to_bool=True)
_define("lt", 2, _REAL, np.less, "``x < y``", to_bool=True)
_define("le", 2, _REAL, np.less_equal, "``x <= y``", to_bool=True)
_define("gt", 2, _REAL, np.greater, "``x > y``", to_bool=True)
_define("ge", 2, _REAL, np.greater_equal, "``x >= y``", to_bool=True)
_define("and", 2, _BITS, np.bitwise_and, "bitwise and")
_define("or", 2, _BITS, np.bitwise_or, "bitwise or")
_define("xor", 2, _BITS, np.bitwise_xor, "bitwise exclusive or")
_define("shl", 2, _INT, _shift_left, "``x << y``")
_define("shr", 2, _INT, _shift_right, "``x >> y``, arithmetic for signed x")
_define("not", 1, _BITS, np.invert, "bitwise not; logical not for bool")
_define("neg", 1, _NUMBER, np.negative, "``-x``")
_define("abs", 1, _REAL, np.abs, "absolute value")
_define("sign", 1, _REAL, _sign, "-1, 0 or 1; NaN stays NaN")
_define("floor", 1, _REAL_FLOAT, np.floor, "round towards minus infinity")
_define("ceil", 1, _REAL_FLOAT, np.ceil, "round towards plus infinity")
_define("trunc", 1, _REAL_FLOAT, np.trunc, "round towards zero")
_define("round", 1, _REAL_FLOAT, _round, "round to nearest, halves to even")
_define("sqrt", 1, _FLOAT, np.sqrt, "square root, correctly rounded")
_define("exp", 1, _FLOAT, np.exp, "e to the power x")
_define("expm1", 1, _FLOAT, np.expm1, "``exp(x) - 1``, accurate near 0")
_define("log", 1, _FLOAT, np.log, "natural logarithm")
_define("log2", 1, _FLOAT, np.log2, "base-2 logarithm")
_define("log10", 1, _FLOAT, np.log10, "base-10 logarithm")
_define("log1p", 1, _FLOAT, np.log1p, "``log(1 + x)``, accurate near 0")
_define("sin", 1, _FLOAT, np.sin, "sine of x radians")
_define("cos", 1, _FLOAT, np.cos, "cosine of x radians")
_define("tan", 1, _FLOAT, np.tan, "tangent of x radians")
_define("asin", 1, _FLOAT, np.arcsin, "inverse sine, in radians")
_define("acos", 1, _FLOAT, np.arccos, "inverse cosine, in radians")
_define("atan", 1, _FLOAT, np.arctan, "inverse tangent, in radians")
_define("sinh", 1, _FLOAT, np.sinh, "hyperbolic sine")
_define("cosh", 1, _FLOAT, np.cosh, "hyperbolic cosine")
_define("tanh", 1, _FLOAT, np.tanh, "hyperbolic tangent")
_define("erf", 1, _REAL_FLOAT, erf, "error function: ``2/sqrt(pi) * integral of exp(-t*t) from 0 to x``")
_define("where", 3, _ALL, np.where, "``x`` where the bool condition holds, else ``y``")
_define(
    "bits",
    1,
    _REAL_FLOAT,
    _to_bits,
    "the bits of x as a signed integer: of a float64, or of what is narrower as a float32; those of one NaN for all",
    to_bits=True,
)
_define(
    "philox",
    3,
    _INT,
    lambda *a: philox(*a),
    "the random 32-bit word of ``(seed, offset, index)``; all operands and the result are int64: see `philox`",
)


def cast(x: Any, dtype: DType) -> Any:
    """``x`` converted to ``dtype``: float to int truncates, saturates, and sends NaN to 0.

    Complex to real keeps the real part.
    """
    x = np.asarray(x)
    target = dtype.numpy
    if x.dtype.kind == "c" and dtype.category is not dtypes.Category.COMPLEX:
        x = x.real
    if dtype.category is dtypes.Category.INT and x.dtype.kind not in "biu":
        wide = np.nan_to_num(x.astype(np.float64, copy=False), nan=0.0, posinf=np.inf, neginf=-np.inf)
        info = np.iinfo(target)
        with np.errstate(invalid="ignore"):
            result = np.trunc(np.clip(wide, float(info.min), float(info.max))).astype(target)
        # float(2**63 - 1) rounds up to 2**63, which does not fit.
        return np.where(wide >= float(info.max), target.type(info.max), result)
    return x.astype(target)


_PHILOX_M = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_PHILOX_W = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)


def philox(seed: Any, offset: Any, index: Any) -> Any:
    """Counter-based random word of element ``index``: uint32 values held in int64.

    Philox4x32-10 with key ``seed`` (64 bits) and counter ``offset + index`` (64 bits, then zeros);
    the first of the four words is the result.
    From Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    seed, counter = np.asarray(seed, np.int64).astype(np.uint64), np.asarray(offset, np.int64).astype(np.uint64)
    counter = counter + np.asarray(index, np.int64).astype(np.uint64)
    c0, c1 = counter & _LOW, counter >> np.uint64(32)
    c2 = c3 = np.zeros_like(c0)
    k0, k1 = seed & _LOW, seed >> np.uint64(32)
    for _ in range(10):
        p0, p1 = _PHILOX_M[0] * c0, _PHILOX_M[1] * c2
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & _LOW, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _PHILOX_W[0]) & _LOW, (k1 + _PHILOX_W[1]) & _LOW
    return c0.astype(np.int64)
