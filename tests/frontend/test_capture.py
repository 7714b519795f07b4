"""Graphs of one moment: arguments first, then the tensors met."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import dims, dtypes
from jitorch.errors import StagingError
from jitorch.frontend.capture import CapturingBuilder
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.passes.decompose import expand


def f32(*shape) -> TensorType:
    return TensorType(dtypes.float32, shape)


def test_stored_tensors_become_inputs_after_the_arguments():
    weight = jitorch.from_numpy(np.array([2.0, 3.0], np.float32))
    builder = CapturingBuilder("scale")
    x = builder.add_argument(f32(2))
    with builder.recording():
        y = x * weight + weight
    graph = builder.finish([y])
    assert [t is weight for t in builder.parameters] == [True]
    assert [v.type for v in graph.inputs] == [f32(2), f32(2)]
    (got,) = interpret(graph, [np.float32([1, 1]), weight.numpy()], expand)
    assert got.tolist() == [4.0, 6.0]


def test_views_of_one_tensor_share_its_input():
    base = jitorch.zeros(4)
    builder = CapturingBuilder("views")
    x = builder.add_argument(f32(2))
    with builder.recording():
        y = x + base[:2] + base[2:]
    builder.finish([y])
    assert len(builder.parameters) == 1
    assert builder.parameters[0] is base


def test_writes_are_known_and_happen_nowhere():
    state = jitorch.zeros(2)
    builder = CapturingBuilder("writes")
    x = builder.add_argument(f32(2))
    with builder.recording():
        state += x
        y = state * 2
    graph = builder.finish([y])
    assert [t is state for t in builder.written] == [True]
    assert state.tolist() == [0.0, 0.0]
    (got,) = interpret(graph, [np.float32([1, 2]), state.numpy()], expand)
    assert got.tolist() == [2.0, 4.0]


def test_sizes_may_be_symbols_and_guards_are_kept():
    builder = CapturingBuilder("sizes")
    x = builder.add_argument(f32(dims.symbol("n", low=1, hint=4)))
    with builder.recording():
        y = x[:3]
    graph = builder.finish([y])
    assert str(graph.outputs[0].type) == "f32[3]"
    assert [str(g) for g in builder.guards] == ["3 <= n"]


def test_data_is_not_known():
    builder = CapturingBuilder("data")
    x = builder.add_argument(f32(2))
    with builder.recording(), pytest.raises(StagingError):
        bool(x.sum() > 0)


def test_no_gradients_are_recorded():
    weight = jitorch.ones(2).requires_grad_()
    builder = CapturingBuilder("no_grad")
    x = builder.add_argument(f32(2))
    with builder.recording():
        y = x * weight
        assert not jitorch.is_grad_enabled()
    assert not y.requires_grad
    assert jitorch.is_grad_enabled()


def test_a_jitted_function_is_what_it_wraps():
    double = jitorch.jit(lambda x: x * 2)
    builder = CapturingBuilder("jitted")
    x = builder.add_argument(f32(2))
    with builder.recording():
        y = double(x)
    graph = builder.finish([y])
    assert [node.op.name for node in graph.nodes][-1] == "mul"
    assert double.statistics.traces == 0
