"""Views: names that show the same elements in another shape or order.

In eager they share memory with their operand, in a graph they share its storage, so a write through
either is seen by the other.  `reshape` and `flatten` copy where strides cannot show the result, by
the same rule (`view_strides`) in both modes.
"""

from __future__ import annotations

from typing import Any

from jitorch import dims
from jitorch.dtypes import DType
from jitorch.errors import ShapeError, TensorIndexError, UnsupportedError
from jitorch.ops.arguments import axes_of, axis_of, check_tensor, infer_shape, ints_of, sizes_of
from jitorch.ops.normalize import broadcast_shapes as common_shape
from jitorch.ops.registry import Sample, function
from jitorch.ops.structure import broadcast_to as expand_to
from jitorch.ops.structure import copy, reshape_to, transpose_axes, view_strides

Tensor = Any


def alias(x: Tensor) -> Tensor:
    """Another tensor over the same elements."""
    return reshape_to(x, shape=tuple(x.shape))


def _viewable(x: Tensor, shape: tuple[Any, ...]) -> bool:
    return x.is_contiguous() or view_strides(x._element_strides(), tuple(x.shape), shape) is not None


def reshaped(x: Tensor, shape: tuple[Any, ...]) -> Tensor:
    """A view of ``x`` if strides can show ``shape``, else a copy."""
    return reshape_to(x if _viewable(x, shape) else copy(x), shape=shape)


# ---- another shape --------------------------------------------------------------------------------
@function
def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The same elements in row-major order with another shape; one size may be -1.

    ``reshape(2, 3)`` or ``reshape((2, 3))``.  A view where strides can show it, else a copy.
    """
    check_tensor("reshape", input)
    return reshaped(input, infer_shape("reshape", input.numel(), sizes_of("reshape", sizes, shape)))


@reshape.samples
def _(rng):
    x = rng.normal(size=(2, 3, 4))
    yield Sample(x, (6, -1))
    yield Sample(x, (4, 3, 2))
    yield Sample(x.transpose(2, 0, 1), (-1,))
    yield Sample(rng.normal(size=(1,)), ())
    yield Sample(rng.normal(size=(0, 3)), (3, 0))


@function(places=("method",))
def view(input: Tensor, *sizes: Any, size: Any = None, dtype: Any = None) -> Tensor:
    """A view with another shape; an error where strides cannot show it (see `reshape`).

    ``view(dtype)`` with a dtype of the same width would reinterpret bits; it is refused.
    """
    if dtype is not None or (len(sizes) == 1 and isinstance(sizes[0], DType)):
        wanted = dtype if dtype is not None else sizes[0]
        if wanted is input.dtype:
            return alias(input)
        raise UnsupportedError("view: a view with another dtype", hint="use to(dtype) to convert the values")
    shape = infer_shape("view", input.numel(), sizes_of("view", sizes, size))
    if not _viewable(input, shape):
        raise ShapeError(
            "view: the strides cannot show this shape without a copy", expected="axes that lie next to each other",
            actual=f"{input.type} with strides {input.stride()} as {shape}", hint="use reshape()",
        )  # fmt: skip
    return reshape_to(input, shape=shape)


@view.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), 6, -1)
    yield Sample(rng.normal(size=(2, 3)), (3, 2))


@function(places=("method",))
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """``input.view(other.shape)``."""
    return view(input, tuple(other.shape))


@function(places=("method",))
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """``input.reshape(other.shape)``."""
    return reshape(input, tuple(other.shape))


def _as_samples(rng: Any) -> Any:
    yield Sample(rng.normal(size=(2, 6)), rng.normal(size=(3, 4)))


view_as.samples(_as_samples)
reshape_as.samples(_as_samples)


@function
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes ``start_dim`` to ``end_dim``, both included, as one."""
    check_tensor("flatten", input)
    start, end = axis_of("flatten", start_dim, input.ndim), axis_of("flatten", end_dim, input.ndim)
    if start > end:
        raise ShapeError("flatten: start_dim is after end_dim", actual=f"{start_dim}, {end_dim}")
    if not input.ndim:
        return reshape_to(input, shape=(1,))
    if start == end:
        return input
    merged = dims.prod(input.shape[start : end + 1])
    return reshaped(input, (*input.shape[:start], merged, *input.shape[end + 1 :]))


@flatten.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)))
    yield Sample(rng.normal(size=(2, 3, 4)), 1)
    yield Sample(rng.normal(size=(2, 3, 4, 2)), start_dim=-3, end_dim=2)
    yield Sample(rng.normal(size=()))


@function
def ravel(input: Tensor) -> Tensor:
    """All elements along one axis; ``input`` itself if it is that already."""
    return flatten(input)


ravel.samples(lambda rng: [Sample(rng.normal(size=(2, 3))), Sample(rng.normal(size=(2, 3)).T)])


@function
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """Axis ``dim`` split into ``sizes``, one of which may be -1."""
    axis = axis_of("unflatten", dim, input.ndim)
    if not input.ndim:
        raise TensorIndexError("unflatten: a 0-d tensor has no axis", actual=input.type)
    given = sizes_of("unflatten", (sizes,))
    if not given:
        raise ShapeError("unflatten: sizes must not be empty")
    inner = infer_shape("unflatten", input.shape[axis], given)
    return reshaped(input, (*input.shape[:axis], *inner, *input.shape[axis + 1 :]))


