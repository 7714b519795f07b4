"""The cpu backend on whole graphs."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import config, dtypes
from jitorch.backends import Accept, Available, Decompose, Reject
from jitorch.backends.cpu import backend
from jitorch.ir.types import TensorType
from jitorch.ops import OPS
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
