"""Sampling at points of a grid: `grid_sample` and `affine_grid`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ops.gather import gather_axis
from jitorch.ops.helpers import filled, number_of, ramp, require_float
from jitorch.ops.linalg import matmul, swap_last
from jitorch.ops.math import abs, floor, maximum, minimum, round_half_even, where
from jitorch.ops.padding import part
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.resize import cubic_weight
from jitorch.ops.structure import broadcast_to, cast, concatenate, reshape_to

Tensor = Any


def _position(x: Tensor, size: Dim, align: bool) -> Tensor:
    """Coordinates -1 .. 1 as element numbers."""
    n = number_of(size)
    return (x + 1.0) * 0.5 * (n - 1) if align else ((x + 1.0) * n - 1.0) * 0.5


def _reflected(x: Tensor, size: Dim, align: bool) -> Tensor:
    """Positions outside mirrored at the edges (at the outer half elements, if not ``align``)."""
    n = number_of(size)
    low, span = (0.0, n - 1) if align else (-0.5, n)
    if align and dims.equal(size, 1):
        return x * 0.0
    distance = abs(x - low)
    turns = floor(distance / span)
    inner = distance - turns * span
    half = turns * 0.5
    return where(floor(half) == half, inner, span - inner) + low


def _limited(x: Tensor, size: Dim) -> Tensor:
    return where(x < 0.0, 0.0, where(x > number_of(size - 1), number_of(size - 1), x))


def _padded_position(x: Tensor, size: Dim, mode: str, align: bool) -> Tensor:
    if mode == "zeros":
        return x
    return _limited(_reflected(x, size, align) if mode == "reflection" else x, size)


def _fetch(flat: Tensor, sizes: Sequence[Dim], corner: Sequence[Tensor]) -> Tensor:
    """Elements of ``[N, C, prod(sizes)]`` at float positions ``[N, *O]`` an axis; 0 outside."""
    inside: Any = None
    index: Any = None
    count = dims.prod(sizes)
    # Half as much memory, and vectors that hold twice as many.
    dtype = dtypes.int32 if isinstance(count, int) and count < 2**31 else dtypes.int64
    for position, size in zip(corner, sizes):
        n = number_of(size)
        ok = (position >= 0.0) & (position <= n - 1)
        inside = ok if inside is None else inside & ok
        at = minimum(maximum(cast(position, dtype=dtype), 0), n - 1)
        index = at if index is None else index * n + at
    batch, channels = flat.shape[:2]
    points = dims.prod(index.shape[1:])
    wide = broadcast_to(reshape_to(index, shape=(batch, 1, points)), shape=(batch, channels, points))
    found = gather_axis(flat, wide, axis=2)
    return where(reshape_to(inside, shape=(batch, 1, points)), found, 0.0)


def _weighted(found: Tensor, weight: Tensor) -> Tensor:
    return found * reshape_to(weight, shape=(weight.shape[0], 1, dims.prod(weight.shape[1:])))


@op(name="grid_sample", places=())
def grid_sample_op(input: Tensor, grid: Tensor, *, mode: str, padding: str, align: bool) -> Tensor:
    """``[N, C, *S]`` sampled at points ``[N, *O, n]`` (last axis of S first): ``[N, C, *O]``."""
    sizes = tuple(input.shape[2:])
    n = len(sizes)
    last = grid.ndim - 1
    points = [reshape_to(part(grid, last, n - 1 - i, n - i), shape=tuple(grid.shape[:-1])) for i in range(n)]
    positions = [_position(x, d, align) for x, d in zip(points, sizes)]
    flat = reshape_to(input, shape=(*input.shape[:2], dims.prod(sizes)))
    if mode == "bicubic":
        total = _bicubic(flat, sizes, positions, padding, align)
    else:
        positions = [_padded_position(x, d, padding, align) for x, d in zip(positions, sizes)]
        total = _nearest(flat, sizes, positions) if mode == "nearest" else _linear(flat, sizes, positions)
    return reshape_to(total, shape=(*input.shape[:2], *grid.shape[1:-1]))


def _nearest(flat: Tensor, sizes: Sequence[Dim], positions: Sequence[Tensor]) -> Tensor:
    return _fetch(flat, sizes, [round_half_even(x) for x in positions])


def _linear(flat: Tensor, sizes: Sequence[Dim], positions: Sequence[Tensor]) -> Tensor:
    below = [floor(x) for x in positions]
    above_share = [x - b for x, b in zip(positions, below)]
    total: Any = None
    for corner in product((0, 1), repeat=len(sizes)):
        weight: Any = None
        for c, share in zip(corner, above_share):
            w = share if c else 1.0 - share
            weight = w if weight is None else weight * w
        found = _fetch(flat, sizes, [b + float(c) for b, c in zip(below, corner)])
        term = _weighted(found, weight)
        total = term if total is None else total + term
    return total


def _bicubic(flat: Tensor, sizes: Sequence[Dim], positions: Sequence[Tensor], padding: str, align: bool) -> Tensor:
    below = [floor(x) for x in positions]
    total: Any = None
    for taps in product((-1.0, 0.0, 1.0, 2.0), repeat=2):
        places = [b + t for b, t in zip(below, taps)]
        weights = [cubic_weight(x - p, -0.75) for x, p in zip(positions, places)]
        places = [_padded_position(p, d, padding, align) for p, d in zip(places, sizes)]
        term = _weighted(_fetch(flat, sizes, places), weights[0] * weights[1])
        total = term if total is None else total + term
    return total


@grid_sample_op.samples
def _(rng):
    grid = rng.uniform(-1.2, 1.2, size=(2, 3, 2, 2))
    cases = (("bilinear", "zeros"), ("bilinear", "border"), ("bicubic", "zeros"), ("bilinear", "reflection"))
    for mode, padding in cases:
        yield Sample(rng.normal(size=(2, 2, 4, 3)), grid, mode=mode, padding=padding, align=False)
    yield Sample(rng.normal(size=(2, 2, 4, 3)), grid, mode="nearest", padding="zeros", align=True, grad=False)


@function(places=("nn",))
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """``input`` [N, C, *S] at the points ``grid`` [N, *O, n], whose coordinates -1 .. 1 name the last axis first.

    ``mode``: bilinear (trilinear in 3 dimensions), nearest or bicubic; ``padding_mode`` for points
    outside: zeros, border or reflection.
    """
    require_float("grid_sample", input, grid)
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueRangeError("grid_sample: unknown mode", expected="bilinear, nearest or bicubic", actual=mode)
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueRangeError(
            "grid_sample: unknown padding_mode", expected="zeros, border or reflection", actual=padding_mode
        )
    n = input.ndim - 2
    if n not in (2, 3) or grid.ndim != input.ndim or not dims.equal(grid.shape[-1], n):
        raise ShapeError("grid_sample: input [N, C, *S] and grid [N, *O, n]", actual=f"{input.type}, {grid.type}")
    if not dims.equal(input.shape[0], grid.shape[0]):
        raise ShapeError("grid_sample: batch sizes differ", expected=input.shape[0], actual=grid.type)
    if input.dtype is not grid.dtype:
        raise DTypeError("grid_sample: input and grid must have one dtype", expected=input.type, actual=grid.type)
    if mode == "bicubic" and n != 2:
        raise ValueRangeError("grid_sample: bicubic is for four axes", actual=input.type)
    return grid_sample_op(input, grid, mode=mode, padding=padding_mode, align=bool(align_corners))


@grid_sample.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 2, 4, 3)), rng.uniform(-1.2, 1.2, size=(2, 3, 2, 2)))
    yield Sample(rng.normal(size=(1, 2, 3, 2, 3)), rng.uniform(-1.2, 1.2, size=(1, 2, 2, 2, 3)), align_corners=True)


def _base_coordinates(size: Dim, align: bool, axis: int, rank: int, dtype: dtypes.DType) -> Tensor:
    """-1 .. 1 along an axis: corner elements, or with ``align`` off their outer edges, at the ends."""
    i, n = ramp(size, axis, rank, dtype), number_of(size)
    if not align:
        return (i * 2.0 + 1.0) / n - 1.0
    return i * 0.0 if dims.equal(size, 1) else i * (2.0 / (n - 1)) - 1.0


@op(name="affine_grid", places=())
def affine_grid_op(theta: Tensor, *, sizes: tuple[int, ...], align: bool) -> Tensor:
    """The points ``theta @ (x, y, 1)`` of a regular grid: ``[N, n, n + 1]`` to ``[N, *sizes, n]``."""
    n = len(sizes)
    columns = [
        broadcast_to(_base_coordinates(sizes[i], align, i, n + 1, theta.dtype), shape=(*sizes, 1)) for i in range(n)
    ]
    points = concatenate([*reversed(columns), filled(1, theta.dtype, (*sizes, 1))], axis=n)
    flat = reshape_to(points, shape=(dims.prod(sizes), n + 1))
    return reshape_to(matmul(flat, swap_last(theta)), shape=(theta.shape[0], *sizes, n))


@affine_grid_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 2, 3)), sizes=(3, 4), align=False)


@function(places=("nn",))
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid for `grid_sample` that affine maps ``theta`` [N, n, n + 1] give, for outputs of ``size`` [N, C, *S]."""
    require_float("affine_grid", theta)
    n = len(size) - 2
    if n not in (2, 3) or theta.ndim != 3 or not all(map(dims.equal, theta.shape[1:], (n, n + 1))):
        raise ShapeError("affine_grid: theta [N, n, n + 1], size [N, C, *S]", actual=f"{theta.type}, {tuple(size)}")
    if not all(dims.holds("<", 0, d) for d in size):
        raise ValueRangeError("affine_grid: sizes must be positive", actual=tuple(size))
    return affine_grid_op(theta, sizes=tuple(size[2:]), align=bool(align_corners))


@affine_grid.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 2, 3)), (2, 1, 3, 4))
    yield Sample(rng.normal(size=(1, 3, 4)), (1, 1, 2, 3, 2), align_corners=True)
