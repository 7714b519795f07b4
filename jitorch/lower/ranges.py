"""Ranges: between what numbers the elements of a value are, as far as its graph says.

An index that was made of counted numbers and kept inside by a minimum and a maximum needs no check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jitorch.dtypes import Category, DType
from jitorch.ir.graph import Node, Value
from jitorch.ir.types import TensorType

MOST_STEPS = 64
"""Ops behind each other that are looked at."""


class Range(NamedTuple):
    """Both ends are possible values.  A float may be NaN in any range."""

    low: float | int = -math.inf
    high: float | int = math.inf


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
    if not isinstance(type_, TensorType) or type_.dtype.category not in (Category.INT, Category.FLOAT):
        return ANY
    if name == "constant":
        return _rounded(Range(node.attrs["value"], node.attrs["value"]), type_.dtype, 0)
    if name == "iota":
        size = node.attrs["size"]
        return _rounded(Range(0, size - 1 if isinstance(size, int) else math.inf), type_.dtype, 0)
    if name in _PLACES:
        shape = node.operands[0].type.shape  # type: ignore[union-attr]
        sizes = [shape[a] for a in node.attrs["axes"]]
        return Range(0, math.prod(sizes) - 1 if all(isinstance(d, int) for d in sizes) else math.inf)
    if name in _SAME:
        return range_of(node.operands[0], known, steps)
    if name == "cast":
        return _cast(range_of(node.operands[0], known, steps), node.operands[0].type, type_.dtype)
    if node.op.lowering != "scalar":
        return ANY
    operands = [range_of(v, known, steps) for v in node.operands]
    return _scalar(node.op.scalar or "", operands, type_.dtype)


def _scalar(fn: str, operands: Sequence[Range], dtype: DType) -> Range:
    match fn, *operands:
        case "add", x, y:
            return _rounded(Range(x.low + y.low, x.high + y.high), dtype)
        case "sub", x, y:
            return _rounded(Range(x.low - y.high, x.high - y.low), dtype)
        case "mul", x, y:
            corners = [a * b for a in x for b in y]
            is_known = not any(map(math.isnan, corners))
            return _rounded(Range(min(corners), max(corners)), dtype) if is_known else ANY
        case "floordiv", x, Range(low, high) if low == high and low > 0 and dtype.category is Category.INT:
            return Range(*(end if math.isinf(end) else end // low for end in x))
        case "minimum", x, y:
            return Range(min(x.low, y.low), min(x.high, y.high))
        case "maximum", x, y:
            return Range(max(x.low, y.low), max(x.high, y.high))
        case "where", _, x, y:
            return Range(min(x.low, y.low), max(x.high, y.high))
        case ("floor" | "ceil" | "trunc" | "round"), x:
            return Range(*(float(_ROUNDING[fn](end)) for end in x))
    return ANY


def _rounded(found: Range, dtype: DType, steps: int = 1) -> Range:
    """``found`` as far as ``dtype`` has it: a result that wraps is anything, one that is rounded a bit more or less.

    A product of numbers that are not negative is not.
    """
    if any(isinstance(end, complex) or math.isnan(end) for end in found):
        return ANY
    if dtype.category is Category.INT:
        limits = np.iinfo(dtype.numpy)
        return found if limits.min <= found.low and found.high <= limits.max else ANY
    low, high = (_outward(end, to, dtype, steps) for end, to in zip(found, (-math.inf, math.inf), strict=True))
    return Range(max(low, 0.0) if found.low >= 0 else low, high)


def _outward(end: float, to: float, dtype: DType, steps: int) -> float:
    with np.errstate(over="ignore"):
        value: Any = np.array(end).astype(dtype.numpy)
    for _ in range(steps):
        value = np.nextafter(value, np.array(to).astype(dtype.numpy))
    return float(value)


def _cast(found: Range, source: Any, target: DType) -> Range:
    if not isinstance(source, TensorType) or source.dtype.category not in (Category.INT, Category.FLOAT):
        return ANY
    if target.category is Category.INT and source.dtype.category is Category.FLOAT:
        # Truncated and saturated; NaN becomes 0.
        limits = np.iinfo(target.numpy)
        low, high = (
            limits.min if end < limits.min else limits.max if end > limits.max else math.trunc(end) for end in found
        )
        return Range(min(low, 0), max(high, 0))
    return _rounded(found, target)
