"""Radix sort of the elements of a line.

From the lowest digit of eight bits to the highest, elements go to where the digits so far put them; a digit that is the
same in all elements costs nothing.  While they go, the next digit that is not is counted.  A line has fewer than
2 ** 31 elements.

Knuth, "The Art of Computer Programming", volume 3, 1998, section 5.2.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made
from jitorch.lower.sorting.keys import HALF, Keys
from jitorch.lower.sorting.lines import Lines

DIGIT = 8
RADIX = 1 << DIGIT
POSITION = (1 << HALF) - 1


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


class Radix:
    """Statements that sort some elements of a line: `begin`, `add` each, `sort`; then `position` is known."""

    def __init__(self, job: Job, lines: Lines, keys: Keys):
        self.job, self.lines, self.keys = job, lines, keys
        self.digits = keys.bits // DIGIT
        self.puller = lines.puller
        self.counts = k.Buffer("counts", dtypes.int32, "local", self.digits * RADIX)
        self.work = k.Buffer(f"{job.name}_work", dtypes.int64)
        self.entries = Entries(keys, self.work, self.puller)
        self.filled = k.Var("filled")
        self.source, self.target = k.Var("source"), k.Var("target")

    def made(self, body: Callable[[], None], scratch: Sequence[k.Buffer] = ()) -> Made:
        """The kernel that does ``body`` for each line; elements go back and forth between two pieces of memory."""
        size = self.job.types[0].size * (2 * self.entries.words)
        return Made((self.lines.kernel(body, [self.counts, *scratch]),), ((self.work, size),))

    def begin(self) -> None:
        puller, d = self.puller, k.Var(self.puller.fresh("d"))
        first = puller.let(self.lines.number * self.lines.length * 2)
        puller.emit(k.Local(self.filled, first))
        puller.emit(k.Local(self.source, first))
        puller.emit(k.Local(self.target, first + self.lines.length))
        zero = k.Store(self.counts, d, k.const(0, dtypes.int32))
        puller.loop(d, k.const(self.digits * RADIX), lambda: puller.emit(zero))

    def add(self, element: k.Expr, position: k.Expr) -> None:
        words = self.entries.make(element, position)
        self.entries.store(self.filled, words)
        self.puller.emit(k.Assign(self.filled, self.filled + 1))
        for number in range(self.digits):
            self.raise_count(self.puller.let(self.entries.digit(words, number) + number * RADIX))

    def raise_count(self, place: k.Expr) -> k.Expr:
        """Raise a count by one; gives what it was."""
        count = self.puller.let(k.Load(self.counts, place))
        self.puller.emit(k.Store(self.counts, place, count + 1))
        return count

    def sort(self, length: k.Expr) -> None:
        """Put the ``length`` elements that were added in order."""
        p = k.Var("p")
        # Of no elements there is no first one.
        self.puller.loop(p, k.call("minimum", length, k.const(1)) * self.digits, lambda: self._digit(p, length))

    def position(self, place: k.Expr) -> k.Expr:
        """The position of the element that is at ``place`` of the order."""
        return self.puller.let(self.entries.position(self.source + place))

    def _digit(self, p: k.Var, length: k.Expr) -> None:
        puller, entries = self.puller, self.entries
        first = entries.digit(entries.load(self.source), p)
        differs = k.cast(k.Load(self.counts, p * RADIX + first), dtypes.int64).ne(length)
        statements, _ = puller.nested(lambda: self._pass(p, length))
        puller.emit(k.If(differs, statements))

    def _pass(self, p: k.Var, length: k.Expr) -> None:
        """Bring the elements in the order of digit ``p``, and keep the one they have where it is the same."""
        puller, entries = self.puller, self.entries
        d, i, total, before = k.Var("d"), k.Var("i"), k.Var("total", dtypes.int32), k.Var("before")

        def start() -> None:
            """From how many have each digit to where those begin."""
            count = puller.let(k.Load(self.counts, p * RADIX + d))
            puller.emit(k.Store(self.counts, p * RADIX + d, total))
            puller.emit(k.Assign(total, total + count))

        def move() -> None:
            words = entries.load(self.source + i)
            place = self.raise_count(puller.let(entries.digit(words, p) + p * RADIX))
            entries.store(puller.let(self.target + k.cast(place, dtypes.int64)), words)

        puller.emit(k.Local(total, k.const(0, dtypes.int32)))
        puller.loop(d, k.const(RADIX), start)
        puller.loop(i, length, move)
        puller.emit(k.Local(before, self.source))
        puller.emit(k.Assign(self.source, self.target))
        puller.emit(k.Assign(self.target, before))
