"""Views and rearrangements: what moves elements and changes none."""

from __future__ import annotations

from collections.abc import Sequence

from jitorch.dims import Dim
from jitorch.errors import UnsupportedError
from jitorch.ir.graph import Node, Value
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule

_LAST = -(2**63)
"""A stop that lies before the first element, for slices that go backwards."""


def shape_of(value: Value) -> tuple[Dim, ...]:
    """The sizes of a tensor value."""
    return value.type.shape  # type: ignore[attr-defined]


def known_size(size: Dim, what: str) -> int:
    """``size``, which ONNX wants as a number: UnsupportedError if it is symbolic."""
    if not isinstance(size, int):
        raise UnsupportedError(f"{what} of size {size}, which must be a number")
    return size


@rule("reshape_to")
def _(ctx: Context, node: Node) -> str:
    (x,) = node.operands
    return ctx.reshape(ctx.input(x), shape_of(x), node.attrs["shape"])


@rule("transpose_axes")
def _(ctx: Context, node: Node) -> str:
    return ctx.transpose(ctx.input(node.operands[0]), node.attrs["perm"])


def sliced(
    ctx: Context, x: str, axes: Sequence[int], starts: Sequence[Dim], stops: Sequence[Dim], steps: Sequence[int]
) -> str:
    """``x[start:stop:step]`` on ``axes``, all else whole."""
    if not axes:
        return x
    return ctx.node("Slice", x, ctx.shape(starts), ctx.shape(stops), ctx.integers(*axes), ctx.integers(*steps))


def _changed_axes(shape: tuple[Dim, ...], node: Node) -> list[int]:
    """The axes that a slice does not take whole."""
    bounds = zip(shape, node.attrs["starts"], node.attrs["stops"], node.attrs["steps"])
    return [i for i, (size, start, stop, step) in enumerate(bounds) if not (start == 0 and stop == size and step == 1)]


@rule("slice_axes")
def _(ctx: Context, node: Node) -> str:
    (x,) = node.operands
    axes = _changed_axes(shape_of(x), node)
    return sliced(ctx, ctx.input(x), axes, *([node.attrs[n][a] for a in axes] for n in ("starts", "stops", "steps")))


@rule("slice_write")
def _(ctx: Context, node: Node) -> str:
    x, y = node.operands
    axes = _changed_axes(shape_of(x), node)
    return _write(ctx, ctx.input(x), ctx.input(y), list(shape_of(x)), list(shape_of(y)), axes, node)


def _write(ctx: Context, x: str, y: str, shape: list[Dim], part: list[Dim], axes: Sequence[int], node: Node) -> str:
    """``x``, of ``shape``, with its slice on ``axes`` replaced by ``y``, of shape ``part``: axis after axis."""
    if not axes:
        return y
    axis, *rest = axes
    start, stop, step = (node.attrs[n][axis] for n in ("starts", "stops", "steps"))
    within = [*shape[:axis], part[axis], *shape[axis + 1 :]]
    if rest:
        y = _write(ctx, sliced(ctx, x, [axis], [start], [stop], [step]), y, within, part, rest, node)
    if step != 1:
        column = [part[axis], *(1 for _ in shape[axis + 1 :])]
        positions = ctx.reshape(ctx.ramp(start, stop, step), (part[axis],), column)
        return ctx.node("ScatterElements", x, ctx.node("Expand", positions, ctx.shape(within)), y, axis=axis)
    before = [] if start == 0 else [sliced(ctx, x, [axis], [0], [start], [1])]
    after = [] if stop == shape[axis] else [sliced(ctx, x, [axis], [stop], [shape[axis]], [1])]
    return ctx.node("Concat", *before, y, *after, axis=axis)


@rule("flip_axes")
def _(ctx: Context, node: Node) -> str:
    x, axes = ctx.input(node.operands[0]), node.attrs["axes"]
    return sliced(ctx, x, axes, [-1] * len(axes), [_LAST] * len(axes), [-1] * len(axes))


@rule("pad_axes")
def _(ctx: Context, node: Node) -> str:
    x, value = node.operands
    attrs = node.attrs
    return padded(ctx, ctx.input(x), shape_of(x), ctx.input(value), attrs["low"], attrs["high"], attrs["interior"])


def padded(
    ctx: Context, x: str, shape: Sequence[Dim], value: str, low: Sequence[Dim], high: Sequence[Dim],
    interior: Sequence[int],
) -> str:  # fmt: skip
    """``x`` with ``value`` around it and ``interior`` times between neighbours, per axis."""
    sizes = list(shape)
    for axis, count in enumerate(interior):
        if count and not (isinstance(sizes[axis], int) and sizes[axis] <= 1):
            x = _spread(ctx, x, sizes, axis, count, value)
            sizes[axis] = (sizes[axis] - 1) * (count + 1) + 1
    if all(d == 0 for d in (*low, *high)):
        return x
    return ctx.node("Pad", x, ctx.shape((*low, *high)), value)


def _spread(ctx: Context, x: str, sizes: list[Dim], axis: int, count: int, value: str) -> str:
    """Put ``count`` times ``value`` between neighbours along ``axis``: a new axis is padded and merged."""
    lead, size, rest = sizes[:axis], sizes[axis], sizes[axis + 1 :]
    column = ctx.reshape(x, sizes, [*lead, size, 1, *rest])
    rank = len(sizes) + 1
    behind = (count if i == axis + 1 else 0 for i in range(rank))
    filled = ctx.node("Pad", column, ctx.integers(*[0] * rank, *behind), value)
    merged = ctx.reshape(filled, [*lead, size, count + 1, *rest], [*lead, size * (count + 1), *rest])
    return sliced(ctx, merged, [axis], [0], [-count], [1])


@rule("concatenate")
def _(ctx: Context, node: Node) -> str:
    names = ctx.inputs(node)
    return names[0] if len(names) == 1 else ctx.node("Concat", *names, axis=node.attrs["axis"])
