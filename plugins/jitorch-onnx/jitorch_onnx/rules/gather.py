"""Data-dependent reads and writes along an axis.

Where indices repeat and nothing accumulates, ONNX leaves open which write wins; jitorch's rule is
the last.
"""

from __future__ import annotations

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.errors import UnsupportedError
from jitorch.ir.graph import Node
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import shape_of

_REDUCTION = 16
"""The opset since which scatters can add."""

_EXTREMES = 18
"""The opset since which scatters can take the greater or the lesser."""


def _accumulation(ctx: Context, node: Node) -> dict[str, str]:
    if not node.attrs["accumulate"]:
        return {}
    if ctx.opset < _REDUCTION:
        raise UnsupportedError(f"needs opset {_REDUCTION} to add to what is there")
    return {"reduction": "add"}


def _wide(dtype: DType) -> DType:
    """What ``dtype`` is combined in: runtimes lack halves and bool."""
    if dtype is dtypes.bool_:
        return dtypes.int32
    return dtypes.float32 if dtype in (dtypes.float16, dtypes.bfloat16) else dtype


@rule("take")
def _(ctx: Context, node: Node) -> str:
    return ctx.node("Gather", *ctx.inputs(node), axis=node.attrs["axis"])


@rule("positions")
def _(ctx: Context, node: Node) -> str:
    return ctx.node("Reshape", ctx.node("NonZero", ctx.input(node.operands[0])), ctx.integers(-1))


@rule("diagonal_of")
def _(ctx: Context, node: Node) -> str:
    (operand,) = node.operands
    offset, rows, columns = (node.attrs[name] for name in ("offset", "axis1", "axis2"))
    shape = shape_of(operand)
    kept = [i for i in range(len(shape)) if i not in (rows, columns)]
    lead = [shape[i] for i in kept]
    x = ctx.transpose(ctx.input(operand), (*kept, rows, columns))
    flat = ctx.reshape(x, (*lead, shape[rows], shape[columns]), (*lead, shape[rows] * shape[columns]))
    # Element i of the diagonal lies columns + 1 elements after element i - 1.
    first = ctx.size(max(-offset, 0) * shape[columns] + max(offset, 0))
    count = ctx.ramp(0, shape_of(node.output)[-1])
    positions = ctx.node("Add", first, ctx.node("Mul", count, ctx.size(shape[columns] + 1)))
    return ctx.node("Gather", flat, positions, axis=len(kept))


@rule("strided_view")
def _(ctx: Context, node: Node) -> str:
    positions: str | None = None
    sizes = node.attrs["size"]
    for axis, (size, stride) in enumerate(zip(sizes, node.attrs["stride"])):
        along = ctx.reshape(ctx.ramp(0, size), (size,), [size if i == axis else 1 for i in range(len(sizes))])
        step = ctx.node("Mul", along, ctx.size(stride))
        positions = step if positions is None else ctx.node("Add", positions, step)
    offset = ctx.scalar_size(node.attrs["offset"])
    at = offset if positions is None else ctx.node("Add", positions, offset)
    return ctx.node("Gather", ctx.input(node.operands[0]), at, axis=0)


@rule("gather_axis")
def _(ctx: Context, node: Node) -> str:
    return ctx.node("GatherElements", *ctx.inputs(node), axis=node.attrs["axis"])


@rule("scatter_axis")
def _(ctx: Context, node: Node) -> str:
    x, index, y = ctx.inputs(node)
    attrs = _accumulation(ctx, node)
    dtype = ctx.file.dtype(x)
    x, y = (ctx.cast(name, _wide(dtype)) if attrs else name for name in (x, y))
    return ctx.cast(ctx.node("ScatterElements", x, index, y, axis=node.attrs["axis"], **attrs), dtype)


@rule("scatter_extreme")
def _(ctx: Context, node: Node) -> str:
    how = {"amax": "max", "amin": "min", "prod": "mul"}[node.attrs["how"]]
    since = _REDUCTION if how == "mul" else _EXTREMES
    if ctx.opset < since:
        raise UnsupportedError(f"needs opset {since}")
    x, index, y = ctx.inputs(node)
    dtype = ctx.file.dtype(x)
    x, y = ctx.cast(x, _wide(dtype)), ctx.cast(y, _wide(dtype))
    return ctx.cast(ctx.node("ScatterElements", x, index, y, axis=node.attrs["axis"], reduction=how), dtype)


@rule("put")
def _(ctx: Context, node: Node) -> str:
    x, index, y = ctx.inputs(node)
    target, where, axis = node.operands[0], node.operands[1], node.attrs["axis"]
    rank, count = len(shape_of(target)), len(shape_of(where))
    # ScatterND writes whole slices of the first axis: bring the axis, and those of the index, to the front.
    to_front = (axis, *(i for i in range(rank) if i != axis))
    index_first = (*range(axis, axis + count), *range(axis), *range(axis + count, rank - 1 + count))
    back = (*range(1, axis + 1), 0, *range(axis + 1, rank))
    index = ctx.node("Unsqueeze", ctx.cast(index, dtypes.int64), ctx.integers(-1))
    attrs = _accumulation(ctx, node)
    dtype = ctx.file.dtype(x)
    x, y = (ctx.cast(name, _wide(dtype)) if attrs else name for name in (x, y))
    written = ctx.node("ScatterND", ctx.transpose(x, to_front), index, ctx.transpose(y, index_first), **attrs)
    return ctx.cast(ctx.transpose(written, back), dtype)
