"""Epilogues: elementwise work done where a recipe stores its result, while that is in registers.

`merge` puts maps that read a recipe's result at their own place into the recipe's group.  The recipe then
says through a `Sink` "element ``index`` has this value" and gets the statements that compute and store
everything the group stores.  The result itself needs memory only if somebody else reads it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.types import TensorType
from jitorch.lower.fuse import REWRITING, Plan, reads
from jitorch.lower.groups import Group, keeps_index, reads_of
from jitorch.lower.index import Index
from jitorch.lower.pull import Puller


@dataclass(frozen=True)
class Sink:
    """Where a recipe leaves its ``result``.  ``values``: what is stored, with as many elements in the same order."""

    result: Value
    values: tuple[Value, ...]
    buffers: dict[Value, k.Buffer]
    scalars: dict[Value, k.Var]

    @property
    def buffer(self) -> k.Buffer | None:
        """The memory of the result itself, if it has any."""
        return self.buffers[self.result] if self.result in self.values else None

    @property
    def is_plain(self) -> bool:
        """Whether the result is stored and nothing else is done."""
        return self.values == (self.result,)

    def store(self, coordinates: Sequence[k.Expr], element: k.Expr) -> tuple[k.Stmt, ...]:
        """The statements that use ``element`` of the result, which is at ``coordinates``.

        Inside of a vector loop they work on all its lanes at once.
        """
        return self.store_at(Index.of(self.result.type.shape, coordinates), element)  # type: ignore[union-attr]

    def ahead(self, coordinates: Sequence[k.Expr]) -> tuple[k.Stmt, ...]:
        """The statements that ask for the memory that `store` uses at ``coordinates``, of the result's shape.

        What it stores besides the result is mostly what it reads, in its place.
        """
        type_: TensorType = self.result.type  # type: ignore[assignment]
        index = Index.of(type_.shape, coordinates).flat()
        found = {e.buffer: None for e in k.loads(self.store(coordinates, k.const(0, type_.dtype))) if e.index == index}
        if self.buffer is not None:
            found[self.buffer] = None
        return tuple(k.Prefetch(buffer, index, written=True) for buffer in found)

    def store_at(self, index: Index, element: k.Expr) -> tuple[k.Stmt, ...]:
        """The same for an element at ``index``, which may be flat over several axes."""
        puller = _Puller({v: b for v, b in self.buffers.items() if v not in self.values}, self.scalars)
        puller.result, puller.element = self.result, element if self.is_plain else puller.let(element)
        # Everything is read before anything is stored: a result may later take the place of an input.
        elements = [puller.pull(value, index.reshaped(value.type.shape)) for value in self.values]  # type: ignore[union-attr]
        for value, e in zip(self.values, elements, strict=True):
            puller.emit(k.Store(self.buffers[value], index.flat(), e))
        return tuple(puller.block.statements)


class _Puller(Puller):
    """Knows one element of the ``result`` of a recipe; `merge` has seen to it that no other is asked for."""

    result: Value
    element: k.Expr

    def pull(self, value: Value, index: Index) -> k.Expr:
        return self.element if value is self.result else super().pull(value, index)


@dataclass(frozen=True)
class Columns:
    """Maps over the ``count`` blocks of a product's columns, element by element: the gates of a recurrent cell."""

    values: tuple[Value, ...]
    count: int
    buffers: dict[Value, k.Buffer]
    scalars: dict[Value, k.Var]

    @property
    def width(self) -> int:
        """Columns of a block."""
        return self.values[0].type.shape[1]  # type: ignore[union-attr]

    def store(self, row: k.Expr, column: k.Expr) -> tuple[k.Stmt, ...]:
        """The statements that compute and store the elements at one place, from memory."""
        index = Index.of(self.values[0].type.shape, [row, column])  # type: ignore[union-attr]
        puller = Puller({v: b for v, b in self.buffers.items() if v not in self.values}, self.scalars)
        # Everything is read before anything is stored.
        elements = [puller.pull(value, index) for value in self.values]
        for value, e in zip(self.values, elements, strict=True):
            puller.emit(k.Store(self.buffers[value], index.flat(), e))
        return tuple(puller.block.statements)

    def ahead(self, shape: Sequence[Dim], row: k.Expr, column: k.Expr) -> tuple[k.Stmt, ...]:
        """The statements that ask for the memory that `store` reads where the product, of ``shape``, has one place."""
        index = Index.of(shape, [row, column]).flat()
        found = dict.fromkeys(e.buffer for e in k.loads(self.store(row, column)) if e.index == index)
        return tuple(k.Prefetch(buffer, index) for buffer in found)


def merge_columns(plan: Plan, groups: Sequence[Group]) -> list[Group]:
    """Join each product with the map right behind it that reads blocks of its columns."""
    result = list(groups)
    for product, follower in itertools.pairwise(groups):
        if product in result and _reads_columns(plan, product, follower):
            product.columns = follower.values
            product.reads |= follower.reads - set(product.values)
            result.remove(follower)
    return result


