"""Products that a step of a loop adds up, as one product of joined operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.ir.graph import Graph
from jitorch.ops import control
from jitorch.passes.joined_products import MOST_BYTES, join_products
from tests.control import body, f64
from tests.passes.test_control import assert_same, only


def scan_of(turn: Callable[..., Any], rows: Any = 8, width: int = 3) -> Graph:
    """A scan over rows of ``x`` with a state, two weights and a bias."""
    state, row, w, u, b = f64(rows, width), f64(rows, 4), f64(4, width), f64(width, width), f64(width)
    step = body(turn, state, row, w, u, b)
    return graph_of(
        lambda h, x, w, u, b: tuple(control.run_scan([h], [x], [w, u, b], step, 5)),
        [state, row.with_shape((5, rows, 4)), w, u, b],
    )


def arguments(rows: int = 8) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape) for shape in ((rows, 3), (5, rows, 4), (4, 3), (3, 3), (3,))]


def counts(graph: Graph) -> tuple[int, int]:
    """How many products and joined operands the scan has inside."""
    names = [node.op.name for node in only(graph, "scan").attrs["body"].nodes]
    return names.count("matmul_batched"), names.count("concatenate")


JOINED: dict[str, Callable[..., Any]] = {
    "two products": lambda h, x, w, u, b: ((x @ w + h @ u).tanh(),),
    "with a bias behind": lambda h, x, w, u, b: ((x @ w + h @ u + b).tanh(),),
    "with a bias each": lambda h, x, w, u, b: (((x @ w + b) + (h @ u + b)).tanh(),),
    "of views": lambda h, x, w, u, b: ((x.reshape(4, 8).reshape(8, 4) @ w + h @ u.t()).tanh(),),
    "three products": lambda h, x, w, u, b: ((x @ w + h @ u + h.tanh() @ u).tanh(),),
}

LEFT: dict[str, Callable[..., Any]] = {
    "a product that is read again": lambda h, x, w, u, b: (((y := h @ u) + x @ w) * y,),
    "a sum that is read again": lambda h, x, w, u, b: ((y := h @ u + b) + (x @ w) * y.sum(),),
    "a matrix that changes": lambda h, x, w, u, b: ((h @ (u + h.sum()) + x @ w).tanh(),),
    "a difference": lambda h, x, w, u, b: ((x @ w - h @ u).tanh(),),
}


@pytest.mark.parametrize("name", JOINED)
def test_what_is_added_up_is_joined(name: str) -> None:
    assert counts(assert_same(join_products, scan_of(JOINED[name]), *arguments())) == (1, 2)


@pytest.mark.parametrize("name", LEFT)
def test_other_products_stay(name: str) -> None:
    assert not join_products(scan_of(LEFT[name]))


def test_products_of_rows_only_are_left_to_a_product_of_all_steps() -> None:
    graph = scan_of(lambda h, x, w, u, b: (h + (x @ w + x.reshape(4, 8).reshape(8, 4) @ w).tanh(),))
    assert not join_products(graph)


@pytest.mark.parametrize("rows", [1, 5, 17, symbol("B")])
def test_steps_of_few_many_or_unknown_rows_stay(rows: Any) -> None:
    assert not join_products(scan_of(JOINED["two products"], rows))


def test_matrices_that_no_cache_holds_stay() -> None:
    width = int((MOST_BYTES / 8) ** 0.5)
    assert not join_products(scan_of(JOINED["two products"], width=width))
    assert join_products(scan_of(JOINED["two products"], width=width - 3))
