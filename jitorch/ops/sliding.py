"""Sliding windows: the primitives under pooling, unfolding and their gradients.

`windows` shows every position of a window over the last axes; `unwindow` is its adjoint before the
sum over overlaps, and `window_diagonal` the adjoint of that, so any order of gradient stays here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.errors import ShapeError
from jitorch.ir import kernel as k
from jitorch.ops.batching import leading, register
from jitorch.ops.registry import Sample, primitive
from jitorch.ops.structure import reduce_sum

Tensor = Any


@primitive
def windows(x: Tensor, *, sizes: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]) -> Tensor:
    """Sliding windows over the last axes: ``[..., *S]`` to ``[..., *positions, *sizes]``."""


def window_count(d: Dim, size: int, stride: int, dilation: int) -> Dim:
    """The number of positions of a window along an axis of ``d`` elements."""
    return dims.floordiv(d - dilation * (size - 1) - 1, stride) + 1


@windows.type_rule
def _(x, *, sizes, strides, dilations):
    lead = x.rank - len(sizes)
    counts = tuple(map(window_count, x.shape[lead:], sizes, strides, dilations))
    if not all(dims.holds("<", 0, c) for c in counts):
        raise ShapeError("a window does not fit into its axes", expected=f"at least {sizes}", actual=x.shape[lead:])
    return x.with_shape((*x.shape[:lead], *counts, *sizes))


@windows.numpy
def _(x, *, sizes, strides, dilations):
    lead = x.ndim - len(sizes)
    counts: Any = tuple(map(window_count, x.shape[lead:], sizes, strides, dilations))
    steps = (
        *x.strides[:lead],
        *(s * n for s, n in zip(x.strides[lead:], strides)),
        *(s * n for s, n in zip(x.strides[lead:], dilations)),
    )
    return np.lib.stride_tricks.as_strided(x, (*x.shape[:lead], *counts, *sizes), steps, writeable=False)


@windows.pull
def _(index, x, *, sizes, strides, dilations):
    n = len(sizes)
    lead = len(index) - 2 * n
    spatial = (index[lead + i] * strides[i] + index[lead + n + i] * dilations[i] for i in range(n))
    return x.at((*index[:lead], *spatial))


@windows.vjp
def _(g, out, x, *, sizes, strides, dilations):
    n = len(sizes)
    spatial = tuple(x.shape[x.ndim - n :])
    spread = unwindow(g, spatial=spatial, strides=strides, dilations=dilations)
    return (reduce_sum(spread, axes=tuple(range(x.ndim, x.ndim + n))),)


@windows.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 6, 7)), sizes=(2, 3), strides=(2, 1), dilations=(1, 2))


@primitive
def unwindow(g: Tensor, *, spatial: tuple[Dim, ...], strides: tuple[int, ...], dilations: tuple[int, ...]) -> Tensor:
    """``[..., *positions, *sizes]`` to ``[..., *spatial, *sizes]``: each window's element at its own place, else 0."""


@unwindow.type_rule
def _(g, *, spatial, strides, dilations):
    n = len(spatial)
    return g.with_shape((*g.shape[: g.rank - 2 * n], *spatial, *g.shape[g.rank - n :]))


@unwindow.numpy
def _(g, *, spatial, strides, dilations):
    n = len(spatial)
    lead, sizes = g.shape[: g.ndim - 2 * n], g.shape[g.ndim - n :]
    result = np.zeros((*lead, *spatial, *sizes), g.dtype)
    counts = g.shape[g.ndim - 2 * n : g.ndim - n]
    for offset in np.ndindex(*sizes):
        where = tuple(
            slice(o * d, o * d + (c - 1) * s + 1, s) for o, d, c, s in zip(offset, dilations, counts, strides)
        )
        result[(..., *where, *offset)] = g[(..., *(slice(None),) * n, *offset)]
    return result


@unwindow.pull
def _(index, g, *, spatial, strides, dilations):
    n = len(spatial)
    lead = len(index) - 2 * n
    inside: k.Expr = k.const(True, dtypes.bool_)
    positions: list[k.Expr] = []
    for i in range(n):
        j = index[lead + i] - index[lead + n + i] * dilations[i]
        inside = inside & (j >= 0)
        if strides[i] != 1:
            inside = inside & (j % strides[i]).eq(0)
            j = j // strides[i]
        inside = inside & (j < g.sizes[lead + i])
        positions.append(j)
    safe = tuple(k.where(inside, j, 0) for j in positions)
    return k.where(inside, g.at((*index[:lead], *safe, *index[lead + n :])), k.const(0, g.dtype))


@unwindow.vjp
def _(g, out, x, *, spatial, strides, dilations):
    n = len(spatial)
    counts = tuple(x.shape[x.ndim - 2 * n : x.ndim - n])
    return (window_diagonal(g, counts=counts, strides=strides, dilations=dilations),)


@unwindow.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 2)), spatial=(6,), strides=(2,), dilations=(1,))


@primitive
def window_diagonal(
    x: Tensor, *, counts: tuple[Dim, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> Tensor:
    """``[..., *spatial, *sizes]`` to ``[..., *counts, *sizes]``: the adjoint of `unwindow`."""


@window_diagonal.type_rule
def _(x, *, counts, strides, dilations):
    n = len(counts)
    return x.with_shape((*x.shape[: x.rank - 2 * n], *counts, *x.shape[x.rank - n :]))


@window_diagonal.numpy
def _(x, *, counts, strides, dilations):
    n = len(counts)
    sizes = x.shape[x.ndim - n :]
    result = np.empty((*x.shape[: x.ndim - 2 * n], *counts, *sizes), x.dtype)
    for offset in np.ndindex(*sizes):
        where = tuple(
            slice(o * d, o * d + (c - 1) * s + 1, s) for o, d, c, s in zip(offset, dilations, counts, strides)
        )
        result[(..., *(slice(None),) * n, *offset)] = x[(..., *where, *offset)]
    return result


@window_diagonal.pull
def _(index, x, *, counts, strides, dilations):
    n = len(counts)
    lead = len(index) - 2 * n
    spatial = (index[lead + i] * strides[i] + index[lead + n + i] * dilations[i] for i in range(n))
    return x.at((*index[:lead], *spatial, *index[lead + n :]))


@window_diagonal.vjp
def _(g, out, x, *, counts, strides, dilations):
    n = len(counts)
    spatial = tuple(x.shape[x.ndim - 2 * n : x.ndim - n])
    return (unwindow(g, spatial=spatial, strides=strides, dilations=dilations),)


@window_diagonal.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 6, 2)), counts=(3,), strides=(2,), dilations=(1,))


register(leading, windows, unwindow, window_diagonal)
