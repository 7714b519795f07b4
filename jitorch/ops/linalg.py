"""Contractions: the `matmul_batched` primitive and what is built on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import DTypeError, ShapeError
from jitorch.ops.batching import merge, move_axis, repeated, split
from jitorch.ops.complex_parts import conj
from jitorch.ops.normalize import broadcast_shapes
from jitorch.ops.registry import Sample, function, op, primitive
from jitorch.ops.structure import broadcast_to, reshape_to, transpose_axes

Tensor = Any


@primitive(lowering="recipe")
def matmul_batched(x: Tensor, y: Tensor) -> Tensor:
    """``[*B, M, K] @ [*B, K, N] -> [*B, M, N]``, batch axes equal."""


@matmul_batched.type_rule
def _(x, y):
    if x.dtype is not y.dtype:
        raise DTypeError("matmul: operands must have one dtype", expected=x, actual=y, hint="convert one with .to(...)")
    if x.dtype is dtypes.bool_:
        raise DTypeError("matmul: bool matrices cannot be multiplied", hint="convert to a number dtype")
    if not dims.equal(x.shape[-1], y.shape[-2]):
        fits = x.rank == y.rank == 2 and dims.equal(x.shape[-1], y.shape[-1])
        raise ShapeError(
            "matmul: inner dimensions differ",
            expected="a.shape[-1] == b.shape[-2]",
            actual=f"{x.shape[-1]} != {y.shape[-2]}      (a: {x}, b: {y})",
            hint="did you mean a @ b.mT ?" if fits else None,
        )
    return x.with_shape((*x.shape[:-1], y.shape[-1]))


@matmul_batched.numpy
def _(x, y):
    return np.matmul(x, y)


@matmul_batched.vjp
def _(g, out, x, y):
    return matmul_batched(g, swap_last(conj(y))), matmul_batched(swap_last(conj(x)), g)


@matmul_batched.batch
def _(size, batched, x, y):
    if not batched[1] and y.ndim == 2:
        # One tall matrix instead of a batch that repeats y.
        return split(matmul_batched(merge(x, 0), y), 0, size, x.shape[1])
    if not batched[0] and x.ndim == 2:
        wide = merge(move_axis(y, 0, 1), 1)
        return move_axis(split(matmul_batched(x, wide), 1, size, y.shape[2]), 1, 0)
    return matmul_batched(repeated(size, batched[0], x), repeated(size, batched[1], y))


@matmul_batched.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(4, 5)))
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 1)))


def swap_last(x: Tensor) -> Tensor:
    """The matrix transpose of the last two axes."""
    n = x.ndim
    return transpose_axes(x, perm=(*range(n - 2), n - 1, n - 2))


@function
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product with PyTorch's rules for vectors and broadcast batch axes.

    ``[*B, M, K] @ [*B, K, N] -> [*B, M, N]``; a vector is a row on the left, a column on the right.
    """
    if input.ndim == 0 or other.ndim == 0:
        raise ShapeError("matmul: both operands need at least one axis", actual=f"{input.type} @ {other.type}")
    x = input if input.ndim > 1 else reshape_to(input, shape=(1, *input.shape))
    y = other if other.ndim > 1 else reshape_to(other, shape=(*other.shape, 1))
    if x.ndim > 2 and y.ndim == 2 and dims.equal(x.shape[-1], y.shape[-2]):
        # One tall matrix instead of a batch that repeats y.
        out = matmul_batched(reshape_to(x, shape=(dims.prod(x.shape[:-1]), x.shape[-1])), y)
        out = reshape_to(out, shape=(*x.shape[:-1], y.shape[-1]))
    else:
        batch = broadcast_shapes("matmul", [tuple(x.shape[:-2]), tuple(y.shape[:-2])])
        out = matmul_batched(_with_batch(x, batch), _with_batch(y, batch))
    if input.ndim == 1:
        out = reshape_to(out, shape=(*out.shape[:-2], out.shape[-1]))
    if other.ndim == 1:
        out = reshape_to(out, shape=tuple(out.shape[:-1]))
    return out


@matmul.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(4, 5)))
    yield Sample(rng.normal(size=(4,)), rng.normal(size=(4,)))
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5)))
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(2, 4, 2)))
    yield Sample(rng.normal(size=(2, 1, 3, 4)), rng.normal(size=(3, 4, 2)))


def _with_batch(x: Tensor, batch: tuple[Any, ...]) -> Tensor:
    shape = (*batch, *x.shape[-2:])
    return x if tuple(x.shape) == shape else broadcast_to(x, shape=shape)


def _check_rank(name: str, x: Tensor, rank: int) -> None:
    if x.ndim != rank:
        raise ShapeError(f"{name}: wrong number of axes", expected=rank, actual=x.type)


@function
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """``[M, K] @ [K, N]``, no broadcasting."""
    _check_rank("mm", input, 2)
    _check_rank("mm", mat2, 2)
    return matmul_batched(input, mat2)


@function
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """``[B, M, K] @ [B, K, N]``, no broadcasting."""
    _check_rank("bmm", input, 3)
    _check_rank("bmm", mat2, 3)
    if not dims.equal(input.shape[0], mat2.shape[0]):
        raise ShapeError("bmm: batch sizes differ", expected=input.shape[0], actual=mat2.shape[0])
    return matmul_batched(input, mat2)


@function
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Inner product of two vectors."""
    _check_rank("dot", input, 1)
    _check_rank("dot", tensor, 1)
    return matmul(input, tensor)


@function
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Matrix times vector."""
    _check_rank("mv", input, 2)
    _check_rank("mv", vec, 1)
    return matmul(input, vec)


@mm.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(4, 2)))


@bmm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 1)))


@dot.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)), rng.normal(size=(3,)))


@mv.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(4,)))


@op(places=("nn",))
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``: ``[*, in]``, ``[out, in]``, ``[out]`` to ``[*, out]``."""
    out = matmul(input, swap_last(weight) if weight.ndim > 1 else weight)
    return out if bias is None else out + bias


@linear.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(4, 3)), rng.normal(size=(4,)))
    yield Sample(rng.normal(size=(2, 2, 3)), rng.normal(size=(4, 3)))
