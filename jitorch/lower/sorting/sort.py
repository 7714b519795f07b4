"""The recipe for the stable order of lines: short ones by counting, others by a radix sort.

Counting: an element's place is the number of those that come before it, quadratic in the length and all in vectors
(Knuth, "The Art of Computer Programming", volume 3, 1998, section 5.2).  A line belongs to one task.
"""

from __future__ import annotations

from collections.abc import Callable

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
    return by_radix(job, lines, keys, lines.length)


def by_radix(job: Job, lines: Lines, keys: Keys, count: k.Expr) -> Made:
    """The first ``count`` of the order of lines of any length."""
    radix = Radix(job, lines, keys)
    i = k.Var("i")

    def sort() -> None:
        radix.begin()
        lines.puller.loop(i, lines.length, lambda: radix.add(lines.element(i), i))
        radix.sort(lines.length)
        lines.puller.loop(i, count, lambda: lines.store(i, radix.position(i)))

    return radix.made(sort)


Store = Callable[[k.Expr, k.Expr], None]
"""Does something with an element that is at a place, the first, in the order: the second is its position."""


def counted(lines: Lines, keys: Keys, size: int, store: Store | None = None) -> k.Kernel:
    """The order of lines of ``size`` elements; ``store``: what to do with each instead of storing its position."""
    store = store or lines.store
    dtype = dtypes.int32 if keys.fits_half else dtypes.int64
    kept = k.Buffer("keys", dtype, "local", max(size, 1))
    equal = k.Buffer("equal", dtype, "local", max(size, 1))
    puller, i = lines.puller, k.Var("i")

    def keep() -> None:
        puller.emit(k.Store(kept, i, k.cast(keys.signed(lines.element(i)), dtype)))
        puller.emit(k.Store(equal, i, k.const(0, dtype)))

    def place() -> None:
        store(place_of(puller, kept, equal, i, k.const(size)), i)

    def sort() -> None:
        puller.loop(i, k.const(size), keep)
        puller.loop(i, k.const(size), place)

    return lines.kernel(sort, [kept, equal])


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
