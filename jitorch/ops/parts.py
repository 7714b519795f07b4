"""Parts: views of some of the elements, and splitting into several of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from jitorch import dims
from jitorch.errors import ShapeError, TensorIndexError
from jitorch.ops.arguments import axis_of, check_tensor, is_tensor, one_size, shape_of
from jitorch.ops.diagonal import diagonal_of
from jitorch.ops.registry import Sample, function
from jitorch.ops.shape import alias, movedim
from jitorch.ops.sliding import windows
from jitorch.ops.structure import copy, reshape_to, slice_axes

Tensor = Any


def slice_along(x: Tensor, axis: int, start: Any, stop: Any, step: int = 1) -> Tensor:
    """``x[..., start:stop:step, ...]``; the bounds lie within the axis."""
    shape = x.type.shape
    before, after = axis, len(shape) - axis - 1
    return slice_axes(
        x,
        starts=(*[0] * before, start, *[0] * after),
        stops=(*shape[:axis], stop, *shape[axis + 1 :]),
        steps=(*[1] * before, step, *[1] * after),
    )


@function
def narrow(input: Tensor, dim: int, start: Any, length: Any) -> Tensor:
    """``length`` elements from ``start`` on along ``dim``."""
    axis = _axis_of_some("narrow", dim, input)
    start, length, size = one_size("narrow", start), one_size("narrow", length), input.shape[axis]
    if isinstance(length, int) and length < 0:
        raise ShapeError("narrow: length is negative", expected=">= 0", actual=length)
    if dims.less(start, 0):
        start = start + size
    if dims.less(start, 0) or dims.less(size, start):
        raise TensorIndexError("narrow: start out of range", expected=f"{-size} to {size}", actual=start)
    if dims.less(size, start + length):
        raise ShapeError("narrow: start + length exceeds the axis", expected=f"at most {size}", actual=start + length)
    return slice_along(input, axis, start, start + length)


@narrow.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 5)), 1, 1, 3)
    yield Sample(rng.normal(size=(4, 5)), -2, -3, 2)
    yield Sample(rng.normal(size=(4, 5)), 0, 4, 0)


def _axis_of_some(name: str, dim: Any, x: Tensor) -> int:
    check_tensor(name, x)
    if not x.ndim:
        raise TensorIndexError(f"{name}: a 0-d tensor has no axis", actual=x.type)
    return axis_of(name, dim, x.ndim)


def selected(x: Tensor, axis: int, start: Any) -> Tensor:
    shape = x.type.shape
    return reshape_to(slice_along(x, axis, start, start + 1), shape=(*shape[:axis], *shape[axis + 1 :]))


@function
def select(input: Tensor, dim: int, index: Any) -> Tensor:
    """The slice at ``index`` along ``dim``, which disappears."""
    axis = _axis_of_some("select", dim, input)
    size, at = input.shape[axis], one_size("select", index)
    if dims.less(at, 0):
        at = at + size
    if dims.less(at, 0) or not dims.less(at, size):
        raise TensorIndexError("select: index out of range", expected=f"{-size} to {size - 1}", actual=index)
    return selected(input, axis, at)


select.samples(lambda rng: [Sample(rng.normal(size=(3, 4)), 1, -2), Sample(rng.normal(size=(3,)), 0, 1)])


@function
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All slices along ``dim``, without it."""
    axis = _axis_of_some("unbind", dim, input)
    return tuple(selected(input, axis, i) for i in range(_fixed("unbind", input.shape[axis])))


unbind.samples(lambda rng: [Sample(rng.normal(size=(3, 2))), Sample(rng.normal(size=(3, 2)), dim=-1)])


def _fixed(name: str, size: Any) -> int:
    """A size that decides how many results there are."""
    if isinstance(size, int):
        return size
    raise ShapeError(f"{name}: the number of results must be known", expected="a fixed size", actual=str(size))


def cut(x: Tensor, axis: int, points: Sequence[Any]) -> tuple[Tensor, ...]:
    """Slices between consecutive ``points`` along ``axis``."""
    return tuple(slice_along(x, axis, a, b) for a, b in pairwise(points))


@function
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0, *, split_size: Any = None) -> tuple[Tensor, ...]:
    """Pieces of ``split_size`` (the last may be smaller), or of the sizes in a list, along ``dim``."""
    return _split("split", tensor, split_size_or_sections, dim)


def _split(name: str, x: Tensor, pieces: Any, dim: Any) -> tuple[Tensor, ...]:
    axis = _axis_of_some(name, dim, x)
    size = x.shape[axis]
    if isinstance(pieces, (tuple, list)):
        sizes = shape_of(name, pieces)
        points: list[Any] = [0]
        for d in sizes:
            points.append(points[-1] + d)
        if not dims.equal(points[-1], size):
            raise ShapeError(f"{name}: the sizes do not sum to the axis", expected=size, actual=f"sum{sizes}")
        return cut(x, axis, points)
    piece = one_size(name, pieces)
    if isinstance(piece, int) and piece < 0:
        raise ShapeError(f"{name}: split_size is negative", expected=">= 0", actual=piece)
    if isinstance(piece, int) and piece == 0:
        if not dims.equal(size, 0):
            raise ShapeError(f"{name}: split_size is 0", expected="a positive size", actual=size)
        return (alias(x),)
    count = max(_fixed(name, dims.floordiv(size + piece - 1, piece)), 1)
    return cut(x, axis, [*(i * piece for i in range(count)), size])


