"""The recipe for the stable order of lines: short ones by counting, others by a radix sort.

Counting: an element's place is the number of those that come before it, quadratic in the length and all in vectors.
Radix: from the lowest digit of eight bits to the highest, elements go to where the digits so far put them; a digit that
is the same in all elements costs nothing.  A line belongs to one task.

Knuth, "The Art of Computer Programming", volume 3, 1998, sections 5.2 and 5.2.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made
from jitorch.lower.sorting.keys import HALF, Keys
from jitorch.lower.sorting.lines import Lines

SHORT = 128
"""Elements up to which lines are sorted by counting."""
DIGIT = 8
RADIX = 1 << DIGIT
POSITION = (1 << HALF) - 1


def argsort(job: Job) -> Made:
    """``argsort_axis``: see the module's docstring."""
    size = job.types[0].shape[job.node.attrs["axis"]]
    keys = Keys(job.types[0].dtype, job.node.attrs["descending"])
    lines = Lines(job, job.node.attrs["axis"])
    if isinstance(size, int) and size <= SHORT:
        return Made((counted(lines, keys, size),))
    return by_radix(job, lines, keys, lines.length)



def by_radix(job: Job, lines: Lines, keys: Keys, count: k.Expr) -> Made:
    words = 1 if keys.fits_half else 2
    # Elements go back and forth between two pieces of memory for each line.
    work = k.Buffer(f"{job.name}_work", dtypes.int64)
    return Made((_radix(lines, keys, work, count),), ((work, job.types[0].size * (2 * words)),))



def counted(lines: Lines, keys: Keys, size: int, wanted: int | None = None) -> k.Kernel:
    """The order of lines of ``size`` elements, or the first ``wanted`` of it."""
    dtype = dtypes.int32 if keys.fits_half else dtypes.int64
    kept = k.Buffer("keys", dtype, "local", max(size, 1))
    equal = k.Buffer("equal", dtype, "local", max(size, 1))
    puller, i = lines.puller, k.Var("i")

    def keep() -> None:
        puller.emit(k.Store(kept, i, k.cast(keys.signed(lines.element(i)), dtype)))
        puller.emit(k.Store(equal, i, k.const(0, dtype)))

    def place() -> None:
        at = place_of(puller, kept, equal, i, k.const(size))
        if wanted is None:
            lines.store(at, i)
        else:
            statements, _ = puller.nested(lambda: lines.store(at, i))
            puller.emit(k.If(at < wanted, statements))

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


class Entries:
    """Pairs of key and position in memory: one number if the key leaves room for the position, else two."""

    def __init__(self, keys: Keys, buffer: k.Buffer, puller: Puller):
        self.keys, self.buffer, self.puller = keys, buffer, puller
        self.words = 1 if keys.fits_half else 2

    def make(self, element: k.Expr, position: k.Expr) -> list[k.Expr]:
        """The words of an entry; the first has the key, below which a position may be."""
        key = self.puller.let(self.keys.digits(element))
        if self.words == 2:
            return [key, position]
        return [self.puller.let(k.call("or", k.call("shl", key, HALF), position))]

    def load(self, place: k.Expr) -> list[k.Expr]:
        return [self.puller.let(k.Load(self.buffer, place * self.words + w)) for w in range(self.words)]

    def store(self, place: k.Expr, words: Sequence[k.Expr]) -> None:
        for w, word in enumerate(words):
            self.puller.emit(k.Store(self.buffer, place * self.words + w, word))

    def digit(self, words: Sequence[k.Expr], number: k.Expr | int) -> k.Expr:
        """Digit ``number`` of the key, from the lowest."""
        shift = number * DIGIT + (HALF if self.words == 1 else 0)
        return self.puller.let(k.call("and", k.call("shr", words[0], shift), RADIX - 1))

    def position(self, place: k.Expr) -> k.Expr:
        if self.words == 2:
            return k.Load(self.buffer, place * 2 + 1)
        return k.call("and", k.Load(self.buffer, place), POSITION)


def _radix(lines: Lines, keys: Keys, work: k.Buffer, wanted: k.Expr) -> k.Kernel:
    """The first ``wanted`` of the order of lines of any length."""
    digits = keys.bits // DIGIT
    counts = k.Buffer("counts", dtypes.int32, "local", digits * RADIX)
    puller, entries, length = lines.puller, Entries(keys, work, lines.puller), lines.length
    i, p, d = k.Var("i"), k.Var("p"), k.Var("d")
    source, target = k.Var("source"), k.Var("target")

    def one_more(place: k.Expr) -> k.Expr:
        """Raise a count; gives what it was."""
        count = puller.let(k.Load(counts, place))
        puller.emit(k.Store(counts, place, count + 1))
        return count

    def read(first: k.Expr) -> None:
        words = entries.make(lines.element(i), i)
        entries.store(first + i, words)
        for number in range(digits):
            one_more(puller.let(entries.digit(words, number) + number * RADIX))

    def begin(total: k.Var) -> None:
        """From how many have each digit to where those begin."""
        count = puller.let(k.Load(counts, p * RADIX + d))
        puller.emit(k.Store(counts, p * RADIX + d, total))
        puller.emit(k.Assign(total, total + count))

    def move() -> None:
        words = entries.load(source + i)
        place = one_more(puller.let(entries.digit(words, p) + p * RADIX))
        entries.store(puller.let(target + k.cast(place, dtypes.int64)), words)

    def pass_over() -> None:
        total, before = k.Var("total", dtypes.int32), k.Var("before")
        puller.emit(k.Local(total, k.const(0, dtypes.int32)))
        puller.loop(d, k.const(RADIX), lambda: begin(total))
        puller.loop(i, length, move)
        puller.emit(k.Local(before, source))
        puller.emit(k.Assign(source, target))
        puller.emit(k.Assign(target, before))

    def unless_equal() -> None:
        first = entries.digit(entries.load(source), p)
        differs = k.cast(k.Load(counts, p * RADIX + first), dtypes.int64).ne(length)
        statements, _ = puller.nested(pass_over)
        puller.emit(k.If(differs, statements))

    def sort() -> None:
        first = puller.let(lines.number * length * 2)
        puller.loop(d, k.const(digits * RADIX), lambda: puller.emit(k.Store(counts, d, k.const(0, dtypes.int32))))
        puller.loop(i, length, lambda: read(first))
        puller.emit(k.Local(source, first))
        puller.emit(k.Local(target, first + length))
        # An empty line has no first element.
        puller.loop(p, k.call("minimum", length, k.const(1)) * digits, unless_equal)
        puller.loop(i, wanted, lambda: lines.store(i, puller.let(entries.position(source + i))))

    return lines.kernel(sort, [counts])
