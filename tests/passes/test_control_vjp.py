"""Gradients of control flow: by differences, by the tape, and as a forward and backward pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.autograd import gradcheck, gradgradcheck
from jitorch.frontend.eager.differentiable import GraphFunction
from jitorch.ops import control
from jitorch.passes.grad import vjp
from tests.control import GRAPHS, arguments, body, f64, meaning, recurrence, smooth


def tensors(args: list[Any]) -> list[Any]:
    return [jitorch.tensor(a, requires_grad=True) if isinstance(a, np.ndarray) else a for a in args]


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "no steps"])
def test_both_orders_by_differences(name: str) -> None:
    """Twice through the forward and backward pair of a compiled graph."""
    graph = GRAPHS[name]()
    call = GraphFunction(graph, smooth(graph.outputs), "cpu")
    args = tensors(arguments(graph))
    wrt = [i for i, x in enumerate(args) if isinstance(x, jitorch.Tensor)]

    def function(*values: Any) -> Any:
        given = list(args)
        for i, x in zip(wrt, values):
            given[i] = x
        return tuple(r for r in call(given) if isinstance(r, jitorch.Tensor))

    values = [args[i] for i in wrt]
    assert gradcheck(function, values)
    assert gradgradcheck(function, values)
    assert call.is_native


@pytest.mark.parametrize("name", GRAPHS)
def test_the_reference_backend_agrees(name: str) -> None:
    graph = GRAPHS[name]()
    args = arguments(graph)
    results = []
    for backend in ("cpu", "reference"):
        given = tensors(args)
        outputs = GraphFunction(graph, smooth(graph.outputs), backend)(given)
        sum((r * r).sum() for r in outputs if isinstance(r, jitorch.Tensor)).backward()
        results.append([x.grad.numpy() for x in given if isinstance(x, jitorch.Tensor)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_eager_control_flow_on_the_tape() -> None:
    test = body(lambda i, x: i < 3, f64(), f64(2), name="test")
    turn = body(lambda i, x: (i + 1.0, x * x), f64(), f64(2))
    x = jitorch.tensor([0.5, 1.5], dtype=jitorch.float64, requires_grad=True)
    _, y = control.run_while([jitorch.zeros((), dtype=jitorch.float64), x], test, turn)
    (g,) = jitorch.autograd.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), 8 * x.detach().numpy() ** 7)
    (h,) = jitorch.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), 56 * x.detach().numpy() ** 6)


def test_residuals_are_what_the_step_computed() -> None:
    """The gradient of a step reads ``h``, ``tanh`` and the weights: one scan forward, one back."""
    graph = vjp(recurrence(), [0, 1, 2], [0])
    forward, backward = [n for n in graph.nodes if n.op.name == "scan"]
    assert [str(v.type) for v in forward.outputs[2:]] == ["f64[6, 3, 4]"] * 2
    assert backward.attrs["reverse"]
    assert "tanh" not in {n.op.name for n in backward.attrs["body"].nodes}
    for value in meaning(graph, arguments(graph)):
        assert np.isfinite(value).all()


def test_a_weight_of_all_steps_is_one_product() -> None:
    graph = vjp(recurrence(batch=2, width=16), [2], [0])
    backward = [n for n in graph.nodes if n.op.name == "scan"][1]
    assert all(str(v.type) != "f64[16, 16]" for v in backward.outputs)
    assert graph.outputs[0].node is not None
    assert graph.outputs[0].node.op.name == "matmul_batched"
