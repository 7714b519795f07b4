"""Joining, repeating and reordering: results in memory of their own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import ArgumentError, ShapeError, TensorIndexError
from jitorch.ops import dispatch
from jitorch.ops.arguments import axis_of, check_tensor, ints_of, is_tensor, one_size, shape_of
from jitorch.ops.control import count_up
from jitorch.ops.create import constant, iota, size_number
from jitorch.ops.gather import put, take
from jitorch.ops.helpers import filled
from jitorch.ops.math import where
from jitorch.ops.normalize import result_type
from jitorch.ops.parts import slice_along
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.scan import cumsum
from jitorch.ops.shape import at_least_1d, at_least_2d, at_least_3d, expand
from jitorch.ops.structure import (
    broadcast_to,
    cast,
    concatenate,
    copy,
    flip_axes,
    pad_axes,
    reduce_sum,
    reshape_to,
    transpose_axes,
)

Tensor = Any


# ---- joining ----------------------------------------------------------------------------------------
def _tensors(name: str, tensors: Any) -> list[Tensor]:
    if not isinstance(tensors, (tuple, list)):
        raise ArgumentError(f"{name}: expected a sequence of tensors", actual=type(tensors).__name__)
    if not tensors:
        raise ShapeError(f"{name}: expected at least one tensor", actual="an empty sequence")
    for x in tensors:
        check_tensor(name, x)
    return list(tensors)


def _promoted(tensors: list[Tensor]) -> list[Tensor]:
    dtype = result_type(tensors)
    return [x if x.dtype is dtype else cast(x, dtype=dtype) for x in tensors]


def _is_legacy_empty(x: Tensor) -> bool:
    """PyTorch lets ``cat`` skip a tensor of shape ``(0,)`` whatever the others' rank is."""
    return x.ndim == 1 and isinstance(x.shape[0], int) and x.shape[0] == 0


@function(places=("torch",), aliases=("concat", "concatenate"))
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along an existing axis; the other sizes must be equal, dtypes are promoted."""
    given = _promoted(_tensors("cat", tensors))
    kept = [x for x in given if not _is_legacy_empty(x)]
    if not kept:
        axis_of("cat", dim, 1)
        return copy(given[0])
    first = kept[0]
    if not first.ndim:
        raise ShapeError("cat: 0-d tensors cannot be joined", hint="use stack()")
    axis = axis_of("cat", dim, first.ndim)
    for x in kept:
        if x.ndim != first.ndim or any(
            not dims.equal(a, b) for i, (a, b) in enumerate(zip(first.shape, x.shape)) if i != axis
        ):
            raise ShapeError(f"cat: sizes differ outside of axis {axis}", expected=first.type, actual=x.type)
    return concatenate(kept, axis=axis) if len(kept) > 1 else copy(first)


@cat.samples
def _(rng):
    yield Sample([rng.normal(size=(2, 3)), rng.normal(size=(1, 3))])
    yield Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 0)), rng.normal(size=(2, 1))], dim=-1)
    yield Sample([rng.normal(size=(0,)), rng.normal(size=(2, 1))], 1)


@function(places=("torch",))
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis."""
    given = _promoted(_tensors("stack", tensors))
    first = given[0]
    axis = axis_of("stack", dim, first.ndim + 1)
    for x in given:
        if x.ndim != first.ndim or any(not dims.equal(a, b) for a, b in zip(first.shape, x.shape)):
            raise ShapeError("stack: shapes differ", expected=first.type, actual=x.type)
    parts = [reshape_to(x, shape=(*x.shape[:axis], 1, *x.shape[axis:])) for x in given]
    return concatenate(parts, axis=axis) if len(parts) > 1 else copy(parts[0])


@stack.samples
def _(rng):
    yield Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))])
    yield Sample([rng.normal(size=(2,)), rng.normal(size=(2,)), rng.normal(size=(2,))], dim=-1)
    yield Sample([rng.normal(size=())])


@function(places=("torch",))
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join along axis 1; vectors along axis 0."""
    given = [at_least_1d(x) for x in _tensors("hstack", tensors)]
    return cat(given, 0 if given[0].ndim == 1 else 1)


@function(places=("torch",), aliases=("row_stack",))
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join along axis 0; vectors count as rows."""
    return cat([at_least_2d(x) for x in _tensors("vstack", tensors)], 0)


@function(places=("torch",))
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join along axis 2."""
    return cat([at_least_3d(x) for x in _tensors("dstack", tensors)], 2)


@function(places=("torch",))
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Join along axis 1; vectors count as columns."""
    given = [at_least_1d(x) for x in _tensors("column_stack", tensors)]
    return cat([reshape_to(x, shape=(x.shape[0], 1)) if x.ndim == 1 else x for x in given], 1)


