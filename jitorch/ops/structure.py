"""The structural primitives: they move elements and change none.

A ``pull`` rule answers: what does output element ``index`` read?  ``index`` is a sequence of int64
kernel expressions, an operand offers ``at(index)``, ``shape`` (sizes) and ``sizes`` (sizes as
expressions).  Public names with PyTorch's signatures are in `jitorch.ops.shape` and
`jitorch.ops.index`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import Category, DType
from jitorch.errors import DTypeError, ShapeError
from jitorch.ir import kernel as k
from jitorch.ir import scalars
from jitorch.ir.monoid import Reduction
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import ScalarType, TensorType, like
from jitorch.ops import normalize
from jitorch.ops.create import constant
from jitorch.ops.registry import Sample, primitive

Tensor = Operand = Any


@primitive
def cast(x: Operand, *, dtype: DType, number: bool = False) -> Tensor:
    """``x`` in another dtype; float to int truncates, saturates, and sends NaN to 0.

    ``number``: the result stays a Python number.
    """


@cast.type_rule
def _(x, *, dtype, number):
    return like(x, dtype) if number else TensorType(dtype, x.shape)


@cast.numpy
def _(x, *, dtype, number):
    return scalars.cast(x, dtype)


@cast.pull
def _(index, x, *, dtype, number):
    return k.cast(x.at(index), dtype)


@cast.vjp
def _(g, out, x, *, dtype, number):
    if isinstance(x.type, ScalarType) or x.dtype.category < Category.FLOAT:
        return (None,)
    return (cast(g, dtype=x.dtype),)


@cast.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), dtype=dtypes.float64)
    yield Sample(rng.normal(size=(2, 3)) * 5, dtype=dtypes.int32, grad=False)


@primitive
def copy(x: Tensor) -> Tensor:
    """The same elements in memory of their own."""


@copy.type_rule
def _(x):
    return x


@copy.numpy
def _(x):
    return np.array(x, order="C")


@copy.pull
def _(index, x):
    return x.at(index)


@copy.vjp
def _(g, out, x):
    return (g,)


@copy.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))


@primitive(name="detach", view=True)
def stop_gradient(x: Tensor) -> Tensor:
    """The same elements; no gradient flows back."""


@stop_gradient.type_rule
def _(x):
    return x


@stop_gradient.numpy
def _(x):
    return x


@stop_gradient.rule("strides")
def _(strides, sizes):
    return strides


@stop_gradient.pull
def _(index, x):
    return x.at(index)


@stop_gradient.vjp
def _(g, out, x):
    return (None,)


@stop_gradient.write
def _(x, y):
    # A write through a detached alias changes what everybody reads and nobody's history.
    return overwritten(x, y)


@stop_gradient.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), grad=False)


@primitive
def overwritten(x: Tensor, y: Tensor) -> Tensor:
    """The elements of ``y`` with the history of ``x``: what a write that is not recorded leaves behind."""


@overwritten.type_rule
def _(x, y):
    if x != y:
        raise ShapeError("overwritten: the types differ", expected=x, actual=y)
    return y


@overwritten.numpy
def _(x, y):
    return y.copy()


@overwritten.pull
def _(index, x, y):
    return y.at(index)


@overwritten.vjp
def _(g, out, x, y):
    return g, None


@overwritten.jvp
def _(tangents, x, y):
    # That nothing is recorded does not stop tangents.
    return overwritten(x, y), tangents[1]


@overwritten.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), grad=False)


@primitive(view=True)
def broadcast_to(x: Tensor, *, shape: tuple[Dim, ...]) -> Tensor:
    """Repeat size-1 and missing leading axes to reach ``shape``."""


@broadcast_to.type_rule
def _(x, *, shape):
    lead = len(shape) - x.rank
    if lead < 0 or any(a != b and a != 1 and not dims.equal(a, b) for a, b in zip(x.shape, shape[lead:])):
        raise ShapeError("broadcast_to: cannot reach the shape", expected=shape, actual=x)
    return x.with_shape(shape)


@broadcast_to.numpy
def _(x, *, shape):
    # NumPy's result is read-only, which is right where elements share memory.
    return x.reshape(shape) if x.size == math.prod(shape) and x.size else np.broadcast_to(x, shape)


@broadcast_to.rule("strides")
def _(strides, sizes, *, shape):
    lead = len(shape) - len(sizes)
    return (0,) * lead + tuple(0 if a == 1 and b != 1 else s for a, b, s in zip(sizes, shape[lead:], strides))


@broadcast_to.pull
def _(index, x, *, shape):
    tail = index[len(shape) - len(x.shape) :]
    return x.at(tuple(k.const(0) if d == 1 else i for i, d in zip(tail, x.shape)))


@broadcast_to.vjp
def _(g, out, x, *, shape):
    lead = len(shape) - x.ndim
    axes = tuple(range(lead)) + tuple(lead + i for i, d in enumerate(x.shape) if d == 1 and shape[lead + i] != 1)
    summed = reduce_sum(g, axes=axes) if axes else g
    return (summed if tuple(summed.shape) == tuple(x.shape) else reshape_to(summed, shape=tuple(x.shape)),)


@broadcast_to.write
def _(x, y, *, shape):
    if all(a == b for a, b in zip(x.shape[::-1], shape[::-1])) and all(d == 1 for d in shape[: len(shape) - x.ndim]):
        return reshape_to(y, shape=tuple(x.shape))
    raise ShapeError(
        "cannot write to a tensor whose elements share memory", actual=f"expanded to {shape}", hint="clone() it first"
    )


@broadcast_to.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 1)), shape=(2, 3, 4))


@primitive(lowering="reduce")
def reduce_sum(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Sum over ``axes``, which disappear.  It and `broadcast_to` are each other's gradient."""


