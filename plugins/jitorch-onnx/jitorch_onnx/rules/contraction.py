"""Matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir.graph import Node
from jitorch.ops.conv import padded_sizes
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import padded, shape_of, sliced

_END = 2**31
"""Behind the last element of any axis."""


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
        image = _spaced(ctx, image, shape_of(x), attrs)
        pads = [0] * len(pads)
    return ctx.node(
        "Conv", image, ctx.input(w), group=attrs["groups"], strides=list(attrs["stride"]),
        dilations=list(attrs["dilation"]), pads=pads,
    )  # fmt: skip


def _spaced(ctx: Context, image: str, shape: Sequence[Dim], attrs: Mapping[str, Any]) -> str:
    """``[N, C, *S]`` with a convolution's zeros around and between, or cut."""
    pads = {name: [0, 0, *attrs[name]] for name in ("low", "high", "interior")}
    added = {name: [p if not isinstance(p, int) else max(p, 0) for p in pads[name]] for name in ("low", "high")}
    zero = ctx.constant(0, ctx.file.dtype(image))
    image = padded(ctx, image, shape, zero, added["low"], added["high"], pads["interior"])
    for axis, (front, behind) in enumerate(zip(pads["low"], pads["high"])):
        for cut, start, stop in ((front, -front, _END), (behind, 0, behind)):
            if isinstance(cut, int) and cut < 0:
                image = sliced(ctx, image, [axis], [start], [stop], [1])
    return image


@rule("convolution_weight")
def _(ctx: Context, node: Node) -> str:
    # A convolution of the input by the output's gradient: batch takes the place of channels, stride of dilation.
    x, g = node.operands
    attrs, n = node.attrs, len(node.attrs["kernel"])
    groups: int = attrs["groups"]
    image = _spaced(ctx, ctx.input(x), shape_of(x), attrs)
    batch, channels = shape_of(x)[:2]
    sizes = padded_sizes(shape_of(x)[2:], attrs["low"], attrs["high"], attrs["interior"])
    each = dims.floordiv(channels, groups)
    split = ctx.reshape(image, [batch, channels, *sizes], [batch, groups, each, *sizes])
    moved = ctx.transpose(split, (2, 1, 0, *range(3, n + 3)))
    image = ctx.reshape(moved, [each, groups, batch, *sizes], [each, batch * groups, *sizes])
    swap = (1, 0, *range(2, n + 2))
    result = ctx.node(
        "Conv", image, ctx.transpose(ctx.input(g), swap), group=groups, strides=list(attrs["dilation"]),
        dilations=list(attrs["stride"]),
    )  # fmt: skip
    axes = list(range(2, n + 2))
    return ctx.transpose(sliced(ctx, result, axes, [0] * n, list(attrs["kernel"]), [1] * n), swap)


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
