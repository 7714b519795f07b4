"""Tiles fit the registers, and tasks are many and equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.dims import symbol
from jitorch.lower.contractions.tiles import SCRATCH_BYTES, TASKS, choose_blocking, choose_tile
from jitorch.lower.target import Target

TARGETS = [Target("cpu", 64, 32), Target("cpu", 32, 16), Target("cpu", 16, 16, False), Target("cpu", 16, 32)]
SIZES = st.integers(1, 3000)


@given(st.sampled_from(TARGETS), st.sampled_from([dtypes.float32, dtypes.float64]), SIZES, SIZES, st.booleans())
def test_a_tile_fits_registers_and_sizes(target: Target, dtype, rows: int, lanes: int, whole: bool) -> None:
    tile = choose_tile(target, dtype, rows, lanes, whole)
    assert 1 <= tile.rows <= rows
    assert tile.lanes % tile.width == 0
    assert tile.rows * (tile.lanes // tile.width) <= target.registers
    assert not whole or tile.lanes <= lanes


@given(st.sampled_from(TARGETS), SIZES, SIZES, SIZES)
def test_scratch_memory_is_bounded(target: Target, rows: int, lanes: int, inner: int) -> None:
    tile = choose_tile(target, dtypes.float32, rows, lanes)
    blocking = choose_blocking(tile, dtypes.float32, 1, rows, lanes, inner)
    assert blocking.rows * blocking.lanes * tile.rows * tile.lanes * 4 <= SCRATCH_BYTES
    assert 1 <= blocking.chunk <= max(1, inner)


@pytest.mark.parametrize("size", [512, 1024, 2048])
def test_large_products_have_many_tasks(size: int) -> None:
    tile = choose_tile(TARGETS[0], dtypes.float32, size, size)
    blocking = choose_blocking(tile, dtypes.float32, 1, size, size, size)
    assert -(-size // (tile.rows * blocking.rows)) * -(-size // (tile.lanes * blocking.lanes)) >= TASKS


@pytest.mark.parametrize(("size", "tasks"), [(32, 1), (64, 2), (96, 2), (128, 4)])
def test_small_products_have_a_task_for_a_second_thread_if_it_is_worth_one(size: int, tasks: int) -> None:
    tile = choose_tile(TARGETS[0], dtypes.float32, size, size)
    blocking = choose_blocking(tile, dtypes.float32, 1, size, size, size)
    assert -(-size // (tile.rows * blocking.rows)) * -(-size // (tile.lanes * blocking.lanes)) == tasks


def test_symbolic_sizes_have_the_usual_tile() -> None:
    tile = choose_tile(TARGETS[0], dtypes.float32, symbol("M"), symbol("N"))
    assert (tile.rows, tile.lanes) == (8, 32)


@pytest.mark.parametrize(("lanes", "tasks"), [(256, 1), (512, 2), (1024, 4), (4096, 16), (32768, 32)])
def test_a_row_streams_in_several_tasks(lanes: int, tasks: int) -> None:
    tile = choose_tile(TARGETS[0], dtypes.float32, 1, lanes, whole_lanes=True)
    blocking = choose_blocking(tile, dtypes.float32, 1, 1, lanes, 1024)
    assert -(-lanes // (tile.lanes * blocking.lanes)) == tasks
