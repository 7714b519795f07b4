"""How a convolution is cut: tiles that fit the registers, and strips of rows that are one unit of work."""

from __future__ import annotations

import functools
from dataclasses import dataclass

STAGED = 12 * 1024
"""Elements of a strip for one block of channels: more would leave the second-level cache to others' data."""
_MOST_ROWS = 16
_FILL = 8
"""Sums in flight that keep two multipliers of four cycles' delay busy."""


@dataclass(frozen=True)
class Run:
    """A tile ``vectors`` registers of ``width`` elements long."""

    width: int
    vectors: int

    @property
    def length(self) -> int:
        return self.width * self.vectors


@dataclass(frozen=True)
class Tiling:
    """``rows`` channels at once; a strip is ``height`` rows of ``columns``; full tiles, then those at its end."""

    rows: int
    height: int
    columns: int
    pitch: int
    full: Run
    tail: tuple[Run, ...]

    @property
    def positions(self) -> int:
        """Of a strip, with what lies between its rows."""
        return (self.height - 1) * self.pitch + self.columns

    @property
    def tiles(self) -> int:
        """Full ones in a strip."""
        return self.positions // self.full.length


@functools.lru_cache(512)
def choose(outputs: int, height: int, width: int, pitch: int, lanes: int, registers: int) -> Tiling:
    """The cut with the least work, counted in multiplications of vectors."""
    best: tuple[float, Tiling] | None = None
    columns = width if width <= STAGED // 4 else _even(width, STAGED // 4)
    for rows in range(1, min(outputs, _MOST_ROWS) + 1):
        for strip in _strips(height, rows, columns, pitch) if columns == width else (1,):
            for vectors in range(1, registers // (rows + 1) + 1):
                if rows * vectors + vectors + 1 > registers:
                    continue
                tiling = _tiling(rows, strip, columns, pitch, lanes, vectors)
                units = -(-outputs // rows) * -(-height // strip) * -(-width // columns)
                cost = units * (_cost(rows, vectors) * tiling.tiles + _tail_cost(tiling) + 1)
                if best is None or cost < best[0]:
                    best = cost, tiling
    if best is None:
        raise ValueError(f"no tile of {outputs} x {height} x {width} for {registers} registers")
    return best[1]


def _even(size: int, limit: int) -> int:
    """The size of equal parts of at most ``limit``."""
    parts = -(-size // limit)
    return -(-size // parts)


def _strips(height: int, rows: int, columns: int, pitch: int) -> list[int]:
    """Heights of strips to try: equal parts of all rows."""
    parts = {_even(height, h) for h in (1, 2, 3, 4, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64) if h <= height}
    fitting = [h for h in sorted(parts) if rows * ((h - 1) * pitch + columns) <= STAGED]
    return fitting or [1]


def _tiling(rows: int, height: int, columns: int, pitch: int, lanes: int, vectors: int) -> Tiling:
    positions = (height - 1) * pitch + columns
    full = Run(lanes, vectors)
    rest = positions % full.length
    # No run is longer than a full one: of more positions it does not matter how many there are.
    tail = _tail(rest, min(positions, full.length), rows, lanes, vectors) if rest else ()
    return Tiling(rows, height, columns, pitch, full, tail)


@functools.lru_cache(1 << 12)
def _tail(rest: int, positions: int, rows: int, lanes: int, vectors: int) -> tuple[Run, ...]:
    """One or two runs for the last ``rest`` positions; the last run may reach back over positions already done."""
    options: list[tuple[Run, ...]] = []
    widths = [lanes >> i for i in range(lanes.bit_length()) if lanes >> i <= positions]
    for width in widths:
        run = _covering(rest, width)
        if run.vectors <= vectors and run.length <= positions:
            options.append((run,))
        first = Run(width, min(rest // width, vectors))
        if not first.vectors or first.length == rest:
            continue
        for narrow in widths:
            last = _covering(rest - first.length, narrow)
            if last.vectors <= vectors and last.length <= positions:
                options.append((first, last))
    if not options:
        raise ValueError(f"no tail of {rest} of {positions} positions in {vectors} vectors of {lanes}")
    return min(options, key=lambda runs: (sum(_cost(rows, r.vectors) for r in runs) + len(runs), -runs[0].width))


def _covering(rest: int, width: int) -> Run:
    return Run(width, -(-rest // width))


def _cost(rows: int, vectors: int) -> float:
    return max(rows * vectors, rows + vectors + 1, _FILL)


def _tail_cost(tiling: Tiling) -> float:
    return sum(_cost(tiling.rows, run.vectors) for run in tiling.tail)
