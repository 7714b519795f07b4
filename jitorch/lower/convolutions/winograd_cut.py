"""How a convolution by minimal filtering is cut into tasks, and where it pays."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

ROWS = 6
"""Output channels of a panel."""
_TERMS, _TAPS, _SQUARE = 16, 9, 4
SCRATCH_BYTES = 250 * 1024
"""For the transforms of a chunk and their sums; they fit the second-level cache."""
_CHUNK = 16
"""Channels of a chunk where not all fit."""
_TASKS = 16
_LEAST_PANELS = 8
_OVERHEAD, _WEIGHTS, _DIRECT = 1.3, 30.0, 1.15
"""What the transforms add to the products; cycles for a channel's weights; what edges add to a plain sum."""


@dataclass(frozen=True)
class Cut:
    """A task is ``rows`` rows of squares by ``panels`` panels of channels.

    ``lanes``: the squares of a task, filled up; ``tiles``: they as groups of runs (first lane, length) of one vector
    each, whose sums are in registers together; ``chunk``: channels whose transforms are in memory at once.
    """

    rows: int
    lanes: int
    width: int
    tiles: tuple[tuple[tuple[int, int], ...], ...]
    chunk: int
    panels: int

    @property
    def vectors(self) -> float:
        return _vectors(self.lanes, self.width)


@functools.lru_cache(256)
def choose_cut(
    images: int | None, height: int, width: int, channels: int, outputs: int, lanes: int, registers: int, itemsize: int
) -> Cut | None:
    """The cut with the least work, or None where plain sums are faster.  ``images``: None if not known."""
    down, across = -(-height // 2), -(-width // 2)
    rows = down * (images or 1)
    best: tuple[float, int, int] | None = None
    for count, filled in _blocks(rows, across, lanes, itemsize):
        key = (-(-rows // count) * (_vectors(filled, lanes) + 0.1), count, filled)
        if best is None or key < best:
            best = key
    if best is None:
        return None
    work, count, filled = best
    # Cycles for one channel in and one out, a vector a cycle.
    plain = _TAPS * height * width * (images or 1) / lanes * _DIRECT
    if work * _TERMS * _OVERHEAD + _WEIGHTS > plain:
        return None
    all_panels = -(-outputs // ROWS)
    room = SCRATCH_BYTES // (_TERMS * filled * itemsize)
    chunk, panels = channels, all_panels
    if channels + ROWS > room:
        chunk = min(channels, _CHUNK)
        panels = min(all_panels, (room - chunk) // ROWS)
    blocks = -(-rows // count)
    wanted = max(-(-all_panels // panels), min(-(-_TASKS // blocks), all_panels // _LEAST_PANELS))
    panels = -(-all_panels // wanted)
    return Cut(count, filled, lanes, tuple(_tiles(filled, lanes, registers)), chunk, panels)


def _blocks(rows: int, across: int, lanes: int, itemsize: int) -> Iterator[tuple[int, int]]:
    """Rows of a task, and its squares filled up to half vectors."""
    step = max(1, lanes // 2)
    most = SCRATCH_BYTES // (_TERMS * itemsize * (_CHUNK + _SQUARE * ROWS))
    for count in range(1, rows + 1):
        filled = -(-count * across // step) * step
        if filled > most:
            return
        yield count, filled


def _vectors(filled: int, lanes: int) -> float:
    """Vector multiplications of a row: a last vector that is half as long takes half as long."""
    return filled / lanes


def _tiles(filled: int, lanes: int, registers: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Equal groups of vectors whose sums for a panel fit the registers."""
    runs = [(at, min(lanes, filled - at)) for at in range(0, filled, lanes)]
    most = max(1, (registers - 1) // (ROWS + 1))
    groups = -(-len(runs) // most)
    size = -(-len(runs) // groups)
    for first in range(0, len(runs), size):
        yield tuple(runs[first : first + size])
