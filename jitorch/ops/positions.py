"""Where a mask holds: what `nonzero`, masks as indices, `unique` and their like have in common.

How many positions there are depends on data.  Where ops run at once, NumPy finds them.  A graph counts them first, by
which `count_up` binds a size, and has a second op that finds as many: whatever follows has that size in its type.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import ShapeError, VmapError
from jitorch.ops import dispatch
from jitorch.ops.control import count_up
from jitorch.ops.create import iota, size_number
from jitorch.ops.registry import Sample, op, primitive
from jitorch.ops.structure import cast, reduce_sum, reshape_to

Tensor = Operand = Any

MANY = 1 << 15
"""Elements of a mask from which on kernels find its positions where ops run at once; below, NumPy does."""


@primitive(lowering="recipe")
def positions(mask: Tensor, ramp: Tensor) -> Tensor:
    """The positions of the true elements of a vector, in order; ``ramp`` counts them: ``0, 1, ...``."""


@positions.type_rule
def _(mask, ramp):
    if mask.rank != 1 or mask.dtype is not dtypes.bool_:
        raise ShapeError("positions: the mask", expected="a vector of bools", actual=mask)
    if ramp.rank != 1 or ramp.dtype is not dtypes.int64:
        raise ShapeError("positions: the ramp", expected="a vector of int64", actual=ramp)
    return ramp


@positions.numpy
def _(mask, ramp):
    return np.flatnonzero(mask)


@positions.vjp
def _(g, out, mask, ramp):
    return None, None


@positions.batch
def _(size, batched, mask, ramp):
    raise VmapError(
        "vmap: how many positions there are differs from lane to lane", actual=mask.type,
        hint="use where(), masked_fill() or a product with the mask, whose results have one size",
    )  # fmt: skip


@positions.samples
def _(rng):
    mask = rng.normal(size=(50,)) > 0
    yield Sample(mask, np.arange(mask.sum()))
    yield Sample(np.zeros(3, bool), np.arange(0))


def positions_of(mask: Tensor, why: str) -> Tensor:
    """The positions of the true elements of ``mask``, seen as a vector; ``why`` says who asks."""
    if dispatch.current().binds_size(mask, why):
        flat = mask if mask.ndim == 1 else reshape_to(mask, shape=(mask.numel(),))
        return positions(flat, count_up(how_many(flat)))
    array = mask._data(why)
    if array.size < MANY or not array.flags.c_contiguous:
        return dispatch.current().from_array(np.flatnonzero(array))
    flat = reshape_to(mask, shape=(array.size,))
    return positions(flat, iota(size=int(how_many(flat))))


@op(places=())
def how_many(mask: Tensor) -> Tensor:
    """The number of true elements of a vector."""
    return reduce_sum(cast(mask, dtype=dtypes.int64), axes=(0,))


how_many.samples(lambda rng: [Sample(rng.normal(size=(7,)) > 0)])


@op(places=())
def quotient_and_rest(x: Tensor, divisor: Operand) -> tuple[Tensor, Tensor]:
    """``x // divisor`` and ``x % divisor``, by one division."""
    quotient = x // divisor
    return quotient, x - quotient * divisor


@quotient_and_rest.vjp
def _(g, out, x, divisor):
    return None, None


quotient_and_rest.samples(lambda rng: [Sample(rng.integers(0, 50, size=(7,)), 8)])


def coordinates_of(x: Tensor, why: str) -> list[Tensor]:
    """The positions of the elements that are not 0 as one index an axis; a tensor without axes has one."""
    if not dispatch.current().binds_size(x, why):
        array = x._data(why)
        if array.size < MANY or not array.flags.c_contiguous:
            return [dispatch.current().from_array(i) for i in np.nonzero(np.atleast_1d(array))]
    mask = x if x.dtype is dtypes.bool_ else x != 0
    flat, found = positions_of(mask, why), list[Tensor]()
    for axis in range(1, mask.ndim):
        inner = size_number(dims.prod(mask.shape[axis:]))
        quotient, flat = quotient_and_rest(flat, inner)
        found.append(quotient)
    return [*found, flat]
