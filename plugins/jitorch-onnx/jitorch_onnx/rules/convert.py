"""Constants, sizes, ramps and casts."""

from __future__ import annotations

import numpy as np

from jitorch.dtypes import Category
from jitorch.ir.graph import Node
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule

_SATURATING_BELOW = 4
"""Bytes of the integers whose limits are floats exactly.  What does not fit wider ones is undefined in ONNX."""


@rule("iota")
def _(ctx: Context, node: Node) -> str:
    return ctx.cast(ctx.ramp(0, node.attrs["size"]), node.attrs["dtype"])


@rule("size_of")
def _(ctx: Context, node: Node) -> str:
    return ctx.scalar_size(node.attrs["size"])


@rule("cast")
def _(ctx: Context, node: Node) -> str:
    x, dtype = ctx.input(node.operands[0]), node.attrs["dtype"]
    source = ctx.file.dtype(x)
    if source.is_floating_point and dtype.category is Category.INT and dtype.itemsize < _SATURATING_BELOW:
        limits = np.iinfo(dtype.numpy)
        x = ctx.node("Clip", x, ctx.constant(limits.min, source), ctx.constant(limits.max, source))
    return ctx.cast(x, dtype)


@rule("overwritten")
def _(ctx: Context, node: Node) -> str:
    return ctx.input(node.operands[1])


@rule("copy", "detach", "after")
def _(ctx: Context, node: Node) -> str:
    # Tensors of an ONNX graph are values, without gradients or memory: a copy is the operand.
    return ctx.input(node.operands[0])
