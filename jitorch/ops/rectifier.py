"""Rectifiers: relu and the functions that bend at 0 as it does.

A branch that must not be taken is given a harmless operand, as in `jitorch.ops.activation`.
"""

from __future__ import annotations

from typing import Any

from jitorch import dims
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from jitorch.ops.helpers import at_axis, narrow_to, require_float, require_real, store, widen
from jitorch.ops.math import expm1, maximum, where
from jitorch.ops.normalize import is_number
from jitorch.ops.registry import Sample, function, op

Tensor = Any

NN = ("nn",)


def _real_line(rng: Any) -> Any:
    yield Sample(rng.normal(size=(3, 5)) * 3)
    yield Sample(rng.normal(size=()))
    yield Sample(rng.normal(size=(0, 2)))


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
