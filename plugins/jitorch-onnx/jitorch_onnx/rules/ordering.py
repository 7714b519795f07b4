"""Sorting and searching."""

from __future__ import annotations

from jitorch import dtypes
from jitorch.dims import Dim
from jitorch.dtypes import Category
from jitorch.ir.graph import Node
from jitorch.ops.reduce import highest
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.reduce import reduction
from jitorch_onnx.rules.shape import shape_of

_AT_LEAST = 4
"""Bytes of the narrowest integers that runtimes order."""


def _ordered(ctx: Context, x: str) -> str:
    """``x`` in a dtype whose order runtimes know."""
    dtype = ctx.file.dtype(x)
    return ctx.cast(x, dtypes.int32) if dtype.category is not Category.FLOAT and dtype.itemsize < _AT_LEAST else x


@rule("argsort_axis")
def _(ctx: Context, node: Node) -> str:
    (operand,) = node.operands
    return _order(ctx, node, shape_of(operand)[node.attrs["axis"]], node.attrs["descending"])


@rule("top_axis")
def _(ctx: Context, node: Node) -> str:
    return _order(ctx, node, node.attrs["count"], node.attrs["descending"])


@rule("nth_axis")
def _(ctx: Context, node: Node) -> str:
    axis = node.attrs["axis"]
    order = _order(ctx, node, shape_of(node.operands[0])[axis], False)
    return ctx.node("GatherElements", order, ctx.input(node.operands[1]), axis=axis)


def _order(ctx: Context, node: Node, count: Dim, descending: bool) -> str:
    """The positions of the first ``count`` elements; of equal ones ONNX puts the first one first."""
    x = _ordered(ctx, ctx.input(node.operands[0]))
    _, order = ctx.nodes(
        "TopK", x, ctx.shape([count]), outputs=2, axis=node.attrs["axis"], largest=int(descending)
    )  # fmt: skip
    return order


@rule("mode_axis")
def _(ctx: Context, node: Node) -> str:
    (operand,) = node.operands
    axis, rank = node.attrs["axis"], len(shape_of(operand))
    x = ctx.transpose(_ordered(ctx, ctx.input(operand)), (*(i for i in range(rank) if i != axis), axis))
    row, column = (ctx.node("Unsqueeze", x, ctx.integers(place)) for place in (rank - 1, rank))
    counts = reduction(ctx, "ReduceSum", ctx.cast(ctx.node("Equal", row, column), dtypes.int64), (rank,))
    frequent = ctx.node("Equal", counts, reduction(ctx, "ReduceMax", counts, (rank - 1,), keep=True))
    # Of the most frequent values the least, and of its positions the last.
    others = ctx.like(highest(ctx.file.dtype(x)), x)
    least = reduction(ctx, "ReduceMin", ctx.node("Where", frequent, x, others), (rank - 1,), keep=True)
    chosen = ctx.node("And", frequent, ctx.node("Equal", x, least))
    return ctx.node("ArgMax", ctx.cast(chosen, dtypes.int32), axis=rank - 1, keepdims=0, select_last_index=1)


@rule("search_sorted")
def _(ctx: Context, node: Node) -> str:
    sequence, values = ctx.inputs(node)
    rank = len(shape_of(node.operands[1]))
    # [*B, V] values against [*B, S] elements: the place is the number of elements before it.
    value = ctx.node("Unsqueeze", values, ctx.integers(-1))
    if len(shape_of(node.operands[0])) > 1:
        sequence = ctx.node("Unsqueeze", sequence, ctx.integers(-2))
    before = ctx.node("LessOrEqual" if node.attrs["right"] else "Less", sequence, value)
    return ctx.cast(reduction(ctx, "ReduceSum", ctx.cast(before, dtypes.int64), (rank,)), node.attrs["dtype"])
