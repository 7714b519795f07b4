"""The recipe for one element of the stable order of each line.

Elements are counted by the highest digit of their keys; then those that have the digit of the wanted one are sorted.
"""

from __future__ import annotations

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.lower.index import Index
from jitorch.lower.recipe import Job, Made
from jitorch.lower.sorting.keys import Keys
from jitorch.lower.sorting.lines import Lines
from jitorch.lower.sorting.radix import DIGIT, RADIX, Radix
from jitorch.lower.sorting.sort import SHORT, counted, or_counted


def nth(job: Job) -> Made:
    """``nth_axis``: see the module's docstring."""
    axis = job.node.attrs["axis"]
    size, keys, lines = job.types[0].shape[axis], Keys(job.types[0].dtype, False), Lines(job, axis)

    def store(at: k.Expr, i: k.Expr) -> None:
        lines.store_if(at.eq(rank_of(job, lines)), k.const(0), i)

    if not isinstance(size, int) or size > SHORT:
        selection = Selection(job, lines, keys)
        return selection.radix.made(*or_counted(lines, keys, store, selection.line))
    return Made((counted(lines, keys, size, store),))


def rank_of(job: Job, lines: Lines) -> k.Expr:
    """The rank that is wanted of a line."""
    rank = lines.puller.pull(job.node.operands[1], Index.of(job.types[1].shape, lines.place(k.const(0))))
    return k.cast(rank, k.INDEX)


class Selection:
    """The kernel of a `nth_axis`."""

    def __init__(self, job: Job, lines: Lines, keys: Keys):
        self.job, self.lines, self.keys, self.puller = job, lines, keys, lines.puller
        self.radix = Radix(job, lines, keys)
        self.chosen, self.below = k.Var("chosen"), k.Var("below")

    def line(self) -> None:
        puller, radix, length, i = self.puller, self.radix, self.lines.length, k.Var("i")
        rank = rank_of(self.job, self.lines)
        radix.clear(k.const(0))
        puller.loop(i, length, lambda: radix.raise_count(self._digit(i)))
        self._choose(rank)
        radix.begin()
        puller.loop(i, length, lambda: self._take(i))
        size = puller.let(radix.filled - radix.source)
        radix.sort(size)
        # A rank that is out of range finds no element.
        place = k.call("maximum", k.call("minimum", rank - self.below, size - 1), k.const(0))
        self.lines.store(k.const(0), radix.position(puller.let(place)))

    def _digit(self, along: k.Expr) -> k.Expr:
        """The highest digit of an element."""
        key = self.keys.digits(self.lines.element(along))
        return self.puller.let(k.call("and", k.call("shr", key, (self.radix.digits - 1) * DIGIT), RADIX - 1))

    def _choose(self, rank: k.Expr) -> None:
        """Find the digit of the element of that rank, and how many elements have a lower one."""
        puller, d, total = self.puller, k.Var("d"), k.Var("total")

        def look() -> None:
            count = puller.let(k.cast(k.Load(self.radix.counts, d), dtypes.int64))
            is_here = puller.let((total <= rank) & (rank < total + count))
            puller.emit(k.Assign(self.chosen, k.where(is_here, d, self.chosen)))
            puller.emit(k.Assign(self.below, k.where(is_here, total, self.below)))
            puller.emit(k.Assign(total, total + count))

        for var in (self.chosen, self.below, total):
            puller.emit(k.Local(var, k.const(0)))
        puller.loop(d, k.const(RADIX), look)

    def _take(self, along: k.Expr) -> None:
        digit = self._digit(along)
        statements, _ = self.puller.nested(lambda: self.radix.add(self.lines.element(along), along))
        self.puller.emit(k.If(digit.eq(self.chosen), statements))
