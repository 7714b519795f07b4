"""Products of the steps of a scan as one product of all steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.ir.graph import Graph
from jitorch.ir.verify import verify
from jitorch.ops import control
from jitorch.passes.batch import batch_products
from jitorch.passes.decompose import decompose
from tests.control import body, f64
from tests.passes.test_control import assert_same, only

STATE, ROWS, ROW, W = f64(2, 3), f64(5, 2, 4), f64(2, 4), f64(4, 3)


def scan_of(turn: Callable[..., Any], length: Any = 5, reverse: bool = False) -> Graph:
    """A scan over rows of ``x`` with a state and two weights: (4, 3) and (3, 3)."""
    step = body(turn, STATE, ROW, W, f64(3, 3))
    return graph_of(
        lambda h, x, w, u: tuple(control.run_scan([h], [x], [w, u], step, length, reverse)),
        [STATE, ROWS.with_shape((length, 2, 4)), W, f64(3, 3)],
    )


def products(graph: Graph) -> tuple[int, int]:
    """How many products there are outside of the scan, and inside."""
    inside = only(graph, "scan").attrs["body"].nodes
    return tuple(sum(n.op.name == "matmul_batched" for n in nodes) for nodes in (graph.nodes, inside))  # type: ignore[return-value]


def arguments() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape) for shape in ((2, 3), (5, 2, 4), (4, 3), (3, 3))]


TURNS: dict[str, tuple[Callable[..., Any], tuple[int, int]]] = {
    "a product of rows": (lambda h, x, w, u: (x @ w + h @ u,), (1, 1)),
    "of reshaped rows": (lambda h, x, w, u: ((x.reshape(4, 2).reshape(2, 4) @ w + h).tanh(),), (1, 0)),
    "an output": (lambda h, x, w, u: ((h + x.sum()).tanh(), h @ u), (1, 0)),
    "two outputs": (lambda h, x, w, u: ((h + x.sum()).tanh(), h @ u, h.t() @ x), (1, 1)),
    "rows and an output": (lambda h, x, w, u: ((h + x @ w).tanh(), h @ u), (2, 0)),
    "fixed times a column": (lambda h, x, w, u: ((h + (w.t() @ x[0].reshape(4, 1)).reshape(3)).tanh(),), (0, 1)),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", TURNS)
def test_products_leave_the_loop(name: str, reverse: bool) -> None:
    turn, expected = TURNS[name]
    graph = scan_of(turn, reverse=reverse)
    if expected == products(graph):
        assert not batch_products(graph)
    else:
        assert products(assert_same(batch_products, graph, *arguments())) == expected


def test_a_weight_on_the_left_of_a_column() -> None:
    step = body(lambda h, x, w: ((h + w @ x.reshape(4, 1)).tanh(),), f64(3, 1), f64(4), f64(3, 4))
    graph = graph_of(lambda h, x, w: tuple(control.run_scan([h], [x], [w], step, 5)), [f64(3, 1), f64(5, 4), f64(3, 4)])
    rng = np.random.default_rng(2)
    args = [rng.normal(size=shape) for shape in ((3, 1), (5, 4), (3, 4))]
    assert products(assert_same(batch_products, graph, *args)) == (1, 0)


def test_a_product_with_the_state_stays() -> None:
    graph = scan_of(lambda h, x, w, u: (h @ u + x.sum(),))
    assert not batch_products(graph)


def test_a_product_that_is_read_again_stays() -> None:
    graph = scan_of(lambda h, x, w, u: ((y := h @ u) + x.sum(), y))
    assert not batch_products(graph)


def test_a_symbolic_number_of_steps() -> None:
    graph = scan_of(TURNS["rows and an output"][0], symbol("s0", low=2))
    decompose(graph)
    assert batch_products(graph)
    assert products(verify(graph)) == (2, 0)
