"""Random equations beside NumPy's, and what an equation may not say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch.errors import ArgumentError, ShapeError

SIZES = {"a": 2, "b": 3, "c": 1, "d": 4}


@st.composite
def equations(draw: Any) -> tuple[str, list[np.ndarray]]:
    terms = draw(st.lists(st.text("abcd", min_size=0, max_size=3), min_size=1, max_size=3))
    used = sorted(set("".join(terms)))
    out = "".join(draw(st.permutations(used)))[: draw(st.integers(0, len(used)))]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    arrays = [rng.normal(size=[SIZES[c] for c in t]) for t in terms]
    return ",".join(terms) + draw(st.sampled_from(["", f"->{out}"])), arrays


@given(equations())
def test_random_equations(case: tuple[str, list[np.ndarray]]) -> None:
    equation, arrays = case
    out = jitorch.einsum(equation, *map(jitorch.tensor, arrays))
    np.testing.assert_allclose(out.numpy(), np.einsum(equation, *arrays), atol=1e-12)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]), ("i...->...", [(3, 2)]), ("...,...", [(2, 3), (3,)])],
)
def test_ellipsis_broadcasts(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [np.random.default_rng(0).normal(size=s) for s in shapes]
    out = jitorch.einsum(equation, *map(jitorch.tensor, arrays))
    np.testing.assert_allclose(out.numpy(), np.einsum(equation, *arrays), atol=1e-12)


def test_lists_of_axes() -> None:
    x, y = jitorch.randn(2, 3), jitorch.randn(3, 4)
    assert jitorch.equal(jitorch.einsum(x, [0, 1], y, [1, 2], [0, 2]), jitorch.einsum("ij,jk->ik", x, y))
    assert jitorch.equal(jitorch.einsum(x, [Ellipsis, 1], [Ellipsis]), x.sum(1))


@pytest.mark.parametrize(
    ("error", "equation", "shapes"),
    [
        (ArgumentError, "ij,jk", [(2, 3)]),
        (ArgumentError, "i1->i", [(2, 3)]),
        (ArgumentError, "ij->ik", [(2, 3)]),
        (ArgumentError, "ij->ii", [(2, 3)]),
        (ShapeError, "ij,jk->ik", [(2, 3), (4, 2)]),
        (ShapeError, "ijk->i", [(2, 3)]),
        (ShapeError, "ii->i", [(2, 3)]),
    ],
)
def test_refused(error: Any, equation: str, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(error):
        jitorch.einsum(equation, *(jitorch.ones(s) for s in shapes))
