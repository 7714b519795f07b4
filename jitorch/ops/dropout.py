"""Dropout in its forms.  The mask is random, the op that applies it is not."""

from __future__ import annotations

from typing import Any

from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.helpers import narrow_to, require_float, store, widen
from jitorch.ops.math import div, where
from jitorch.ops.normalize import is_number
from jitorch.ops.random import rand
from jitorch.ops.registry import Sample, function, op

Tensor = Any


@op(places=())
def apply_dropout(input: Tensor, mask: Tensor, p: float) -> Tensor:
    """``input / (1 - p)`` where ``mask`` holds, else 0."""
    # With p == 1 nothing is kept; 1 / 1 then stands for 1 / 0.
    keep = 1.0 - p
    scale = div(1.0, keep + (keep == 0.0))
    return narrow_to(where(mask, widen(input) * scale, 0.0), input.dtype)


@apply_dropout.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) > 0, 0.3)
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 1)) > 0, 0.5)


def _dropped(name: str, input: Tensor, p: Any, training: bool, inplace: bool, mask_shape: tuple[Any, ...]) -> Tensor:
    if is_number(p) and not 0.0 <= p <= 1.0:
        raise ValueRangeError(f"{name}: the probability p is out of range", expected="0 to 1", actual=p)
    if not training or (isinstance(p, (int, float)) and p == 0):
        return input
    require_float(name, input)
    mask = rand(mask_shape) >= p
    return store(name, inplace, input, apply_dropout(input, mask, p))


@function(places=("nn",))
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero elements with probability ``p``, and scale the others by ``1 / (1 - p)``.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
    """
    return _dropped("dropout", input, p, training, inplace, tuple(input.shape))


@dropout.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 0.0, grad=False)
    yield Sample(rng.normal(size=(3, 4)), training=False, grad=False)


@function(name="dropout", places=("torch",))
def torch_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero elements with probability ``p``, and scale the others by ``1 / (1 - p)``."""
    return _dropped("dropout", input, p, train, False, tuple(input.shape))


@torch_dropout.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 0.0, True, grad=False)


def _channels(name: str, input: Tensor, spatial: int) -> tuple[Any, ...]:
    """The shape of a mask with one element for each channel of each example."""
    if input.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(f"{name}: wrong number of axes", expected=f"{spatial + 1} or {spatial + 2}", actual=input.type)
    lead = input.ndim - spatial
    return (*input.shape[:lead], *(1,) * spatial)


@function(places=("nn",))
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of ``[N, C, L]`` or ``[C, L]`` with probability ``p``."""
    return _dropped("dropout1d", input, p, training, inplace, _channels("dropout1d", input, 1))


@function(places=("nn",))
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of ``[N, C, H, W]`` or ``[C, H, W]`` with probability ``p``; of ``[N, C, L]``, too."""
    shape = (*input.shape[:2], 1) if input.ndim == 3 else _channels("dropout2d", input, 2)
    return _dropped("dropout2d", input, p, training, inplace, shape)


@function(places=("nn",))
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of ``[N, C, D, H, W]`` or ``[C, D, H, W]`` with probability ``p``."""
    return _dropped("dropout3d", input, p, training, inplace, _channels("dropout3d", input, 3))


@dropout1d.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), 0.0, grad=False)


@dropout2d.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4, 2)), 0.0, grad=False)


@dropout3d.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 2, 2, 2)), 0.0, grad=False)


@op(places=())
def apply_alpha_dropout(input: Tensor, mask: Tensor, p: float) -> Tensor:
    """Dropped elements take selu's limit; an affine map then restores mean 0 and variance 1."""
    alpha = -1.6732632423543772 * 1.0507009873554805
    keep = 1.0 - p
    product = keep * (1.0 + p * alpha * alpha)
    # With p == 1 everything is dropped, and the result is 0.
    none = product == 0.0
    a = where(none, 0.0, div(1.0, (product + none) ** 0.5))
    b = -a * alpha * p
    return narrow_to(where(mask, widen(input), alpha) * a + b, input.dtype)


@apply_alpha_dropout.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) > 0, 0.3)


def _alpha(name: str, input: Tensor, p: Any, training: bool, inplace: bool, mask_shape: tuple[Any, ...]) -> Tensor:
    if is_number(p) and not 0.0 <= p <= 1.0:
        raise ValueRangeError(f"{name}: the probability p is out of range", expected="0 to 1", actual=p)
    if not training or (isinstance(p, (int, float)) and p == 0):
        return input
    require_float(name, input)
    mask = rand(mask_shape) >= p
    return store(name, inplace, input, apply_alpha_dropout(input, mask, p))


@function(places=("nn",))
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 after selu.  Klambauer et al., 2017 (arXiv:1706.02515)."""
    return _alpha("alpha_dropout", input, p, training, inplace, tuple(input.shape))


@function(places=("nn",))
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels (axis 1)."""
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _alpha("feature_alpha_dropout", input, p, training, inplace, shape)


@alpha_dropout.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 0.0, True, grad=False)


@feature_alpha_dropout.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), 0.0, True, grad=False)
