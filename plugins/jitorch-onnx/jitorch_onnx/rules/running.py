"""Running reductions along an axis.

ONNX has the running sum only.  The others double the length they cover at each step: element ``i`` is
combined with element ``i - 1``, then ``i - 2``, ``i - 4``, ... (Hillis, Steele, "Data parallel algorithms",
1986), so the axis must have a known size.
"""

from __future__ import annotations

from collections.abc import Callable

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.ir.graph import Node
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import known_size, shape_of, sliced

Combine = Callable[[tuple[str, ...], tuple[str, ...]], tuple[str, ...]]


@rule("scan_sum")
def _(ctx: Context, node: Node) -> str:
    return ctx.node("CumSum", ctx.input(node.operands[0]), ctx.constant(node.attrs["axis"], dtypes.int64))


def _running(ctx: Context, node: Node, states: tuple[str, ...], combine: Combine) -> tuple[str, ...]:
    """Fold each state with those before it; ``combine(earlier, later)`` is associative."""
    axis = node.attrs["axis"]
    size = known_size(shape_of(node.operands[0])[axis], "runs along an axis")
    step = 1
    while step < size:
        earlier = tuple(sliced(ctx, s, [axis], [0], [size - step], [1]) for s in states)
        later = tuple(sliced(ctx, s, [axis], [step], [size], [1]) for s in states)
        first = (sliced(ctx, s, [axis], [0], [step], [1]) for s in states)
        states = tuple(ctx.node("Concat", a, b, axis=axis) for a, b in zip(first, combine(earlier, later)))
        step *= 2
    return states


@rule("scan_prod")
def _(ctx: Context, node: Node) -> str:
    x = ctx.input(node.operands[0])
    return _running(ctx, node, (x,), lambda a, b: (ctx.node("Mul", a[0], b[0]),))[0]


@rule("scan_logaddexp")
def _(ctx: Context, node: Node) -> str:
    def combine(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
        top, low = ctx.node("Max", a[0], b[0]), ctx.node("Min", a[0], b[0])
        # Equal operands may both be infinite, and their difference NaN.
        same = ctx.node("Equal", top, low)
        difference = ctx.node("Where", same, ctx.like(0, top), ctx.node("Sub", low, top))
        return (ctx.node("Add", top, ctx.node("Softplus", difference)),)

    return _running(ctx, node, (ctx.input(node.operands[0]),), combine)[0]


def _running_extremum(name: str, wins: str, result: int) -> None:
    """The rule of a scan that gives the extremum so far (``result`` 0) or its position (1)."""

    @rule(name)
    def _(ctx: Context, node: Node) -> str:
        x = ctx.input(node.operands[0])
        dtype = ctx.file.dtype(x)
        x = ctx.cast(x, dtypes.int32) if dtype is dtypes.bool_ else x

        def combine(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
            later = ctx.node(wins, b[0], a[0])
            if dtype.category is Category.FLOAT:
                later = ctx.node("Or", later, ctx.node("IsNaN", b[0]))
            return ctx.node("Where", later, b[0], a[0]), ctx.node("Where", later, b[1], a[1])

        found = _running(ctx, node, (x, _positions(ctx, node)), combine)[result]
        return ctx.cast(found, dtype) if result == 0 and dtype is dtypes.bool_ else found


def _positions(ctx: Context, node: Node) -> str:
    """The index along the axis, in the shape of the operand."""
    shape, axis = shape_of(node.operands[0]), node.attrs["axis"]
    along = [d if i == axis else 1 for i, d in enumerate(shape)]
    return ctx.node("Expand", ctx.reshape(ctx.ramp(0, shape[axis]), (shape[axis],), along), ctx.shape(shape))


_running_extremum("scan_max", "GreaterOrEqual", 0)
_running_extremum("scan_min", "LessOrEqual", 0)
_running_extremum("scan_argmax", "GreaterOrEqual", 1)
_running_extremum("scan_argmin", "LessOrEqual", 1)
