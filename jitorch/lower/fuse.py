"""Fuse: decide which values are stored.  Everything else is recomputed where it is read.

This is the only place where that is decided, before any kernel is made:

* inputs, outputs, and what a recipe, scatter, scan or routine makes, are stored;
* so is what is picked from the rows of something that is computed;
* a reduction is stored when its reader runs more often than it has elements, or wants another loop order;
* any other value is stored when it is read from several kernels, or several times an element,
  and costs more than reading it back;
* so is one at the end of a very long chain: kernels are made by recursion, and compile in more than linear time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import ScalarType, TensorType
from jitorch.lower.rows.frame import keeps_last_axis

READ_COST = 4
"""What storing and reading back an element costs, in simple operations."""

MOST_PARTS = 9
"""Parts of memory that are joined in one kernel: three along each of two axes."""

MOST_DEPTH = 128
"""Operations, one after the other, in a kernel."""

MOST_JOINED_ROWS = 16
"""Rows of a product up to which joined operands are read where their parts lie."""

_COSTS = {"div": 4, "sqrt": 4, "mod": 8, "floordiv": 8, "fmod": 8, "pow": 40, "cast": 1, "neg": 1}
_SIMPLE = frozenset(
    "add sub mul maximum minimum abs sign where eq ne lt le gt ge and or xor not shl shr floor ceil trunc round".split()
)
_FREE_PULLS = frozenset(
    "broadcast_to reshape_to transpose_axes slice_axes flip_axes constant number iota size_of cast copy detach "
    "number_of".split()
)
VIEWS = frozenset(("broadcast_to", "reshape_to", "transpose_axes", "slice_axes", "detach"))
FLAT_VIEWS = frozenset(("reshape_to", "detach"))
"""Views that keep the row-major order of all elements."""
RENAMINGS = FLAT_VIEWS | {"broadcast_to"}
"""Views that are read as fast as what they show, which is never larger: that is stored in place of them."""
INDEX_VIEWS = VIEWS | {"flip_axes"}
"""Ops whose elements are elements of the operand, at another index."""
_COMPUTED = {
    "convolution": ("x", "w"), "convolution_weight": ("x", "g"), "blockwise_attention": ("mask",),
    "attention_gradients": ("mask",), "positions": ("mask", "ramp"), "argsort_axis": ("x",),
    "nth_axis": ("rank",), "search_sorted": ("values",),
}  # fmt: skip
"""The operands that a recipe computes on its way where they are not in memory, for it reads each element once."""
REWRITING = frozenset(("positions",))
"""Recipes that store an element more than once before it is what it will be: nothing is computed from it then."""
_MATERIALIZED = frozenset(("recipe", "scatter", "scan", "extern", "control", "effect"))


@dataclass
class Plan:
    """``outputs`` need memory when all is done; ``stored``: values with a buffer, in the order they can be computed
    (inputs excluded).  ``ramps``: those of them that bind sizes and are computed where they are read."""

    graph: Graph
    outputs: tuple[Value, ...]
    stored: dict[Value, None] = field(default_factory=dict)
    ramps: set[Value] = field(default_factory=set)

    def is_stored(self, value: Value) -> bool:
        return value in self.stored or (value.node is None and isinstance(value.type, TensorType))


def plan(graph: Graph, outputs: Iterable[Value] | None = None) -> Plan:
    """Decide for every value of ``graph``, which holds primitives only; ``outputs`` are those that need memory."""
    cost = _costs(graph)
    results = tuple(graph.outputs if outputs is None else outputs)
    decided: set[Value] = {*_ends_of_long_chains(graph), *(v for v in results if v.node is not None)}
    ramps: set[Value] = set()
    readers: dict[Value, dict[Value, bool]] = {}  # kernel root -> whether it reads an element more than once
    for node in reversed(graph.nodes):
        if node.op.lowering == "recipe":
            joined = [v for side in joined_operands(node) for v in side]
            decided.update(v for v in map(memory_of, joined or _read_in_place(node)) if v.node is not None)
        if node.op.lowering == "scatter":
            # What is put into a copy is computed before, if from the original: the copy may take its place.
            decided.update(v for v in node.operands[1:] if v.node is not None and reads(v, node.operands[0]))
        if node.op.lowering in ("control", "effect"):
            decided.update(leaf for v in _read_by_host(node) for leaf in host_leaves(v))
            decided.update(v for v in map(behind_flat_views, _read_in_graphs(node)) if v.node is not None)
        if node.op.name == "steps" and not _needs_memory(node.output, decided):
            ramps.add(node.output)
        for value in node.outputs:
            if _must_store(value, node) or _worth_storing(value, node, readers.get(value, {}), cost):
                decided.add(value)
        for value in node.outputs:
            _pass_on(value, node, decided, readers)
    result = Plan(graph, results, ramps=ramps)
    for node in graph.nodes:
        result.stored.update((v, None) for v in node.outputs if v in decided)
    return result


def _needs_memory(ramp: Value, decided: set[Value]) -> bool:
    return ramp in decided or any(_wants_memory(user, ramp) for user, _ in ramp.uses)


def reads(value: Value, base: Value) -> bool:
    """Whether computing ``value`` reads the memory of ``base``, directly or not."""
    wanted, pending, seen = behind_flat_views(base), [value], {value}
    while pending:
        one = pending.pop()
        if one is wanted:
            return True
        fresh = [v for v in _operands_of(one) if v not in seen]
        seen.update(fresh)
        pending += fresh
    return False


def _operands_of(value: Value) -> tuple[Value, ...]:
    return () if value.node is None else value.node.operands


def _pass_on(value: Value, node: Node, decided: set[Value], readers: dict[Value, dict[Value, bool]]) -> None:
    """Tell the operands of ``node`` which kernels read them through it."""
    roots = {value: False} if value in decided else readers.get(value, {})
    for i, operand in enumerate(node.inputs):
        if operand is None or operand.node is None:
            continue
        repeats = _repeats(node, i)
        mine = readers.setdefault(operand, {})
        for root, repeated in roots.items():
            # Two reads in one kernel at different indices would compute the value twice.
            mine[root] = mine.get(root, False) or repeated or repeats


def _ends_of_long_chains(graph: Graph) -> Iterator[Value]:
    depth: dict[Value, int] = {}
    for node in graph.nodes:
        for value in node.outputs:
            is_tensor = isinstance(value.type, TensorType)
            if is_tensor and node.op.lowering not in _MATERIALIZED:
                depth[value] = 1 + max((depth.get(v, 0) for v in node.operands), default=0)
                if depth[value] >= MOST_DEPTH:
                    depth[value] = 0
                    yield value


def _costs(graph: Graph) -> dict[Value, int]:
    """Operations to compute one element of a value from what is surely stored."""
    cost: dict[Value, int] = {}
    for node in graph.nodes:
        kind = node.op.lowering
        if kind in _MATERIALIZED:
            total = 0
        elif kind == "reduce":
            total = 1000
        else:
            total = own_cost(node) + sum(cost.get(v, 0) for v in node.operands)
        for value in node.outputs:
            cost[value] = min(total, 100_000)
    return cost


def cost_of(function: str) -> int:
    """Simple operations that scalar function ``function`` takes as long as."""
    return 1 if function in _SIMPLE else _COSTS.get(function, 20)


def own_cost(node: Node) -> int:
    """Operations that an elementwise op or a view takes for one element, without its operands."""
    if node.op.lowering == "scalar":
        return cost_of(node.op.scalar or "")
    return 0 if node.op.name in _FREE_PULLS else 3


def _must_store(value: Value, node: Node) -> bool:
    if node.op.lowering in ("control", "effect"):
        return True
    if isinstance(value.type, ScalarType):
        return False
    if node.op.lowering in _MATERIALIZED:
        return True
    if node.op.lowering == "reduce" and keeps_last_axis(node):
        return True
    if _picks_one(node):
        return True
    return any(_wants_memory(user, value) for user, _ in value.uses)


def _picks_one(node: Node) -> bool:
    """Whether one element is picked from each row of what would have to be stored whole for its sake."""
    if node.op.name != "gather_axis" or _is_free(node.operands[0]):
        return False
    return node.output.type.shape[node.attrs["axis"]] == 1  # type: ignore[union-attr]


def _wants_memory(user: Node, value: Value) -> bool:
    kind = user.op.lowering
    if kind == "extern":
        return True
    return kind == "control" and value in _read_in_graphs(user) and behind_flat_views(value) is value


def _read_in_place(node: Node) -> tuple[Value, ...]:
    """The operands that a recipe wants in memory."""
    computed = _COMPUTED.get(node.op.name, ())
    return tuple(
        v
        for name, v in zip(node.op.operand_names(len(node.inputs)), node.inputs, strict=True)
        if name not in computed and v is not None and isinstance(v.type, TensorType)
    )


def joined_operands(node: Node) -> tuple[tuple[Value, ...], ...]:
    """What the operands of a product of few rows are joined of along the axis that they share, if both are cut alike.

    Such a product reads the parts where they lie.
    """
    if node.op.name != "matmul_batched":
        return ()
    sides: list[tuple[Value, ...]] = []
    sizes: list[list[Dim]] = []
    for operand, axis in zip(node.operands, (1, 0), strict=True):
        type_, joined = operand.type, operand.node
        if type_.rank != 2 or joined is None or joined.op.name != "concatenate" or joined.attrs["axis"] != axis:  # type: ignore[union-attr]
            return ()
        if not all(isinstance(d, int) for d in type_.shape):  # type: ignore[union-attr]
            return ()
        sides.append(joined.operands)
        sizes.append([v.type.shape[axis] for v in joined.operands])  # type: ignore[union-attr]
    few = node.operands[0].type.shape[0] <= MOST_JOINED_ROWS  # type: ignore[union-attr,operator]
    return tuple(sides) if few and sizes[0] == sizes[1] else ()


def _read_in_graphs(node: Node) -> tuple[Value, ...]:
    """The tensors that the graphs of a control node read where they are; what a loop carries is copied first."""
    operands, attrs = node.operands, node.attrs
    match node.op.name:
        case "cond":
            operands = operands[1:]
        case "while_loop":
            operands = operands[len(operands) - attrs["constants"] :]
        case "scan":
            operands = operands[attrs["carried"] :]
        case _:
            return ()
    return tuple(v for v in operands if isinstance(v.type, TensorType))


def _read_by_host(node: Node) -> tuple[Value, ...]:
    """The numbers, and tensors of one element, that the host reads to run a control node."""
    first = node.operands[:1] if node.op.name in ("cond", "check", "steps") else ()
    return (*first, *(v for v in node.operands if isinstance(v.type, ScalarType)))


def host_leaves(value: Value) -> tuple[Value, ...]:
    """What must be stored for the host to compute the one element of ``value`` by operations on numbers."""
    node = value.node
    if node is None:
        return ()
    is_simple = node.op.lowering in ("scalar", "pull") and all(_is_one(v) for v in node.operands)
    if not is_simple:
        return (value,)
    return tuple(leaf for v in node.operands for leaf in host_leaves(v))


def _is_one(value: Value) -> bool:
    return isinstance(value.type, ScalarType) or (isinstance(value.type, TensorType) and value.type.shape == ())


def behind_flat_views(value: Value) -> Value:
    """The value with the same elements in the same order that a chain of views shows."""
    while value.node is not None and value.node.op.name in FLAT_VIEWS:
        value = value.node.operands[0]
    return value


def _is_view_of_memory(value: Value) -> bool:
    node = value.node
    if node is None:
        return True
    if node.op.lowering in _MATERIALIZED or node.op.lowering == "reduce":
        return True
    return node.op.name in VIEWS and _is_view_of_memory(node.operands[0])


def memory_of(value: Value) -> Value:
    """What is stored for a recipe that reads ``value`` many times: what views of it show, where those are read as fast.

    A reshape of what is not in the order of memory would be read by quotients.
    """
    bottom, is_flat = value, False
    while bottom.node is not None and bottom.node.op.name in VIEWS:
        if is_flat and bottom.node.op.name not in FLAT_VIEWS and not _is_view_of_memory(bottom):
            break
        is_flat |= bottom.node.op.name == "reshape_to"
        bottom = bottom.node.operands[0]
    return bottom


def _worth_storing(value: Value, node: Node, roots: dict[Value, bool], cost: dict[Value, int]) -> bool:
    if isinstance(value.type, ScalarType) or node.op.name in RENAMINGS:
        return False
    if any(roots.values()):
        return cost[value] > (1 if node.op.lowering == "scalar" else 0) and not _is_free(value)
    return len(roots) > 1 and cost[value] > READ_COST


def _is_free(value: Value) -> bool:
    """A chain of views down to memory or constants."""
    node = value.node
    return node is None or (node.op.name in _FREE_PULLS and all(_is_free(v) for v in node.operands))


def _is_cut(value: Value) -> bool:
    """Whether each element of ``value`` is one of memory: a view, or joined of few views.

    Loops are cut where another part begins, so that nothing is asked in vain.
    """
    return _parts(value) <= MOST_PARTS


def _parts(value: Value) -> int:
    """How many parts of memory stand in ``value``; more than `MOST_PARTS` where that is not all."""
    node = value.node
    if node is None or _is_free(value):
        return 1
    if node.op.name in INDEX_VIEWS:
        return _parts(node.operands[0])
    return sum(map(_parts, node.operands)) if node.op.name == "concatenate" else MOST_PARTS + 1


def _size(value: Value) -> Dim:
    return value.type.size  # type: ignore[union-attr]


def _repeats(node: Node, i: int) -> bool:
    """Whether pulling one result element of ``node`` everywhere reads an element of operand ``i`` more than once."""
    name = node.op.name
    if name == "broadcast_to":
        if all(user.op.name == "concatenate" for user in node.output.users) and _is_cut(node.operands[0]):
            return False
        return _grows(_size(node.operands[0]), _size(node.output))
    if name in ("windows", "take", "gather_axis", "unwindow"):
        return i == 0
    if name == "concatenate":
        return not _is_cut(node.operands[i])
    if name == "pad_axes":
        # Elements of the padding are computed, too, before they are dropped.
        return i == 1 or _is_much_smaller(node.operands[0], node.output)
    return name == "slice_write" and i == 1


def _is_much_smaller(part: Value, whole: Value) -> bool:
    a, b = _size(part), _size(whole)
    return isinstance(a, int) and isinstance(b, int) and 2 * a <= b


def _grows(before: Dim, after: Dim) -> bool:
    if before == after:
        return False
    smaller = dims.decide("==", before, after)
    return smaller is not True
