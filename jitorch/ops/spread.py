"""Variance, norms, and sums of exponentials."""

from __future__ import annotations

import math
from typing import Any

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.errors import ArgumentError
from jitorch.ops.arguments import axes_of, check_tensor
from jitorch.ops.math import abs as absolute
from jitorch.ops.math import exp, log, maximum, sqrt, where
from jitorch.ops.matrix_norms import matrix_norm
from jitorch.ops.norms import vector_norm
from jitorch.ops.reduce import reduce_max
from jitorch.ops.reduction import (
    Axes,
    any_empty,
    count_of,
    float_dtype,
    in_dtype,
    kept,
    mean,
    reduce_shape,
    wide,
)
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import cast, expand_axes, reduce_sum, reshape_to

Tensor = Any


@op(places=())
def variance(x: Tensor, correction: float, *, axes: tuple[int, ...]) -> Tensor:
    """Mean square distance from the mean, over ``axes``; the divisor is the count less ``correction``, at least 0."""
    y = in_dtype(x, wide(x.dtype))
    count = count_of(x, axes)
    centre = expand_axes(reduce_sum(y, axes=axes) / count, x.shape, axes)
    distance = y - centre
    return in_dtype(reduce_sum(distance * distance, axes=axes) / maximum(count - correction, 0.0), x.dtype)


@variance.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), 1.0, axes=(1, 2))


def root(square: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0, as that of a distance should be."""
    zero = square == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, square)))


def _spread_arguments(name: str, x: Tensor, dim: Any, unbiased: Any, correction: Any) -> tuple[tuple[int, ...], float]:
    check_tensor(name, x)
    float_dtype(name, x, None)
    if isinstance(dim, bool):
        # var(x, False): the flag stands where the axes would.
        dim, unbiased = None, dim
    if correction is None:
        correction = 1.0 if unbiased is None or unbiased else 0.0
    return axes_of(name, dim, x.ndim), float(correction)


@function
def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """Variance; divided by the count less ``correction`` (1 unless ``unbiased=False``)."""
    axes, corrected = _spread_arguments("var", input, dim, unbiased, correction)
    return kept(variance(input, corrected, axes=axes), input, axes, keepdim)


@function
def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """Standard deviation, the square root of `var`; its gradient at 0 is 0."""
    return root(var(input, dim, unbiased, keepdim, correction=correction))


@function
def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """`var` and `mean`."""
    out = var(input, dim, unbiased, keepdim, correction=correction)
    return out, mean(input, None if isinstance(dim, bool) else dim, keepdim)


@function
def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """`std` and `mean`."""
    out = std(input, dim, unbiased, keepdim, correction=correction)
    return out, mean(input, None if isinstance(dim, bool) else dim, keepdim)


for _entry in (var, std, var_mean, std_mean):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 3, 4))),
            Sample(rng.normal(size=(2, 3, 4)), False),
            Sample(rng.normal(size=(2, 3, 4)), (0, 2), keepdim=True),
            Sample(rng.normal(size=(5,)), 0, correction=2),
        ]
    )


@op(places=("torch", "method", "special"))
def logsumexp(input: Tensor, dim: Axes, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(input)))`` without overflow."""
    check_tensor("logsumexp", input)
    x = input if input.dtype.category >= Category.FLOAT else cast(input, dtype=dtypes.get_default())
    axes = axes_of("logsumexp", dim, x.ndim)
    if any_empty(x, axes):
        return kept(log(reduce_sum(exp(x), axes=axes)), x, axes, keepdim)
    top = reduce_max(x, axes=axes)
    # An infinite maximum would give inf - inf.
    top = where(absolute(top) == math.inf, 0.0, top)
    y = in_dtype(x - expand_axes(top, x.shape, axes), wide(x.dtype))
    return kept(in_dtype(log(reduce_sum(exp(y), axes=axes)) + top, x.dtype), x, axes, keepdim)


@logsumexp.vjp
def _(g, out, x, *, dim, keepdim):
    if x.dtype.category < Category.FLOAT:
        return (None,)
    axes = axes_of("logsumexp", dim, x.ndim)
    out = where(absolute(out) == math.inf, 0.0, out)
    if keepdim:
        g, out = (reshape_to(y, shape=reduce_shape(x, axes)) for y in (g, out))
    return (expand_axes(g, x.shape, axes) * exp(x - expand_axes(out, x.shape, axes)),)


@logsumexp.batch
def _(size, batched, input, *, dim, keepdim):
    axes = axes_of("logsumexp", dim, input.ndim - 1)
    if axes:
        return logsumexp(input, tuple(a + 1 for a in axes), keepdim)
    return reshape_to(
        logsumexp(reshape_to(input, shape=(size, *input.shape[1:], 1)), -1), shape=(size, *input.shape[1:])
    )


@logsumexp.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), 1)
    yield Sample(rng.normal(size=(2, 3)), (0, 1), True)


@function
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """Vector norm of order ``p`` over ``dim``, or over all elements; ``"fro"`` is 2.

    ``"nuc"``, the sum of the singular values, is that of the matrix in two axes.
    """
    check_tensor("norm", input)
    x = input if dtype is None else in_dtype(input, dtypes.as_dtype(dtype))
    float_dtype("norm", x, None)
    if p is None or p == "fro":
        p = 2
    if p == "nuc":
        return matrix_norm(x, "nuc", (-2, -1) if dim is None else dim, keepdim)
    if isinstance(p, str):
        raise ArgumentError("norm: unknown order", expected="a number, 'fro' or 'nuc'", actual=p)
    return vector_norm(x, p, dim, keepdim)


@norm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 3)), 1, -1)
    yield Sample(rng.normal(size=(2, 3)), math.inf, (0, 1), True)
    yield Sample(rng.normal(size=(2, 3)), "nuc")


@function
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """``norm(input - other, p)``."""
    return norm(input - other, p)


dist.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)))])
