"""Padding: constants, mirrored, repeated or wrapped elements around a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch import dims
from jitorch.dims import Dim
from jitorch.errors import ArgumentError, ShapeError, UnsupportedError
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import broadcast_to, cast, concatenate, copy, flip_axes, pad_axes, slice_axes

Tensor = Operand = Any
Sizes = tuple[int, ...]


def part(x: Tensor, axis: int, start: Dim, stop: Dim) -> Tensor:
    """``x[start:stop]`` along ``axis``."""
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    stops = tuple(stop if i == axis else d for i, d in enumerate(x.shape))
    return slice_axes(x, starts=starts, stops=stops, steps=(1,) * x.ndim)


def _cropped(x: Tensor, low: Sequence[int], high: Sequence[int]) -> Tensor:
    """Apply the negative ones among the paddings."""
    if all(v >= 0 for v in (*low, *high)):
        return x
    return slice_axes(
        x, starts=tuple(max(-a, 0) for a in low), stops=tuple(d + min(b, 0) for d, b in zip(x.shape, high)),
        steps=(1,) * x.ndim,
    )  # fmt: skip


@op(places=())
def pad_constant(input: Tensor, value: Operand, *, low: tuple[int, ...], high: tuple[int, ...]) -> Tensor:
    """``value`` before and behind each axis; a negative number of elements crops."""
    low_, high_ = tuple(max(v, 0) for v in low), tuple(max(v, 0) for v in high)
    value = cast(value, dtype=input.dtype)
    return pad_axes(_cropped(input, low, high), value, low=low_, high=high_, interior=(0,) * input.ndim)


@pad_constant.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), 0.5, low=(1, 0), high=(0, 2))
    yield Sample(rng.normal(size=(2, 5)), 0, low=(0, -1), high=(1, -2))


@op(places=())
def pad_from_inside(input: Tensor, *, low: tuple[int, ...], high: tuple[int, ...], mode: str) -> Tensor:
    """Elements of the tensor itself before and behind each axis.

    ``mode``: ``reflect`` (mirrored, without repeating the edge), ``replicate`` (the edge) or
    ``circular`` (from the other end).
    """
    out = _cropped(input, low, high) if mode == "circular" else input
    for axis, (a, b) in enumerate(zip(low, high)):
        if a > 0 or b > 0 or (mode != "circular" and (a or b)):
            out = _pad_axis(out, axis, max(a, 0), max(b, 0), mode, (max(-a, 0), max(-b, 0)))
    return copy(input) if out is input else out


def _pad_axis(x: Tensor, axis: int, low: int, high: int, mode: str, crop: tuple[int, int]) -> Tensor:
    size = x.shape[axis]
    # An edge is repeated, or looked behind, even where it is itself cropped away; a circle closes after cropping.
    inner = x if mode == "circular" else part(x, axis, crop[0], size - crop[1])
    if mode == "circular":
        circle = _turned(x, axis, max(low, high))
        length = circle.shape[axis]
        before, behind = part(circle, axis, length - low, length), part(circle, axis, 0, high)
    elif mode == "reflect":
        before = flip_axes(part(x, axis, 1, 1 + low), axes=(axis,))
        behind = flip_axes(part(x, axis, size - 1 - high, size - 1), axes=(axis,))
    else:
        before = _repeated(part(x, axis, 0, 1), axis, low)
        behind = _repeated(part(x, axis, size - 1, size), axis, high)
    return concatenate([p for p, n in ((before, low), (inner, 1), (behind, high)) if n], axis=axis)


def _turned(x: Tensor, axis: int, least: int) -> Tensor:
    """``x`` as often as ``least`` elements need; cropping may have left fewer."""
    size = x.shape[axis]
    if not isinstance(size, int) or size == 0 or least <= size:
        return x
    return concatenate([x] * -(-least // size), axis=axis)


def _repeated(edge: Tensor, axis: int, times: int) -> Tensor:
    return broadcast_to(edge, shape=tuple(times if i == axis else d for i, d in enumerate(edge.shape)))


@pad_from_inside.samples
def _(rng):
    for mode in ("reflect", "replicate", "circular"):
        yield Sample(rng.normal(size=(2, 4, 5)), low=(0, 2, 1), high=(0, 0, 3), mode=mode)


@function(places=("nn",))
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Add elements before and behind the last axes: ``pad`` is (before last, behind last, before last but one, ...).

    ``mode`` is ``constant`` (``value``, or 0), ``reflect``, ``replicate`` or ``circular``; a negative
    number of elements crops.
    """
    pad = tuple(int(v) for v in pad)
    if len(pad) % 2 or len(pad) // 2 > input.ndim:
        raise ShapeError(
            "pad: two numbers for each padded axis", expected=f"an even length up to {2 * input.ndim}", actual=pad
        )
    lead = input.ndim - len(pad) // 2
    low = (0,) * lead + pad[0::2][::-1]
    high = (0,) * lead + pad[1::2][::-1]
    for size, a, b in zip(input.shape, low, high):
        if not dims.holds("<=", 0, size + a + b):
            raise ShapeError("pad: a size would be negative", expected="at least 0", actual=f"{size} + {a} + {b}")
    if mode == "constant":
        return pad_constant(input, 0 if value is None else value, low=low, high=high)
    if mode not in ("reflect", "replicate", "circular"):
        raise UnsupportedError(
            f"pad: unknown mode {mode!r}", hint="the modes are 'constant', 'reflect', 'replicate' and 'circular'"
        )
    if value is not None and value != 0:
        raise ArgumentError(f"pad: mode {mode!r} takes no value", actual=value)
    if lead not in (1, 2):
        raise UnsupportedError(
            f"pad: mode {mode!r} pads all axes but one or two", hint=f"{input.ndim} axes, {len(pad)} numbers do not fit"
        )
    _check_reach(mode, input, low, high)
    return pad_from_inside(input, low=low, high=high, mode=mode)


def _check_reach(mode: str, input: Tensor, low: Sizes, high: Sizes) -> None:
    for size, a, b in zip(input.shape, low, high):
        reach = max(a, b)
        if reach <= 0:
            continue
        needed = {"reflect": reach + 1, "circular": reach, "replicate": 1}[mode]
        if dims.less(size, needed):
            raise ShapeError(
                f"pad: mode {mode!r} cannot pad by {reach}", expected=f"a size of at least {needed}", actual=input.type
            )


@pad.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), (1, 2))
    yield Sample(rng.normal(size=(2, 3)), [1, -1, 0, 2], value=1.5)
    yield Sample(rng.normal(size=(1, 2, 4, 5)), (2, 1, 1, 2), mode="reflect")
    yield Sample(rng.normal(size=(2, 4)), (3, 1), mode="replicate")
    yield Sample(rng.normal(size=(1, 2, 4)), (3, 4), mode="circular")
