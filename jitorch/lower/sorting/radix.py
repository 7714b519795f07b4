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
        self.counts = k.Buffer("counts", dtypes.int32, "local", (self.digits + 1) * RADIX)
        self.work = k.Buffer(f"{job.name}_work", dtypes.int64)
        self.entries = Entries(keys, self.work, self.puller)
        self.filled = k.Var("filled")
        self.some, self.all = k.Var("some"), k.Var("all")  # bits that some key has, and that all have
        self.source, self.target = k.Var("source"), k.Var("target")

    def made(self, body: Callable[[], None], scratch: Sequence[k.Buffer] = ()) -> Made:
        """The kernel that does ``body`` for each line; elements go back and forth between two pieces of memory."""
        size = self.job.types[0].size * (2 * self.entries.words)
        return Made((self.lines.kernel(body, [self.counts, *scratch]),), ((self.work, size),))

    def begin(self) -> None:
        puller = self.puller
        first = puller.let(self.lines.number * self.lines.length * 2)
        puller.emit(k.Local(self.filled, first))
        puller.emit(k.Local(self.source, first))
        puller.emit(k.Local(self.target, first + self.lines.length))
        puller.emit(k.Local(self.some, k.const(0)))
        puller.emit(k.Local(self.all, k.const(-1)))

    def clear(self, digit: k.Expr) -> None:
        """Count nothing yet of a digit."""
        puller, d = self.puller, k.Var(self.puller.fresh("d"))
        zero = k.Store(self.counts, digit * RADIX + d, k.const(0, dtypes.int32))
        puller.loop(d, k.const(RADIX), lambda: puller.emit(zero))

    def add(self, element: k.Expr, position: k.Expr) -> None:
        words = self.entries.make(element, position)
        self.entries.store(self.filled, words)
        self.puller.emit(k.Assign(self.filled, self.filled + 1))
        self.puller.emit(k.Assign(self.some, k.call("or", self.some, words[0])))
        self.puller.emit(k.Assign(self.all, k.call("and", self.all, words[0])))

    def raise_count(self, place: k.Expr) -> k.Expr:
        """Raise a count by one; gives what it was."""
        count = self.puller.let(k.Load(self.counts, place))
        self.puller.emit(k.Store(self.counts, place, count + 1))
        return count

    def sort(self, length: k.Expr) -> None:
        """Put the ``length`` elements that were added in order."""
        puller, p, i = self.puller, k.Var("p"), k.Var("i")
        differs = puller.let(k.call("xor", self.some, self.all))
        present, following = k.Var("present"), k.Var("following")
        puller.emit(k.Local(present, k.const(self.digits)))
        puller.emit(k.Local(following, k.const(self.digits)))

        def find_first() -> None:
            """From the last digit to the first, so the lowest of those that differ is found last."""
            number = puller.let(self.digits - 1 - p)
            puller.emit(k.Assign(present, k.where(self._is_set(differs, number), number, present)))

        def turn() -> None:
            """Digit ``p``, if it differs: then those behind it that do are looked for."""
            puller.emit(k.Assign(following, k.const(self.digits)))
            q = k.Var("q")

            def find() -> None:
                number = puller.let(self.digits - 1 - q)
                is_next = (number > p) & self._is_set(differs, number)
                puller.emit(k.Assign(following, k.where(is_next, number, following)))

            puller.loop(q, k.const(self.digits), find)
            self._pass(p, following, length)

        # Of no elements none differ: the bits of no key say nothing.
        some = k.call("minimum", length, k.const(1))
        puller.loop(p, some * self.digits, find_first)
        is_any = puller.let(present < self.digits)
        self._if(is_any, lambda: self._count_first(present, i, length))
        puller.loop(p, k.cast(is_any, k.INDEX) * self.digits, lambda: self._if(self._is_set(differs, p), turn))

    def _if(self, test: k.Expr, body: Callable[[], None]) -> None:
        statements, _ = self.puller.nested(body)
        self.puller.emit(k.If(test, statements))

    def _is_set(self, differs: k.Expr, number: k.Expr) -> k.Expr:
        return self.entries.digit([differs], number).ne(0)

    def _count_first(self, digit: k.Expr, i: k.Var, length: k.Expr) -> None:
        self.clear(digit)
        self.puller.loop(i, length, lambda: self._count(self.entries.load(self.source + i), digit))

    def _count(self, words: Sequence[k.Expr], digit: k.Expr) -> None:
        self.raise_count(self.puller.let(self.entries.digit(words, digit) + digit * RADIX))

    def position(self, place: k.Expr) -> k.Expr:
        """The position of the element that is at ``place`` of the order."""
        return self.puller.let(self.entries.position(self.source + place))

    def _pass(self, p: k.Var, following: k.Var, length: k.Expr) -> None:
        """Bring the elements in the order of digit ``p``, keeping the one they have where it is the same.

        Digit ``following`` is counted on the way; one behind the last is in no key, and has counts of its own.
        """
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
            self._count(words, following)
            entries.store(puller.let(self.target + k.cast(place, dtypes.int64)), words)

        puller.emit(k.Local(total, k.const(0, dtypes.int32)))
        puller.loop(d, k.const(RADIX), start)
        self.clear(following)
        puller.loop(i, length, move)
        puller.emit(k.Local(before, self.source))
        puller.emit(k.Assign(self.source, self.target))
        puller.emit(k.Assign(self.target, before))
