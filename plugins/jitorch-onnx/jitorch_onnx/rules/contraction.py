"""Matrix products and convolutions."""

from __future__ import annotations

from typing import Any

from jitorch.dims import Dim
from jitorch.ir.graph import Node
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import known_size, shape_of


@rule("matmul_batched")
def _(ctx: Context, node: Node) -> str:
    return ctx.node("MatMul", *ctx.inputs(node))


@rule("linear")
def _(ctx: Context, node: Node) -> str | None:
    x, weight, bias = node.inputs
    if x is None or weight is None or len(shape_of(x)) < 2 or len(shape_of(weight)) != 2:
        return None
    names = [name for name in ctx.inputs(node) if name]
    # Runtimes multiply integers by MatMul only.
    if len(shape_of(x)) == 2 and ctx.file.dtype(names[0]).is_floating_point:
        return ctx.node("Gemm", *names, transB=1)
    product = ctx.node("MatMul", names[0], ctx.transpose(names[1], (1, 0)))
    return product if bias is None else ctx.node("Add", product, names[2])


@rule("convolution")
def _(ctx: Context, node: Node) -> str:
    x, w = node.operands
    groups, batch, channels, *spatial = shape_of(x)
    _, outputs, _, *kernel = shape_of(w)
    n = len(spatial)
    # [G, N, C, *S] -> [N, G * C, *S]
    moved = ctx.transpose(ctx.input(x), (1, 0, *range(2, n + 3)))
    image = ctx.reshape(moved, (batch, groups, channels, *spatial), (batch, groups * channels, *spatial))
    weight = ctx.reshape(ctx.input(w), shape_of(w), (groups * outputs, channels, *kernel))
    attrs = {"strides": list(node.attrs["stride"]), "dilations": list(node.attrs["dilation"])}
    result = ctx.node("Conv", image, weight, group=known_size(groups, "groups"), **attrs)
    after: list[Dim] = list(shape_of(node.output)[3:])
    split = ctx.reshape(result, (batch, groups * outputs, *after), (batch, groups, outputs, *after))
    return ctx.transpose(split, (1, 0, *range(2, n + 3)))


@rule("conv1d", "conv2d", "conv3d")
def _(ctx: Context, node: Node) -> str | None:
    x, weight = node.inputs[0], node.inputs[1]
    if x is None or weight is None or len(shape_of(x)) != len(shape_of(weight)):
        return None
    n = len(shape_of(x)) - 2
    padding = node.attrs["padding"]
    attrs: dict[str, Any] = {
        "strides": _per_axis(node.attrs["stride"], n),
        "dilations": _per_axis(node.attrs["dilation"], n),
        "group": node.attrs["groups"],
    }
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(attrs["dilations"], shape_of(weight)[2:])]
        attrs["pads"] = [t // 2 for t in total] + [t - t // 2 for t in total]
    elif padding != "valid":
        attrs["pads"] = _per_axis(padding, n) * 2
    return ctx.node("Conv", *(name for name in ctx.inputs(node) if name), **attrs)


def _per_axis(value: int | tuple[int, ...], n: int) -> list[int]:
    if isinstance(value, int):
        return [value] * n
    return list(value) * n if len(value) == 1 else list(value)