@unflatten.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 6)), 1, (3, -1))
    yield Sample(rng.normal(size=(4, 3)), -2, (2, 2))


@function
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new axis of size 1 at ``dim``."""
    axis = axis_of("unsqueeze", dim, input.ndim + 1)
    return reshape_to(input, shape=(*input.shape[:axis], 1, *input.shape[axis:]))


@unsqueeze.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), 1)
    yield Sample(rng.normal(size=(2, 3)), -1)
    yield Sample(rng.normal(size=()), 0)


@function
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the axes of size 1: all of them, or those of ``dim`` (an int or a tuple)."""
    check_tensor("squeeze", input)
    axes = axes_of("squeeze", dim, input.ndim, empty_is_all=False)
    shape = tuple(d for i, d in enumerate(input.shape) if not (i in axes and dims.equal(d, 1)))
    return reshape_to(input, shape=shape)


@squeeze.samples
def _(rng):
    x = rng.normal(size=(1, 2, 1, 3))
    yield Sample(x)
    yield Sample(x, 0)
    yield Sample(x, (0, -2))
    yield Sample(x, 1)
    yield Sample(rng.normal(size=()), -1)


# ---- order of the axes ----------------------------------------------------------------------------
@function
def permute(input: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """Reorder the axes: ``out.shape[i] == input.shape[dims[i]]``."""
    check_tensor("permute", input)
    given = ints_of("permute", axes, dims)
    if len(given) != input.ndim:
        raise ShapeError("permute: one entry an axis", expected=f"{input.ndim} axes for {input.type}", actual=given)
    perm = tuple(axis_of("permute", d, input.ndim) for d in given)
    return transpose_axes(input, perm=perm)


@permute.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), (2, 0, -2))
    yield Sample(rng.normal(size=()), ())


@function(aliases=("swapaxes", "swapdims"))
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchange two axes."""
    check_tensor("transpose", input)
    a, b = axis_of("transpose", dim0, input.ndim), axis_of("transpose", dim1, input.ndim)
    perm = list(range(input.ndim))
    if perm:
        perm[a], perm[b] = perm[b], perm[a]
    return transpose_axes(input, perm=tuple(perm))


@transpose.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), 0, -1)
    yield Sample(rng.normal(size=(2, 3)), 1, 1)
    yield Sample(rng.normal(size=()), 0, -1)


@function
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or 0-d tensor as it is."""
    if input.ndim > 2:
        raise ShapeError("t: expected at most 2 axes", actual=input.type, hint="use mT for stacks of matrices")
    return transpose_axes(input, perm=tuple(reversed(range(input.ndim))))


@function(places=("property",), name="T")
def reversed_axes(input: Tensor) -> Tensor:
    """The axes in reverse order."""
    return transpose_axes(input, perm=tuple(reversed(range(input.ndim))))


@function(places=("property",), name="mT", aliases=("mH",))
def matrix_transpose(input: Tensor) -> Tensor:
    """The last two axes exchanged."""
    if input.ndim < 2:
        raise ShapeError("mT: expected at least 2 axes", actual=input.type)
    return transpose(input, -2, -1)


@function(places=("property",), name="H")
def hermitian(input: Tensor) -> Tensor:
    """The (conjugate) transpose of a matrix."""
    if input.ndim not in (0, 2):
        raise ShapeError("H: expected a matrix", actual=input.type, hint="use mH for stacks of matrices")
    return t(input)


@function
def adjoint(input: Tensor) -> Tensor:
    """The (conjugate) transpose of the last two axes."""
    return matrix_transpose(input)


for _entry in (t, reversed_axes, hermitian, matrix_transpose, adjoint):
    _entry.samples(lambda rng: [Sample(rng.normal(size=(2, 3)))])


