"""Public functions that are no ops: traced, they mean what eager computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import dtypes
from jitorch.builder import Cell, GraphBuilder
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.ir.verify import verify
from jitorch.ops import PUBLIC, Function, Sample, dispatch
from jitorch.passes.decompose import expand
from jitorch.tensor import Tensor
from tests.samples import agree

FUNCTIONS = {id(entry): entry for entry in PUBLIC.values() if isinstance(entry, Function)}
CASES = [
    pytest.param(entry, sample, id=f"{entry.name}-{i}")
    for entry in FUNCTIONS.values()
    for i, sample in enumerate(entry.rules["samples"](np.random.default_rng(0)))
    if sample.trace
]


class Recorder(GraphBuilder):
    """A builder for which what the call meets (a generator's state) is an input, too."""

    def __init__(self, graph: Graph):
        super().__init__(graph)
        self.arrays: list[np.ndarray] = []

    def input(self, array: np.ndarray) -> Tensor:
        self.arrays.append(array.copy())
        return self.wrap(self.graph.add_input(TensorType(dtypes.from_numpy(array.dtype), array.shape)))

    def capture(self, tensor: Tensor) -> Cell:
        self.arrays.append(tensor._array.copy())
        return Cell(self.graph.add_input(tensor.type))


def lifted(value: Any, lift: Any) -> Any:
    if isinstance(value, np.ndarray):
        return lift(value)
    return type(value)(lifted(v, lift) for v in value) if isinstance(value, (list, tuple)) else value


def run(entry: Function, sample: Sample, lift: Any) -> list[Any]:
    arguments = lifted(sample.args, lift)
    result = entry(*arguments, **{name: lifted(v, lift) for name, v in sample.kwargs.items()})
    return list(result) if isinstance(result, (tuple, list)) else [result]


@pytest.mark.parametrize(("entry", "sample"), CASES)
def test_graph_means_what_eager_computes(entry: Function, sample: Sample) -> None:
    state = jitorch.get_rng_state()
    graph = Graph("sample")
    recorder = Recorder(graph)
    with dispatch.interpreting(recorder):
        traced = run(entry, sample, recorder.input)
        graph.outputs = [value for r in traced if (value := recorder.lift(r)) is not None]
    verify(graph)
    results = interpret(graph, recorder.arrays, expand)
    jitorch.set_rng_state(state)
    eager = run(entry, sample, lambda a: jitorch.from_numpy(a.copy()))
    eager = [r for r in eager if r is not None]
    assert len(results) == len(eager)
    for got, want, symbol in zip(results, eager, graph.outputs):
        if not isinstance(want, Tensor):
            assert got == want
            continue
        assert agree(symbol.type, want.type)
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-12, atol=1e-12)
