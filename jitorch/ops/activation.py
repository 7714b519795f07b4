"""Activation functions.

A branch that must not be taken is given a harmless operand (``where(x > 0, 0.0, x)``) before a
function that could overflow, so neither the value nor any derivative turns into NaN.  ``float16``
and ``bfloat16`` are computed in ``float32`` and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dims
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from jitorch.ops.helpers import (
    as_float,
    at_axis,
    float_dtype,
    narrow_to,
    require_float,
    require_real,
    store,
    widen,
)
from jitorch.ops.index import axis_of
from jitorch.ops.math import abs, erf, exp, expm1, log1p, maximum, minimum, tanh, where
from jitorch.ops.normalize import is_number
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import slice_axes

Tensor = Any

NN = ("nn",)


def _real_line(rng: Any) -> Any:
    yield Sample(rng.normal(size=(3, 5)) * 3)
    yield Sample(rng.normal(size=()))
    yield Sample(rng.normal(size=(0, 2)))


# ---- sigmoid and its relatives ----------------------------------------------------------------------
@op(inplace=True, places=("torch", "method", "nn"))
def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``; integers become the default float dtype."""
    return narrow_to(1.0 / (1.0 + exp(-as_float(input))), float_dtype(input))


@sigmoid.vjp
def _(g, out, input):
    y = widen(out)
    return (narrow_to(widen(g) * y * (1.0 - y), input.dtype),)


sigmoid.samples(_real_line)


@op(name="silu", places=())
def silu_op(input: Tensor) -> Tensor:
    """``input * sigmoid(input)``.  Elfwing, Uchibe, Doya, 2017 (arXiv:1702.03118)."""
    x = widen(input)
    return narrow_to(x * sigmoid(x), input.dtype)


silu_op.samples(_real_line)


@function(places=NN)
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, also called swish."""
    require_float("silu", input)
    return store("silu", inplace, input, silu_op(input))


silu.samples(_real_line)


@op(name="softplus", places=())
def softplus_op(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Smooth relu: ``log(1 + exp(beta * input)) / beta``, linear where ``beta * input > threshold``."""
    x = widen(input)
    z = x * beta
    linear = z > threshold
    return narrow_to(where(linear, x, log1p(exp(where(linear, 0.0, z))) / beta), input.dtype)


softplus_op.samples(_real_line)


@function(places=NN)
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Smooth relu: ``log(1 + exp(beta * input)) / beta``, linear where ``beta * input > threshold``."""
    require_float("softplus", input)
    return softplus_op(input, beta, threshold)


@softplus.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)) * 10)
    yield Sample(rng.normal(size=(4,)) * 10, beta=2.0, threshold=5.0)


@op(name="logsigmoid", places=())
def logsigmoid_op(input: Tensor) -> Tensor:
    """``log(sigmoid(input))``: ``min(input, 0) - log(1 + exp(-|input|))``, which never overflows."""
    x = widen(input)
    return narrow_to(minimum(x, 0.0) - log1p(exp(-abs(x))), input.dtype)


@logsigmoid_op.vjp
def _(g, out, input):
    return (narrow_to(widen(g) * sigmoid(-widen(input)), input.dtype),)


logsigmoid_op.samples(_real_line)


@function(places=NN)
def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(input))``, without overflow."""
    require_float("logsigmoid", input)
    return logsigmoid_op(input)


logsigmoid.samples(_real_line)


@op(name="mish", places=())
def mish_op(input: Tensor) -> Tensor:
    """``input * tanh(softplus(input))``.  Misra, 2019 (arXiv:1908.08681)."""
    x = widen(input)
    return narrow_to(x * tanh(softplus_op(x, 1.0, 20.0)), input.dtype)


mish_op.samples(_real_line)


@function(places=NN)
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``."""
    require_float("mish", input)
    return store("mish", inplace, input, mish_op(input))


mish.samples(_real_line)


# ---- relu and its relatives -------------------------------------------------------------------------
@op(name="relu", places=("torch", "method"), inplace=True)
def relu_op(input: Tensor) -> Tensor:
    """``max(input, 0)``; its gradient at 0 is 0."""
    require_real("relu", input)
    return maximum(input, 0)


@relu_op.vjp
def _(g, out, input):
    return (where(out > 0, g, 0.0),)


relu_op.samples(_real_line)


@function(places=NN)
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``; its gradient at 0 is 0."""
    return store("relu", inplace, input, relu_op(input))


relu.samples(_real_line)


