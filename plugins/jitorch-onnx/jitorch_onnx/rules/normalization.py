"""Normalisation layers that ONNX has whole."""

from __future__ import annotations

from jitorch.ir.graph import Node, Value
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import shape_of


def _or_filled(ctx: Context, vector: Value | None, filled: float, x: Value, axes: slice) -> str | None:
    """A weight or bias, or in its place ``filled`` for each element of ``axes`` of ``x``; None if that is symbolic."""
    if vector is not None:
        return ctx.input(vector)
    sizes = shape_of(x)[axes]
    if not all(isinstance(d, int) for d in sizes):
        return None
    name = ctx.like(filled, ctx.input(x))
    return ctx.node("Expand", name, ctx.integers(*sizes))  # type: ignore[arg-type]


@rule("batch_norm_eval")
def _(ctx: Context, node: Node) -> str | None:
    x, mean, variance, weight, bias, eps = node.inputs
    if x is None or mean is None or variance is None:
        return None
    epsilon = ctx.attribute(eps, ctx.input(x))
    channels = slice(1, 2)
    scale, shift = _or_filled(ctx, weight, 1, x, channels), _or_filled(ctx, bias, 0, x, channels)
    if scale is None or shift is None or epsilon is None:
        return None
    names = ctx.input(x), scale, shift, ctx.input(mean), ctx.input(variance)
    return ctx.node("BatchNormalization", *names, epsilon=epsilon)


@rule("layer_norm")
def _(ctx: Context, node: Node) -> str | None:
    x, weight, bias, eps = node.inputs
    if x is None:
        return None
    epsilon, axes = ctx.attribute(eps, ctx.input(x)), node.attrs["axes"]
    scale = _or_filled(ctx, weight, 1, x, slice(-axes, None))
    if scale is None or epsilon is None:
        return None
    inputs = [ctx.input(x), scale, *([] if bias is None else [ctx.input(bias)])]
    return ctx.node("LayerNormalization", *inputs, axis=-axes, epsilon=epsilon)


@rule("group_norm")
def _(ctx: Context, node: Node) -> str | None:
    x, weight, bias, eps = node.inputs
    if x is None or ctx.opset < _SCALE_PER_CHANNEL:
        return None
    epsilon = ctx.attribute(eps, ctx.input(x))
    channels = slice(1, 2)
    scale, shift = _or_filled(ctx, weight, 1, x, channels), _or_filled(ctx, bias, 0, x, channels)
    if scale is None or shift is None or epsilon is None:
        return None
    attrs = {"epsilon": epsilon, "num_groups": node.attrs["groups"]}
    return ctx.node("GroupNormalization", ctx.input(x), scale, shift, **attrs)


_SCALE_PER_CHANNEL = 21
"""Before this opset GroupNormalization scaled whole groups."""
