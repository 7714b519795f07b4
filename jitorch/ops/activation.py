"""Activation functions.

A branch that must not be taken is given a harmless operand (``where(x > 0, 0.0, x)``) before a
function that could overflow, so neither the value nor any derivative turns into NaN.  ``float16``
and ``bfloat16`` are computed in ``float32`` and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dims
from jitorch.errors import ArgumentError, ShapeError
from jitorch.ops.helpers import (
    as_float,
    float_dtype,
    narrow_to,
    require_float,
    store,
    widen,
)
from jitorch.ops.index import axis_of
from jitorch.ops.math import abs, erf, exp, log1p, minimum, tanh, where
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
