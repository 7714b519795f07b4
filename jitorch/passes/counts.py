"""How large the sizes can be that a graph binds, and results that come with them.

A program writes a result of such a size to the beginning of memory for the most elements there can be, and gives the
sizes as further outputs: so it runs as a whole, where otherwise the host would allocate in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jitorch import dims, dtypes
from jitorch.dims import Dim, SymDim
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import TensorType
from jitorch.passes.control import binders, bound_sizes, has_size

MOST_BYTES = 1 << 16
"""Of memory for one result: it is copied when its size is known, and what is longer is no matter of microseconds."""

_SAME_ELEMENTS = frozenset({"reshape_to", "broadcast_to", "transpose_axes", "slice_axes", "after", "detach"})


def most_of_sizes(graph: Graph) -> dict[str, int] | None:
    """The most that each size can be which nodes of ``graph`` bind, by name; None if one has no limit that is seen."""
    found: dict[str, int] = {}
    for node in binders(graph):
        most = _most(node.operands[0], found)
        if most is None:
            return None
        found[str(node.attrs["size"])] = most
    return found


def _most(value: Value, sizes: Mapping[str, int]) -> int | None:
    """The most that an element of an integer tensor, none of which is below 0, can be."""
    node = value.node
    if not isinstance(value.type, TensorType) or value.type.dtype not in (dtypes.int64, dtypes.bool_):
        return None
    if value.type.dtype is dtypes.bool_:
        return 1
    if node is None:
        return None
    if node.op.name == "cast" or node.op.name in _SAME_ELEMENTS:
        return _most(node.operands[0], sizes)
    if node.op.name == "reduce_sum":
        (operand,) = node.operands
        most = _most(operand, sizes)
        shape: Any = operand.type.shape  # type: ignore[union-attr]
        count = most_of(dims.prod([shape[a] for a in node.attrs["axes"]]), sizes)
        return None if most is None or count is None else most * count
    return None


def most_of(size: Dim, sizes: Mapping[str, int]) -> int | None:
    """The most that ``size`` can be, where its symbols can be these; None if it has no limit."""
    if isinstance(size, SymDim):
        size = dims.substitute(size, {name: dims.symbol(name, 0, most) for name, most in sizes.items()})
    return dims.bounds(size)[1]


def count_results(graph: Graph) -> dict[str, Any] | None:
    """Make the sizes that ``graph`` binds outputs of it, behind the others; gives what a caller must know of them.

    That is, as JSON: the names of the ``sizes``; for each output that is no write-back, in ``shapes``, its sizes as
    text and, in ``room``, the most elements it can have (None for those of known sizes).  None, and nothing is changed,
    if that is not known, or much memory.
    """
    bound, sizes = bound_sizes(graph), None if graph.symbols else most_of_sizes(graph)
    if sizes is None:
        return None
    written = {o for _, o in graph.writes}
    shapes: list[list[str] | None] = []
    room: list[int | None] = []
    for o, value in enumerate(graph.outputs):
        if not has_size(value, bound):
            if o not in written:
                shapes.append(None)
                room.append(None)
            continue
        type_: Any = value.type
        most = most_of(type_.size, sizes)
        if o in written or most is None or most * type_.dtype.itemsize > MOST_BYTES:
            return None
        shapes.append(list(map(str, type_.shape)))
        room.append(most)
    nodes = binders(graph)
    graph.outputs += [node.operands[0] for node in nodes]
    return {"sizes": [str(node.attrs["size"]) for node in nodes], "shapes": shapes, "room": room}