for _entry in (hstack, vstack, dstack, column_stack):
    _entry.samples(
        lambda rng: [
            Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))]),
            Sample([rng.normal(size=(3,)), rng.normal(size=(3,))]),
        ]
    )


# ---- repeating --------------------------------------------------------------------------------------
@op(places=())
def repeat_axes(x: Tensor, *, counts: tuple[int, ...]) -> Tensor:
    """All of ``x``, behind axes of size 1 if there are more ``counts``, so many times along each axis."""
    shape = (*(1,) * (len(counts) - x.ndim), *x.shape)
    spread = reshape_to(x, shape=tuple(d for size in shape for d in (1, size)))
    spread = broadcast_to(spread, shape=tuple(d for pair in zip(counts, shape) for d in pair))
    return reshape_to(copy(spread), shape=tuple(n * d for n, d in zip(counts, shape)))


@repeat_axes.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), counts=(2, 1, 3))
    yield Sample(rng.normal(size=(3,)), counts=(0,))


@op(places=())
def repeat_slices(x: Tensor, *, axis: int, count: int) -> Tensor:
    """Each slice along ``axis`` ``count`` times in a row."""
    before, behind = x.shape[:axis], x.shape[axis + 1 :]
    spread = reshape_to(x, shape=(*before, x.shape[axis], 1, *behind))
    spread = broadcast_to(spread, shape=(*before, x.shape[axis], count, *behind))
    return reshape_to(copy(spread), shape=(*before, x.shape[axis] * count, *behind))


@repeat_slices.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), axis=0, count=3)
    yield Sample(rng.normal(size=(2, 3)), axis=1, count=0)


@function(places=("method",))
def repeat(input: Tensor, *sizes: Any, repeats: Any = None) -> Tensor:
    """The tensor ``sizes[i]`` times along axis ``i``, one after the other; more sizes than axes add leading axes."""
    counts = shape_of("repeat", sizes, repeats)
    if len(counts) < input.ndim:
        raise ShapeError("repeat: one count an axis", expected=f"at least {input.ndim} for {input.type}", actual=counts)
    return repeat_axes(input, counts=counts)


@repeat.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), 2, 1)
    yield Sample(rng.normal(size=(3,)), (2, 2))
    yield Sample(rng.normal(size=(3,)), 0)


@function
def tile(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """As `repeat`; missing leading counts are 1."""
    check_tensor("tile", input)
    counts = shape_of("tile", sizes, dims)
    return repeat_axes(input, counts=(*(1,) * (input.ndim - len(counts)), *counts))


@tile.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), (2,))
    yield Sample(rng.normal(size=(3,)), (2, 1, 2))


