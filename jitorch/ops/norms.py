"""Vector and matrix norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jitorch import dims, dtypes
from jitorch.dtypes import DType
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ops.batching import register, shifting
from jitorch.ops.helpers import axes_of, kept, narrow_to, sum_over, widen
from jitorch.ops.math import abs, pow, sign, sqrt, where
from jitorch.ops.normalize import is_number
from jitorch.ops.reduce import reduce_max, reduce_min
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import reduce_sum, reshape_to

Tensor = Any


@op(places=())
def norm_2(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Square root of the sum of squares over ``axes``, kept as size 1; its gradient at 0 is 0."""
    wide = widen(x)
    return narrow_to(sqrt(sum_over(wide * wide, axes)), x.dtype)


@norm_2.vjp
def _(g, out, x, *, axes):
    norm = widen(out)
    zero = norm == 0.0
    return (narrow_to(widen(x) * where(zero, 0.0, widen(g) / where(zero, 1.0, norm)), x.dtype),)


@norm_2.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axes=(1,))
    yield Sample(rng.normal(size=(2, 3)), axes=(0, 1))


@op(places=())
def norm_p(x: Tensor, p: float, *, axes: tuple[int, ...]) -> Tensor:
    """``sum(|x| ** p) ** (1 / p)`` over ``axes``, kept as size 1; elements that are 0 get no gradient."""
    return narrow_to(pow(sum_over(pow(abs(widen(x)), p), axes), 1.0 / p), x.dtype)


@norm_p.vjp
def _(g, out, x, p, *, axes):
    wide, norm = widen(x), widen(out)
    nothing = norm == 0.0
    scale = where(nothing, 0.0, widen(g) * pow(where(nothing, 1.0, norm), 1.0 - p))
    size = abs(wide)
    zero = size == 0.0
    slope = where(zero, 0.0, pow(where(zero, 1.0, size), p - 1.0))
    return (narrow_to(scale * slope * sign(wide), x.dtype),)


@norm_p.samples
def _(rng):
    yield Sample(rng.uniform(0.5, 1, size=(2, 3, 4)), 3.0, axes=(1,))
    yield Sample(rng.normal(size=(2, 3)), 1.5, axes=(0, 1))


@op(places=())
def norm_simple(x: Tensor, *, kind: str, axes: tuple[int, ...]) -> Tensor:
    """``1`` (sum of sizes), ``inf`` and ``-inf`` (greatest, least size) or ``0`` (count of non-zeros), axes kept."""
    if kind == "0":
        return sum_over(where(x != 0, 1.0, x * 0.0), axes)
    size = abs(x)
    if kind == "1":
        return narrow_to(sum_over(widen(size), axes), x.dtype)
    if not axes:
        return size
    reduce = reduce_max if kind == "inf" else reduce_min
    return kept(reduce(size, axes=axes), x, axes)


@norm_simple.samples
def _(rng):
    for kind in ("1", "inf", "-inf"):
        yield Sample(rng.normal(size=(2, 3, 4)), kind=kind, axes=(2,))
    yield Sample(rng.integers(0, 2, size=(2, 3)).astype(float), kind="0", axes=(1,), grad=False)


def norm_over(x: Tensor, order: Any, axes: Sequence[int]) -> Tensor:
    """The ``order``-norm over ``axes``, kept as size 1."""
    axes = tuple(axes)
    if not is_number(order):
        return norm_p(x, order, axes=axes)
    if order == 2:
        return norm_2(x, axes=axes)
    if order in (0, 1, math.inf, -math.inf):
        return norm_simple(x, kind=f"{order:g}", axes=axes)
    return norm_p(x, float(order) if isinstance(order, int) else order, axes=axes)


def without(x: Tensor, axes: Sequence[int], keepdim: bool) -> Tensor:
    """``x`` as it is, or without its size-1 ``axes``."""
    if keepdim or not axes:
        return x
    return reshape_to(x, shape=tuple(d for i, d in enumerate(x.shape) if i not in axes))


def as_floating(name: str, x: Tensor, dtype: DType | None) -> Tensor:
    """``x``, which must be floating point, in ``dtype`` if given."""
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{name}: needs a floating point tensor", expected="a floating point dtype", actual=x.type)
    if dtype is None:
        return x
    if not dtypes.as_dtype(dtype).is_floating_point:
        raise DTypeError(f"{name}: dtype must be a floating point dtype", actual=dtype)
    return narrow_to(x, dtypes.as_dtype(dtype))


@function(places=("linalg",))
def vector_norm(
    x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The ``ord``-norm of the vectors along ``dim`` (of all elements, if None)."""
    x = as_floating("linalg.vector_norm", x, dtype)
    axes = axes_of("linalg.vector_norm", dim, x.ndim)
    count = dims.prod([x.shape[a] for a in axes])
    if dims.equal(count, 0) and is_number(ord) and (ord < 0 or ord == math.inf):
        raise ShapeError("linalg.vector_norm: no elements have no such norm", expected="a non-zero size", actual=x.type)
    return without(norm_over(x, ord, axes), axes, keepdim)


@vector_norm.samples
def _(rng):
    for order in (2, 1, 3.5, math.inf, -math.inf):
        yield Sample(rng.normal(size=(2, 3)), order, dim=1)
    yield Sample(rng.normal(size=(2, 3, 4)), dim=(0, -1), keepdim=True)
    yield Sample(rng.normal(size=()))


def _matrix_axes(name: str, dim: Any, rank: int) -> tuple[int, int]:
    if rank < 2:
        raise ShapeError(f"{name}: needs at least two axes", actual=f"{rank} axes")
    axes = axes_of(name, tuple(dim), rank)
    if len(axes) != 2:
        raise ValueRangeError(f"{name}: dim names two axes", actual=dim)
    return axes[0], axes[1]


def matrix_norm_over(name: str, x: Tensor, order: Any, dim: Any, keepdim: bool, svdvals: Any) -> Tensor:
    """A matrix norm; ``svdvals`` gives singular values, which some of them need."""
    rows, columns = _matrix_axes(name, dim, x.ndim)
    both = (rows, columns)
    if order in ("fro", "nuc"):
        if order == "fro":
            return without(norm_2(x, axes=both), both, keepdim)
    elif order not in (1, -1, 2, -2, math.inf, -math.inf):
        raise ValueRangeError(f"{name}: unknown norm", expected="'fro', 'nuc', 1, -1, 2, -2, inf or -inf", actual=order)
    if order in (1, -1, math.inf, -math.inf):
        summed, other = (rows, columns) if order in (1, -1) else (columns, rows)
        sums = norm_simple(x, kind="1", axes=(summed,))
        reduce = reduce_max if order in (1, math.inf) else reduce_min
        return without(kept(reduce(sums, axes=(other,)), sums, (other,)), both, keepdim)
    values = svdvals(x, both)
    last = values.ndim - 1
    if order == "nuc":
        out = reduce_sum(values, axes=(last,))
    else:
        out = (reduce_max if order == 2 else reduce_min)(values, axes=(last,))
    if not keepdim:
        return out
    return reshape_to(out, shape=tuple(1 if i in both else d for i, d in enumerate(x.shape)))


register(shifting, norm_2, norm_p, names=("axes",))
