"""Greatest and least elements and where they are."""

from __future__ import annotations

from typing import Any

from jitorch import dtypes
from jitorch.errors import DTypeError, TensorIndexError
from jitorch.ops import results
from jitorch.ops.arguments import axes_of, axis_of, check_tensor, is_tensor
from jitorch.ops.batching import register
from jitorch.ops.create import iota
from jitorch.ops.math import maximum, minimum, where
from jitorch.ops.reduce import reduce_argmax, reduce_argmin, reduce_max, reduce_min
from jitorch.ops.reduction import (
    Axes,
    any_empty,
    axis_samples,
    kept,
)
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import broadcast_to, expand_axes, reshape_to

Tensor = Any


def _check_some(name: str, x: Tensor, axes: tuple[int, ...]) -> None:
    """PyTorch names an empty axis as an index error."""
    if any_empty(x, axes):
        raise TensorIndexError(f"{name}: a reduction over no elements has no value", expected="size > 0", actual=x.type)


@op
def amax(input: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """Greatest element, NaN if there is one; ties share the gradient."""
    check_tensor("amax", input)
    axes = axes_of("amax", dim, input.ndim)
    _check_some("amax", input, axes)
    return kept(reduce_max(input, axes=axes), input, axes, keepdim)


@op
def amin(input: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """Least element, NaN if there is one; ties share the gradient."""
    check_tensor("amin", input)
    axes = axes_of("amin", dim, input.ndim)
    _check_some("amin", input, axes)
    return kept(reduce_min(input, axes=axes), input, axes, keepdim)


amax.samples(axis_samples)
amin.samples(axis_samples)


@function
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """``(min, max)`` of all elements, or along one axis."""
    axes = () if dim is None else dim
    return results.AMinMax(amin(input, axes, keepdim), amax(input, axes, keepdim))


aminmax.samples(lambda rng: [Sample(rng.normal(size=(2, 3))), Sample(rng.normal(size=(2, 3)), dim=1, keepdim=True)])


@op
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Position of the first greatest element along ``dim``, or in row-major order."""
    check_tensor("argmax", input)
    axes = axes_of("argmax", dim, input.ndim)
    _check_some("argmax", input, axes)
    return kept(reduce_argmax(_ordered("argmax", input), axes=axes), input, axes, keepdim)


@op
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Position of the first least element along ``dim``, or in row-major order."""
    check_tensor("argmin", input)
    axes = axes_of("argmin", dim, input.ndim)
    _check_some("argmin", input, axes)
    return kept(reduce_argmin(_ordered("argmin", input), axes=axes), input, axes, keepdim)


def _ordered(name: str, x: Tensor) -> Tensor:
    if x.dtype is dtypes.bool_:
        raise DTypeError(f"{name}: bool tensors have no extremum", actual=x.type, hint="use any() or all()")
    return x


for _entry in (argmax, argmin):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 3, 4))),
            Sample(rng.normal(size=(2, 3, 4)), 1),
            Sample(rng.integers(0, 2, size=(2, 5)), dim=-1, keepdim=True),
        ]
    )


@op(places=())
def max_along(x: Tensor, *, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """Greatest element along one axis, and the position of the first such; the gradient goes there."""
    axes = (dim,) if x.ndim else ()
    return (
        kept(reduce_max(x, axes=axes), x, axes, keepdim),
        kept(reduce_argmax(x, axes=axes), x, axes, keepdim),
    )


@op(places=())
def min_along(x: Tensor, *, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """Least element along one axis, and the position of the first such; the gradient goes there."""
    axes = (dim,) if x.ndim else ()
    return (
        kept(reduce_min(x, axes=axes), x, axes, keepdim),
        kept(reduce_argmin(x, axes=axes), x, axes, keepdim),
    )


def _to_position(g: Any, out: Any, x: Tensor, *, dim: int, keepdim: bool) -> tuple[Tensor]:
    if not x.ndim:
        return (g[0],)
    position = expand_axes(out[1], x.shape, (dim,)) if not keepdim else broadcast_to(out[1], shape=tuple(x.shape))
    spread = expand_axes(g[0], x.shape, (dim,)) if not keepdim else broadcast_to(g[0], shape=tuple(x.shape))
    along = reshape_to(iota(size=x.shape[dim]), shape=tuple(d if i == dim else 1 for i, d in enumerate(x.shape)))
    return (where(along == position, spread, 0.0),)


for _entry in (max_along, min_along):
    _entry.vjp(_to_position)
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 3, 4)), dim=1, keepdim=False),
            Sample(rng.normal(size=(2, 3)), dim=0, keepdim=True),
        ]
    )


def _extremum(name: str, x: Tensor, dim: Any, keepdim: bool, whole: Any, along: Any, pair: Any, named: Any) -> Any:
    check_tensor(name, x)
    if dim is None:
        if any_empty(x, tuple(range(x.ndim))):
            raise TensorIndexError(f"{name}: a tensor without elements has none", actual=x.type)
        return whole(x)
    if is_tensor(dim):
        return pair(x, dim)
    axis = axis_of(name, dim, x.ndim)
    if x.ndim:
        _check_some(name, x, (axis,))
    return named(*along(x, dim=axis, keepdim=bool(keepdim)))


@function
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """``max(x)``: the greatest element; ``max(x, dim)``: ``(values, indices)``; ``max(x, other)``: `maximum`.

    Along an axis the gradient goes to the first greatest element; over all elements ties share it.
    """
    dim = dim if other is None else other
    return _extremum("max", input, dim, keepdim, amax, max_along, maximum, results.Max)


@function
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """``min(x)``: the least element; ``min(x, dim)``: ``(values, indices)``; ``min(x, other)``: `minimum`.

    Along an axis the gradient goes to the first least element; over all elements ties share it.
    """
    dim = dim if other is None else other
    return _extremum("min", input, dim, keepdim, amin, min_along, minimum, results.Min)


for _entry in (max, min):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 3, 4))),
            Sample(rng.normal(size=(2, 3, 4)), 1),
            Sample(rng.normal(size=(2, 3)), dim=-1, keepdim=True),
            Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,))),
        ]
    )


def _many(op: Any) -> Any:
    """The batch rule of an op along one axis; what has no axes is one element of it."""

    def rule(size: Any, batched: Any, x: Tensor, *, dim: int, keepdim: bool) -> Any:
        if x.ndim > 1:
            return op(x, dim=dim + 1, keepdim=keepdim)
        return op(reshape_to(x, shape=(size, 1)), dim=1, keepdim=False)

    return rule


register(_many, max_along, min_along)
