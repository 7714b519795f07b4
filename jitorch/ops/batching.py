"""What ``batch`` rules are made of.

A batch rule computes an op for many operands at once: ``rule(size, batched, *operands, **attrs)``.  An operand whose
flag in ``batched`` is set (grouped as the operands are) has one more axis in front, of ``size``; all results have it.
Most rules are one of a few kinds, made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jitorch.dims import Dim, prod
from jitorch.dtypes import bool_
from jitorch.ops.create import constant
from jitorch.ops.registry import OPS
from jitorch.ops.structure import (
    broadcast_to,
    concatenate,
    copy,
    flip_axes,
    overwritten,
    pad_axes,
    reduce_sum,
    reshape_to,
    slice_axes,
    slice_write,
    stop_gradient,
    transpose_axes,
)

Tensor = Any
Rule = Callable[..., Any]


def repeated(size: Dim, is_batched: bool, x: Tensor) -> Tensor:
    """``x`` with the batch axis, repeated along it where it had none; a number stays as it is."""
    if is_batched or not hasattr(x, "ndim"):
        return x
    return broadcast_to(x, shape=(size, *x.shape))


def move_axis(x: Tensor, source: int, target: int) -> Tensor:
    """``x`` with one axis in another place, the others in order."""
    if source == target:
        return x
    order = [i for i in range(x.ndim) if i != source]
    order.insert(target, source)
    return transpose_axes(x, perm=tuple(order))


def merge(x: Tensor, axis: int) -> Tensor:
    """``x`` with ``axis`` and the one behind it as one."""
    shape = tuple(x.shape)
    return reshape_to(x, shape=(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def split(x: Tensor, axis: int, size: Dim, inner: Dim) -> Tensor:
    """``x`` with ``axis`` cut in ``size`` parts of ``inner``."""
    shape = tuple(x.shape)
    return reshape_to(x, shape=(*shape[:axis], size, inner, *shape[axis + 1 :]))


def _flat(batched: Sequence[Any]) -> list[bool]:
    return [f for item in batched for f in (item if isinstance(item, list) else [item])]


def _repeat_all(op: Any, size: Dim, batched: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
    flat = op.flatten(operands)
    return op.group([None if x is None else repeated(size, f, x) for f, x in zip(_flat(batched), flat)])


def leading(op: Any) -> Rule:
    """The rule of an op whose operands may all have more axes in front: a pointwise one, one of stacked matrices."""

    def rule(size: Dim, batched: Sequence[Any], /, *operands: Any, **attrs: Any) -> Any:
        return op(*_repeat_all(op, size, batched, operands), **attrs)

    return rule


def shifting(op: Any, *names: str) -> Rule:
    """The rule of an op that takes other axes as its attributes ``names`` (an axis, or a tuple of them) say."""

    def rule(size: Dim, batched: Sequence[Any], /, *operands: Any, **attrs: Any) -> Any:
        moved = {n: tuple(a + 1 for a in attrs[n]) if isinstance(attrs[n], tuple) else attrs[n] + 1 for n in names}
        return op(*_repeat_all(op, size, batched, operands), **(attrs | moved))

    return rule


def register(rule: Callable[..., Rule], *ops: Any, names: Sequence[str] = ()) -> None:
    """Give each of ``ops`` the batch rule ``rule(op, *names)``."""
    for op in ops:
        op.batch(rule(op, *names))


# -- the structural primitives -----------------------------------------------------------------------------------
register(leading, copy, overwritten, stop_gradient)
register(shifting, reduce_sum, flip_axes, names=("axes",))
register(shifting, concatenate, names=("axis",))


@broadcast_to.batch
def _(size, batched, x, *, shape):
    lead = (1,) * (len(shape) - (x.ndim - 1))
    return broadcast_to(reshape_to(x, shape=(size, *lead, *x.shape[1:])), shape=(size, *shape))


@reshape_to.batch
def _(size, batched, x, *, shape):
    return reshape_to(x, shape=(size, *shape))


@transpose_axes.batch
def _(size, batched, x, *, perm):
    return transpose_axes(x, perm=(0, *(p + 1 for p in perm)))


@slice_axes.batch
def _(size, batched, x, *, starts, stops, steps):
    return slice_axes(x, starts=(0, *starts), stops=(size, *stops), steps=(1, *steps))


@slice_write.batch
def _(size, batched, x, y, *, starts, stops, steps):
    x, y = (repeated(size, f, a) for f, a in zip(batched, (x, y)))
    return slice_write(x, y, starts=(0, *starts), stops=(size, *stops), steps=(1, *steps))


@pad_axes.batch
def _(size, batched, x, value, *, low, high, interior):
    attrs = {"low": (0, *low), "high": (0, *high), "interior": (0, *interior)}
    x = repeated(size, batched[0], x)
    if not batched[1]:
        return pad_axes(x, value, **attrs)
    # Each has a value of its own: it stands where padding with True does.
    inside = broadcast_to(constant(value=False, dtype=bool_), shape=tuple(x.shape))
    is_outside = pad_axes(inside, constant(value=True, dtype=bool_), **attrs)
    values = reshape_to(value, shape=(size, *(1,) * (x.ndim - 1)))
    return OPS["where"](is_outside, values, pad_axes(x, constant(value=0, dtype=x.dtype), **attrs))


def along(index: Tensor, before: Sequence[Dim], after: Sequence[Dim]) -> Tensor:
    """An index ``[size, *I]`` of whole slices as one index an element: ``[size, *before, prod(I), *after]``."""
    count = prod(index.shape[1:])
    shape = (index.shape[0], *(1,) * len(before), count, *(1,) * len(after))
    return broadcast_to(reshape_to(index, shape=shape), shape=(index.shape[0], *before, count, *after))
