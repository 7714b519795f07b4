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


class Index:
    """``segments``: (number of axes, flat expression) from the first axis to the last of ``shape``."""

    __slots__ = ("_coordinates", "segments", "shape")

    def __init__(self, shape: Sequence[Dim], segments: Sequence[tuple[int, Expr]]):
        self.shape, self.segments = tuple(shape), tuple(segments)
        self._coordinates: dict[int, Expr] = {}

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
        for i in reversed(wide[1:]):
            size = size_expr(self.shape[i])
            result[i - start] = flat % size
            flat = flat // size
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
            segments += _merge(self.shape, pending, shape[at : at + width])
            at, pending = at + width, []
        if pending:
            segments += _merge(self.shape, pending, shape[at:])
        elif at < len(shape):  # axes of size 1 behind an index without axes
            segments.append((len(shape) - at, const(0)))
        return Index(shape, segments)


def _prefix(shape: Sequence[Dim], size: Dim) -> int | None:
    """How many leading sizes multiply to ``size``."""
    product: Dim = 1
    for i, d in enumerate(shape):
        product = product * d
        if product == size:
            return i + 1
    return 0 if size == 1 and not shape else None


def _merge(shape: Sequence[Dim], pending: list[tuple[int, int, Expr]], new: Sequence[Dim]) -> list[tuple[int, Expr]]:
    if not new:
        return []
    if len(pending) == 1 or len(new) == 1:
        flat: Expr = const(0)
        for first, count, part in pending:
            flat = flat * size_expr(dims.prod(shape[first : first + count])) + part
        return [(len(new), flat)]
    same = [d for d in new if d != 1] == [dims.prod(shape[f : f + c]) for f, c, _ in pending]
    if same:
        parts = iter(pending)
        return [(1, const(0) if d == 1 else next(parts)[2]) for d in new]
    flat = const(0)
    for first, count, part in pending:
        flat = flat * size_expr(dims.prod(shape[first : first + count])) + part
    return [(len(new), flat)]