@reduce_sum.type_rule
def _(x, *, axes):
    return drop_axes(x, axes)


def drop_axes(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    """The type of a reduction of ``x`` over ``axes``."""
    return x.with_shape(d for i, d in enumerate(x.shape) if i not in axes)


@reduce_sum.numpy
def _(x, *, axes):
    return np.add.reduce(x, axis=axes, dtype=x.dtype)


@reduce_sum.reduce
def _(x, *, axes):
    return Reduction((k.const(0, x.dtype),), lambda a, b: (k.call("add", a[0], b[0], reassociate=True),))


@reduce_sum.vjp
def _(g, out, x, *, axes):
    return (expand_axes(g, x.shape, axes),)


@reduce_sum.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axes=(1,))
    yield Sample(rng.normal(size=(2, 3)), axes=(0, 1))


def expand_axes(x: Tensor, shape: Sequence[Dim], axes: tuple[int, ...]) -> Tensor:
    """Undo `drop_axes` on a tensor: repeat ``x`` along ``axes`` to reach ``shape``."""
    kept = tuple(1 if i in axes else d for i, d in enumerate(shape))
    return broadcast_to(reshape_to(x, shape=kept), shape=tuple(shape))


@primitive(view=True)
def reshape_to(x: Tensor, *, shape: tuple[Dim, ...]) -> Tensor:
    """The same elements in row-major order with another shape."""


@reshape_to.type_rule
def _(x, *, shape):
    if not dims.equal(dims.prod(shape), x.size):
        raise ShapeError("reshape: the number of elements differs", expected=x.size, actual=f"{shape}")
    return x.with_shape(shape)


@reshape_to.numpy
def _(x, *, shape):
    return x.reshape(shape)


@reshape_to.rule("strides")
def _(strides, sizes, *, shape):
    return view_strides(strides, sizes, shape)


@reshape_to.pull
def _(index, x, *, shape):
    return x.at(index.reshaped(x.shape))


@reshape_to.vjp
def _(g, out, x, *, shape):
    return (reshape_to(g, shape=tuple(x.shape)),)


@reshape_to.write
def _(x, y, *, shape):
    return reshape_to(y, shape=tuple(x.shape))


@reshape_to.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 6)), shape=(3, 4))
    yield Sample(rng.normal(size=(1,)), shape=())


