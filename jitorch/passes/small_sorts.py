"""Sorts of a few elements, by counting: an element's place is the number of those that come before it.

That is quadratic in the length of the axis, and elementwise work and sums otherwise: it vectorises, and fuses with what
is around, where a sort for any length is somebody else's routine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jitorch import dtypes
from jitorch.builder import graph_of
from jitorch.ir.graph import Graph, Node
from jitorch.ops.control import inner_graphs
from jitorch.ops.create import iota
from jitorch.ops.sorting import argsort_axis
from jitorch.ops.structure import broadcast_to, cast, reshape_to, transpose_axes
from jitorch.passes.decompose import decompose

MOST = 128
"""Elements up to which counting may be faster than sorting."""
SHORT = 32
MOST_PAIRS = 200_000
"""Elements up to which it is for any number of lines, and pairs of elements up to which it is for longer lines."""


def count_small_sorts(graph: Graph, keep: Callable[[Node], bool], is_inner: bool = False) -> bool:
    """Replace sorts of few elements, but for the nodes to ``keep``; here and in inner graphs.

    In an inner graph, a sort that is left to somebody else would take the loop around it along, so all of at most
    `MOST` elements are replaced.
    """
    changed = False
    nodes: list[Node] = []
    for node in graph:
        for inner in inner_graphs(node):
            changed |= count_small_sorts(inner, keep, is_inner=True)
        if node.op is argsort_axis and _is_small(node, is_inner) and not keep(node):
            nodes += _counted(graph, node)
            changed = True
        else:
            nodes.append(node)
    graph.nodes = nodes
    return changed


def _is_small(node: Node, is_inner: bool) -> bool:
    size = node.output.type.shape[node.attrs["axis"]]  # type: ignore[union-attr]
    if not isinstance(size, int) or not 0 < size <= MOST:
        return False
    elements = node.output.type.size  # type: ignore[union-attr]
    return is_inner or size <= SHORT or not isinstance(elements, int) or elements * size <= MOST_PAIRS


def _counted(graph: Graph, node: Node) -> list[Node]:
    """The nodes in the place of a sort, which is taken out."""
    operand, axis, descending = node.operands[0], node.attrs["axis"], node.attrs["descending"]
    part = graph_of(lambda x: _order(x, axis, descending), [operand.type])
    decompose(part)
    for made in part.nodes:
        made.loc = node.loc
    scratch, mapping = Graph("counted"), {part.inputs[0]: operand}
    scratch.paste(part, mapping)
    graph.replace(node.output, mapping[part.outputs[0]])
    node.drop()
    return scratch.nodes


def _order(x: Any, axis: int, descending: bool) -> Any:
    if x.dtype is dtypes.bool_:
        x = cast(x, dtype=dtypes.int32)
    rank = x.ndim
    perm = (*(a for a in range(rank) if a != axis), axis)
    lines = transpose_axes(x, perm=perm)
    *outer, n = lines.shape
    square = (*outer, n, n)
    ones = (1,) * len(outer)
    mine = broadcast_to(reshape_to(lines, shape=(*outer, n, 1)), shape=square)
    other = broadcast_to(reshape_to(lines, shape=(*outer, 1, n)), shape=square)
    place = iota(size=n, dtype=dtypes.int64)
    row = broadcast_to(reshape_to(place, shape=(*ones, n, 1)), shape=square)
    column = broadcast_to(reshape_to(place, shape=(*ones, 1, n)), shape=square)
    comes_before = other > mine if descending else other < mine
    is_equal = other == mine
    if x.dtype.is_floating_point:
        # NaN counts as greatest.
        nan, also_nan = mine != mine, other != other
        comes_before = comes_before | ((also_nan & ~nan) if descending else (nan & ~also_nan))
        is_equal = is_equal | (nan & also_nan)
    ahead = (comes_before | (is_equal & (column < row))).sum(-1)
    # Of the places that elements have, those that are ``row``.
    is_there = broadcast_to(reshape_to(ahead, shape=(*outer, 1, n)), shape=square) == row
    order = (is_there * column).sum(-1)
    return transpose_axes(order, perm=tuple(perm.index(a) for a in range(rank)))
