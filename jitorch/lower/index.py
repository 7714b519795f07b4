"""Index: where in a value's index space a pull is.

An index is a row of *segments*: each covers consecutive axes by one flat expression, so a loop over
several axes at once needs no division as long as nobody asks for a single coordinate of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir.kernel import Expr, const
from jitorch.ir.sizes import size_expr

Digits = dict[Expr, tuple[tuple[Dim, Expr], ...]]
"""Positions that were put together, by their digits: ``(radix, digit)``, outermost first."""


class Index:
    """``segments``: (number of axes, flat expression) from the first axis to the last of ``shape``."""

    __slots__ = ("_coordinates", "_digits", "segments", "shape")

    def __init__(self, shape: Sequence[Dim], segments: Sequence[tuple[int, Expr]], digits: Digits | None = None):
        self.shape, self.segments = tuple(shape), tuple(segments)
        self._coordinates: dict[int, Expr] = {}
        self._digits: Digits = digits or {}

    @classmethod
    def of(cls, shape: Sequence[Dim], coordinates: Sequence[Expr | int]) -> Index:
        """One expression an axis."""
        return cls(shape, [(1, c if isinstance(c, Expr) else const(c)) for c in coordinates])

    @property
    def key(self) -> tuple[Any, ...]:
        return self.segments

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return tuple(self[j] for j in range(*i.indices(len(self.shape))))
        if i < 0:
            i += len(self.shape)
        found = self._coordinates.get(i)
        if found is None:
            found = self._coordinates[i] = self._coordinate(i)
        return found

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self.shape)))

    def _coordinate(self, i: int) -> Expr:
        start = 0
        for count, flat in self.segments:
            if i < start + count:
                return self._split(flat, start, count)[i - start]
            start += count
        raise IndexError(i)

    def _split(self, flat: Expr, start: int, count: int) -> list[Expr]:
        """The coordinates of one segment, innermost by remainder, outermost what is left; 0 along axes of size 1."""
        result: list[Expr] = [const(0)] * count
        wide = [i for i in range(start, start + count) if self.shape[i] != 1]
        known = _regrouped(self._digits.get(flat, ()), [self.shape[i] for i in wide])
        if known is not None:
            for i, coordinate in zip(wide, known, strict=True):
                result[i - start] = coordinate
            return result
        digits = self._digits.get(flat, ())
        for i in reversed(wide[1:]):
            size = self.shape[i]
            is_digit = bool(digits) and digits[-1][0] == size
            result[i - start] = digits[-1][1] if is_digit else flat % size_expr(size)
            flat, digits = _divided(flat, digits, size)
        if wide:
            result[wide[0] - start] = flat
        return result

    def flat(self) -> Expr:
        """The row-major position in the whole shape."""
        start, total = 0, const(0)
        result: Expr = total
        for count, flat in self.segments:
            result = result * size_expr(dims.prod(self.shape[start : start + count])) + flat
            start += count
        return result

    def reshaped(self, shape: Sequence[Dim]) -> Index:
        """The index of the same element in row-major ``shape``; segments whose bounds still exist are kept."""
        shape = tuple(shape)
        segments: list[tuple[int, Expr]] = []
        digits = dict(self._digits)
        start = at = 0
        pending: list[tuple[int, int, Expr]] = []  # (first axis, axes, flat) not yet matched
        for count, flat in self.segments:
            pending.append((start, count, flat))
            start += count
            size = dims.prod(self.shape[pending[0][0] : start])
            width = _prefix(shape[at:], size)
            if width is None:
                continue
            if start == len(self.shape):
                width = len(shape) - at
            segments += _merge(self.shape, pending, shape[at : at + width], digits)
            at, pending = at + width, []
        if pending:
            segments += _merge(self.shape, pending, shape[at:], digits)
        elif at < len(shape):  # axes of size 1 behind an index without axes
            segments.append((len(shape) - at, const(0)))
        return Index(shape, segments, digits)


def _prefix(shape: Sequence[Dim], size: Dim) -> int | None:
    """How many leading sizes multiply to ``size``."""
    product: Dim = 1
    for i, d in enumerate(shape):
        product = product * d
        if product == size:
            return i + 1
    return 0 if size == 1 and not shape else None


def _merge(
    shape: Sequence[Dim], pending: list[tuple[int, int, Expr]], new: Sequence[Dim], digits: Digits
) -> list[tuple[int, Expr]]:
    if not new:
        return []
    sizes = [dims.prod(shape[first : first + count]) for first, count, _ in pending]
    if len(pending) > 1 and len(new) > 1 and [d for d in new if d != 1] == sizes:
        parts = iter(pending)
        return [(1, const(0) if d == 1 else next(parts)[2]) for d in new]
    flat: Expr = const(0)
    found: list[tuple[Dim, Expr]] = []
    for size, (_, _, part) in zip(sizes, pending):
        flat = flat * size_expr(size) + part
        found += digits.get(part, ((size, part),))
    if len(pending) > 1:
        digits[flat] = tuple(found)
    return [(len(new), flat)]


def _divided(flat: Expr, digits: Sequence[tuple[Dim, Expr]], size: Dim) -> tuple[Expr, Sequence[tuple[Dim, Expr]]]:
    """The quotient of a number, of which the ``digits`` are known if there are any, by ``size``; and its digits.

    Digits whose radices divide the size fall away, so that less is left to divide.
    """
    left, rest = list(digits), size
    while left and rest != 1 and (part := _exact(rest, left[-1][0])) is not None:
        rest = part
        left.pop()
    if len(left) == len(digits):
        return flat // size_expr(size), ()
    flat = const(0)
    for radix, digit in left:
        flat = flat * size_expr(radix) + digit
    return (flat, left) if rest == 1 else (flat // size_expr(rest), ())


def _exact(size: Dim, by: Dim) -> Dim | None:
    """``size`` divided by a size that is known to divide it, else None."""
    if dims.decide("<", 0, by) is not True:
        return None
    part = dims.floordiv(size, by)
    return part if part * by == size else None


def _regrouped(digits: Sequence[tuple[Dim, Expr]], sizes: Sequence[Dim]) -> list[Expr] | None:
    """A number in mixed radix, ``(radix, digit)`` outermost first, as digits of the radices ``sizes``.

    None if that cannot be done without dividing more than one of the digits at a time, or if there are no elements.
    """
    left = [(n, e) for n, e in digits if isinstance(n, int)]
    wanted = [n for n in sizes if isinstance(n, int)]
    if not left or len(left) != len(digits) or len(wanted) != len(sizes):
        return None
    if 0 in wanted or any(n == 0 for n, _ in left):  # nothing that could be divided
        return None
    result: list[Expr] = []
    for size in reversed(wanted):
        digit, reach = const(0), 1
        while reach != size:
            if not left:
                return None
            n, e = left.pop()
            rest = size // reach
            if size % reach or (rest % n and n % rest):
                return None
            if n > rest:
                left.append((n // rest, e // rest))
                n, e = rest, e % rest
            digit, reach = e * reach + digit, reach * n
        result.append(digit)
    return result[::-1]
