"""Matrix products and convolutions."""

from __future__ import annotations

from typing import Any

from jitorch.ir.graph import Node
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import padded, shape_of


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
    attrs = node.attrs
    pads = [*attrs["low"], *attrs["high"]]
    image = ctx.input(x)
    if any(attrs["interior"]) or not all(isinstance(p, int) and p >= 0 for p in pads):
        zero = ctx.constant(0, ctx.file.dtype(image))
        lead = (0, 0)
        image = padded(
            ctx, image, shape_of(x), zero, (*lead, *attrs["low"]), (*lead, *attrs["high"]), (*lead, *attrs["interior"])
        )
        pads = [0] * len(pads)
    return ctx.node(
        "Conv", image, ctx.input(w), group=attrs["groups"], strides=list(attrs["stride"]),
        dilations=list(attrs["dilation"]), pads=pads,
    )  # fmt: skip


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
