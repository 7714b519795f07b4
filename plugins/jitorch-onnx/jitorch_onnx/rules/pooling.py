"""Pooling."""

from __future__ import annotations

from typing import Any

from jitorch import dims
from jitorch.ir.graph import Node
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import shape_of


@rule("max_pool")
def _(ctx: Context, node: Node) -> str | None:
    pads = _pads(node, node.attrs["dilation"])
    return None if pads is None else _pool(ctx, node, "MaxPool", pads=pads, dilations=list(node.attrs["dilation"]))


@rule("avg_pool")
def _(ctx: Context, node: Node) -> str | None:
    padding, include = node.attrs["padding"], node.attrs["count_include_pad"]
    pads = _pads(node, [1] * len(padding))
    if pads is None or node.attrs["divisor"] is not None:
        return None
    if include and any(pads) and pads != [*padding, *padding]:
        # What ceil_mode adds is never counted, but ONNX cannot tell it from padding.
        return None
    return _pool(ctx, node, "AveragePool", pads=pads, count_include_pad=int(include))


def _pads(node: Node, dilation: Any) -> list[int] | None:
    """Padding in front of and behind each axis, with what ceil_mode adds; None where that depends on a symbol."""
    padding, n = list(node.attrs["padding"]), len(node.attrs["padding"])
    if not node.attrs["ceil_mode"]:
        return [*padding, *padding]
    behind = []
    axes = zip(shape_of(node.operands[0])[-n:], shape_of(node.output)[-n:], range(n))
    for size, count, i in axes:
        reach = dilation[i] * (node.attrs["kernel"][i] - 1) + 1
        over = (count - 1) * node.attrs["stride"][i] + reach - size - padding[i]
        if not isinstance(over, int):
            return None
        behind.append(max(over, padding[i]))
    return [*padding, *behind]


def _pool(ctx: Context, node: Node, op_type: str, **attrs: Any) -> str:
    """``op_type`` over the last axes: ONNX wants two axes before them, batch and channels."""
    (operand,) = node.operands
    n, shape = len(node.attrs["kernel"]), shape_of(operand)
    lead, spatial = shape[:-n], shape[-n:]
    x = ctx.input(operand)
    after = shape_of(node.output)
    kernel = {"kernel_shape": list(node.attrs["kernel"]), "strides": list(node.attrs["stride"])}
    if len(lead) == 2:
        return ctx.node(op_type, x, **kernel, **attrs)
    flat = (1, dims.prod(lead))
    pooled = ctx.node(op_type, ctx.reshape(x, shape, (*flat, *spatial)), **kernel, **attrs)
    return ctx.reshape(pooled, (*flat, *after[len(lead) :]), after)
