"""The cpu backend on whole graphs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from jitorch import config, dtypes
from jitorch.backends import Accept, Available, Decompose, Reject
from jitorch.backends.cpu import backend
from jitorch.compiler import compile_graph
from jitorch.errors import TensorIndexError
from jitorch.ir.graph import Graph
from jitorch.ir.types import TensorType
from jitorch.ops import OPS
from tests.random_calls import assert_same_results, calls
from tests.samples import assert_backend_is_the_interpreter, trace, trace_types, with_samples


@pytest.mark.parametrize("name", with_samples())
def test_every_sample_is_as_interpreted(name: str) -> None:
    with config.override(verify=True, cache=False):
        assert_backend_is_the_interpreter(name, "cpu")


def test_probe_names_the_processor() -> None:
    answer = backend.probe()
    assert isinstance(answer, Available)
    assert answer.detail


def test_verdicts() -> None:
    x = np.ones((2, 3), np.float32)
    graph = trace(lambda a: OPS["exp"](a), [x])
    assert backend.verdict(graph.nodes[0]) == Accept()
    graph = trace(lambda a: OPS["square"](a), [x])
    assert isinstance(backend.verdict(graph.nodes[0]), Decompose)
    graph = trace_types(lambda a: OPS["neg"](a), [TensorType(dtypes.complex64, (3,))])
    assert backend.verdict(graph.nodes[0]) == Reject("no kernels over complex64")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls() | calls(symbolic=True))
def test_random_graphs(case: tuple[Graph, list[np.ndarray], dict[str, int]]) -> None:
    graph, arrays, _ = case
    with config.override(verify=True, cache=False):
        assert_same_results(graph, arrays, "cpu")


def test_a_bad_index_is_an_error() -> None:
    x = np.arange(4.0)
    compiled = compile_graph(trace(lambda a, i: OPS["take"](a, i, axis=0), [x, np.array([0])]), "cpu")
    assert compiled.run([x, np.array([-1])])[0].tolist() == [3]
    with pytest.raises(TensorIndexError, match="index out of range"):
        compiled.run([x, np.array([4])])


def test_sources_are_kept_for_people() -> None:
    compiled = compile_graph(trace(lambda a: OPS["exp"](a), [np.ones(3)]), "cpu")
    sources = compiled.steps[0].artifact.sources
    assert "kernel @exp_1" in sources["kernels"]
    assert "program @main" in sources["program"]
    assert "define" in sources["llvm"]
