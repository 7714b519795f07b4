"""The reference backend: it runs every graph, by the ops' NumPy meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jitorch import config, dtypes
from jitorch.backends import Accept, Artifact, Decompose, Options
from jitorch.backends.reference import backend
from jitorch.compiler import compile_graph
from jitorch.dims import symbol
from jitorch.errors import BackendError
from jitorch.ir.types import TensorType
from jitorch.ops import OPS
from tests.samples import assert_backend_is_the_interpreter, trace, trace_types, with_samples

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(autouse=True)
def _verified() -> Any:
    with config.override(verify=True, cache=False):
        yield


@pytest.mark.parametrize("name", with_samples())
def test_every_sample_is_as_interpreted(name: str) -> None:
    assert_backend_is_the_interpreter(name, "reference")


def test_verdicts() -> None:
    graph = trace(lambda x: OPS["square"](OPS["exp"](x)), [X])
    assert backend.verdict(graph.nodes[0]) == Accept()
    assert backend.verdict(graph.nodes[1]) == Decompose("no NumPy rule")


def test_symbolic_sizes() -> None:
    n = symbol("N")
    wide = TensorType(dtypes.float32, (n * 2, 3))
    compiled = compile_graph(
        trace_types(lambda x, y: OPS["broadcast_to"](x, shape=(n, n * 2, 3)), [wide, TensorType(dtypes.float32, (n,))]),
        "reference",
    )
    for size in (1, 3):
        x = np.ones((2 * size, 3), np.float32)
        assert compiled.run([x, np.zeros(size, np.float32)])[0].shape == (size, 2 * size, 3)


def test_written_inputs_change_after_all_results_are_known() -> None:
    graph = trace(lambda a, b: (b + 1, a + b), [X, X])
    graph.writes = [(0, 0), (1, 1)]
    a, b = X.copy(), 10 * X
    assert compile_graph(graph, "reference").run([a, b]) == []
    np.testing.assert_array_equal(a, 10 * X + 1)
    np.testing.assert_array_equal(b, 11 * X)


def test_the_artifact_is_the_graphs_text() -> None:
    graph = trace(lambda x: OPS["exp"](x), [X])
    artifact = backend.compile(graph, Options())
    assert artifact.payload == b""
    assert artifact.sources["graph"] == str(graph)
    out = np.empty_like(X)
    backend.load(artifact).run([X], [out], {})
    np.testing.assert_array_equal(out, np.exp(X))
    with pytest.raises(BackendError, match="not an artifact of the reference backend"):
        backend.load(Artifact("cpu", b"", {}))
