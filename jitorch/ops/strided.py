"""`as_strided`: any pattern of steps through a row-major piece of memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims
from jitorch.errors import AutogradError, ShapeError, UnsupportedError, ValueRangeError
from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.ops import dispatch
from jitorch.ops.arguments import check_tensor, ints_of, one_size, shape_of
from jitorch.ops.create import constant, iota
from jitorch.ops.gather import put
from jitorch.ops.registry import Sample, function, primitive
from jitorch.ops.shape import squeeze, t, transpose, unsqueeze
from jitorch.ops.structure import broadcast_to, copy, reshape_to, same_type

Tensor = Any


@primitive(view=True)
def strided_view(x: Tensor, *, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
    """``out[i, j, ...] = x[offset + i * stride[0] + j * stride[1] + ...]`` of a vector ``x``."""


@strided_view.type_rule
def _(x, *, size, stride, offset):
    if 0 not in size:
        last = offset + sum((d - 1) * s for d, s in zip(size, stride))
        if dims.less_equal(x.shape[0], last):
            raise ValueRangeError(
                "as_strided: the pattern leaves the memory", expected=f"at most {x.shape[0]} elements", actual=last + 1
            )
    return x.with_shape(size)


@strided_view.numpy
def _(x, *, size, stride, offset):
    steps = tuple(s * x.itemsize for s in stride)
    return np.lib.stride_tricks.as_strided(x[offset:], size, steps, writeable=x.flags.writeable)


@strided_view.rule("strides")
def _(strides, sizes, *, size, stride, offset):
    return stride


@strided_view.pull
def _(index, x, *, size, stride, offset):
    position: k.Expr = size_expr(offset)
    for i, s in zip(index, stride):
        position = position + i * s
    return x.at((position,))


def _positions(size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
    """The position in memory of each element."""
    total: Any = broadcast_to(constant(value=offset, dtype=iota(size=1).dtype), shape=size)
    for axis, (d, s) in enumerate(zip(size, stride)):
        total = total + reshape_to(iota(size=d) * s, shape=tuple(d if i == axis else 1 for i in range(len(size))))
    return total


@strided_view.vjp
def _(g, out, x, *, size, stride, offset):
    zeros = broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(x.shape))
    return (put(zeros, _positions(size, stride, offset), g, axis=0, accumulate=True),)


@strided_view.write
def _(x, y, *, size, stride, offset):
    return put(x, _positions(size, stride, offset), y, axis=0, accumulate=False)


@strided_view.samples
def _(rng):
    yield Sample(rng.normal(size=(10,)), size=(2, 3), stride=(4, 1), offset=1)
    yield Sample(rng.normal(size=(6,)), size=(3, 3), stride=(1, 1), offset=0)


@function
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: Any = None) -> Tensor:
    """A view of the memory of ``input`` with the given sizes and strides, in elements.

    ``storage_offset`` counts from the start of that memory and is that of ``input`` if left out.
    The memory must be row-major, as that of every tensor jitorch makes is.
    """
    check_tensor("as_strided", input)
    shape, steps = ints_of("as_strided", (size,)), ints_of("as_strided", (stride,))
    if len(shape) != len(steps) or min(*shape, *steps, 0, 0) < 0:
        raise ShapeError("as_strided: one stride >= 0 an axis", expected=f"{len(shape)} strides", actual=(shape, steps))
    base = input if input._root is None else input._root
    if input._base is None and input._root is not None:
        # A detached view of something has nothing to do with its history.
        base = base.detach()
    if not base.is_contiguous():
        raise UnsupportedError("as_strided of memory that is not row-major", hint="call contiguous() first")
    if storage_offset is None:
        offset = input.storage_offset() if input._root is not None else 0
    else:
        offset = one_size("as_strided", storage_offset)
    if dims.less(offset, 0):
        raise ValueRangeError("as_strided: storage_offset is negative", actual=offset)
    flat = reshape_to(base, shape=(base.numel(),))
    return strided_view(flat, size=shape, stride=steps, offset=offset)


@as_strided.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), (2, 2), (4, 2), 1)
    yield Sample(rng.normal(size=(6,)), (2, 3), (1, 1))


@function
def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: Any = None) -> Tensor:
    """A copy of ``input`` in which ``as_strided(size, stride, storage_offset)`` is ``src``."""
    check_tensor("as_strided_scatter", input)
    shape, steps = ints_of("as_strided_scatter", (size,)), ints_of("as_strided_scatter", (stride,))
    flat = reshape_to(copy(input), shape=(input.numel(),))
    part = strided_view(flat, size=shape, stride=steps, offset=storage_offset or 0)
    if not same_type(part.type, src.type):
        raise ShapeError("as_strided_scatter: src does not fit", expected=part.type, actual=src.type)
    positions = _positions(shape, steps, storage_offset or 0)
    return reshape_to(put(flat, positions, src, axis=0, accumulate=False), shape=tuple(input.shape))


as_strided_scatter.samples(lambda rng: [Sample(rng.normal(size=(3, 4)), rng.normal(size=(2, 2)), (2, 2), (4, 2), 1)])


# ---- a tensor that becomes another view of its memory ---------------------------------------------------
def becomes(name: str, x: Tensor, view: Tensor) -> Tensor:
    """Let ``x`` itself show what ``view``, a view of it, shows."""
    if x._array is not None and view._array is None:
        raise UnsupportedError(f"{name} of a tensor from outside while tracing", hint="use the form without underscore")
    x._array, x._type, x._strides, x._steps = view._array, view._type, view._strides, view._steps
    x._node, x._output = view._node, view._output
    # Whatever saved `x` for backward saved it as it was.
    x._storage.version += 1
    return x


def _in_place(entry: Any, *aliases: str) -> Any:
    """The in-place form of a view function."""
    name = f"{entry.name}_"

    def change(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if input.is_leaf and input.requires_grad and dispatch.is_grad_enabled():
            raise AutogradError(f"{name}: a leaf that requires grad cannot be changed", hint=f"use {entry.name}()")
        # The view's history must not lead to the tensor that it becomes.
        source = input._alias()
        source._node, source._output, source._requires_grad = input._node, input._output, input._requires_grad
        return becomes(name, input, entry(source, *args, **kwargs))

    change.__doc__ = f"In-place form of `{entry.name}`: changes how ``input`` shows its memory."
    made = function(change, name=name, places=("method",), aliases=aliases)
    made.samples(entry.rules["samples"])
    return made


IN_PLACE = [
    _in_place(squeeze), _in_place(unsqueeze), _in_place(transpose, "swapaxes_", "swapdims_"), _in_place(t),
    _in_place(as_strided),
]  # fmt: skip
"""The in-place forms of view functions; only methods."""


@function(name="resize_", places=("method",))
def resize_(input: Tensor, *sizes: Any, size: Any = None, memory_format: Any = None) -> Tensor:
    """Give ``input`` another shape in place; elements that are added are 0.

    Where the number of elements changes, the tensor gets new memory, and its views keep the old one.
    """
    shape = shape_of("resize_", sizes, size)
    if input.requires_grad:
        raise UnsupportedError("resize_ of a tensor that requires grad", hint="use reshape()")
    if dims.equal(input.numel(), dims.prod(shape)) and input.is_contiguous():
        return becomes("resize_", input, reshape_to(input, shape=shape))
    array = input._data("resize_ to another number of elements")
    resized = np.zeros(shape, array.dtype)  # type: ignore[arg-type]
    count = min(resized.size, array.size)
    resized.ravel()[:count] = array.ravel()[:count]
    input.data = type(input)._from_array(resized)
    return input


@function(name="resize_as_")
def resize_as_(input: Tensor, other: Tensor, memory_format: Any = None) -> Tensor:
    """``input.resize_(other.shape)``."""
    return resize_(input, tuple(other.shape))


resize_.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), 3, 2), Sample(rng.normal(size=(4,)), (2,), trace=False)])
resize_as_.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), rng.normal(size=(6,)))])
