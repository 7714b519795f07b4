"""The graph of every op's sample has a text, as it is and decomposed."""

from __future__ import annotations

import pytest

from jitorch.ir.graph import Graph
from jitorch.ir.verify import verify
from jitorch.ops import OPS, Op, Sample
from jitorch.passes.decompose import decompose
from tests.ops.test_generated import CASES, bound, traced


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_graph_of_a_sample_round_trips(op: Op, sample: Sample) -> None:
    graph, _ = traced(op, *bound(op, sample))
    for _ in range(2):
        assert Graph.parse(str(verify(graph)), OPS, graph.literals()) == graph
        decompose(graph)
