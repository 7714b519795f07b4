"""The graph of every op's samples is well formed and has a text, as it is and decomposed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.builder import GraphBuilder
from jitorch.ir.graph import Graph
from jitorch.ir.types import TensorType
from jitorch.ir.verify import verify
from jitorch.ops import OPS, PUBLIC, Op, Sample, dispatch
from jitorch.passes.decompose import decompose

# Ops by their name in the IR, and by public name what is no op.
ENTRIES = OPS | {f"{name}()": entry for name, entry in PUBLIC.items() if not isinstance(entry, Op)}
WITH_SAMPLES = {name: entry for name, entry in ENTRIES.items() if "samples" in entry.rules}


def record(function: Any, sample: Sample) -> Graph:
    """The graph of a call whose arrays are inputs."""
    graph = Graph("sample")
    builder = GraphBuilder(graph, locations=True)

    def lift(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return builder.wrap(graph.add_input(TensorType(dtypes.from_numpy(x.dtype), x.shape)))
        return type(x)(map(lift, x)) if isinstance(x, (list, tuple)) else x

    with dispatch.interpreting(builder):
        result = function(*map(lift, sample.args), **{name: lift(x) for name, x in sample.kwargs.items()})
        results = result if isinstance(result, (tuple, list)) else (result,)
        graph.outputs = [value for r in results if (value := builder.lift(r)) is not None]
    return graph


@pytest.mark.parametrize("name", sorted(WITH_SAMPLES))
def test_graphs_of_samples_round_trip(name: str) -> None:
    entry = WITH_SAMPLES[name]
    samples = list(entry.rules["samples"](np.random.default_rng(0)))
    assert samples
    for sample in samples:
        graph = verify(record(entry, sample))
        assert Graph.parse(str(graph), OPS, graph.literals()) == graph
        decompose(graph)
        assert Graph.parse(str(verify(graph)), OPS, graph.literals()) == graph
