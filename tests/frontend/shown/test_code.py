"""`f.code`: Python that computes what the graph does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.errors import UnsupportedError
from jitorch.frontend.shown.code import python_code
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ops import OPS
from jitorch.passes.decompose import expand
from tests.samples import assert_close, graph_of_samples, with_samples


def run_code(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """The results of the Python that stands for ``graph``."""
    namespace: dict[str, Any] = {}
    exec(compile(python_code(graph), "<code>", "exec"), namespace)
    tensors = [jitorch.tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]
    results = namespace[graph.name](*tensors)
    listed = results if isinstance(results, tuple) else (results,)
    return [r.numpy() if isinstance(r, jitorch.Tensor) else r for r in listed]


@pytest.mark.parametrize("name", with_samples())
def test_the_code_of_every_op_computes_what_its_graph_does(name: str) -> None:
    graph, inputs = graph_of_samples(name)
    graph.name = "function"
    written = {o for _, o in graph.writes}
    expected = [r for o, r in enumerate(interpret(graph, inputs, expand)) if o not in written]
    assert_close(run_code(graph, inputs), expected)


def test_code_reads_like_what_was_written() -> None:
    weight = jitorch.nn.Linear(3, 2, bias=False)

    @jitorch.jit
    def scores(x: jitorch.Tensor, scale: float) -> jitorch.Tensor:
        return jitorch.tanh(weight(x) * scale + 1).sum(0)

    scores(jitorch.ones(4, 3), 0.5)
    lines = [line.partition("  #")[0].rstrip() for line in scores.code.splitlines()]
    assert lines == [
        "import jitorch", "", "",
        "def scores(", "    weight,", "    arg0,", "    x,", "):",
        "    t1 = weight.mT",
        "    t2 = arg0 @ t1",
        "    t3 = t2 * x",
        "    t4 = t3 + 1.0",
        "    t5 = jitorch.tanh(t4)",
        "    t6 = t5.sum((0,))",
        "    return t6",
    ]  # fmt: skip
    assert "# test_code.py:" in scores.code


def test_writes_are_copies_into_the_inputs() -> None:
    def twice(x: jitorch.Tensor) -> None:
        x.mul_(2)

    compiled = jitorch.jit(twice)
    x = jitorch.ones(3)
    compiled(x)
    namespace: dict[str, Any] = {}
    exec(compiled.code, namespace)
    namespace["twice"](x)
    assert x.tolist() == [4.0, 4.0, 4.0]


def test_sizes_are_read_from_the_inputs_that_show_them() -> None:
    compiled = jitorch.jit(lambda x: x.reshape(-1) * x.shape[0], dynamic=True)
    compiled(jitorch.ones(3, 4))
    namespace: dict[str, Any] = {}
    exec(compiled.code, namespace)
    (function,) = [f for n, f in namespace.items() if callable(f) and f is not namespace.get("OPS")]
    x = jitorch.arange(10.0).reshape(2, 5)
    assert function(x).tolist() == compiled(x).tolist() == [2.0 * i for i in range(10)]


def test_sizes_that_a_loop_finds_out_have_no_code() -> None:
    graph = Graph.parse("graph @g<n: 0..>(%n: i64[]) { %0: i64[n] = steps(%n, size=n) return %0 }", OPS)
    with pytest.raises(UnsupportedError, match="no Python form"):
        python_code(graph)