def _reads_columns(plan: Plan, product: Group, follower: Group) -> bool:
    """Whether ``follower`` reads the product only in blocks, each as wide as the follower itself."""
    result = product.values[0]
    if len(product.values) > 1 or result.node is None or result.node.op.name != "matmul_batched":
        return False
    if not follower.is_map or result not in follower.reads:
        return False
    rows, *width = follower.values[0].type.shape  # type: ignore[union-attr]
    shape = result.type.shape  # type: ignore[union-attr]
    if len(shape) != 2 or len(width) != 1 or not all(isinstance(d, int) for d in (*shape, *width)):
        return False
    if shape[0] != rows or shape[1] == width[0] or shape[1] % width[0]:
        return False
    return all(_in_blocks(plan, v, result, width[0]) for v in follower.values)


def _in_blocks(plan: Plan, value: Value, result: Value, width: int) -> bool:
    """Whether ``value``, as wide as a block, reads ``result`` through slices that are blocks, or not at all."""
    node = value.node
    if node is None or not reads(value, result):
        return True
    operand = node.operands[0]
    if node.op.name == "slice_axes" and _is_aligned(plan, operand, result):
        start, stop, rows = node.attrs["starts"][1], node.attrs["stops"][1], result.type.shape[0]  # type: ignore[union-attr]
        whole = node.attrs["starts"][0] == 0 and node.attrs["stops"][0] == rows and node.attrs["steps"] == (1, 1)
        return whole and start % width == 0 and stop - start == width
    return keeps_index(value) and all(plan.is_stored(v) or _in_blocks(plan, v, result, width) for v in node.operands)


def _is_aligned(plan: Plan, value: Value, result: Value) -> bool:
    """Whether ``value``, as wide as ``result``, reads that at its own index only, or not at all."""
    if value is result or value.node is None or plan.is_stored(value) or not reads(value, result):
        return True
    return keeps_index(value) and all(_is_aligned(plan, v, result) for v in value.node.operands)


def merge(plan: Plan, groups: Sequence[Group], in_order: Callable[[Node], bool] = lambda _: True) -> list[Group]:
    """Join each recipe's group with the maps that follow it, as far as the order of computation allows.

    Maps over another shape follow only what stores its result in the order of memory, as ``in_order`` says of a recipe.
    """
    result = list(groups)
    at = 0
    while at < len(result):
        if result[at].is_recipe and _merge_at(plan, result, at, in_order) != at:
            continue  # with what stands here now
        at += 1
    for group in result:
        group.hidden = _hidden(plan, group, result)
    return result


def _merge_at(plan: Plan, groups: list[Group], at: int, in_order: Callable[[Node], bool]) -> int:
    """Merge what can be merged into ``groups[at]``; its place in the end."""
    recipe = groups[at]
    other = at + 1
    while other < len(groups):
        follower = groups[other]
        if not _follows(plan, recipe, follower, in_order):
            other += 1
            continue
        between = groups[at + 1 : other]
        if not any(follower.reads & set(g.values) for g in between):
            del groups[other]
        elif not any(g.reads & set(recipe.values) for g in between):
            # The recipe waits for what its epilogue reads.
            del groups[other], groups[at]
            at = other - 1
            groups.insert(at, recipe)
        else:
            other += 1
            continue
        recipe.values += follower.values
        recipe.reads |= follower.reads - set(recipe.values)
        other = at + 1
    return at


def _follows(plan: Plan, recipe: Group, follower: Group, in_order: Callable[[Node], bool]) -> bool:
    """Whether ``follower`` is a map that reads the recipe's values, at its own place only.

    A recipe of several results stores them itself.
    """
    node = recipe.values[0].node
    if len(node.outputs) > 1 or node.op.name in REWRITING:  # type: ignore[union-attr]
        return False
    if follower.reads.isdisjoint(recipe.values) or not follower.is_map:
        return False
    other, own = follower.values[0].type, recipe.values[0].type
    if other.size != own.size or other.shape[-1:] != own.shape[-1:]:  # type: ignore[union-attr]
        return False
    if other.shape != own.shape and not in_order(node):  # type: ignore[union-attr,arg-type]
        return False
    mine = set(recipe.values)
    for value in follower.values:
        reads, aligned = reads_of(plan, value)
        if not reads & mine <= aligned:
            return False
    return True


def _hidden(plan: Plan, group: Group, groups: Sequence[Group]) -> set[Value]:
    """The recipe's result, if it is no output and only its own epilogue reads it; what else was hidden before."""
    result = group.values[0]
    if not group.is_recipe or len(group.values) == 1 or result in plan.outputs:
        return group.hidden
    read = any(result in g.reads for g in groups if g is not group)
    return set() if read or not isinstance(result.type, TensorType) else {result}
