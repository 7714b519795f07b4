"""Rows: put what is computed row by row into one kernel.

A reduction over some axes cuts its domain into rows (`jitorch.lower.rows.frame`).  Stored values that are read only
within their own row join it: a softmax reads each row of its operand once from memory, and passes
over it again while it is in cache.  Whether a read stays in its row is found by pulling the reader
and looking at the index it asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.types import ScalarType, TensorType
from jitorch.lower.fuse import Plan
from jitorch.lower.groups import Group
from jitorch.lower.index import Index
from jitorch.lower.pull import Puller
from jitorch.lower.rows.frame import ANY, OWN, Frame, Split, folds_windows, frames, keeps_last_axis, split_of

FEW_ROWS = 8
"""Fewer rows than this, and long ones, are better cut into chunks."""
LONG = 1 << 15
"""Elements of a row that is long."""


def row_groups(groups: list[Group], plan: Plan) -> list[Group]:
    """Join ``groups``, which are in order of computation, around reductions of rows."""
    return _Joining(groups, plan).run()


def is_row_split(split: Split | None) -> bool:
    """Whether a kernel that goes row by row suits this domain."""
    if split is None or not split.reduced:
        return False
    count, length = split.count, split.length
    if any(isinstance(d, int) and d == 0 for d in split.shape) or (isinstance(length, int) and length < 2):
        return False
    return not (isinstance(count, int) and count < FEW_ROWS and not (isinstance(length, int) and length <= LONG))


@dataclass
class Reads:
    """What computing one value reads: the nearest description of how far from its own element."""

    distance: dict[Value, int] = field(default_factory=dict)
    reductions: dict[Node, None] = field(default_factory=dict)
    divides: bool = False


class Probe(Puller):
    """Pulls one value at the present element, to see what it reads."""

    def __init__(self, plan: Plan, frame: Frame, inside: frozenset[Value] = frozenset()):
        super().__init__({}, {})
        self.plan, self.frame, self.inside = plan, frame, inside
        self.reads = Reads()

    def of(self, value: Value, reduction: Node | None = None) -> Reads:
        """The reads of stored ``value``, or of one element of the operand of ``reduction``."""
        if reduction is None:
            super()._compute(value, self.frame.own(value))
        else:
            self.pull(reduction.operands[0], self.frame.whole)
        self.reads.divides = self.frame.divides_in_row(tuple(self.block.statements))
        return self.reads

    def _compute(self, value: Value, index: Index) -> k.Expr:
        node = value.node
        if isinstance(value.type, ScalarType) and (node is None or node.op.lowering == "control"):
            return k.Var("number", value.type.dtype)
        is_stored = self.plan.is_stored(value) and value not in self.inside
        folds = not is_stored and node is not None and self.frame.split.reduces(node)
        if folds and node is not None:
            self.reads.reductions[node] = None
        if folds or is_stored:
            known = self.reads.distance.get(value, OWN)
            self.reads.distance[value] = max(known, self.frame.distance(value, index))
            return self.let(k.Load(k.Buffer("memory", value.type.dtype), index.flat()))  # type: ignore[union-attr]
        return super()._compute(value, index)


class _Joining:
    def __init__(self, groups: list[Group], plan: Plan):
        self.groups, self.plan = list(groups), plan
        self.rank = {v: i for i, v in enumerate(plan.stored)}
        self.home: dict[Value, Group] = {v: g for g in groups for v in g.values}
        self.known: dict[tuple[Value, Split], Reads] = {}
        self.readers: dict[Value, list[Group]] = {}

    def run(self) -> list[Group]:
        self._index_readers()
        for group in list(self.groups):
            if group in self.groups and group.split is None:
                group.split = self._seed(group)
        self._grow_all()
        for group in self.groups:
            if group.split is None:
                group.split = self._column_seed(group)
        self._grow_all()
        return self._in_order()

    def _grow_all(self) -> None:
        for group in list(self.groups):
            if group in self.groups and group.split is not None:
                self._grow(group, group.split)

    def _index_readers(self) -> None:
        self.readers = {}
        for group in self.groups:
            for value in group.reads:
                self.readers.setdefault(value, []).append(group)

    def _seed(self, group: Group) -> Split | None:
        """The rows that the reductions in ``group`` fold, if they agree."""
        reductions = [node for value in group.values for node in unstored_reductions(value, self.plan)]
        splits = {split_of(node) for node in reductions}
        if len(splits) != 1 or any(map(folds_windows, reductions)):
            return None
        (split,) = splits
        if split is None or not is_row_split(split) or any(_adds_rows(v) for v in group.values):
            return None
        return split if self._fits(group, split) else None

    def _column_seed(self, group: Group) -> Split | None:
        """The rows that ``group``, which is one reduction over the first axes, adds up."""
        node = group.values[0].node
        if len(group.values) > 1 or node is None or not _adds_rows(group.values[0]):
            return None
        operand, axes = node.operands[0].type, tuple(sorted(node.attrs["axes"]))
        if axes != tuple(range(len(axes))) or not isinstance(operand, TensorType) or 0 in operand.shape:
            return None
        split = Split(operand.shape, axes)
        return split if self._fits(group, split) else None

    def _fits(self, group: Group, split: Split) -> bool:
        """Whether every value of ``group`` is a vector or scalar of the domain, computed without division."""
        for value in group.values:
            node = value.node
            if node is None or split.role(value) is None or node.op.lowering not in ("scalar", "pull", "reduce"):
                return False
            if node.op.lowering == "reduce" and not (split.reduces(node) or split.adds(node)):
                return False
            reads = self._reads(value, split)
            elsewhere = any(reads.distance.get(v) == ANY for r in reads.reductions for v in r.outputs)
            if reads.divides or elsewhere:
                return False
        return True

    def _reads(self, value: Value, split: Split) -> Reads:
        """What ``value`` and the reductions in it read; by the coarsest loops that need no division."""
        found = self.known.get((value, split))
        if found is None:
            for frame in frames(split):
                found = _all_reads(self.plan, frame, value)
                if not found.divides:
                    break
            if found is None:
                raise AssertionError("a split has at least one frame")
            self.known[value, split] = found
        return found

    def _grow(self, group: Group, split: Split) -> None:
        """Join neighbours until none fits."""
        refused: set[int] = set()
        while True:
            other = next((g for g in self._neighbours(group, split) if id(g) not in refused), None)
            if other is None:
                return
            if not self._joins(group, other, split):
                refused.add(id(other))
                continue
            self._merge(group, other)
            refused.clear()  # what stood between may be inside now

    def _neighbours(self, group: Group, split: Split) -> list[Group]:
        """Groups that read what ``group`` makes, make what it reads, or read the same rows."""
        found: dict[int, Group] = {}
        for value in group.values:
            for other in self.readers.get(value, ()):
                found[id(other)] = other
        for value in sorted(group.reads, key=self._order):
            if value in self.home:
                found[id(self.home[value])] = self.home[value]
            if split.role(value) == "vector":
                for other in self.readers.get(value, ()):
                    if other.split == split:
                        found[id(other)] = other
        found.pop(id(group), None)
        return list(found.values())

    def _order(self, value: Value) -> int:
        home = self.home.get(value)
        return -1 if home is None else self.groups.index(home)

    def _joins(self, group: Group, other: Group, split: Split) -> bool:
        if other.split not in (None, split) or not self._fits(other, split):
            return False
        values = {*group.values, *other.values}
        for value in values:
            reads = self._reads(value, split)
            if any(v in values and d == ANY for v, d in reads.distance.items()):
                return False
        return not self._is_between(group, other) and not self._is_between(other, group)

    def _is_between(self, first: Group, last: Group) -> bool:
        """Whether a third group reads ``first``, directly or not, and is read by ``last``."""
        seen: set[int] = {id(first), id(last)}
        stack = [self.home[v] for v in last.reads if v in self.home]
        stack = [g for g in stack if id(g) not in seen]
        while stack:
            group = stack.pop()
            if id(group) in seen:
                continue
            seen.add(id(group))
            for value in group.reads:
                before = self.home.get(value)
                if before is first:
                    return True
                if before is not None and id(before) not in seen:
                    stack.append(before)
        return False

    def _merge(self, group: Group, other: Group) -> None:
        group.values = sorted([*group.values, *other.values], key=self.rank.__getitem__)
        group.reads = group.reads | other.reads
        self.groups = [g for g in self.groups if g is not other]
        for value in other.values:
            self.home[value] = group
        for value in other.reads:
            self.readers[value] = list({id(g): g for g in [*self.readers[value], group] if g is not other}.values())

    def _in_order(self) -> list[Group]:
        """The groups, each after those it reads."""
        done: set[int] = set()
        result: list[Group] = []
        for root in self.groups:
            stack: list[tuple[Group, bool]] = [(root, False)]
            while stack:
                group, is_ready = stack.pop()
                if is_ready:
                    result.append(group)
                    continue
                if id(group) in done:
                    continue
                done.add(id(group))
                stack.append((group, True))
                before = {id(g): g for v in group.reads if (g := self.home.get(v)) is not None and g is not group}
                wanted = sorted(before.values(), key=self.groups.index, reverse=True)
                stack += [(g, False) for g in wanted if id(g) not in done]
        return result


def _adds_rows(value: Value) -> bool:
    node = value.node
    return node is not None and node.op.lowering == "reduce" and keeps_last_axis(node)


def _all_reads(plan: Plan, frame: Frame, value: Value) -> Reads:
    """The reads of ``value`` and of the row reductions that computing it needs."""
    node = value.node
    folds = node is not None and (frame.split.reduces(node) or frame.split.adds(node))
    total = Reads(reductions={node: None}) if folds and node is not None else Probe(plan, frame).of(value)
    pending = list(total.reductions)
    done: set[Node] = set()
    while pending:
        reduction = pending.pop()
        if reduction in done:
            continue
        done.add(reduction)
        inner = Probe(plan, frame).of(value, reduction)
        for v, d in inner.distance.items():
            total.distance[v] = max(total.distance.get(v, OWN), d)
        total.divides = total.divides or inner.divides
        pending += inner.reductions
    total.reductions = dict.fromkeys(done)
    return total


def unstored_reductions(value: Value, plan: Plan) -> list[Node]:
    """The reductions computed in the kernel of stored ``value``."""
    found: dict[Node, None] = {}
    stack, seen = [value], {value}
    while stack:
        v = stack.pop()
        if v.node is None:
            continue
        if v.node.op.lowering == "reduce":
            found[v.node] = None
        for operand in v.node.operands:
            if operand not in seen and not plan.is_stored(operand):
                seen.add(operand)
                stack.append(operand)
    return list(found)
