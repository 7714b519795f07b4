"""Loops: what stands before them, and the views that are made inside."""

from __future__ import annotations

import numpy as np

from jitorch.builder import graph_of
from jitorch.ops import control
from jitorch.passes.hoist import hoist, sink_views
from tests.control import body, f64
from tests.passes.test_control import X, assert_same, counting, only

MATRIX, ROW = f64(3, 3), f64(2, 3)


def test_what_is_free_is_not_hoisted() -> None:
    loop = counting(lambda x, w: (x + w.flip(0), w), X, X)
    assert not hoist(graph_of(lambda x, w: loop(x, w)[0], [X, X]))


def test_views_of_constants_are_made_inside() -> None:
    step = body(lambda h, w, b: (h @ w + b,), ROW, MATRIX, ROW)
    graph = graph_of(lambda h, w, b: control.run_scan([h], [], [w.t(), b.expand(2, 3)], step, 4)[0], [ROW, MATRIX, X])
    rng = np.random.default_rng(0)
    args = [rng.normal(size=v.type.shape) for v in graph.inputs]  # type: ignore[union-attr]
    work = assert_same(sink_views, graph, *args)
    inside = {n.op.name for n in only(work, "scan").attrs["body"].nodes}
    assert {"transpose_axes", "broadcast_to"} <= inside


def test_a_transpose_that_is_read_element_by_element_stays_outside() -> None:
    step = body(lambda h, w: (h * w,), MATRIX, MATRIX)
    graph = graph_of(lambda h, w: control.run_scan([h], [], [w.t()], step, 4)[0], [MATRIX, MATRIX])
    assert not sink_views(graph)
