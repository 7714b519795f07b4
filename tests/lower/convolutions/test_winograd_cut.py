"""Cuts of minimal filtering fit the registers and the cache, and cover the image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitorch.lower.convolutions import winograd_cut
from jitorch.lower.convolutions.winograd import row_run
from jitorch.lower.convolutions.winograd_cut import ROWS, choose_cut

LANES = st.sampled_from([(16, 32), (8, 16), (4, 15), (4, 32), (2, 15)])
SIZES, CHANNELS = st.integers(1, 120), st.integers(16, 600)


@given(st.sampled_from([None, 1, 2, 8]), SIZES, SIZES, CHANNELS, CHANNELS, LANES, st.sampled_from([4, 8]))
def test_any_cut_fits(
    images: int | None, height: int, width: int, channels: int, outputs: int, target: tuple[int, int], itemsize: int
) -> None:
    lanes, registers = target
    cut = choose_cut(images, height, width, channels, outputs, lanes, registers, itemsize)
    if cut is None:
        return
    across = -(-width // 2)
    assert 1 <= cut.rows <= -(-height // 2) * (images or 1)
    assert 0 <= cut.lanes - cut.rows * across < lanes
    runs = [run for group in cut.tiles for run in group]
    assert [at for at, _ in runs] == list(range(0, cut.lanes, lanes))
    assert sum(length for _, length in runs) == cut.lanes
    assert all(len(group) * (ROWS + 1) < registers for group in cut.tiles)
    kept = ROWS * (cut.panels if cut.chunk < channels else 1)
    assert 16 * (cut.chunk + kept) * cut.lanes * itemsize <= winograd_cut.SCRATCH_BYTES
    assert 1 <= cut.chunk <= channels


@given(SIZES, SIZES, CHANNELS, LANES)
def test_the_vectors_of_a_row_cover_it(height: int, width: int, channels: int, target: tuple[int, int]) -> None:
    cut = choose_cut(2, height, width, channels, channels, *target, 4)
    if cut is None:
        return
    across = -(-width // 2)
    run = row_run(cut, across)
    starts = [min(i * run.width, run.last) for i in range(run.count)]
    covered = {start + i for start in starts for i in range(run.width)}
    assert covered == set(range(across + run.over))
    # What the last row writes too much stays inside of its channel.
    assert (cut.rows - 1) * across + run.last + run.width <= cut.lanes
    assert run.width <= target[0]


@pytest.mark.parametrize("size", [14, 28, 56])
def test_usual_layers_fill_their_vectors(size: int) -> None:
    cut = choose_cut(8, size, size, 128, 128, 16, 32, 4)
    assert cut is not None
    assert cut.rows * (size // 2) == cut.lanes


def test_few_pixels_do_not_pay_for_the_weights() -> None:
    assert choose_cut(1, 7, 7, 512, 512, 16, 32, 4) is None
    assert choose_cut(8, 7, 7, 512, 512, 16, 32, 4) is not None
