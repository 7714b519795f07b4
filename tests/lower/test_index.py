"""Indices as rows of segments: coordinates, flat positions and reshapes, against NumPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitorch import dims
from jitorch.dims import symbol
from jitorch.dims.walk import evaluate as evaluate_size
from jitorch.ir import kernel as k
from jitorch.ir.kernel_interpret import evaluate
from jitorch.lower.index import Index

SHAPES = st.lists(st.integers(1, 4), max_size=4).map(tuple)


@st.composite
def indices(draw: st.DrawFn) -> tuple[Index, dict[str, np.int64], int]:
    """An index into a random shape, the values of its variables, and the flat position they stand for."""
    shape = draw(SHAPES)
    segments: list[tuple[int, k.Expr]] = []
    scope: dict[str, np.int64] = {}
    position, start = 0, 0
    while start < len(shape):
        count = draw(st.integers(1, len(shape) - start))
        size = math.prod(shape[start : start + count])
        value = draw(st.integers(0, size - 1))
        name = f"v{start}"
        segments.append((count, k.Var(name)))
        scope[name] = np.int64(value)
        position = position * size + value
        start += count
    return Index(shape, segments), scope, position


def value(e: k.Expr, scope: dict[str, np.int64]) -> int:
    return int(evaluate(e, scope))


@given(indices())
def test_coordinates_are_those_of_the_flat_position(case: tuple[Index, dict[str, np.int64], int]) -> None:
    index, scope, position = case
    expected = np.unravel_index(position, index.shape)
    assert tuple(value(e, scope) for e in index) == tuple(map(int, expected))
    assert value(index.flat(), scope) == position
    assert len(index) == len(index.shape)


@given(indices(), st.data())
def test_a_reshape_names_the_same_element(case: tuple[Index, dict[str, np.int64], int], data: st.DataObject) -> None:
    index, scope, position = case
    target = list(index.shape)
    if len(target) > 1:
        i = data.draw(st.integers(0, len(target) - 2))
        target[i : i + 2] = [target[i] * target[i + 1]]
    target.insert(data.draw(st.integers(0, len(target))), 1)
    moved = index.reshaped(target)
    assert moved.shape == tuple(target)
    assert value(moved.flat(), scope) == position
    assert tuple(value(e, scope) for e in moved) == tuple(map(int, np.unravel_index(position, target)))


def test_one_loop_over_all_axes_needs_no_division() -> None:
    i = k.Var("i")
    whole = Index((2, 3, 4), [(3, i)])
    assert whole.flat() == i
    assert whole.reshaped((6, 4)).flat() == i
    assert whole.reshaped((24,))[0] == i


def test_a_reshape_keeps_the_segments_whose_bounds_remain() -> None:
    i, j = k.Var("i"), k.Var("j")
    index = Index((2, 3, 4), [(2, i), (1, j)])
    assert index.reshaped((6, 4)).segments == ((1, i), (1, j))
    assert index.reshaped((2, 3, 2, 2)).segments == ((2, i), (2, j))
    assert index.reshaped((24,)).segments == ((1, i * 4 + j),)
    assert Index.of((6, 4), [i, j]).reshaped((1, 6, 1, 4))[1] == i


def test_coordinates_count_from_the_end_and_by_slices() -> None:
    i, j = k.Var("i"), k.Var("j")
    index = Index.of((3, 1, 5), [i, 0, j])
    assert index[-1] == j
    assert index[:2] == (i, k.const(0))
    assert index.key == Index.of((3, 1, 5), [i, 0, j]).key


def test_symbolic_sizes() -> None:
    n, i = symbol("N"), k.Var("i")
    index = Index((n, 4), [(2, i)])
    assert [str(e) for e in index] == ["i // 4", "i % 4"]
    assert index.reshaped((n * 4,))[0] == i
    assert str(Index.of((2, n), [i, k.Var("j")]).flat()) == "i * N + j"


def test_an_index_without_axes() -> None:
    empty = Index((), ())
    assert empty.flat() == k.const(0)
    assert empty.reshaped((1, 1)).flat() == k.const(0)
    assert Index.of((1,), [0]).reshaped(()).flat() == k.const(0)


def test_positions_that_were_put_together_are_taken_apart_without_division() -> None:
    i, j, inner = k.Var("i"), k.Var("j"), k.Var("l")
    index = Index((4, 6, 8, 9), [(2, i), (1, j), (1, inner)])
    merged = index.reshaped((4, 48, 9))
    assert [str(e) for e in merged] == ["i // 6", "i % 6 * 8 + j", "l"]
    assert tuple(merged.reshaped((4, 6, 8, 9))) == tuple(index)
    assert [str(e) for e in merged.reshaped((4, 3, 16, 9))] == ["i // 2 // 3", "i // 2 % 3", "i % 2 * 8 + j", "l"]


@given(indices(), st.data())
def test_chains_of_reshapes_name_the_same_element(
    found: tuple[Index, dict[str, np.int64], int], data: st.DataObject
) -> None:
    index, scope, position = found
    shape = index.shape
    for _ in range(3):
        order = data.draw(st.permutations(shape))
        index = index.reshaped(order)
        assert value(index.flat(), scope) == position
        assert [value(e, scope) for e in index] == [int(n) for n in np.unravel_index(position, order)]
    assert [value(e, scope) for e in index.reshaped(shape)] == [int(n) for n in np.unravel_index(position, shape)]


def test_an_empty_shape_is_reshaped() -> None:
    index = Index((2, 3, 0), [(1, k.Var("a")), (1, k.Var("b")), (1, k.Var("c"))]).reshaped((6, 0)).reshaped((0, 2, 3))
    assert len(list(index)) == 3


N, C, H = symbol("N", 1), symbol("C", 1), symbol("H", 1)


@pytest.mark.parametrize(
    ("merged", "wanted", "expected"),
    [
        ((N, C * H * H), (N, C, H, H), ["n", "c", "i", "j"]),
        ((N, C * H * H), (N, C, H * H), ["n", "c", None]),
        ((N, C * H * H), (N, 8, dims.floordiv(C, 8) * H * H), ["n", "c // (C // 8)", None]),
        ((N * C * H * H,), (N * C, H * H), ["n * C + c", None]),
    ],
    ids=str,
)
def test_digits_of_unknown_sizes_fall_away(merged: tuple, wanted: tuple, expected: list[str | None]) -> None:
    index = Index.of((N, C, H, H), [k.Var(name) for name in "ncij"])
    found = list(index.reshaped(merged).reshaped(wanted))
    sizes = {"N": 3, "C": 16, "H": 5}
    shape = [evaluate_size(d, sizes) for d in wanted]
    for place in itertools.product(range(3), (0, 7, 15), (0, 4), (0, 2, 4)):
        scope = {name: np.int64(v) for name, v in (*sizes.items(), *zip("ncij", place, strict=True))}
        flat = np.ravel_multi_index(place, (3, 16, 5, 5))
        assert [value(e, scope) for e in found] == [int(x) for x in np.unravel_index(flat, shape)]
    for e, text in zip(found, expected, strict=True):
        assert text is None or str(e) == text
