"""Products of blocks inside a kernel, against NumPy under the strict interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.ir.kernel_interpret import run
from jitorch.lower.contractions.register_tiles import BlockProduct, count_tiles, lane_split, vectors
from jitorch.lower.contractions.tiles import Tile
from jitorch.lower.nests import kernel_of

X, Y, OUT = (k.Buffer(name, dtypes.float32) for name in ("x", "y", "out"))


def product(rows: int, lanes: int, terms: int, tile: Tile, adds: bool) -> k.Kernel:
    """``out[row, lane]`` is the product of ``x`` and ``y``, or that is added to it."""
    scratch: list[k.Buffer] = []
    made = BlockProduct(
        "product", dtypes.float32, tile, count_tiles(k.const(rows), tile.rows), *lane_split(lanes, tile),
        k.const(terms),
        lambda row, term: k.Load(X, row * terms + term),
        lambda term, lane: k.Load(Y, term * lanes + lane),
        lambda row, lane, total: (k.Store(OUT, row * lanes + lane, total),),
        (lambda row, lane: k.Load(OUT, row * lanes + lane)) if adds else None,
    )  # fmt: skip
    return kernel_of("product", made.statements(scratch), tuple(scratch))


@pytest.mark.parametrize("tile", [Tile(1, 4, 4), Tile(2, 8, 4), Tile(3, 4, 2)], ids=str)
@pytest.mark.parametrize("lanes", [1, 4, 7, 24])
@pytest.mark.parametrize("adds", [False, True])
def test_product(tile: Tile, lanes: int, adds: bool) -> None:
    rng = np.random.default_rng(0)
    rows, terms = 6, 5
    x, y = (rng.integers(-4, 5, s).astype(np.float32) for s in ((rows, terms), (terms, lanes)))
    out = np.full((rows, lanes), 2, np.float32)
    kernel = product(rows, lanes, terms, tile, adds)
    given = {"x": x, "y": y, "out": out}
    run(kernel, [given[p.name] for p in kernel.params])
    np.testing.assert_array_equal(out, x @ y + (2 if adds else 0))


def test_no_terms_leave_what_was_there() -> None:
    out, empty = np.full((2, 4), 3, np.float32), np.zeros(0, np.float32)
    kernel = product(2, 4, 0, Tile(2, 4, 4), True)
    given = {"x": empty, "y": empty, "out": out}
    run(kernel, [given[p.name] for p in kernel.params])
    np.testing.assert_array_equal(out, 3)


@pytest.mark.parametrize("size", [1, 4, 7, 8, 21])
def test_vectors_visit_each_place_once(size: int) -> None:
    body = tuple(vectors(size, 4, lambda at: (k.Store(OUT, at, k.Load(OUT, at) + k.const(1, dtypes.float32)),)))
    out = np.zeros(size + 1, np.float32)
    run(kernel_of("visit", body, ()), [out])
    np.testing.assert_array_equal(out, [1] * size + [0])
