"""Recompute: large values that a map reads again much later are computed again there, where that is cheap.

The backward half of a training step reads activations of the forward half.  What the step needs for other reasons
anyway may be all that an activation was made of, a scaled and shifted value, say: then the kernel that copies it, or
packs it for the product that is the gradient of a weight, computes it on the way, and its memory is free meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from jitorch.ir.graph import Value
from jitorch.lower import fuse
from jitorch.lower.fuse import Plan
from jitorch.lower.groups import LARGE, Group, leaves, reads_of

FAR = 8
"""Kernels between the last read of a value and the one for whose sake it would be kept."""
NEAR = 4
"""Kernels for which more what another value is made of may be kept instead."""


def recompute(groups: list[Group], plan: Plan, packed: Callable[[Group], Value | None]) -> None:
    """Note in ``groups``, which are in order, what they compute instead of reading it.

    ``packed`` gives the operand of a recipe of which each element is read once, in the order of memory, if any.
    """
    _Search(groups, plan, packed).run()


class _Search:
    def __init__(self, groups: list[Group], plan: Plan, packed: Callable[[Group], Value | None]):
        self.groups, self.plan, self.packed = groups, plan, packed
        self.made = {value: i for i, group in enumerate(groups) for value in group.values}
        self.hidden = {value for group in groups for value in group.hidden}
        self.readers: dict[Value, list[int]] = {}
        for i, group in enumerate(groups):
            for value in group.reads:
                self.readers.setdefault(value, []).append(i)

    def run(self) -> None:
        results = set(self.plan.outputs)
        for i, group in enumerate(self.groups):
            candidates = [v for v in self._read_once(group) if v in self.made and v not in results and _is_large(v)]
            for value in sorted(candidates, key=self.made.__getitem__):
                if not self._is_far(value, i):
                    continue
                found = self._sources(value, i)
                if found is None:
                    continue
                again, sources = found
                group.recomputed |= again
                group.reads = group.reads - again | sources
                self.readers[value].remove(i)
                for source in sources:
                    self.readers.setdefault(source, []).append(i)

    def _read_once(self, group: Group) -> set[Value]:
        """The stored values that ``group`` reads element by element."""
        if group.split is not None or not (group.is_map or group.is_recipe):
            return set()
        if group.is_map:
            return group.reads
        packed = self.packed(group)
        product, *epilogue = group.values
        operands = product.node.operands  # type: ignore[union-attr]
        if packed is None or operands.count(packed) > 1:
            return set()
        others = [leaves(self.plan, v) for v in operands if v is not packed]
        others += [reads_of(self.plan, v)[0] for v in epilogue]
        return leaves(self.plan, packed).difference(*others)

    def _is_far(self, value: Value, reader: int) -> bool:
        """Whether all other reads of ``value`` are long over."""
        others = [i for i in self.readers[value] if i != reader]
        return reader - max(others, default=self.made[value]) >= FAR

    def _is_there(self, value: Value, reader: int) -> bool:
        """Whether stored ``value`` has memory, and is small or read about as late as by ``reader`` anyway."""
        if value.node is None:
            return True
        return value not in self.hidden and (not _is_large(value) or max(self.readers.get(value, (0,))) > reader - NEAR)

    def _sources(self, value: Value, reader: int) -> tuple[set[Value], set[Value]] | None:
        """What is computed again for ``value``, and what that reads, element by element; None if it is not cheap."""
        again, sources, stack = {value}, set[Value](), [value]
        cost, seen = 0, {value}
        while stack:
            node = stack.pop().node
            if node is None or node.op.lowering not in ("scalar", "pull"):
                return None
            cost += fuse.own_cost(node)
            for operand in node.operands:
                if operand in seen:
                    continue
                seen.add(operand)
                is_stored = self.plan.is_stored(operand)
                if is_stored and self._is_there(operand, reader):
                    sources.add(operand)
                elif operand.node is not None:
                    stack.append(operand)
                    again |= {operand} if is_stored else set()
        return (again, sources) if cost <= fuse.READ_COST else None


def _is_large(value: Value) -> bool:
    size = value.type.size  # type: ignore[union-attr]
    return isinstance(size, int) and size > LARGE
