"""Groups: which stored values one kernel computes.

Maps over one shape are joined where the order of what they read allows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jitorch.ir.graph import Value
from jitorch.ir.types import TensorType
from jitorch.lower.fuse import FLAT_VIEWS, Plan
from jitorch.lower.rows.frame import Split, folds_windows

LARGE = 1 << 16
"""Elements from which on a map has a kernel of its own, unless it shares what another one reads or makes: to compute it
earlier would keep its memory longer, to save one loop."""

MOST_BESIDE = 12
"""Values of a group from which on another is only joined that shares elements with them: a loop over many arrays takes
long to compile, where several groups of a few, the updates of parameters of one shape, are launches of one kernel."""


@dataclass(eq=False)
class Group:
    """Stored values that one kernel, or one recipe, computes, and the stored values that it reads.

    ``hidden`` values need no memory after all: only this group reads them, where it computes them; ``recomputed``
    ones have memory, but this group computes them again.  With a ``split``, the kernel goes row by row.  ``columns``
    are maps over blocks of the columns of a product, computed by the tasks that have them.
    """

    values: list[Value]
    reads: set[Value]
    hidden: set[Value] = field(default_factory=set)
    recomputed: set[Value] = field(default_factory=set)
    split: Split | None = None
    columns: list[Value] = field(default_factory=list)

    @property
    def is_map(self) -> bool:
        return _is_map(self.values[0])

    @property
    def is_recipe(self) -> bool:
        node = self.values[0].node
        return node is not None and node.op.lowering == "recipe"


def groups(plan: Plan) -> list[Group]:
    """Put stored values into kernels: maps over one shape are joined where the order allows it."""
    result: list[Group] = []
    position: dict[Value, int] = {}
    for value in _numbers_first(plan):
        if value.node is not None and value.node.op.lowering in ("control", "recipe") and value.index > 0:
            at = position[value] = position[value.node.outputs[0]]
            result[at].values.append(value)
            continue
        is_scan = value.node is not None and value.node.op.lowering == "scan"
        along = next((i for i, g in enumerate(result) if is_joined(g.values[0], value)), None) if is_scan else None
        if along is not None:
            position[value] = along
            result[along].values.append(value)
            continue
        reads, aligned = reads_of(plan, value)
        after = max((position[v] for v in reads if v in position), default=-1)
        found = None
        if _is_map(value):
            for i in range(len(result) - 1, max(after, 0) - 1, -1):
                group = result[i]
                if not _joins(value, group) or i < after:
                    continue
                inside = reads & set(group.values)
                if not inside and not _is_wanted(value, group, reads):
                    continue
                if i > after or inside <= aligned:
                    found = i
                    break
        if found is None:
            result.append(Group([value], reads, plan.ramps.intersection([value])))
            position[value] = len(result) - 1
        else:
            result[found].values.append(value)
            result[found].reads |= reads
            position[value] = found
    return result


def is_joined(first: Value, second: Value) -> bool:
    """Whether both are scans along the same lines: then one kernel goes there."""
    a, b = first.node, second.node
    if a is None or b is None or not a.op.lowering == b.op.lowering == "scan":
        return False
    return a.operands == b.operands and a.attrs["axis"] == b.attrs["axis"]


def _numbers_first(plan: Plan) -> list[Value]:
    """What is stored in the order of computation: what has one element as soon as what it is made of is there.

    Who reads it then is free to stand where else it belongs: the update of a parameter, with its gradient.
    """
    rank = {value: i for i, value in enumerate(plan.stored)}
    after: dict[Value, int] = {}
    for value, i in rank.items():
        if _is_elementwise(value) and value.type.size == 1 and value not in plan.ramps:  # type: ignore[union-attr]
            after[value] = max((after[v] for v in reads_of(plan, value)[0] if v in after), default=-1)
        else:
            after[value] = i
    return sorted(rank, key=lambda value: (after[value], rank[value]))


def _is_elementwise(value: Value) -> bool:
    return value.node is not None and value.node.op.lowering in ("scalar", "pull")


def _is_large(value: Value) -> bool:
    size = value.type.size  # type: ignore[union-attr]
    return isinstance(size, int) and size > LARGE


def _is_wanted(value: Value, group: Group, reads: set[Value]) -> bool:
    """Whether ``value``, which reads ``reads`` but nothing that ``group`` makes, had better be computed with it."""
    shared = reads & group.reads
    if len(group.values) >= MOST_BESIDE and not any(v.type.shape == value.type.shape for v in shared):  # type: ignore[union-attr]
        return False
    return not _is_large(value) or any(map(_is_large, shared))


def _joins(value: Value, group: Group) -> bool:
    return _is_map(group.values[0]) and group.values[0].type.shape == value.type.shape  # type: ignore[union-attr]


def _is_map(value: Value) -> bool:
    node = value.node
    return (
        node is not None
        and (node.op.lowering in ("scalar", "pull") or folds_windows(node))
        and isinstance(value.type, TensorType)
        and value.type.rank > 0
    )


def reads_of(plan: Plan, value: Value) -> tuple[set[Value], set[Value]]:
    """The stored values that computing ``value`` reads, and those read only at its own place in row-major order."""
    reads: set[Value] = set()
    moved: set[Value] = set()
    stack: list[tuple[Value, bool]] = [(v, keeps_place(value)) for v in _operands(value)]
    seen: set[tuple[Value, bool]] = set()
    while stack:
        v, same = stack.pop()
        if (v, same) in seen:
            continue
        seen.add((v, same))
        if plan.is_stored(v):
            reads.add(v)
            if not same:
                moved.add(v)
            continue
        stack += [(u, same and keeps_place(v)) for u in _operands(v)]
    return reads, reads - moved


def leaves(plan: Plan, value: Value) -> set[Value]:
    """The stored values that ``value`` is read from: itself, if it is stored."""
    return {value} if plan.is_stored(value) else reads_of(plan, value)[0]


def _operands(value: Value) -> tuple[Value, ...]:
    return value.node.operands if value.node is not None else ()


def keeps_place(value: Value) -> bool:
    """Whether each element is made of those at its own place, in row-major order, of operands of its size."""
    return keeps_index(value) or (value.node is not None and value.node.op.name in FLAT_VIEWS)


def keeps_index(value: Value) -> bool:
    """Whether each element is made of those at its own index of the operands."""
    node = value.node
    return node is not None and (node.op.lowering == "scalar" or node.op.name in ("cast", "copy"))
