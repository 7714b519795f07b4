"""The recipe for places in a sorted sequence: a binary search without branches for each value.

From the greatest power of two that fits down to 1: if the elements so far ahead all come before the value, it goes
there.  Searches of several values do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable

from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.index import Index
from jitorch.lower.nests import kernel_of
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made
from jitorch.lower.rows.together import together

UNROLLED = 1 << 12
"""Elements of a sequence up to which the steps of a search are written out."""
MOST_STEPS = 48
"""Bits of a size."""


def search(job: Job) -> Made:
    """``search_sorted``: see the module's docstring."""
    return Made((Search(job).kernel(),))


class Search:
    """The kernel of a `search_sorted`."""

    def __init__(self, job: Job):
        self.job = job
        self.sequence, self.values = job.node.operands
        self.is_right = job.node.attrs["right"]
        self.puller = Puller(job.buffers, job.scalars)
        self.steps = k.Var("steps")
        self.shape = job.types[1].shape
        self.size = job.types[0].shape[-1]

    def kernel(self) -> k.Kernel:
        """One loop over all values of one sequence, or one for each axis of values of several."""
        if len(self.job.types[0].shape) == 1:
            groups = [len(self.shape)] if self.shape else []
        else:
            groups = [1] * len(self.shape)
        variables = [k.Var(f"i{j}") for j in range(len(groups))]
        index = Index(self.shape, list(zip(groups, variables)))
        if not self.is_unrolled:
            self._count_steps()
        self._nest(variables, groups, lambda: self._store(index, variables))
        return together(kernel_of(self.job.name, tuple(self.puller.block.statements), ()), self.job.target)

    @property
    def is_unrolled(self) -> bool:
        return isinstance(self.size, int) and self.size <= UNROLLED

    def _count_steps(self) -> None:
        """As many steps as the size has bits."""
        number, count = k.Var("bit"), k.Var("bits")
        is_there = k.cast(k.call("shr", size_expr(self.size), number) > 0, k.INDEX)
        self.puller.emit(k.Local(count, k.const(0)))
        self.puller.loop(number, k.const(MOST_STEPS), lambda: self.puller.emit(k.Assign(count, count + is_there)))
        self.puller.emit(k.Let(self.steps, count))

    def _nest(self, variables: list[k.Var], groups: list[int], body: Callable[[], None]) -> None:
        def nest(j: int) -> None:
            if j == len(groups):
                body()
                return
            extent = size_expr(self.job.types[1].size) if len(groups) == 1 else size_expr(self.shape[j])
            self.puller.loop(variables[j], extent, lambda: nest(j + 1), "parallel")

        nest(0)

    def _store(self, index: Index, variables: list[k.Var]) -> None:
        rows = variables[:-1] if len(self.job.types[0].shape) > 1 else []
        place = self._place(self.puller.pull(self.values, index), rows)
        for statement in self.job.sink.store_at(index, k.cast(place, self.job.out.dtype)):
            self.puller.emit(statement)

    def _place(self, value: k.Expr, rows: list[k.Var]) -> k.Expr:
        if self.is_unrolled:
            place: k.Expr = k.const(0)
            for step in reversed(range(self.size.bit_length())):  # type: ignore[union-attr]
                place = self.puller.let(self._ahead(place, k.const(1 << step), value, rows))
            return place
        found, number = k.Var(self.puller.fresh("place")), k.Var(self.puller.fresh("s"))

        def look() -> None:
            distance = self.puller.let(k.call("shl", k.const(1), self.steps - 1 - number))
            self.puller.emit(k.Assign(found, self._ahead(found, distance, value, rows)))

        self.puller.emit(k.Local(found, k.const(0)))
        self.puller.loop(number, self.steps, look)
        return found

    def _ahead(self, place: k.Expr, distance: k.Expr, value: k.Expr, rows: list[k.Var]) -> k.Expr:
        """``place``, or ``distance`` behind it if what lies between comes before ``value``."""
        size, puller = size_expr(self.size), self.puller
        next_place = puller.let(place + distance)
        last = puller.let(k.call("minimum", next_place, size) - 1)
        element = puller.pull(self.sequence, Index.of(self.job.types[0].shape, [*rows, last]))
        is_before = (next_place <= size) & self._comes_before(element, value)
        return k.where(is_before, next_place, place)

    def _comes_before(self, element: k.Expr, value: k.Expr) -> k.Expr:
        if self.is_right:
            return ~_is_less(value, element)
        return _is_less(element, value)


def _is_less(x: k.Expr, y: k.Expr) -> k.Expr:
    """Whether ``x`` comes before ``y``; NaN is greatest."""
    if not x.dtype.is_floating_point:
        return x < y
    return (x < y) | (y.ne(y) & x.eq(x))
