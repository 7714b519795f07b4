"""The recipe for the first elements of the stable order of lines.

A few of them are kept in a small buffer while a line goes by.  A block of elements of which none comes before the last
one kept is passed over at once; what does come before it is appended, and when the buffer is full, it is put in order
and cut back.  So a line that comes in the wrong order costs no more than a sort of it.
"""

from __future__ import annotations

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.lower.recipe import Job, Made
from jitorch.lower.sorting.keys import Keys
from jitorch.lower.sorting.lines import Lines
from jitorch.lower.sorting.radix import Radix
from jitorch.lower.sorting.sort import SHORT, counted, or_counted, place_of

MOST_KEPT = 128
"""Elements up to which the first ones of a line are kept while it goes by."""
PART = 16
"""How many times as many a line must have: of fewer elements, too many would be kept for a while."""
HIGHEST = 12
"""Bits of the digit by which elements are left out: fewer hold little more than the exponent of a float."""
LESS, MANY = 4, 1 << 13
"""How many times as many elements, and how many, a line must have: else all of it is sorted."""
BLOCK = 32
"""Elements that are passed over at once."""


def top(job: Job) -> Made:
    """``top_axis``: the first elements of the order; a few are kept, in a small buffer, while a line goes by."""
    axis, count = job.node.attrs["axis"], job.node.attrs["count"]
    size = job.types[0].shape[axis]
    keys = Keys(job.types[0].dtype, job.node.attrs["descending"])
    lines = Lines(job, axis)

    def store(at: k.Expr, i: k.Expr) -> None:
        lines.store_if(at < count, at, i)

    if isinstance(size, int) and size <= SHORT:
        return Made((counted(lines, keys, size, store),))
    if count > MOST_KEPT or (isinstance(size, int) and size < PART * count):
        first = First(job, lines, keys, count)
        body, scratch = or_counted(lines, keys, store, first.line)
        return first.radix.made(body, [first.numbers, *scratch])
    kept = Kept(lines, keys, count)
    body, scratch = or_counted(lines, keys, store, kept.line)
    return Made((lines.kernel(body, [*kept.scratch, *scratch]),))


class First:
    """The kernel of the first ``count`` elements where they are many: a selection, of which a sort follows.

    Elements are counted by the highest digit of their keys; those with a higher one than the last of the first has are
    left out of the sort.
    """

    def __init__(self, job: Job, lines: Lines, keys: Keys, count: int):
        self.lines, self.keys, self.count, self.puller = lines, keys, count, lines.puller
        self.radix = Radix(job, lines, keys)
        self.numbers = k.Buffer("numbers", dtypes.int32, "local", 1 << self.digit)
        self.last, self.total = k.Var("last"), k.Var("total")

    @property
    def digit(self) -> int:
        """Bits of the digit."""
        return min(HIGHEST, self.keys.bits)

    def line(self) -> None:
        puller, radix, i, length = self.puller, self.radix, k.Var("i"), self.lines.length
        is_worth = puller.let(k.cast((length >= self.count * LESS) & (length >= MANY), dtypes.int64))
        digits = puller.let(is_worth * (1 << self.digit))
        puller.loop(i, digits, lambda: puller.emit(k.Store(self.numbers, i, k.const(0, dtypes.int32))))
        puller.loop(i, puller.let(length * is_worth), lambda: self._count(i))
        self._choose(digits)
        radix.begin()
        puller.loop(i, self.lines.length, lambda: self._take(i))
        radix.sort(puller.let(radix.filled - radix.source))
        puller.loop(i, k.const(self.count), lambda: self.lines.store(i, radix.position(i)))

    def _digit(self, along: k.Expr) -> k.Expr:
        key = self.keys.digits(self.lines.element(along))
        mask = (1 << self.digit) - 1
        return self.puller.let(k.call("and", k.call("shr", key, self.keys.bits - self.digit), mask))

    def _count(self, along: k.Expr) -> None:
        digit = self._digit(along)
        self.puller.emit(k.Store(self.numbers, digit, k.Load(self.numbers, digit) + 1))

    def _choose(self, digits: k.Expr) -> None:
        """Find the digit of the last of the first elements; the last there is where they were not counted."""
        puller, d = self.puller, k.Var("d")

        def look() -> None:
            puller.emit(k.Assign(self.last, k.where(self.total < self.count, d, self.last)))
            puller.emit(k.Assign(self.total, self.total + k.cast(k.Load(self.numbers, d), dtypes.int64)))

        puller.emit(k.Local(self.last, k.where(digits.eq(0), k.const((1 << self.digit) - 1), k.const(0))))
        puller.emit(k.Local(self.total, k.const(0)))
        puller.loop(d, digits, look)

    def _take(self, along: k.Expr) -> None:
        digit = self._digit(along)
        statements, _ = self.puller.nested(lambda: self.radix.add(self.lines.element(along), along))
        self.puller.emit(k.If(digit <= self.last, statements))