def view_strides(strides: Sequence[Any], sizes: Sequence[Any], shape: Sequence[Any]) -> tuple[Any, ...] | None:
    """Strides that show a strided array of ``sizes`` as ``shape`` without moving elements, or None.

    Axes that lie one after the other in memory are merged into blocks; each block must be split by
    some run of the new sizes.
    """
    if any(isinstance(d, int) and d == 0 for d in sizes):
        steps: list[Any] = []
        step: Any = 1
        for d in reversed(shape):
            steps.append(step)
            step = step * (d if not (isinstance(d, int) and d == 0) else 1)
        return tuple(reversed(steps))
    blocks: list[list[Any]] = []  # [size, stride] of mergeable runs, innermost last
    for d, s in zip(sizes, strides):
        if isinstance(d, int) and d == 1:
            continue
        if blocks and blocks[-1][1] == s * d:
            blocks[-1] = [blocks[-1][0] * d, s]
        else:
            blocks.append([d, s])
    result: list[Any] = []
    remaining = list(reversed(shape))
    for size, stride in reversed(blocks):
        filled: Any = 1
        while filled != size:
            if not remaining:
                return None
            d = remaining.pop(0)
            result.append(stride * filled)
            filled = filled * d
            if isinstance(filled, int) and isinstance(size, int) and filled > size:
                return None
    for d in remaining:
        if d != 1:
            return None
        result.append(result[-1] if result else 1)
    return tuple(reversed(result))


@primitive(view=True)
def transpose_axes(x: Tensor, *, perm: tuple[int, ...]) -> Tensor:
    """Reorder axes: ``out.shape[i] == x.shape[perm[i]]``."""


@transpose_axes.type_rule
def _(x, *, perm):
    if sorted(perm) != list(range(x.rank)):
        raise ShapeError(
            "permute: not a permutation of the axes", expected=f"0 to {x.rank - 1}, each once", actual=perm
        )
    return x.with_shape(x.shape[p] for p in perm)


@transpose_axes.numpy
def _(x, *, perm):
    return np.transpose(x, perm)


@transpose_axes.rule("strides")
def _(strides, sizes, *, perm):
    return tuple(strides[p] for p in perm)


@transpose_axes.pull
def _(index, x, *, perm):
    return x.at(tuple(index[perm.index(i)] for i in range(len(perm))))


@transpose_axes.vjp
def _(g, out, x, *, perm):
    return (transpose_axes(g, perm=inverse_permutation(perm)),)


@transpose_axes.write
def _(x, y, *, perm):
    return transpose_axes(y, perm=inverse_permutation(perm))


@transpose_axes.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), perm=(2, 0, 1))


def inverse_permutation(perm: Sequence[int]) -> tuple[int, ...]:
    return tuple(perm.index(i) for i in range(len(perm)))


@primitive(view=True)
def slice_axes(x: Tensor, *, starts: tuple[Dim, ...], stops: tuple[Dim, ...], steps: tuple[int, ...]) -> Tensor:
    """``x[start:stop:step]`` on every axis; bounds are within the axis, steps positive."""


@slice_axes.type_rule
def _(x, *, starts, stops, steps):
    return x.with_shape(slice_size(a, b, s) for a, b, s in zip(starts, stops, steps, strict=True))


def slice_size(start: Dim, stop: Dim, step: int) -> Dim:
    size = stop - start
    return size if step == 1 else dims.floordiv(size + (step - 1), step)


@slice_axes.numpy
def _(x, *, starts, stops, steps):
    return x[tuple(map(slice, starts, stops, steps))]


@slice_axes.rule("strides")
def _(strides, sizes, *, starts, stops, steps):
    return tuple(a * b for a, b in zip(strides, steps))


@slice_axes.pull
def _(index, x, *, starts, stops, steps):
    return x.at(tuple(i * s + size_expr(a) for i, a, s in zip(index, starts, steps)))


@slice_axes.vjp
def _(g, out, x, *, starts, stops, steps):
    zero = constant(value=0, dtype=g.dtype)
    high = tuple(d - a - (n - 1) * s - 1 if n != 0 else d - a for d, a, s, n in zip(x.shape, starts, steps, g.shape))
    return (pad_axes(g, zero, low=starts, high=high, interior=tuple(s - 1 for s in steps)),)