@split.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 2)), 2)
    yield Sample(rng.normal(size=(2, 5)), (1, 4), dim=-1)


@function(places=("torch", "method"))
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of the given sizes along ``dim``."""
    return _split("split_with_sizes", input, tuple(split_sizes), dim)


split_with_sizes.samples(lambda rng: [Sample(rng.normal(size=(2, 5)), (1, 4), 1)])


@function
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal size (the last may be smaller) along ``dim``."""
    axis = _axis_of_some("chunk", dim, input)
    if not isinstance(chunks, int) or chunks <= 0:
        raise ShapeError("chunk: chunks must be positive", expected="> 0", actual=chunks)
    size = input.shape[axis]
    piece = dims.floordiv(size + chunks - 1, chunks)
    if isinstance(size, int):
        # An empty axis gives `chunks` empty pieces.
        count = chunks if piece == 0 else _fixed("chunk", -(-size // piece))
        return cut(input, axis, [dims.dim_min(i * piece, size) for i in range(count + 1)])
    if not dims.equal(dims.mod(size, chunks), 0):
        raise ShapeError("chunk: how many pieces must be known", expected=f"a multiple of {chunks}", actual=str(size))
    return cut(input, axis, [i * piece for i in range(chunks + 1)])


@chunk.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 2)), 3)
    yield Sample(rng.normal(size=(2, 6)), 2, dim=-1)


@function
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """``n`` pieces, the first ones longer by one where it does not divide, or pieces cut at the given indices."""
    axis = _axis_of_some("tensor_split", dim, input)
    size = _fixed("tensor_split", input.shape[axis])
    given = indices_or_sections
    if is_tensor(given):
        given = given.tolist()
    if isinstance(given, (tuple, list)):
        inside = [slice(None, i).indices(size)[1] for i in given]
        starts = [0, *inside]
        return tuple(slice_along(input, axis, a, max(a, b)) for a, b in zip(starts, [*inside, size]))
    count = one_size("tensor_split", given)
    if not isinstance(count, int) or count <= 0:
        raise ShapeError("tensor_split: the number of pieces must be positive", expected="> 0", actual=count)
    length, longer = divmod(size, count)
    return cut(input, axis, [i * length + min(i, longer) for i in range(count + 1)])


@tensor_split.samples
def _(rng):
    yield Sample(rng.normal(size=(7, 2)), 3)
    yield Sample(rng.normal(size=(2, 7)), (2, 5), dim=1)


def _np_split(name: str, x: Tensor, given: Any, dim: int, rank: int) -> tuple[Tensor, ...]:
    check_tensor(name, x)
    if x.ndim < rank:
        raise ShapeError(f"{name}: too few axes", expected=f"at least {rank}", actual=x.type)
    if isinstance(given, int) and (given <= 0 or x.shape[dim] % given):
        raise ShapeError(f"{name}: the axis does not divide into {given} pieces", actual=x.type)
    return tensor_split(x, given, dim)


@function
def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Split along axis 1 (axis 0 of a vector)."""
    return _np_split("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1, 1)


@function
def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Split along axis 0."""
    return _np_split("vsplit", input, indices_or_sections, 0, 2)


@function
def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Split along axis 2."""
    return _np_split("dsplit", input, indices_or_sections, 2, 3)


for _entry in (hsplit, vsplit, dsplit):
    _entry.samples(lambda rng: [Sample(rng.normal(size=(2, 4, 6)), 2), Sample(rng.normal(size=(4, 4, 4)), (1, 3))])


@function
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two axes, as a view whose last axis it is; ``offset`` > 0 lies above the main one."""
    check_tensor("diagonal", input)
    if input.ndim < 2:
        raise TensorIndexError("diagonal: expected at least 2 axes", actual=input.type)
    a, b = axis_of("diagonal", dim1, input.ndim), axis_of("diagonal", dim2, input.ndim)
    if a == b:
        raise ShapeError("diagonal: dim1 and dim2 are the same axis", actual=(dim1, dim2))
    return diagonal_of(input, offset=offset, axis1=a, axis2=b)


@diagonal.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)))
    yield Sample(rng.normal(size=(4, 2, 3)), offset=-1, dim1=2, dim2=0)
    yield Sample(rng.normal(size=(3, 4)), offset=9)


@function(places=("method",))
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of ``size`` along an axis, ``step`` apart, as a new last axis.

    A new tensor, not a view as in PyTorch: its elements would share memory.
    """
    if not input.ndim:
        input = reshape_to(input, shape=(1,))
        return reshape_to(copy(slice_along(input, 0, 0, _window_size(size, 1, step))), shape=(size,))
    axis = axis_of("unfold", dimension, input.ndim)
    _window_size(size, input.shape[axis], step)
    last = movedim(input, axis, -1)
    return movedim(copy(windows(last, sizes=(size,), strides=(step,), dilations=(1,))), -2, axis)


def _window_size(size: int, available: Any, step: int) -> int:
    if size < 0 or step <= 0:
        raise ShapeError("unfold: expected size >= 0 and step > 0", actual=f"size {size}, step {step}")
    if dims.less(available, size):
        raise ShapeError("unfold: the window is larger than the axis", expected=f"at most {available}", actual=size)
    return size


@unfold.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 7)), 1, 3, 2)
    yield Sample(rng.normal(size=(7, 2)), -2, 2, 1)