@function
def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Each slice along ``dim`` (each element, if None) ``repeats`` times in a row.

    ``repeats`` is an int, or a tensor with one count a slice, whose sum is the new size: a known ``output_size`` saves
    finding that.  ``repeat_interleave(counts)`` alone gives the index of each repetition.
    """
    check_tensor("repeat_interleave", input)
    if repeats is None:
        if input.ndim != 1 or input.dtype not in (dtypes.int64, dtypes.int32):
            raise ShapeError("repeat_interleave: counts are a vector of int64 or int32", actual=input.type)
        return _indices_of_counts(input, None)
    if dim is None:
        input, axis = reshape_to(copy(input), shape=(input.numel(),)), 0
    else:
        axis = axis_of("repeat_interleave", dim, input.ndim)
        input = at_least_1d(input)
    size = input.shape[axis]
    if is_tensor(repeats) and repeats.numel() == 1:
        repeats = repeats.item()
    if isinstance(repeats, (tuple, list)):
        repeats = dispatch.current().from_array(np.asarray(repeats, np.int64))
    if is_tensor(repeats):
        if repeats.ndim != 1 or not dims.equal(repeats.shape[0], size):
            raise ShapeError("repeat_interleave: one count a slice", expected=size, actual=repeats.type)
        return take(input, _indices_of_counts(repeats, output_size), axis=axis)
    count = one_size("repeat_interleave", repeats)
    if dims.less(count, 0):
        raise ShapeError("repeat_interleave: repeats must not be negative", actual=repeats)
    return repeat_slices(input, axis=axis, count=count)


def _indices_of_counts(counts: Tensor, output_size: Any) -> Tensor:
    why = "repeat_interleave with a tensor of counts"
    if dispatch.current().binds_size(counts, why):
        return _recorded_indices(counts, output_size)
    array = counts._data(why)
    if (array < 0).any():
        raise ShapeError("repeat_interleave: repeats must not be negative", actual=int(array.min()))
    if output_size is not None and int(array.sum()) != output_size:
        raise ShapeError("repeat_interleave: output_size is not the sum", expected=int(array.sum()), actual=output_size)
    found = np.repeat(np.arange(array.size, dtype=array.dtype), array)
    return dispatch.current().from_array(found)


def _recorded_indices(counts: Tensor, output_size: Any) -> Tensor:
    """A mark where each slice begins, and one behind the end for those that are not there at all, added up."""
    ends = cumsum(cast(counts, dtype=dtypes.int64), 0)
    total = reduce_sum(cast(counts, dtype=dtypes.int64), axes=(0,))
    size = count_up(total).shape[0] if output_size is None else output_size
    # A negative count, or another sum than promised, puts the mark out of range.
    wrong = (counts < 0) | (total != size_number(size))
    begins = where(wrong, size_number(size) + 1, ends - counts)
    marks = put(
        filled(0, dtypes.int64, (size + 1,)), begins, filled(1, dtypes.int64, tuple(counts.shape)), axis=0,
        accumulate=True,
    )  # fmt: skip
    return cast(cumsum(marks, 0)[:size] - 1, dtype=counts.dtype)


@repeat_interleave.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), 2)
    yield Sample(rng.normal(size=(2, 3)), 3, dim=-1)
    yield Sample(rng.normal(size=(3, 2)), np.array([1, 0, 2]), dim=0)


# ---- reordering -------------------------------------------------------------------------------------
@function
def flip(input: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """The elements in reverse order along the given axes (a copy)."""
    check_tensor("flip", input)
    given = tuple(axis_of("flip", d, input.ndim) for d in ints_of("flip", axes, dims))
    if len(set(given)) != len(given):
        raise ShapeError("flip: an axis appears more than once", actual=given)
    return flip_axes(input, axes=tuple(sorted(given))) if input.ndim and given else copy(input)


@function
def fliplr(input: Tensor) -> Tensor:
    """`flip` along axis 1."""
    if input.ndim < 2:
        raise ShapeError("fliplr: expected at least 2 axes", actual=input.type)
    return flip(input, 1)


@function
def flipud(input: Tensor) -> Tensor:
    """`flip` along axis 0."""
    if input.ndim < 1:
        raise ShapeError("flipud: expected at least 1 axis", actual=input.type)
    return flip(input, 0)


flip.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), (0, -1)), Sample(rng.normal(size=(2, 3)), (1,))])
fliplr.samples(lambda rng: [Sample(rng.normal(size=(2, 3)))])
flipud.samples(lambda rng: [Sample(rng.normal(size=(2, 3)))])


@op
def roll(input: Tensor, shifts: int | tuple[int, ...], dims: int | tuple[int, ...] = ()) -> Tensor:
    """Elements moved by ``shifts`` along ``dims``; what falls off one end comes back at the other.

    Without ``dims`` the elements are moved along the flattened tensor.
    """
    check_tensor("roll", input)
    by = shifts if isinstance(shifts, tuple) else (shifts,)
    axes = dims if isinstance(dims, tuple) else (dims,)
    if not axes and len(by) == 1:
        flat = reshape_to(input, shape=(input.numel(),))
        return reshape_to(_rolled(flat, by[0], 0), shape=tuple(input.shape))
    if not by or len(by) != len(axes):
        raise ShapeError("roll: one shift an axis", expected=f"{len(axes)} shifts", actual=shifts)
    if any(not isinstance(s, int) for s in by):
        raise ArgumentError("roll: a shift is an int", actual=shifts)
    if not input.ndim:
        raise TensorIndexError("roll: a 0-d tensor has no axes", actual=dims)
    out = input
    for shift, dim in zip(by, axes):
        axis = axis_of("roll", dim, input.ndim)
        out = _rolled(out, shift, axis)
    return out


def _rolled(x: Tensor, shift: int, axis: int) -> Tensor:
    size = x.shape[axis]
    if isinstance(size, int) and size == 0:
        return copy(x)
    at = dims.mod(-shift, size) if not isinstance(size, int) else -shift % size
    if isinstance(at, int) and at == 0:
        return copy(x)
    return concatenate([slice_along(x, axis, at, size), slice_along(x, axis, 0, at)], axis=axis)


@roll.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), 1)
    yield Sample(rng.normal(size=(3, 4)), (1, -2), (0, 1))
    yield Sample(rng.normal(size=(3, 4)), shifts=5, dims=-1)


@function
def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """Rotate the plane of two axes by ``k`` quarter turns, from the first towards the second."""
    check_tensor("rot90", input)
    if len(dims) != 2 or input.ndim < 2:
        raise ShapeError("rot90: expected two axes of a tensor that has them", actual=f"{dims} of {input.type}")
    a, b = axis_of("rot90", dims[0], input.ndim), axis_of("rot90", dims[1], input.ndim)
    if a == b:
        raise ShapeError("rot90: the axes must differ", actual=dims)
    turns = k % 4
    if turns == 0:
        return copy(input)
    if turns == 2:
        return flip_axes(input, axes=tuple(sorted((a, b))))
    return quarter_turn(input, axes=(a, b) if turns == 1 else (b, a))


@op(places=())
def quarter_turn(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """The plane of two axes turned from the first towards the second."""
    first, second = axes
    perm = list(range(x.ndim))
    perm[first], perm[second] = second, first
    return copy(transpose_axes(flip_axes(x, axes=(second,)), perm=tuple(perm)))


@quarter_turn.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), axes=(0, 1))
    yield Sample(rng.normal(size=(2, 3, 2)), axes=(2, 0))


rot90.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), k, (0, 1)) for k in (-1, 1, 2, 4)])


# ---- grids ------------------------------------------------------------------------------------------
@function(places=("torch",))
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid: result ``i`` varies along axis ``i`` as ``tensors[i]`` does.

    ``indexing="xy"`` exchanges the first two axes, as plots have them.
    """
    given = _tensors("meshgrid", tensors[0] if len(tensors) == 1 and not is_tensor(tensors[0]) else tensors)
    if indexing not in ("ij", "xy"):
        raise ShapeError("meshgrid: unknown indexing", expected="'ij' or 'xy'", actual=indexing)
    if any(x.ndim > 1 for x in given):
        raise ShapeError("meshgrid: expected vectors", actual=[str(x.type) for x in given])
    if any(x.dtype is not given[0].dtype for x in given):
        raise ShapeError("meshgrid: dtypes differ", actual=[x.dtype.name for x in given])
    vectors = [at_least_1d(x) for x in given]
    swap = indexing == "xy" and len(vectors) > 1
    if swap:
        vectors[0], vectors[1] = vectors[1], vectors[0]
    shape = tuple(x.shape[0] for x in vectors)
    n = len(shape)
    grids = [
        expand(reshape_to(x, shape=tuple(shape[i] if i == j else 1 for j in range(n))), shape)
        for i, x in enumerate(vectors)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@meshgrid.samples
def _(rng):
    yield Sample(rng.normal(size=(2,)), rng.normal(size=(3,)), indexing="ij")
    yield Sample(rng.normal(size=(2,)), rng.normal(size=(3,)), indexing="xy")


@function(places=("torch",))
def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of one element of each vector, a row each."""
    given = _tensors("cartesian_prod", tensors)
    if any(x.ndim != 1 for x in given):
        raise ShapeError("cartesian_prod: expected vectors", actual=[str(x.type) for x in given])
    if len(given) == 1:
        return copy(given[0])
    return stack([reshape_to(copy(x), shape=(x.numel(),)) for x in meshgrid(*given)], 1)


cartesian_prod.samples(lambda rng: [Sample(rng.normal(size=(2,)), rng.normal(size=(3,)))])


@function(places=("torch",))
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of ``r`` elements of a vector, a row each, in order of position."""
    check_tensor("combinations", input)
    if input.ndim != 1 or not isinstance(input.shape[0], int) or r < 0:
        raise ShapeError("combinations: expected a vector of known size, and r >= 0", actual=f"{input.type}, r={r}")
    if r == 0:
        return copy(slice_along(input, 0, 0, 0))
    pick = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.asarray(list(pick(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    return take(input, dispatch.current().from_array(rows), axis=0)


combinations.samples(lambda rng: [Sample(rng.normal(size=(4,))), Sample(rng.normal(size=(3,)), 3, True)])


@function(places=("torch",))
def block_diag(*tensors: Any) -> Tensor:
    """A matrix with the given matrices on its diagonal, 0 elsewhere."""
    given = _promoted([at_least_2d(x) for x in _tensors("block_diag", tensors)])
    if any(x.ndim > 2 for x in given):
        raise ShapeError("block_diag: expected at most 2 axes", actual=[str(x.type) for x in given])
    total = sum(x.shape[1] for x in given)
    rows, before = [], 0
    for x in given:
        after = total - before - x.shape[1]
        zero = constant(value=0, dtype=x.dtype)
        rows.append(pad_axes(x, zero, low=(0, before), high=(0, after), interior=(0, 0)))
        before = before + x.shape[1]
    return cat(rows, 0)


block_diag.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), rng.normal(size=(2,)), rng.normal(size=()))])


@op(places=("torch",))
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of a vector, a column each: from ``N - 1`` down to 0, or up if ``increasing``."""
    check_tensor("vander", x)
    if x.ndim != 1:
        raise ShapeError("vander: expected a vector", actual=x.type)
    count = x.shape[0] if N is None else N
    powers = iota(size=count)
    powers = powers if increasing else count - 1 - powers
    return reshape_to(x, shape=(x.shape[0], 1)) ** powers


vander.samples(lambda rng: [Sample(rng.normal(size=(3,))), Sample(rng.normal(size=(3,)), 4, True)])