class Kept:
    """The kernel of the first ``count`` elements of lines of at least as many."""

    def __init__(self, lines: Lines, keys: Keys, count: int):
        self.lines, self.keys, self.count = lines, keys, count
        self.puller = lines.puller
        self.dtype = dtypes.int32 if keys.fits_half else dtypes.int64
        # The more is found before the buffer is cut back, the less often; but until then its last is a worse one.
        self.most = count + max(16, count // 2)
        size = self.most + BLOCK
        self.found, self.sorted = (k.Buffer(name, self.dtype, "local", size) for name in ("found", "sorted"))
        self.equal = k.Buffer("equals", self.dtype, "local", size)
        self.places, self.order = (k.Buffer(name, dtypes.int64, "local", size) for name in ("places", "order"))
        self.filled, self.last = k.Var("filled"), k.Var("last", self.dtype)

    @property
    def scratch(self) -> list[k.Buffer]:
        return [self.found, self.sorted, self.equal, self.places, self.order]

    def line(self) -> None:
        puller, i, b = self.puller, k.Var("i"), k.Var("b")
        rest = puller.let(self.lines.length - self.count)
        puller.emit(k.Local(self.filled, k.const(0)))
        puller.emit(k.Local(self.last, k.const(0, self.dtype)))
        puller.loop(i, k.const(self.count), lambda: self._append(i, k.const(True, dtypes.bool_)))
        self._cut()
        blocks = puller.let(rest // BLOCK)
        puller.loop(b, blocks, lambda: self._block(puller.let(b * BLOCK + self.count)))
        first = puller.let(blocks * BLOCK + self.count)
        puller.loop(i, self.lines.length - first, lambda: self._append_before(puller.let(first + i)))
        self._cut()
        puller.loop(i, k.const(self.count), lambda: self.lines.store(i, puller.let(k.Load(self.order, i))))

    def _key(self, along: k.Expr) -> k.Expr:
        return self.puller.let(k.cast(self.keys.signed(self.lines.element(along)), self.dtype))

    def _append(self, along: k.Expr, is_wanted: k.Expr) -> None:
        """Write an element behind those found; it stays there if ``is_wanted``."""
        puller = self.puller
        puller.emit(k.Store(self.found, self.filled, self._key(along)))
        puller.emit(k.Store(self.places, self.filled, along))
        puller.emit(k.Assign(self.filled, self.filled + k.cast(is_wanted, dtypes.int64)))

    def _append_before(self, along: k.Expr) -> None:
        self._append(along, self._key(along) < self.last)

    def _block(self, first: k.Expr) -> None:
        puller, j, least = self.puller, k.Var("j"), k.Var("least", self.dtype)
        puller.emit(k.Local(least, self.last))
        puller.loop(j, k.const(BLOCK), lambda: puller.emit(k.Assign(least, self._lesser(least, first + j))))

        def take() -> None:
            puller.loop(j, k.const(BLOCK), lambda: self._append_before(puller.let(first + j)))
            statements, _ = puller.nested(self._cut)
            puller.emit(k.If(self.filled > self.most, statements))

        statements, _ = puller.nested(take)
        puller.emit(k.If(least < self.last, statements))

    def _lesser(self, least: k.Var, along: k.Expr) -> k.Expr:
        return k.call("minimum", least, self._key(along), reassociate=True)

    def _cut(self) -> None:
        """Put what was found in order, and keep as many of it as are wanted."""
        puller, i, c = self.puller, k.Var(self.puller.fresh("i")), k.Var(self.puller.fresh("c"))

        def put() -> None:
            at = place_of(puller, self.found, self.equal, i, self.filled)
            puller.emit(k.Store(self.sorted, at, k.Load(self.found, i)))
            puller.emit(k.Store(self.order, at, k.Load(self.places, i)))

        def keep() -> None:
            puller.emit(k.Store(self.found, c, k.Load(self.sorted, c)))
            puller.emit(k.Store(self.places, c, k.Load(self.order, c)))

        puller.loop(i, self.filled, lambda: puller.emit(k.Store(self.equal, i, k.const(0, self.dtype))))
        puller.loop(i, self.filled, put)
        puller.loop(c, k.const(self.count), keep)
        puller.emit(k.Assign(self.filled, k.const(self.count)))
        puller.emit(k.Assign(self.last, k.Load(self.sorted, k.const(self.count - 1))))