@slice_axes.write
def _(x, y, *, starts, stops, steps):
    return slice_write(x, y, starts=starts, stops=stops, steps=steps)


@slice_axes.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 6)), starts=(1, 0), stops=(4, 6), steps=(1, 2))
    yield Sample(rng.normal(size=(5,)), starts=(2,), stops=(2,), steps=(1,))


def same_type(x: TensorType, y: TensorType) -> bool:
    """Whether two types are equal, as far as the sizes at hand tell."""
    return x.dtype is y.dtype and x.rank == y.rank and all(map(dims.equal, x.shape, y.shape))


@primitive
def slice_write(
    x: Tensor, y: Tensor, *, starts: tuple[Dim, ...], stops: tuple[Dim, ...], steps: tuple[int, ...]
) -> Tensor:
    """``x`` with ``x[start:stop:step]`` replaced by ``y``."""


@slice_write.type_rule
def _(x, y, *, starts, stops, steps):
    part = x.with_shape(slice_size(a, b, s) for a, b, s in zip(starts, stops, steps))
    if not same_type(y, part):
        raise ShapeError("slice assignment: the value does not fit", expected=part, actual=y)
    return x


@slice_write.numpy
def _(x, y, *, starts, stops, steps):
    result = np.array(x)
    result[tuple(map(slice, starts, stops, steps))] = y
    return result