@function(aliases=("moveaxis",))
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Move axes ``source`` to ``destination``; the others keep their order."""
    check_tensor("movedim", input)
    from_, to = ints_of("movedim", (source,)), ints_of("movedim", (destination,))
    if len(from_) != len(to):
        raise ShapeError("movedim: source and destination differ in length", expected=from_, actual=to)
    n = input.ndim
    from_ = tuple(axis_of("movedim", d, n) for d in from_)
    to = tuple(axis_of("movedim", d, n) for d in to)
    if len(set(from_)) != len(from_) or len(set(to)) != len(to):
        raise ShapeError("movedim: an axis appears more than once", actual=f"{source} -> {destination}")
    if not n:
        return alias(input)
    moved = dict(zip(to, from_))
    rest = iter(i for i in range(n) if i not in from_)
    return transpose_axes(input, perm=tuple(moved[i] if i in moved else next(rest) for i in range(n)))


@movedim.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), 0, -1)
    yield Sample(rng.normal(size=(2, 3, 4)), (0, 1), (2, 0))


# ---- repeating without a copy ---------------------------------------------------------------------
def _expand(name: str, x: Tensor, sizes: tuple[Any, ...]) -> Tensor:
    lead = len(sizes) - x.ndim
    if lead < 0:
        raise ShapeError(f"{name}: fewer sizes than axes", expected=f"at least {x.ndim} for {x.type}", actual=sizes)
    shape = []
    for i, size in enumerate(sizes):
        old = x.shape[i - lead] if i >= lead else None
        if isinstance(size, int) and size < 0:
            if size != -1 or old is None:
                raise ShapeError(f"{name}: -1 stands for the size of an existing axis", actual=sizes)
            size = old
        if old is not None and old != size and not dims.equal(old, 1) and not dims.equal(old, size):
            raise ShapeError(
                f"{name}: only an axis of size 1 can be expanded", expected=f"{old} at axis {i} ({x.type})", actual=size
            )
        shape.append(old if old is not None and old != 1 and size != 1 else size)
    if all(old == new for old, new in zip(x.shape, shape[lead:])) and all(d == 1 for d in shape[:lead]):
        return reshape_to(x, shape=tuple(shape))
    return expand_to(x, shape=tuple(shape))


@function(places=("method",))
def expand(input: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """Repeat axes of size 1, and new leading ones, without a copy; -1 keeps a size."""
    return _expand("expand", input, sizes_of("expand", sizes, size))


@expand.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 1)), 2, 3, 4)
    yield Sample(rng.normal(size=(3, 1)), (-1, 5))
    yield Sample(rng.normal(size=(2, 3)), 1, 2, 3)
    yield Sample(rng.normal(size=()), 2, 0)


@function(places=("method",))
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """``input.expand(other.shape)``."""
    return _expand("expand_as", input, tuple(other.shape))


@function(name="broadcast_to")
def broadcast_to_(input: Tensor, size: Any) -> Tensor:
    """``input.expand(size)``."""
    return _expand("broadcast_to", input, sizes_of("broadcast_to", (size,)))


expand_as.samples(lambda rng: [Sample(rng.normal(size=(3, 1)), rng.normal(size=(2, 3, 4)))])
broadcast_to_.samples(lambda rng: [Sample(rng.normal(size=(3, 1)), (2, 3, 4))])


@function(places=("torch",))
def broadcast_tensors(*tensors: Any) -> list[Tensor]:
    """All tensors expanded to their common shape."""
    from_list = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = common_shape("broadcast_tensors", [tuple(x.shape) for x in from_list])
    return [_expand("broadcast_tensors", x, shape) for x in from_list]


@broadcast_tensors.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 1)), rng.normal(size=(2, 1, 4)))


# ---- memory -----------------------------------------------------------------------------------------
@function(places=("method",))
def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """``input`` itself if its elements lie in row-major order without gaps, else a copy that does."""
    return input if input.is_contiguous() else copy(input)


@function
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy in memory of its own, differentiable.  It is always row-major."""
    check_tensor("clone", input)
    return copy(input)


for _entry in (contiguous, clone):
    _entry.samples(lambda rng: [Sample(rng.normal(size=(2, 3))), Sample(rng.normal(size=(2, 3)).T)])


# ---- rank -------------------------------------------------------------------------------------------
def _each(tensors: tuple[Any, ...], promote: Any) -> Any:
    if len(tensors) == 1:
        return tuple(map(promote, tensors[0])) if isinstance(tensors[0], (tuple, list)) else promote(tensors[0])
    return tuple(map(promote, tensors))


def at_least_1d(x: Tensor) -> Tensor:
    check_tensor("atleast_1d", x)
    return x if x.ndim else reshape_to(x, shape=(1,))


def at_least_2d(x: Tensor) -> Tensor:
    x = at_least_1d(x)
    return x if x.ndim > 1 else reshape_to(x, shape=(1, *x.shape))


def at_least_3d(x: Tensor) -> Tensor:
    x = at_least_2d(x)
    return x if x.ndim > 2 else reshape_to(x, shape=(*x.shape, 1))


@function(places=("torch",))
def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one axis."""
    return _each(tensors, at_least_1d)


@function(places=("torch",))
def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two axes, new ones first."""
    return _each(tensors, at_least_2d)


@function(places=("torch",))
def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three axes; a matrix gets its new one last."""
    return _each(tensors, at_least_3d)


for _entry in (atleast_1d, atleast_2d, atleast_3d):
    _entry.samples(lambda rng: [Sample(rng.normal(size=())), Sample(rng.normal(size=(2,)), rng.normal(size=(2, 3)))])


@function(places=("torch",))
def broadcast_shapes(*shapes: Any) -> tuple[Any, ...]:
    """The shape that all given shapes broadcast to."""
    given = [tuple(s) if isinstance(s, (tuple, list)) else (s,) for s in shapes]
    if any(isinstance(d, int) and d < 0 for s in given for d in s):
        raise ShapeError("broadcast_shapes: a size is negative", actual=shapes)
    return common_shape("broadcast_shapes", given)


broadcast_shapes.samples(lambda rng: [Sample((3, 1), (2, 1, 4)), Sample((1,), 3, ()), Sample()])
