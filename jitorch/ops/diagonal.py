"""Diagonals and triangles of the last or any two axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import devices, dims, dtypes
from jitorch.dims import Dim
from jitorch.errors import ShapeError
from jitorch.ops import dispatch
from jitorch.ops.arguments import axis_of, check_tensor
from jitorch.ops.batching import register, shifting
from jitorch.ops.create import constant, iota
from jitorch.ops.math import where
from jitorch.ops.registry import Sample, function, op, primitive
from jitorch.ops.structure import broadcast_to, cast, copy, pad_axes, reshape_to, transpose_axes

Tensor = Any


def diagonal_length(rows: Dim, columns: Dim, offset: int) -> Dim:
    return dims.dim_max(dims.dim_min(rows + min(offset, 0), columns - max(offset, 0)), 0)


@primitive(view=True)
def diagonal_of(x: Tensor, *, offset: int, axis1: int, axis2: int) -> Tensor:
    """``out[..., i] = x[..., i + max(-offset, 0), ..., i + max(offset, 0), ...]``: two axes become the last one."""


@diagonal_of.type_rule
def _(x, *, offset, axis1, axis2):
    kept = (d for i, d in enumerate(x.shape) if i not in (axis1, axis2))
    return x.with_shape((*kept, diagonal_length(x.shape[axis1], x.shape[axis2], offset)))


@diagonal_of.numpy
def _(x, *, offset, axis1, axis2):
    result = np.diagonal(x, offset, axis1, axis2)
    if x.flags.writeable:
        # NumPy hands out a read-only view; ours is written through.
        result.flags.writeable = True
    return result


@diagonal_of.rule("strides")
def _(strides, sizes, *, offset, axis1, axis2):
    kept = (s for i, s in enumerate(strides) if i not in (axis1, axis2))
    return (*kept, strides[axis1] + strides[axis2])


@diagonal_of.pull
def _(index, x, *, offset, axis1, axis2):
    rest = iter(index[:-1])
    at = {axis1: index[-1] + max(-offset, 0), axis2: index[-1] + max(offset, 0)}
    return x.at(tuple(at[i] if i in at else next(rest) for i in range(len(x.shape))))


def _onto(x: Tensor, y: Tensor, offset: int, axis1: int, axis2: int, keep: bool) -> Tensor:
    """``x`` (or zeros, unless ``keep``) with the diagonal replaced by ``y``."""
    rows, columns = x.shape[axis1], x.shape[axis2]
    length = y.shape[-1]
    zero = constant(value=0, dtype=y.dtype)
    low = max(offset, 0)
    n = y.ndim
    along = pad_axes(
        y, zero, low=(*(0,) * (n - 1), low), high=(*(0,) * (n - 1), columns - length - low), interior=(0,) * n
    )
    full = broadcast_to(reshape_to(along, shape=(*y.shape[:-1], 1, columns)), shape=(*y.shape[:-1], rows, columns))
    # `full` has the two axes last; bring them home.
    kept = iter(range(x.ndim - 2))
    home = tuple(x.ndim - 2 if i == axis1 else x.ndim - 1 if i == axis2 else next(kept) for i in range(x.ndim))
    full = transpose_axes(full, perm=home)
    i, j = _positions(x, axis1), _positions(x, axis2)
    return where(j - i == offset, full, x if keep else zero)


def _positions(x: Tensor, axis: int) -> Tensor:
    """The index along ``axis``, shaped to broadcast against ``x``."""
    return reshape_to(iota(size=x.shape[axis]), shape=tuple(d if i == axis else 1 for i, d in enumerate(x.shape)))


@diagonal_of.vjp
def _(g, out, x, *, offset, axis1, axis2):
    return (_onto(x, g, offset, axis1, axis2, keep=False),)


@diagonal_of.write
def _(x, y, *, offset, axis1, axis2):
    return _onto(x, y, offset, axis1, axis2, keep=True)


@diagonal_of.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), offset=1, axis1=0, axis2=1)
    yield Sample(rng.normal(size=(3, 2, 4)), offset=-1, axis1=2, axis2=0)
    yield Sample(rng.normal(size=(2, 2)), offset=5, axis1=0, axis2=1)


# ---- triangles ------------------------------------------------------------------------------------
def _check_matrix(name: str, x: Tensor) -> None:
    check_tensor(name, x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected at least 2 axes", actual=x.type)


@op(inplace=True)
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The elements on and below a diagonal of the last two axes; the others are 0."""
    _check_matrix("tril", input)
    i, j = _positions(input, input.ndim - 2), _positions(input, input.ndim - 1)
    return where(j - i <= diagonal, input, constant(value=0, dtype=input.dtype))


