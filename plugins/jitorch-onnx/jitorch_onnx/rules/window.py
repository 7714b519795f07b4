"""Sliding windows and their adjoints."""

from __future__ import annotations

import numpy as np

from jitorch import dtypes
from jitorch.dims import Dim
from jitorch.ir.graph import Node
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import known_size, padded, shape_of, sliced


@rule("windows")
def _(ctx: Context, node: Node) -> str:
    (operand,) = node.operands
    x, n = ctx.input(operand), len(node.attrs["sizes"])
    lead = len(shape_of(operand)) - n
    counts = shape_of(node.output)[lead : lead + n]
    # Each axis is replaced by two, positions and window, from the last one on so that the others keep their place.
    for i in reversed(range(n)):
        size, stride, dilation = (node.attrs[name][i] for name in ("sizes", "strides", "dilations"))
        x = ctx.node("Gather", x, _window_index(ctx, counts[i], size, stride, dilation), axis=lead + i)
    return ctx.transpose(x, (*range(lead), *range(lead, lead + 2 * n, 2), *range(lead + 1, lead + 2 * n, 2)))


def _window_index(ctx: Context, count: Dim, size: int, stride: int, dilation: int) -> str:
    """int64[count, size]: where along the axis each element of each window lies."""
    offsets = np.arange(size) * dilation
    if isinstance(count, int):
        return ctx.constant(np.arange(count)[:, None] * stride + offsets, dtypes.int64)
    positions = ctx.node("Mul", ctx.ramp(0, count), ctx.integers(stride))
    return ctx.node("Add", ctx.reshape(positions, (count,), (count, 1)), ctx.constant(offsets, dtypes.int64))


@rule("unwindow")
def _(ctx: Context, node: Node) -> str:
    (operand,) = node.operands
    g, spatial = ctx.input(operand), node.attrs["spatial"]
    shape, n = list(shape_of(operand)), len(spatial)
    lead = len(shape) - 2 * n
    zero = ctx.like(0, g)
    for i in range(n):
        stride, dilation, axis, window = node.attrs["strides"][i], node.attrs["dilations"][i], lead + i, lead + n + i
        parts = []
        for offset in range(known_size(shape[window], "a window")):
            low = offset * dilation
            reached = low + (shape[axis] - 1) * stride + 1
            one = [1 if j == window else d for j, d in enumerate(shape)]
            parts.append(
                padded(
                    ctx, sliced(ctx, g, [window], [offset], [offset + 1], [1]), one, zero,
                    low=[low if j == axis else 0 for j in range(len(shape))],
                    high=[spatial[i] - reached if j == axis else 0 for j in range(len(shape))],
                    interior=[stride - 1 if j == axis else 0 for j in range(len(shape))],
                )
            )  # fmt: skip
        g = parts[0] if len(parts) == 1 else ctx.node("Concat", *parts, axis=window)
        shape[axis] = spatial[i]
    return g


@rule("window_diagonal")
def _(ctx: Context, node: Node) -> str:
    (operand,) = node.operands
    x, counts = ctx.input(operand), node.attrs["counts"]
    shape, n = shape_of(operand), len(counts)
    lead = len(shape) - 2 * n
    for i in range(n):
        stride, dilation, axis, window = node.attrs["strides"][i], node.attrs["dilations"][i], lead + i, lead + n + i
        parts = []
        for offset in range(known_size(shape[window], "a window")):
            low = offset * dilation
            stop = low + (counts[i] - 1) * stride + 1
            parts.append(sliced(ctx, x, [axis, window], [low, offset], [stop, offset + 1], [stride, 1]))
        x = parts[0] if len(parts) == 1 else ctx.node("Concat", *parts, axis=window)
    return x
