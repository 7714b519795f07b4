"""Folding: the loops that bring the elements of a row into the state of a reduction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node
from jitorch.lower.index import Index
from jitorch.lower.pull import reduction_of
from jitorch.lower.rows.frame import split_of
from jitorch.lower.rows.puller import RowPuller

_EXTREMES = {"reduce_argmax": "maximum", "reduce_argmin": "minimum"}
NARROW = 2**31 - 1
"""A row shorter than this has positions that fit 32 bits: twice as many in a vector."""

Over = Callable[[Callable[[], None]], None]
"""Puts a body into the loops over a row."""


def fold(puller: RowPuller, node: Node, state: list[k.Var], index: Index, position: k.Expr) -> None:
    """Bring the operand's element at ``index``, which is number ``position`` of its row, into ``state``."""
    reduction = reduction_of(node)
    element = puller.pull(node.operands[0], index)
    new = reduction.combine(tuple(state), reduction.item(element, position))
    named = [puller.let(e) for e in new] if len(new) > 1 else list(new)
    for var, e in zip(state, named):
        puller.emit(k.Assign(var, e))


def fold_alone(puller: RowPuller, node: Node, index: Index, position: k.Expr, over: Over) -> list[k.Var]:
    """The state of a reduction after loops of its own.

    The position of an extremum takes two, which vectors can run: one finds the extremum, one its first place.
    """
    extreme = _EXTREMES.get(node.op.name)
    state = puller.accumulators(node)
    if extreme is None:
        over(lambda: fold(puller, node, state, index, position))
        return state
    best, last = state[0], state[1]
    operand = node.operands[0]
    length = split_of(node).length  # type: ignore[union-attr]
    dtype = dtypes.int32 if isinstance(length, int) and length < NARROW else dtypes.int64
    nowhere = k.const(int(np.iinfo(dtype.numpy).max), dtype)
    place = k.Var(puller.fresh("place"), dtype)

    def improve() -> None:
        element = puller.pull(operand, index)
        puller.emit(k.Assign(best, k.call(extreme, best, element, reassociate=True)))

    def locate() -> None:
        element = puller.pull(operand, index)
        hit = element.eq(best)
        if element.dtype.category is Category.FLOAT:
            hit = hit | element.ne(element)  # a NaN is the extremum: then nothing equals it
        found = k.where(hit, k.cast(position, dtype), nowhere)
        puller.emit(k.Assign(place, k.call("minimum", place, found, reassociate=True)))

    over(improve)
    puller.emit(k.Local(place, nowhere))
    over(locate)
    puller.emit(k.Assign(last, k.cast(place, last.dtype)))
    return state
