"""Layout: what the kernel of a group that goes row by row computes in which loop, and where it keeps it.

Within a row, reductions and vectors become a few loops, as few as their dependences allow: what needs the
result of a reduction, or an element elsewhere in the row, waits for the next loop.
A vector that only this kernel reads is recomputed where that is cheap, else kept in a local row, else in the memory
of a result that is written later, and only where all that fails in memory of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.lower import fuse
from jitorch.lower.fuse import Plan
from jitorch.lower.groups import Group
from jitorch.lower.pull import reduction_of
from jitorch.lower.rows.frame import OWN, Frame, frames
from jitorch.lower.rows.joined import Probe

LOCAL_BYTES = 1 << 15
"""The most that one local row takes: rows are to stay in the first-level cache, and the stack is small."""
ALL_LOCAL_BYTES = 1 << 17


@dataclass(eq=False)
class Item:
    """What a row computes: a reduction, a vector, a scalar, or its share of a column (rows added up).

    ``stage`` is the loop over the row that makes it; a scalar is made after that loop (0: before the first).
    """

    value: Value
    kind: str
    reduction: Node | None = None
    reads: dict[Item, int] = field(default_factory=dict)
    stage: int = 0

    @property
    def is_alone(self) -> bool:
        """Whether it gets loops to itself: a tuple of accumulators keeps the rest from being vectorised."""
        return self.reduction is not None and len(reduction_of(self.reduction).init) > 1

    @property
    def outputs(self) -> tuple[Value, ...]:
        return (self.value,) if self.reduction is None else self.reduction.outputs


@dataclass
class Layout:
    """How a group runs: its loops, its items in order, and where vectors are that nobody else reads.

    ``memory``: the values that need a buffer of the program.  ``local``: those in a local row.
    ``shared``: those in the buffer of another value of the group.
    """

    frame: Frame
    items: list[Item]
    memory: set[Value] = field(default_factory=set)
    local: dict[Value, k.Buffer] = field(default_factory=dict)
    shared: dict[Value, Value] = field(default_factory=dict)


def layout(group: Group, plan: Plan, wanted: set[Value]) -> Layout:
    """Plan the kernel of ``group``; ``wanted`` are its values that others read."""
    split = group.split
    if split is None:
        raise CompilerBug("a group without rows has no layout", ir=plan.graph)
    for frame in frames(split):
        cheap = _recomputed(group, plan, frame, wanted)
        found, divides = _items(group, plan, frame, cheap)
        if not divides:
            break
    else:
        raise CompilerBug("a row kernel has no loops without division", ir=plan.graph)
    _stage(found)
    # A column needs memory even if nobody reads it: it is added up there.
    result = Layout(frame, found, wanted | {i.value for i in found if i.kind == "column"})
    _place(result, found)
    return result


def _recomputed(group: Group, plan: Plan, frame: Frame, wanted: set[Value]) -> frozenset[Value]:
    """The vectors of ``group`` that are computed wherever they are read."""
    cost: dict[Value, int] = {}
    cheap: set[Value] = set()

    def of(value: Value) -> int:
        node = value.node
        if node is None or node.op.lowering == "reduce" or (plan.is_stored(value) and value not in cheap):
            return 0
        if value not in cost:
            cost[value] = fuse.own_cost(node) + sum(map(of, node.operands))
        return cost[value]

    for value in group.values:
        node = value.node
        if node is None or value in wanted or frame.split.role(value) != "vector" or node.op.lowering == "reduce":
            continue
        total = fuse.own_cost(node) + sum(map(of, node.operands))
        if total <= fuse.READ_COST:
            cost[value] = total
            cheap.add(value)
    return frozenset(cheap)


def _items(group: Group, plan: Plan, frame: Frame, cheap: frozenset[Value]) -> tuple[list[Item], bool]:
    """The items of the kernel, each after those it reads, and whether a position in the row is divided."""
    by_value: dict[Value, Item] = {}
    items: list[Item] = []
    members = frozenset(group.values) - cheap
    divides = False

    def visit(value: Value) -> Item:
        nonlocal divides
        if value in by_value:
            return by_value[value]
        node = value.node
        folds = node is not None and frame.split.reduces(node)
        kind = "reduction" if folds else frame.split.role(value) or ""
        item = Item(value, kind, node if folds or kind == "column" else None)
        outputs = node.outputs if folds and node is not None else (value,)
        by_value.update((v, item) for v in outputs)
        reads = Probe(plan, frame, cheap).of(value, item.reduction)
        divides = divides or reads.divides
        inner = {v for r in reads.reductions for v in r.outputs}
        for v, distance in reads.distance.items():
            if v in members or v in inner:
                read = visit(v)
                item.reads[read] = max(item.reads.get(read, OWN), distance)
        items.append(item)
        return item

    for value in group.values:
        if value in members:
            visit(value)
    return items, divides


def _stage(items: list[Item]) -> None:
    for item in items:
        stage = 0 if item.kind == "scalar" else 1
        for read, distance in item.reads.items():
            same = item.kind == "scalar" or (read.kind == "vector" and distance == OWN)
            stage = max(stage, read.stage if same else read.stage + 1)
        item.stage = stage


def _place(result: Layout, items: list[Item]) -> None:
    """Find memory for the vectors that another loop reads."""
    total = 0
    for item in items:
        value = item.value
        if item.kind != "vector" or value in result.memory:
            continue
        readers = [i for i in items if item in i.reads]
        if all(_sees_present(i, item) for i in readers):
            continue
        length, dtype = result.frame.split.length, value.type.dtype  # type: ignore[union-attr]
        size = length * dtype.itemsize if isinstance(length, int) else None
        if size is not None and size <= LOCAL_BYTES and total + size <= ALL_LOCAL_BYTES:
            total += size
            result.local[value] = k.Buffer(f"row{len(result.local)}", dtype, "local", length)  # type: ignore[arg-type]
            continue
        host = next((i for i in items if _can_host(i, item, readers, result)), None)
        if host is None:
            result.memory.add(value)
        else:
            result.shared[value] = host.value


def _sees_present(reader: Item, item: Item) -> bool:
    """Whether ``reader`` reads a vector just where the same loop has computed it."""
    together = reader.stage == item.stage and not reader.is_alone and reader.kind != "scalar"
    return together and reader.reads[item] == OWN


def _can_host(host: Item, item: Item, readers: list[Item], result: Layout) -> bool:
    """Whether ``item`` may lie in the buffer of ``host`` until that is stored."""
    if host.kind != "vector" or host.value not in result.memory or host.stage <= item.stage:
        return False
    if host.value.type.dtype is not item.value.type.dtype or host.value in result.shared.values():  # type: ignore[union-attr]
        return False
    before = all(i.stage < host.stage or (i.stage == host.stage and i.reads[item] == OWN) for i in readers)
    return before and not any(i.is_alone and i.stage == host.stage for i in readers)
