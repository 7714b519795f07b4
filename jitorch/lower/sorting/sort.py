"""The recipe for the stable order of lines: short ones by counting, others by a radix sort.

Counting: an element's place is the number of those that come before it, quadratic in the length and all in vectors
(Knuth, "The Art of Computer Programming", volume 3, 1998, section 5.2).  A line belongs to one task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made
from jitorch.lower.sorting.keys import Keys
from jitorch.lower.sorting.lines import Lines
from jitorch.lower.sorting.radix import Radix

SHORT = 128
"""Elements up to which lines are sorted by counting."""


def argsort(job: Job) -> Made:
    """``argsort_axis``: see the module's docstring."""
    size = job.types[0].shape[job.node.attrs["axis"]]
    keys = Keys(job.types[0].dtype, job.node.attrs["descending"])
    lines = Lines(job, job.node.attrs["axis"])
    if isinstance(size, int) and size <= SHORT:
        return Made((counted(lines, keys, size),))
    return by_radix(job, lines, keys)


def by_radix(job: Job, lines: Lines, keys: Keys) -> Made:
    """The order of lines of any length; where that is a symbol, short ones are counted still."""
    radix = Radix(job, lines, keys)
    i, puller = k.Var("i"), lines.puller

    def sort() -> None:
        radix.begin()
        puller.loop(i, lines.length, lambda: radix.add(lines.element(i), i))
        radix.sort(lines.length)
        puller.loop(i, lines.length, lambda: lines.store(i, radix.position(i)))

    body, scratch = or_counted(lines, keys, lines.store, sort)
    return radix.made(body, scratch)


Store = Callable[[k.Expr, k.Expr], None]
"""Does something with an element that is at a place, the first, in the order: the second is its position."""


def counted(lines: Lines, keys: Keys, size: int, store: Store | None = None) -> k.Kernel:
    """The order of lines of ``size`` elements; ``store``: what to do with each instead of storing its position."""
    counting = Counting(lines, keys, max(size, 1))
    return lines.kernel(lambda: counting.line(store or lines.store), counting.scratch)


class Counting:
    """Statements that find the place of each element of a line of at most ``most``."""

    def __init__(self, lines: Lines, keys: Keys, most: int):
        self.lines, self.keys = lines, keys
        self.dtype = dtypes.int32 if keys.fits_half else dtypes.int64
        self.kept, self.equal = (k.Buffer(name, self.dtype, "local", most) for name in ("keys", "equal"))

    @property
    def scratch(self) -> list[k.Buffer]:
        return [self.kept, self.equal]

    def line(self, store: Store) -> None:
        puller, lines, i = self.lines.puller, self.lines, k.Var("i")

        def keep() -> None:
            puller.emit(k.Store(self.kept, i, k.cast(self.keys.signed(lines.element(i)), self.dtype)))
            puller.emit(k.Store(self.equal, i, k.const(0, self.dtype)))

        def place() -> None:
            store(place_of(puller, self.kept, self.equal, i, lines.length), i)

        puller.loop(i, lines.length, keep)
        puller.loop(i, lines.length, place)


def or_counted(
    lines: Lines, keys: Keys, store: Store, body: Callable[[], None]
) -> tuple[Callable[[], None], Sequence[k.Buffer]]:
    """``body`` for a line, and scratch memory; where lengths are symbols, elements of short lines are counted still."""
    if isinstance(lines.length, k.Const):
        return body, ()
    counting, puller = Counting(lines, keys, SHORT), lines.puller

    def choose() -> None:
        is_short = puller.let(lines.length <= SHORT)
        few, _ = puller.nested(lambda: counting.line(store))
        many, _ = puller.nested(body)
        puller.emit(k.If(is_short, few, many))

    return choose, counting.scratch


def place_of(puller: Puller, keys: k.Buffer, equal: k.Buffer, i: k.Expr, size: k.Expr) -> k.Expr:
    """The place of element ``i`` in the order of the first ``size`` of ``keys``.

    This is asked for one element after the other; ``equal``, zeros at first, counts those that are equal.
    """
    mine, j = puller.let(k.Load(keys, i)), k.Var(puller.fresh("j"))
    before = k.Var(puller.fresh("before"), keys.dtype)

    def count() -> None:
        is_before = k.cast(k.Load(keys, j) < mine, keys.dtype)
        puller.emit(k.Assign(before, k.call("add", before, is_before, reassociate=True)))

    puller.emit(k.Local(before, k.const(0, keys.dtype)))
    puller.loop(j, size, count)
    first = puller.let(k.cast(before, dtypes.int64))
    others = puller.let(k.Load(equal, first))
    puller.emit(k.Store(equal, first, others + 1))
    return puller.let(first + k.cast(others, dtypes.int64))
