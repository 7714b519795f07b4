"""Reductions: the primitives beside `reduce_sum` (see `jitorch.ops.structure`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import DTypeError, ShapeError
from jitorch.ir import kernel as k
from jitorch.ir.monoid import Reduction
from jitorch.ops.batching import register, shifting
from jitorch.ops.registry import Sample, primitive
from jitorch.ops.structure import cast, drop_axes, expand_axes, reduce_sum

Tensor = Any


def lowest(dtype: DType) -> Any:
    """The neutral element of max."""
    if dtype.category is Category.FLOAT:
        return -np.inf
    return False if dtype is dtypes.bool_ else int(np.iinfo(dtype.numpy).min)


def highest(dtype: DType) -> Any:
    """The neutral element of min."""
    if dtype.category is Category.FLOAT:
        return np.inf
    return True if dtype is dtypes.bool_ else int(np.iinfo(dtype.numpy).max)


def _not_empty(name: str, x: Any, axes: tuple[int, ...]) -> None:
    if x.dtype.is_complex:
        raise DTypeError(f"{name}: complex numbers have no order", actual=x)
    if any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in axes):
        raise ShapeError(f"{name}: a reduction over no elements has no value", expected="a non-zero size", actual=x)


@primitive(lowering="reduce")
def reduce_max(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Greatest element over ``axes``; NaN if there is one."""


@reduce_max.type_rule
def _(x, *, axes):
    _not_empty("max", x, axes)
    return drop_axes(x, axes)


@reduce_max.numpy
def _(x, *, axes):
    return np.maximum.reduce(x, axis=axes)


@reduce_max.reduce
def _(x, *, axes):
    return Reduction(
        (k.const(lowest(x.dtype), x.dtype),), lambda a, b: (k.call("maximum", a[0], b[0], reassociate=True),)
    )


def _share_among_ties(g: Tensor, out: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    ties = cast(x == expand_axes(out, x.shape, axes), dtype=g.dtype)
    return expand_axes(g / reduce_sum(ties, axes=axes), x.shape, axes) * ties


@reduce_max.vjp
def _(g, out, x, *, axes):
    return (_share_among_ties(g, out, x, axes),)


@reduce_max.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axes=(1,))
    yield Sample(rng.normal(size=(2, 3)), axes=(0, 1))


@primitive(lowering="reduce")
def reduce_min(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Least element over ``axes``; NaN if there is one."""


@reduce_min.type_rule
def _(x, *, axes):
    _not_empty("min", x, axes)
    return drop_axes(x, axes)


@reduce_min.numpy
def _(x, *, axes):
    return np.minimum.reduce(x, axis=axes)


@reduce_min.reduce
def _(x, *, axes):
    return Reduction(
        (k.const(highest(x.dtype), x.dtype),), lambda a, b: (k.call("minimum", a[0], b[0], reassociate=True),)
    )


@reduce_min.vjp
def _(g, out, x, *, axes):
    return (_share_among_ties(g, out, x, axes),)


@reduce_min.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axes=(0, 2))


@primitive(lowering="reduce")
def reduce_prod(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Product over ``axes``."""


@reduce_prod.type_rule
def _(x, *, axes):
    return drop_axes(x, axes)


@reduce_prod.numpy
def _(x, *, axes):
    return np.multiply.reduce(x, axis=axes, dtype=x.dtype)


@reduce_prod.reduce
def _(x, *, axes):
    return Reduction((k.const(1, x.dtype),), lambda a, b: (k.call("mul", a[0], b[0], reassociate=True),))


@reduce_prod.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), axes=(1,), grad=False)


def arg_reduction(x: Any, better: str, start: Any) -> Reduction:
    """The position of the extremum; ``better`` is ``gt`` or ``lt``, or ``ge`` or ``le`` if of equals the last wins."""

    def combine(a: Any, b: Any) -> Any:
        # NaN beats everything.
        wins = k.call(better, b[0], a[0])
        if x.dtype.category is Category.FLOAT:
            is_nan = b[0].ne(b[0])
            wins = wins | (is_nan & a[0].eq(a[0]) if better in ("gt", "lt") else is_nan)
        wins = wins | (a[1] < 0)
        return k.where(wins, b[0], a[0]), k.where(wins, b[1], a[1])

    return Reduction(
        (k.const(start, x.dtype), k.const(-1)), combine, lambda v, position: (v, position), lambda state: (state[1],)
    )


def _arg_numpy(x: Any, axes: tuple[int, ...], fn: Any) -> Any:
    kept = [i for i in range(x.ndim) if i not in axes]
    count = math.prod(x.shape[i] for i in axes)
    moved = np.transpose(x, (*kept, *axes)).reshape(*(x.shape[i] for i in kept), count)
    return fn(moved, -1)


@primitive(lowering="reduce")
def reduce_argmax(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Row-major position, within ``axes``, of the first greatest element."""


@reduce_argmax.type_rule
def _(x, *, axes):
    _not_empty("argmax", x, axes)
    return drop_axes(x, axes).with_dtype(dtypes.int64)


@reduce_argmax.numpy
def _(x, *, axes):
    return _arg_numpy(x, axes, np.argmax)


@reduce_argmax.reduce
def _(x, *, axes):
    return arg_reduction(x, "gt", lowest(x.dtype))


@reduce_argmax.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axes=(1,))
    yield Sample(rng.integers(0, 3, size=(4, 5)), axes=(0, 1))


@primitive(lowering="reduce")
def reduce_argmin(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Row-major position, within ``axes``, of the first least element."""


@reduce_argmin.type_rule
def _(x, *, axes):
    _not_empty("argmin", x, axes)
    return drop_axes(x, axes).with_dtype(dtypes.int64)


@reduce_argmin.numpy
def _(x, *, axes):
    return _arg_numpy(x, axes, np.argmin)


@reduce_argmin.reduce
def _(x, *, axes):
    return arg_reduction(x, "lt", highest(x.dtype))


@reduce_argmin.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axes=(2,))


register(shifting, reduce_max, reduce_min, reduce_prod, reduce_argmax, reduce_argmin, names=("axes",))
