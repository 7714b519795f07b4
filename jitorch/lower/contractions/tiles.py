"""Tiles: how many rows and lanes of a matrix product stand in registers at once, and how it is cut into tasks.

Here stand all the numbers that were found by measuring (AVX-512, one core of Zen 4, sizes from 32 to 2048);
they depend on the target and on sizes, never on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.lower.target import Target

MAX_ROWS = 12
"""A first-level cache keeps 8 lines of one set; a few rows more do no harm unless their distance is a power of two."""
USUAL_ROWS = 8
BLOCK_LANES = 128
"""Of a task."""
SCRATCH_BYTES = 160 * 1024
STAGE_BYTES = 192 * 1024
STREAM_LANES, STREAM_CHUNK = 1024, 8
"""For one row times a matrix read in place: so many lanes of so many rows at a time."""
LEAST_STREAM_LANES = 256
"""Shorter runs of a row, one after the other a row apart, are slow to come from memory."""
TASKS = 16
"""As many tasks are wanted, if each has `TASK_TERMS` multiplications."""
TASK_TERMS = 500_000
PART_TERMS = 100_000
"""Multiplications of a task where there are but two: then a second thread has something to do."""


@dataclass(frozen=True)
class Tile:
    """``rows`` x ``lanes`` sums in registers of ``width`` lanes."""

    rows: int
    lanes: int
    width: int


@dataclass(frozen=True)
class Block:
    """The rows of a task, and the terms of their sums that it adds at a time, at most.

    With the sums of all, the rows for these terms fit a second-level cache.
    """

    rows: int
    chunk: int


LONG = Block(128, 384)
"""Where neighbours in memory are terms of one row: each line is used up at once."""
SHORT = Block(192, 256)
"""Where they are rows of one term: the next tile uses the same lines, which should still be in a first-level cache."""


@dataclass(frozen=True)
class Blocking:
    """How many panels of rows and of lanes a task has, and how long a chunk of the sum is."""

    rows: int
    lanes: int
    chunk: int


def choose_tile(
    target: Target,
    dtype: DType,
    rows: Dim,
    lanes: Dim,
    whole_lanes: bool = False,
    most_rows: int = MAX_ROWS,
    is_exact: bool = False,
) -> Tile:
    """The tile that wastes least.  ``whole_lanes``: lanes are read in place, so a tile has at most as many as exist.

    ``is_exact``: tiles divide the lanes, which a vector does.
    """
    width = target.lanes(dtype)
    if isinstance(lanes, int) and whole_lanes:
        while width > lanes:
            width //= 2
    best: tuple[float, int, int] | None = None
    found = Tile(1, width, width)
    for vectors in (1, 2, 3, 4, 6, 8, 12, 16) if whole_lanes else (1, 2, 3):
        if whole_lanes and isinstance(lanes, int) and vectors * width > lanes:
            continue
        if not isinstance(lanes, int) and vectors != 2:
            continue
        if is_exact and isinstance(lanes, int) and lanes % (vectors * width):
            continue
        for count in range(most_rows, 0, -1):
            if not isinstance(rows, int) and count != min(USUAL_ROWS, _most_rows(target, vectors)):
                continue
            if count > _most_rows(target, vectors) or (isinstance(rows, int) and count > rows):
                continue
            cost = _panels(rows, count) * _panels(lanes, vectors * width) * _cycles(target, count, vectors)
            # Among equals the usual shape: eight rows of two vectors.
            key = (round(cost, 3), abs(vectors - 2), abs(count - USUAL_ROWS))
            if best is None or key < best:
                best, found = key, Tile(count, vectors * width, width)
    return found


def _most_rows(target: Target, vectors: int) -> int:
    """Rows whose sums, with a row of the other operand and what multiplying needs, fit the registers.

    A single row uses each vector of the other operand once, so that needs no registers.
    """
    spare = 1 if target.fma else 2
    most = (target.registers - spare - vectors) // vectors
    return most if most > 1 else int(vectors + spare <= target.registers)


def _panels(size: Dim, tile: int) -> float:
    return -(-size // tile) if isinstance(size, int) else 1000.0 / tile


def _cycles(target: Target, rows: int, vectors: int) -> float:
    """Cycles a term of the sum takes: multiplications or loads, whichever is slower, and the loop around them.

    A core does one 64-byte or two narrower multiplications, and two loads of up to 32 bytes, a cycle; a sum is
    ready for its next term after four.
    """
    wide = 2 if target.vector_bytes > 32 else 1
    multiply = rows * vectors * wide / 2
    loads = (rows + vectors * wide) / 2
    return max(multiply, loads, 4.0) + 0.25


def choose_blocking(
    tile: Tile, dtype: DType, batch: Dim, rows: Dim, lanes: Dim, inner: Dim, in_chunks: bool = True,
    in_place: bool = True, most: Block = SHORT,
) -> Blocking:  # fmt: skip
    """Cut a product into tasks; ``in_chunks``: panels are read more than once, so they should stay in a cache.

    ``in_place``: lanes are not packed.
    """
    length = max(1, inner) if isinstance(inner, int) else most.chunk
    if tile.rows == 1 and in_place:
        # One row: the other operand streams through, some of its rows at once, long runs of each.
        block = _stream_lanes(batch, lanes)
        return Blocking(1, max(1, block // tile.lanes), min(STREAM_CHUNK, length))
    row_panels, lane_panels = max(1, most.rows // tile.rows), max(1, BLOCK_LANES // tile.lanes)
    chunk = length
    if isinstance(inner, int) and in_chunks and inner > most.chunk * 3 // 2:
        chunks = -(-inner // most.chunk)
        chunk = -(-inner // chunks)
    area = SCRATCH_BYTES // (dtype.itemsize * tile.rows * tile.lanes)
    row_panels = max(1, min(row_panels, area // lane_panels))
    if not isinstance(rows, int) or not isinstance(lanes, int):
        return Blocking(row_panels, lane_panels, chunk)
    row_count, lane_count = -(-rows // tile.rows), -(-lanes // tile.lanes)
    row_panels, lane_panels = _even(row_count, row_panels), _even(lane_count, lane_panels)
    terms = tile.rows * tile.lanes * (inner if isinstance(inner, int) else most.chunk)
    times = batch if isinstance(batch, int) else TASKS
    while row_panels * lane_panels > 1:
        tasks = times * -(-row_count // row_panels) * -(-lane_count // lane_panels)
        least = TASK_TERMS if tasks > 1 else PART_TERMS
        if tasks >= TASKS or terms * row_panels * lane_panels < 2 * least:
            break
        if lane_panels > 1:
            lane_panels = (lane_panels + 1) // 2
        else:
            row_panels = (row_panels + 1) // 2
    return Blocking(row_panels, lane_panels, chunk)


def staged_blocking(tile: Tile, dtype: DType, batch: Dim, rows: int, lanes: int, inner: int) -> Blocking:
    """Like `choose_blocking`, for lanes that each task copies: the copy and sums between chunks fit `STAGE_BYTES`."""
    found = choose_blocking(tile, dtype, batch, rows, lanes, inner)
    panels = found.lanes
    kept = found.rows * tile.rows if found.chunk < inner else 0
    while panels > 1 and (found.chunk + kept) * panels * tile.lanes * dtype.itemsize > STAGE_BYTES:
        panels -= 1
    return Blocking(found.rows, panels, found.chunk)


def _stream_lanes(batch: Dim, lanes: Dim) -> int:
    """Lanes of a task that streams: fewer where there would not be `TASKS`."""
    if not isinstance(lanes, int) or not isinstance(batch, int):
        return STREAM_LANES
    block = STREAM_LANES
    while block > LEAST_STREAM_LANES and batch * -(-lanes // block) < TASKS:
        block //= 2
    return block


def _even(count: int, most: int) -> int:
    """Panels of a block, at most ``most``, so that all blocks are about equal."""
    blocks = max(1, -(-count // most))
    return max(1, -(-count // blocks))
