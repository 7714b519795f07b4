"""Activation functions that ONNX has whole.  The others are written by their bodies.

ONNX holds their parameters as attributes, so these rules decline where one is not constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.ir.graph import Node
from jitorch_onnx.context import Context
from jitorch_onnx.rules.attach import rule
from jitorch_onnx.rules.shape import shape_of


def _direct(name: str, op_type: str) -> None:
    """An op of one operand that is one ONNX operator."""

    @rule(name)
    def _(ctx: Context, node: Node) -> str:
        return ctx.node(op_type, ctx.input(node.operands[0]))


_direct("relu", "Relu")
_direct("sigmoid", "Sigmoid")
_direct("mish", "Mish")
_direct("softsign", "Softsign")


def _with_sixths(name: str, op_type: str, **attrs: float) -> None:
    """An operator with a factor 1/6, which ONNX holds as float32: too coarse for float64."""

    @rule(name)
    def _(ctx: Context, node: Node) -> str | None:
        x = ctx.input(node.operands[0])
        return None if ctx.file.dtype(x) is dtypes.float64 else ctx.node(op_type, x, **attrs)


_with_sixths("hardswish", "HardSwish")
_with_sixths("hardsigmoid", "HardSigmoid", alpha=1 / 6, beta=0.5)


def _parameters(ctx: Context, node: Node) -> tuple[str, list[float]] | None:
    """The first operand and the numbers that follow, or None if one of those cannot be an attribute."""
    x = ctx.input(node.operands[0])
    found = [ctx.attribute(operand, x) for operand in node.inputs[1:]]
    numbers = [number for number in found if number is not None]
    return (x, numbers) if len(numbers) == len(found) else None


def _parametrised(name: str) -> Callable[[Callable[..., str | None]], None]:
    """Attach ``emit(ctx, x, *numbers)``; it is called where the numbers are constant."""

    def attach(emit: Callable[..., str | None]) -> None:
        @rule(name)
        def _(ctx: Context, node: Node) -> str | None:
            known = _parameters(ctx, node)
            if known is None or node.output.type != node.operands[0].type:
                return None
            return emit(ctx, known[0], *known[1])

    return attach


@_parametrised("leaky_relu")
def _(ctx: Context, x: str, slope: float) -> str:
    return ctx.node("LeakyRelu", x, alpha=slope)


@_parametrised("elu")
def _(ctx: Context, x: str, alpha: float, scale: float, input_scale: float) -> str | None:
    if input_scale == 1:
        return ctx.node("Elu", x, alpha=alpha) if scale == 1 else ctx.node("Selu", x, alpha=alpha, gamma=scale)
    return ctx.node("Celu", x, alpha=alpha) if scale == 1 and math.isclose(input_scale, 1 / alpha) else None


@_parametrised("softplus")
def _(ctx: Context, x: str, beta: float, threshold: float) -> str | None:
    # Beyond the threshold the result is x; what ONNX adds to it, exp(-threshold), must be below the precision of x.
    precision = {dtypes.float16: 2.0**-11, dtypes.float32: 2.0**-24}.get(ctx.file.dtype(x), 2.0**-53)
    return ctx.node("Softplus", x) if beta == 1 and math.exp(-threshold) <= threshold * precision else None


@rule("logsigmoid")
def _(ctx: Context, node: Node) -> str:
    return ctx.node("Neg", ctx.node("Softplus", ctx.node("Neg", ctx.input(node.operands[0]))))


def _shrink(name: str, keeps_distance: bool) -> None:
    @_parametrised(name)
    def _(ctx: Context, x: str, limit: float) -> str | None:
        # onnxruntime shrinks float64 in float32.
        is_double = ctx.file.dtype(x) is dtypes.float64
        return None if is_double else ctx.node("Shrink", x, lambd=limit, bias=0.0 if keeps_distance else limit)


_shrink("softshrink", keeps_distance=False)
_shrink("hardshrink", keeps_distance=True)


@rule("gelu")
def _(ctx: Context, node: Node) -> str:
    return ctx.node("Gelu", ctx.input(node.operands[0]), approximate=node.attrs["approximate"])


def _holds(dtype: DType, number: float) -> bool:
    """Whether ``number`` is one of ``dtype``, up to the rounding of floats."""
    if dtype.is_floating_point:
        return True
    return isinstance(number, int) and np.iinfo(dtype.numpy).min <= number <= np.iinfo(dtype.numpy).max


@rule("hardtanh", "clamp")
def _(ctx: Context, node: Node) -> str | None:
    x, *limits = node.inputs
    known = [None if limit is None else ctx.value(limit) for limit in limits]
    if x is None or x.type != node.output.type or any(k is None and v is not None for k, v in zip(known, limits)):
        return None
    low, high = known
    name = ctx.input(x)
    if low is not None and high is not None and not low <= high:
        return None
    if not all(limit is None or _holds(ctx.file.dtype(name), limit) for limit in known):
        return None
    return ctx.node("Clip", name, *("" if limit is None else ctx.like(limit, name) for limit in (low, high)))


def _along_axis(name: str, op_type: str) -> None:
    @rule(name)
    def _(ctx: Context, node: Node) -> str | None:
        (x,) = node.operands
        return ctx.node(op_type, ctx.input(x), axis=node.attrs["axis"]) if shape_of(x) else None


_along_axis("softmax", "Softmax")
_along_axis("log_softmax", "LogSoftmax")


@rule("tril", "triu")
def _(ctx: Context, node: Node) -> str | None:
    x = ctx.input(node.operands[0])
    dtype = ctx.file.dtype(x)
    if dtype.category is not Category.FLOAT and dtype is not dtypes.int64:
        # Allowed by ONNX, but runtimes lack it.
        return None
    diagonal = ctx.constant(node.attrs["diagonal"], dtypes.int64)
    return ctx.node("Trilu", x, diagonal, upper=int(node.op.name == "triu"))
