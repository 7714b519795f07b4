"""Functions of the input and of random numbers: randomised slopes and relaxed choices."""

from __future__ import annotations

from typing import Any

from jitorch.errors import ValueRangeError
from jitorch.ops.helpers import narrow_to, ramp, require_float, store
from jitorch.ops.index import axis_of
from jitorch.ops.math import log, where
from jitorch.ops.normalize import is_number
from jitorch.ops.random import rand
from jitorch.ops.rectifier import leaky_relu_op
from jitorch.ops.reduce import reduce_argmax
from jitorch.ops.registry import Sample, function
from jitorch.ops.softmax import softmax_op
from jitorch.ops.structure import cast, reshape_to

Tensor = Any


@function(places=("torch", "nn"))
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """`leaky_relu` whose slope is random in ``lower`` .. ``upper`` (in training) or their mean.  arXiv:1505.00853."""
    require_float("rrelu", input)
    if is_number(lower) and is_number(upper) and lower > upper:
        raise ValueRangeError("rrelu: lower must not exceed upper", actual=f"{lower} > {upper}")
    if not training:
        return store("rrelu", inplace, input, leaky_relu_op(input, (lower + upper) * 0.5))
    slope = narrow_to(rand(tuple(input.shape)) * (upper - lower) + lower, input.dtype)
    return store("rrelu", inplace, input, where(input > 0, input, input * slope))


@rrelu.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 3)), 0.2, 0.2)


@function(places=("nn",))
def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample near the corners of the simplex, differentiable.  Jang, Gu, Poole, 2016 (arXiv:1611.01144).

    ``hard``: the result is one-hot, the gradient that of the soft sample.  ``eps`` means nothing.
    """
    require_float("gumbel_softmax", logits)
    axis = axis_of("gumbel_softmax", dim, logits.ndim)
    noise = -log(-log(rand(tuple(logits.shape), dtype=logits.dtype)))
    soft = softmax_op((logits + noise) / tau, axis=axis)
    if not hard:
        return soft
    winner = reduce_argmax(soft, axes=(axis,))
    winner = reshape_to(winner, shape=tuple(1 if i == axis else d for i, d in enumerate(soft.shape)))
    one_hot = cast(ramp(soft.shape[axis], axis, soft.ndim) == winner, dtype=soft.dtype)
    return one_hot - soft.detach() + soft


@gumbel_softmax.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), grad=False, trace=False)