@op(inplace=True)
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The elements on and above a diagonal of the last two axes; the others are 0."""
    _check_matrix("triu", input)
    i, j = _positions(input, input.ndim - 2), _positions(input, input.ndim - 1)
    return where(j - i >= diagonal, input, constant(value=0, dtype=input.dtype))


def _triangle_samples(rng: Any) -> Any:
    yield Sample(rng.normal(size=(3, 4)))
    yield Sample(rng.normal(size=(2, 4, 3)), -1)
    yield Sample(rng.normal(size=(2, 2)), diagonal=3)


tril.samples(_triangle_samples)
triu.samples(_triangle_samples)


def _triangle_indices(name: str, row: int, col: int, offset: int, lower: bool, dtype: Any) -> Tensor:
    if row < 0 or col < 0:
        raise ShapeError(f"{name}: sizes must not be negative", actual=(row, col))
    pick = np.tri(row, col, offset if lower else offset - 1, dtype=bool)
    found = np.stack(np.nonzero(pick if lower else ~pick)).astype(dtypes.as_dtype(dtype).numpy)
    return dispatch.current().from_array(found)


@function(places=("torch",))
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: Any = None) -> Tensor:
    """``[2, n]``: the rows and columns of the elements on and below a diagonal."""
    devices.check(device)
    return _triangle_indices("tril_indices", row, col, offset, True, dtype)


@function(places=("torch",))
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: Any = None) -> Tensor:
    """``[2, n]``: the rows and columns of the elements on and above a diagonal."""
    devices.check(device)
    return _triangle_indices("triu_indices", row, col, offset, False, dtype)


tril_indices.samples(lambda rng: [Sample(3, 4), Sample(2, 3, -1), Sample(0, 2)])
triu_indices.samples(lambda rng: [Sample(3, 4), Sample(2, 3, 1), Sample(0, 2)])


# ---- diagonals ------------------------------------------------------------------------------------
@op
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices in the axes ``dim1`` and ``dim2`` with the last axis of ``input`` on a diagonal."""
    check_tensor("diag_embed", input)
    if not input.ndim:
        raise ShapeError("diag_embed: expected at least 1 axis", actual=input.type)
    n = input.ndim + 1
    a, b = axis_of("diag_embed", dim1, n), axis_of("diag_embed", dim2, n)
    if a == b:
        raise ShapeError("diag_embed: dim1 and dim2 are the same axis", actual=(dim1, dim2))
    size = input.shape[-1] + abs(offset)
    kept = iter(input.shape[:-1])
    shape = tuple(size if i in (a, b) else next(kept) for i in range(n))
    zeros = broadcast_to(constant(value=0, dtype=input.dtype), shape=shape)
    return _onto(zeros, input, offset, a, b, keep=False)


@diag_embed.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)))
    yield Sample(rng.normal(size=(2, 3)), offset=-1, dim1=0, dim2=2)


@function
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with the vector ``input`` on a diagonal, or the diagonal of a matrix (a copy)."""
    check_tensor("diag", input)
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim == 2:
        return copy(diagonal_of(input, offset=diagonal, axis1=0, axis2=1))
    raise ShapeError("diag: expected a vector or a matrix", actual=input.type)


@diag.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)))
    yield Sample(rng.normal(size=(3, 4)), 1)


@function
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements of ``input`` on a diagonal."""
    check_tensor("diagflat", input)
    return diag_embed(reshape_to(copy(input), shape=(input.numel(),)), offset)


diagflat.samples(lambda rng: [Sample(rng.normal(size=(2, 2)), -1), Sample(rng.normal(size=()))])


@op
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of ``input`` whose diagonal is ``src``."""
    _check_matrix("diagonal_scatter", input)
    a, b = axis_of("diagonal_scatter", dim1, input.ndim), axis_of("diagonal_scatter", dim2, input.ndim)
    part = diagonal_of(input, offset=offset, axis1=a, axis2=b)
    if src.ndim != part.ndim or not all(map(dims.equal, src.shape, part.shape)):
        raise ShapeError("diagonal_scatter: src has not the diagonal's shape", expected=part.type, actual=src.type)
    return _onto(input, cast(src, dtype=input.dtype), offset, a, b, keep=True)


@diagonal_scatter.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3,)))


register(shifting, diagonal_of, names=("axis1", "axis2"))