@slice_write.pull
def _(index, x, y, *, starts, stops, steps):
    inside: k.Expr = k.const(True, dtypes.bool_)
    inner = []
    for i, a, b, s, d in zip(index, starts, stops, steps, x.shape):
        j = i - size_expr(a)
        if not (a == 0 and b == d):
            inside = inside & (i >= size_expr(a)) & (i < size_expr(b))
        if s != 1:
            inside = inside & (j % s).eq(0)
        inner.append(k.where(inside, j // s, 0) if not isinstance(inside, k.Const) else j)
    if isinstance(inside, k.Const):
        # One of the two may have no such element.
        return y.at(tuple(inner)) if inside.value else x.at(index)
    return k.where(inside, y.at(tuple(inner)), x.at(index))


@slice_write.vjp
def _(g, out, x, y, *, starts, stops, steps):
    attrs: dict[str, Any] = {"starts": starts, "stops": stops, "steps": steps}
    zeros = broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(y.shape))
    return slice_write(g, zeros, **attrs), slice_axes(g, **attrs)


@slice_write.samples
def _(rng):
    yield Sample(rng.normal(size=(5, 6)), rng.normal(size=(3, 3)), starts=(1, 0), stops=(4, 6), steps=(1, 2))


@primitive
def flip_axes(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Reverse the order of the elements along ``axes``."""


@flip_axes.type_rule
def _(x, *, axes):
    return x


@flip_axes.numpy
def _(x, *, axes):
    return np.array(np.flip(x, axes), order="C")


@flip_axes.pull
def _(index, x, *, axes):
    return x.at(tuple(x.sizes[i] - 1 - e if i in axes else e for i, e in enumerate(index)))


@flip_axes.vjp
def _(g, out, x, *, axes):
    return (flip_axes(g, axes=axes),)


@flip_axes.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), axes=(0, 2))


@primitive
def pad_axes(
    x: Tensor, value: Tensor, *, low: tuple[Dim, ...], high: tuple[Dim, ...], interior: tuple[int, ...]
) -> Tensor:
    """``x`` with ``value`` (0-d) around it and ``interior`` times between neighbours, per axis."""


def _padded(d: Dim, low: Dim, high: Dim, interior: int) -> Dim:
    inner = d if interior == 0 else dims.dim_max((d - 1) * (interior + 1) + 1, 0)
    return low + inner + high


@pad_axes.type_rule
def _(x, value, *, low, high, interior):
    if value != TensorType(x.dtype, ()):
        raise DTypeError("pad: the value must be a 0-d tensor of the same dtype", expected=x.dtype, actual=value)
    return x.with_shape(map(_padded, x.shape, low, high, interior))


@pad_axes.numpy
def _(x, value, *, low, high, interior):
    shape: Any = tuple(map(_padded, x.shape, low, high, interior))
    result = np.full(shape, value, x.dtype)
    inside = tuple(slice(a, a + (d - 1) * (s + 1) + 1 if d else a, s + 1) for a, d, s in zip(low, x.shape, interior))
    result[inside] = x
    return result


@pad_axes.pull
def _(index, x, value, *, low, high, interior):
    inside: k.Expr = k.const(True, dtypes.bool_)
    inner: list[k.Expr] = []
    for i, a, b, s, _d, n in zip(index, low, high, interior, x.shape, x.sizes):
        j = i - size_expr(a)
        ok: k.Expr = k.const(True, dtypes.bool_)
        if a != 0:
            ok = ok & (j >= 0)
        if s:
            ok = ok & (j % (s + 1)).eq(0)
            j = j // (s + 1)
        if b != 0 or s:
            ok = ok & (j < n)
        inside = inside & ok
        inner.append(j)
    safe = tuple(k.where(inside, j, 0) for j in inner)
    return k.where(inside, x.at(safe), value.at(()))


@pad_axes.vjp
def _(g, out, x, value, *, low, high, interior):
    stops = tuple(a + (n - 1) * (s + 1) + 1 if n != 0 else a for a, n, s in zip(low, x.shape, interior))
    inside = slice_axes(g, starts=low, stops=stops, steps=tuple(s + 1 for s in interior))
    every = tuple(range(g.ndim))
    outside = reduce_sum(g, axes=every) - reduce_sum(inside, axes=every)
    return inside, outside


@pad_axes.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), np.asarray(0.5), low=(1, 0), high=(0, 2), interior=(0, 1))


@primitive
def concatenate(tensors: Sequence[Tensor], *, axis: int) -> Tensor:
    """Join along an existing axis; operands have one dtype and equal other sizes."""


@concatenate.type_rule
def _(tensors, *, axis):
    first = tensors[0]
    total: Dim = 0
    for t in tensors:
        same = t.rank == first.rank and all(
            dims.equal(a, b) for i, (a, b) in enumerate(zip(t.shape, first.shape)) if i != axis
        )
        if not same or t.dtype is not first.dtype:
            raise ShapeError("cat: sizes differ outside of the axis joined", expected=f"{first}, axis {axis}", actual=t)
        total = total + t.shape[axis]
    return first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))


@concatenate.numpy
def _(tensors, *, axis):
    return np.concatenate(tensors, axis)


@concatenate.pull
def _(index, tensors, *, axis):
    starts: list[k.Expr] = [k.const(0)]
    for t in tensors[:-1]:
        starts.append(starts[-1] + t.sizes[axis])

    def part(t: Any, start: k.Expr, after: k.Expr | None) -> k.Expr:
        j = index[axis] - start
        if not isinstance(start, k.Const) or start.value != 0:
            j = k.call("maximum", j, 0)
        if after is not None:
            j = k.call("minimum", j, t.sizes[axis] - 1)
        return t.at((*index[:axis], j, *index[axis + 1 :]))

    result = part(tensors[-1], starts[-1], None)
    for t, start, after in zip(reversed(tensors[:-1]), reversed(starts[:-1]), reversed(starts[1:])):
        result = k.where(index[axis] < after, part(t, start, after), result)
    return result


@concatenate.vjp
def _(g, out, tensors, *, axis):
    grads = []
    start: Dim = 0
    for t in tensors:
        stop = start + t.shape[axis]
        starts = tuple(start if i == axis else 0 for i in range(g.ndim))
        stops = tuple(stop if i == axis else d for i, d in enumerate(g.shape))
        grads.append(slice_axes(g, starts=starts, stops=stops, steps=(1,) * g.ndim))
        start = stop
    return (grads,)


@concatenate.samples
def _(rng):
    yield Sample([rng.normal(size=(2, 3)), rng.normal(size=(2, 1)), rng.normal(size=(2, 2))], axis=1)


normalize.install(cast, broadcast_to, constant)
