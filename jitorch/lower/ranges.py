"""Ranges: between what numbers the elements of a value are, as far as its graph says.

An index that was made of counted numbers and kept inside by a minimum and a maximum needs no check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jitorch import dims, dtypes
from jitorch.dims import Dim, SymDim
from jitorch.dims.polynomial import range_of as least
from jitorch.dtypes import Category, DType
from jitorch.ir.graph import Node, Value
from jitorch.ir.types import ScalarType, TensorType

MOST_STEPS = 64
"""Ops behind each other that are looked at."""


class Range(NamedTuple):
    """From ``low`` to ``high``, which may depend on sizes.  A float may be NaN in any range."""

    low: float | int = -math.inf
    high: float | Dim = math.inf

    def is_below(self, size: Dim) -> bool:
        """Whether the range is that of indices of an axis of ``size``."""
        return self.low >= 0 and not _is_endless(self.high) and dims.decide("<", self.high, size) is True  # type: ignore[arg-type]


ANY = Range()
Known = dict[Value, Range]

_SAME = frozenset(
    ("broadcast_to", "reshape_to", "transpose_axes", "slice_axes", "flip_axes", "copy", "detach", "take", "gather_axis")
)
"""Ops whose elements are some of those of the first operand."""
_PLACES = frozenset(("reduce_argmax", "reduce_argmin"))
_ROUNDING = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint}


def range_of(value: Value, known: Known, steps: int = MOST_STEPS) -> Range:
    """The range of the elements of ``value``; ``known`` keeps what was found."""
    found = known.get(value)
    if found is None:
        found = known[value] = ANY if value.node is None or not steps else _of_node(value.node, known, steps - 1)
    return found


def _of_node(node: Node, known: Known, steps: int) -> Range:
    type_, name = node.outputs[0].type, node.op.name
    if name == "size_of":
        size = node.attrs["size"]
        return Range(least(size)[0], size)
    if not isinstance(type_, (TensorType, ScalarType)) or not _is_number(type_):
        return ANY
    if name in ("constant", "number"):
        value = node.attrs["value"]
        return ANY if isinstance(value, complex) else _in(type_.dtype, value, value, 0)
    if name == "iota":
        return _in(type_.dtype, 0, node.attrs["size"] - 1, 0)
    if name in _PLACES:
        shape = node.operands[0].type.shape  # type: ignore[union-attr]
        return Range(0, dims.prod([shape[a] for a in node.attrs["axes"]]) - 1)
    if name in _SAME:
        return range_of(node.operands[0], known, steps)
    operands = [range_of(v, known, steps) for v in node.operands]
    if name == "cast":
        return _cast(operands[0], node.operands[0].type, type_.dtype)
    return _scalar(node.op.scalar or "", operands, type_.dtype) if node.op.lowering == "scalar" else ANY


def _scalar(fn: str, operands: Sequence[Range], dtype: DType) -> Range:
    match fn, *operands:
        case "add", x, y:
            return _in(dtype, x.low + y.low, _sum(x.high, y.high))
        case "sub", x, y:
            low = -math.inf if isinstance(y.high, SymDim) else x.low - y.high
            return _in(dtype, low, _sum(x.high, -y.low))
        case "mul", x, y if x.low >= 0 and y.low >= 0:
            return _in(dtype, x.low * y.low, _product(x.high, y.high))
        case "floordiv", x, Range(low, high) if low == high and low > 0 and dtype.category is Category.INT:
            return Range(_quotient(x.low, int(low)), _quotient(x.high, int(low)))  # type: ignore[arg-type]
        case "mod", _, Range(low, high) if low > 0 and dtype.category is Category.INT:
            return Range(0, _sum(high, -1))
        case "minimum", x, y:
            return Range(min(x.low, y.low), _least(x.high, y.high))
        case "maximum", x, y:
            return Range(max(x.low, y.low), _greatest(x.high, y.high))
        case "where", _, x, y:
            return Range(min(x.low, y.low), _greatest(x.high, y.high))
        case (("floor" | "ceil" | "trunc" | "round"), x) if not isinstance(x.high, SymDim):
            return Range(*(float(_ROUNDING[fn](end)) for end in x))
    return ANY


def _is_number(type_: Any) -> bool:
    """Whether the elements of that type, or the one, are integers or floats."""
    return isinstance(type_, (TensorType, ScalarType)) and type_.dtype.category in (Category.INT, Category.FLOAT)


def _is_endless(end: float | Dim) -> bool:
    return isinstance(end, float) and math.isinf(end)


def _sum(x: float | Dim, y: float | Dim) -> float | Dim:
    return math.inf if _is_endless(x) or _is_endless(y) else x + y  # type: ignore[operator]


def _product(x: float | Dim, y: float | Dim) -> float | Dim:
    return math.inf if _is_endless(x) or _is_endless(y) else x * y  # type: ignore[operator]


def _quotient(x: float | Dim, divisor: int) -> float | Dim:
    return x if _is_endless(x) else dims.floordiv(x, divisor)  # type: ignore[arg-type]


def _least(x: float | Dim, y: float | Dim) -> float | Dim:
    """One that is not above either of two upper ends."""
    if _is_endless(x) or _is_endless(y):
        return y if _is_endless(x) else x
    return x if _is_ordered(x, y) else y


def _greatest(x: float | Dim, y: float | Dim) -> float | Dim:
    if _is_endless(x) or _is_endless(y):
        return math.inf
    return y if _is_ordered(x, y) else x if _is_ordered(y, x) else math.inf


def _is_ordered(x: float | Dim, y: float | Dim) -> bool:
    if isinstance(x, SymDim) or isinstance(y, SymDim):
        return dims.decide("<=", x, y) is True  # type: ignore[arg-type]
    return x <= y


def _in(dtype: DType, low: float, high: float | Dim, steps: int = 1) -> Range:
    """A range as far as ``dtype`` has it: a result that wraps is anything, one that is rounded a bit more or less.

    A sum or product of numbers that are not negative is not.
    """
    if dtype.category is Category.INT:
        limits = np.iinfo(dtype.numpy)
        # No size is too large for the widest integers.
        fits = dtype is dtypes.int64 if isinstance(high, SymDim) else high <= limits.max
        return Range(low, high) if fits and low >= limits.min else ANY
    ends = (low, math.inf if isinstance(high, SymDim) else high)
    if any(map(math.isnan, ends)):
        return ANY
    least, most = (_outward(end, to, dtype, steps) for end, to in zip(ends, (-math.inf, math.inf), strict=True))
    return Range(max(least, 0.0) if low >= 0 else least, most)


def _outward(end: float, to: float, dtype: DType, steps: int) -> float:
    with np.errstate(over="ignore"):
        value: Any = np.array(end).astype(dtype.numpy)
    for _ in range(steps):
        value = np.nextafter(value, np.array(to).astype(dtype.numpy))
    return float(value)


def _cast(found: Range, source: Any, target: DType) -> Range:
    if not _is_number(source):
        return ANY
    if target.category is Category.FLOAT or source.dtype.category is Category.INT:
        return _in(target, *found, steps=0)
    # Truncated and saturated; NaN becomes 0.
    return Range(min(_truncated(found.low, target), 0), max(_truncated(found.high, target), 0))


def _truncated(end: float | Dim, target: DType) -> int:
    limits = np.iinfo(target.numpy)
    if isinstance(end, SymDim) or end > limits.max:
        return int(limits.max)
    return int(limits.min) if end < limits.min else math.trunc(end)
