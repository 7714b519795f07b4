"""Constants, sizes, ramps and casts."""

from __future__ import annotations

from jitorch import dtypes
from jitorch.ir.graph import Node

from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule


@rule("iota")
def _(ctx: Context, node: Node) -> str:
    stop = ctx.scalar_size(node.attrs["size"])
    ramp = ctx.node("Range", ctx.constant(0, dtypes.int64), stop, ctx.constant(1, dtypes.int64))
    return ctx.cast(ramp, node.attrs["dtype"])


@rule("size_of")
def _(ctx: Context, node: Node) -> str:
    return ctx.scalar_size(node.attrs["size"])


@rule("cast")
def _(ctx: Context, node: Node) -> str:
    return ctx.cast(ctx.input(node.operands[0]), node.attrs["dtype"])


@rule("copy")
def _(ctx: Context, node: Node) -> str:
    # Tensors of an ONNX graph are values: a copy is the operand.
    return ctx.input(node.operands[0])