@op(name="hardtanh", places=())
def hardtanh_op(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """``input`` limited to ``min_val`` .. ``max_val``; no gradient at and beyond the limits."""
    bounded = where(input <= min_val, min_val, where(input >= max_val, max_val, input))
    return narrow_to(bounded, input.dtype)


hardtanh_op.samples(_real_line)


@function(places=NN)
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` limited to ``min_val`` .. ``max_val``; no gradient at and beyond the limits."""
    require_real("hardtanh", input)
    if isinstance(min_val, (int, float)) and isinstance(max_val, (int, float)) and min_val > max_val:
        raise ValueRangeError("hardtanh: min_val is greater than max_val", actual=f"{min_val} > {max_val}")
    return store("hardtanh", inplace, input, hardtanh_op(input, min_val, max_val))


@hardtanh.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)) * 3)
    yield Sample(rng.normal(size=(4,)) * 3, min_val=-0.5, max_val=2.0)


@function(places=NN)
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(input, 0), 6)``."""
    require_real("relu6", input)
    return store("relu6", inplace, input, hardtanh_op(input, 0.0, 6.0))


@relu6.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)) * 6)


@op(name="leaky_relu", places=())
def leaky_relu_op(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """``input`` where positive, else ``negative_slope * input``."""
    return where(input > 0, input, input * negative_slope)


leaky_relu_op.samples(_real_line)


@function(places=NN)
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``input`` where positive, else ``negative_slope * input``."""
    require_float("leaky_relu", input)
    return store("leaky_relu", inplace, input, leaky_relu_op(input, negative_slope))


@leaky_relu.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)))
    yield Sample(rng.normal(size=(4,)), negative_slope=0.3)


@function(places=("torch", "method", "nn"))
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`leaky_relu` with a learned slope: one for all, or one for each channel (axis 1)."""
    require_float("prelu", input, weight)
    if weight.ndim > 1:
        raise ShapeError("prelu: the weight has at most one axis", actual=weight.type)
    if weight.ndim == 0 or (isinstance(weight.shape[0], int) and weight.shape[0] == 1):
        slope = at_axis(weight, 0, input.ndim)
    else:
        axis = 1 if input.ndim > 1 else 0
        channels = input.shape[axis] if input.ndim > 1 else 1
        if not dims.equal(weight.shape[0], channels):
            raise ShapeError(
                "prelu: one slope for each channel", expected=f"{channels} channels of {input.type}", actual=weight.type
            )
        slope = at_axis(weight, axis, input.ndim)
    return where(input > 0, input, input * slope)


@prelu.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), rng.uniform(0.1, 0.5, size=(3,)))
    yield Sample(rng.normal(size=(5,)), rng.uniform(0.1, 0.5, size=(1,)))


@op(name="elu", places=())
def elu_op(input: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """``scale * input`` where positive, else ``scale * alpha * (exp(input_scale * input) - 1)``."""
    x = widen(input)
    negative = expm1(where(x > 0, 0.0, x) * input_scale) * alpha
    return narrow_to(where(x > 0, x, negative) * scale, input.dtype)


elu_op.samples(_real_line)


@function(places=NN)
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where positive, else ``alpha * (exp(input) - 1)``.  Clevert et al., 2015 (arXiv:1511.07289)."""
    require_float("elu", input)
    return store("elu", inplace, input, elu_op(input, alpha, 1.0, 1.0))


@elu.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)))
    yield Sample(rng.normal(size=(4,)), alpha=0.5)


@function(places=("torch", "nn"))
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``max(0, input) + min(0, alpha * (exp(input / alpha) - 1))``.  Barron, 2017 (arXiv:1704.07483)."""
    require_float("celu", input)
    if is_number(alpha) and alpha == 0:
        raise ArgumentError("celu: alpha must not be 0", actual=alpha)
    return store("celu", inplace, input, elu_op(input, alpha, 1.0, 1.0 / alpha))


@celu.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)), alpha=0.7)


@function(places=("torch", "nn"))
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Self-normalising elu, with the two constants of Klambauer et al., 2017 (arXiv:1706.02515)."""
    require_float("selu", input)
    return store("selu", inplace, input, elu_op(input, 1.6732632423543772, 1.0507009873554805, 1.0))


selu.samples(_real_line)


@op(name="threshold", places=())
def threshold_op(input: Tensor, threshold: float, value: float) -> Tensor:
    """``input`` where greater than ``threshold``, else ``value``."""
    return narrow_to(where(input <= threshold, value, input), input.dtype)


@threshold_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)), 0.2, -1.0)


@function(places=("torch", "nn"))
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``input`` where greater than ``threshold``, else ``value``."""
    require_real("threshold", input)
    return store("threshold", inplace, input, threshold_op(input, threshold, value))


@threshold.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)), 0.2, -1.0)


# ---- gelu and the rest ------------------------------------------------------------------------------
@op(name="gelu", places=())
def gelu_op(input: Tensor, *, approximate: str = "none") -> Tensor:
    """``input`` times the normal distribution function at ``input``.  Hendrycks, Gimpel, 2016 (arXiv:1606.08415)."""
    x = widen(input)
    return narrow_to(x * _normal_cdf(x, approximate), input.dtype)


def _normal_cdf(x: Tensor, approximate: str) -> Tensor:
    if approximate == "none":
        return 0.5 * (1.0 + erf(x * math.sqrt(0.5)))
    return 0.5 * (1.0 + tanh(_tanh_argument(x)))


def _tanh_argument(x: Tensor) -> Tensor:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)


@gelu_op.vjp
def _(g, out, input, *, approximate):
    x = widen(input)
    if approximate == "none":
        slope = _normal_cdf(x, approximate) + x * exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    else:
        t = tanh(_tanh_argument(x))
        inner = math.sqrt(2 / math.pi) * (1.0 + 3 * 0.044715 * x * x)
        slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner
    return (narrow_to(widen(g) * slope, input.dtype),)


@gelu_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)) * 2)
    yield Sample(rng.normal(size=(4,)), approximate="tanh")


@function(places=NN)
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit; ``approximate`` ``"none"`` (by erf) or ``"tanh"``."""
    require_float("gelu", input)
    if approximate not in ("none", "tanh"):
        raise ArgumentError("gelu: unknown approximation", expected="'none' or 'tanh'", actual=approximate)
    return gelu_op(input, approximate=approximate)


@gelu.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)) * 2)
    yield Sample(rng.normal(size=(4,)), approximate="tanh")


@op(name="hardswish", places=())
def hardswish_op(input: Tensor) -> Tensor:
    """``input * relu6(input + 3) / 6``.  Howard et al., 2019 (arXiv:1905.02244)."""
    x = widen(input)
    inner = x * (x + 3.0) * (1 / 6)
    return narrow_to(where(x <= -3.0, 0.0, where(x >= 3.0, x, inner)), input.dtype)


hardswish_op.samples(_real_line)


@function(places=NN)
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * relu6(input + 3) / 6``."""
    require_float("hardswish", input)
    return store("hardswish", inplace, input, hardswish_op(input))


hardswish.samples(_real_line)


@op(name="hardsigmoid", places=())
def hardsigmoid_op(input: Tensor) -> Tensor:
    """``relu6(input + 3) / 6``."""
    x = widen(input)
    return narrow_to(where(x <= -3.0, 0.0, where(x >= 3.0, 1.0, x * (1 / 6) + 0.5)), input.dtype)


hardsigmoid_op.samples(_real_line)


@function(places=NN)
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``relu6(input + 3) / 6``."""
    require_float("hardsigmoid", input)
    return store("hardsigmoid", inplace, input, hardsigmoid_op(input))


hardsigmoid.samples(_real_line)


@op(places=NN)
def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``."""
    return input / (1 + abs(input))


softsign.samples(_real_line)


@op(places=NN)
def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``."""
    return input - tanh(input)


tanhshrink.samples(_real_line)


@op(name="softshrink", places=())
def softshrink_op(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``input`` moved towards 0 by ``lambd``, and 0 within it."""
    shrunk = where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0.0))
    return narrow_to(shrunk, input.dtype)


softshrink_op.samples(_real_line)


@function(places=NN)
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``input`` moved towards 0 by ``lambd``, and 0 within it."""
    require_float("softshrink", input)
    if is_number(lambd) and lambd < 0:
        raise ArgumentError("softshrink: lambd must not be negative", actual=lambd)
    return softshrink_op(input, lambd)


@softshrink.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)))
    yield Sample(rng.normal(size=(4,)), lambd=0.1)


@op(name="hardshrink", places=())
def hardshrink_op(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``input`` outside of ``-lambd`` .. ``lambd``, else 0."""
    return where((input >= -lambd) & (input <= lambd), 0.0, input)


hardshrink_op.samples(_real_line)


@function(places=("torch", "method", "nn"))
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``input`` outside of ``-lambd`` .. ``lambd``, else 0."""
    require_float("hardshrink", input)
    return hardshrink_op(input, lambd)


@hardshrink.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 5)))
    yield Sample(rng.normal(size=(4,)), lambd=0.1)


@op(name="glu", places=())
def glu_op(input: Tensor, *, dim: int) -> Tensor:
    """``a * sigmoid(b)`` of the halves of ``input`` along ``dim``.  Dauphin et al., 2016 (arXiv:1612.08083)."""
    half = dims.floordiv(input.shape[dim], 2)
    zeros, ones = (0,) * input.ndim, (1,) * input.ndim
    starts = tuple(half if i == dim else 0 for i in range(input.ndim))
    stops = tuple(half if i == dim else d for i, d in enumerate(input.shape))
    first = slice_axes(input, starts=zeros, stops=stops, steps=ones)
    stops = tuple(half + half if i == dim else d for i, d in enumerate(input.shape))
    second = slice_axes(input, starts=starts, stops=stops, steps=ones)
    return first * sigmoid(second)


@glu_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), dim=1)


@function(places=NN)
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Gated linear unit: ``a * sigmoid(b)`` of the halves of ``input`` along ``dim``."""
    require_float("glu", input)
    if input.ndim == 0:
        raise ShapeError("glu: needs at least one axis", actual=input.type)
    axis = axis_of("glu", dim, input.ndim)
    if not dims.is_multiple(input.shape[axis], 2):
        raise ShapeError("glu: the halved axis must have an even size", expected="an even size", actual=input.type)
    return glu_op(input, dim=axis)


@glu.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)))
    yield Sample(rng.normal(size=(6, 3)), dim=0)
