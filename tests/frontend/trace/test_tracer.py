"""Traces: what becomes an input, what is guarded, what the graph gives back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import dtypes, errors
from jitorch.dims import symbol
from jitorch.frontend.trace.tensor_recorder import SymbolicKey
from jitorch.frontend.trace.tracer import Traced, trace
from jitorch.ir.types import TensorType


def traced(function: Any, *args: Any) -> Traced:
    result = trace(function, args, {})
    assert result.staged.refused is None
    return result


def kinds(result: Traced) -> list[str]:
    return [guard.kind for guard in result.staged.guards]


def test_each_memory_is_one_input() -> None:
    x, other = jitorch.ones(2, 3), jitorch.ones(3)
    result = traced(lambda a, b, c: (a + b + c).sum(), x, x[0], other)
    assert [str(p) for p in result.staged.inputs] == ["arg1._root", "arg2"]
    assert [v.type.shape for v in result.graph.inputs] == [(2, 3), (3,)]
    assert "same" in kinds(result)


def test_a_part_with_a_gradient_of_its_own_is_an_input_of_its_own() -> None:
    part = jitorch.ones(2, 3)[0].requires_grad_()
    result = traced(lambda a: (a * a).sum(), part)
    assert [v.type.shape for v in result.graph.inputs] == [(3,)]
    assert result.differentiable == [0]


def test_memories_are_guarded_to_be_different_only_where_one_is_written() -> None:
    x, y = jitorch.ones(3), jitorch.ones(3)
    assert "distinct" not in kinds(traced(lambda a, b: a + b, x, y))
    assert "distinct" in kinds(traced(lambda a, b: a.add_(b), x, y))


def test_results_that_share_memory_come_from_one_output() -> None:
    def function(a: Any) -> Any:
        b = a * 2
        return b, b[0], a[1], b.sum()

    result = traced(function, jitorch.ones(2, 3))
    assert [(o.stored, o.source, len(o.steps) > 0) for o in result.outputs] == [
        (False, 0, False),
        (False, 0, True),
        (True, 0, True),
        (False, 1, False),
    ]
    assert [v.type.shape for v in result.graph.outputs] == [(2, 3), ()]


def test_a_part_that_is_alone_is_computed_without_the_rest() -> None:
    result = traced(lambda a: (a * 2)[0], jitorch.ones(2, 3))
    assert [v.type.shape for v in result.graph.outputs] == [(3,)]


def test_writes_come_last_among_the_outputs() -> None:
    def function(a: Any, b: Any) -> Any:
        b[0].add_(a)
        return a + 1

    result = traced(function, jitorch.ones(3), jitorch.ones(2, 3))
    ((number, output),) = result.graph.writes
    assert str(result.staged.inputs[number]) == "arg1"
    assert output == 1
    assert result.graph.outputs[1].type.shape == (2, 3)


def test_nothing_outside_changes() -> None:
    x, w = jitorch.ones(3), jitorch.ones(3, requires_grad=True)

    def function(a: Any, b: Any) -> None:
        a.mul_(5)
        (a * b).sum().backward()

    traced(function, x, w)
    np.testing.assert_array_equal(x.numpy(), 1)
    assert w.grad is None
    assert x._version == 0


def test_histories_of_stored_views_are_followed_outside_of_the_trace() -> None:
    base = jitorch.zeros(2, 3)
    view = base[0]
    base.mul_(jitorch.ones(3, requires_grad=True))
    result = traced(lambda v: (v * 2).sum(), view)
    assert result.differentiable == [0]
    assert view.grad_fn is not None
    assert all(node.op.name != "slice_axes" or node.inputs for node in result.graph)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda a, w: a.add_(w), "overwritten by one that requires grad"),
        (lambda a, w: w.register_hook(lambda g: g), "a hook"),
        (lambda a, w: a.requires_grad_(), "requires_grad"),
        (lambda a, w: w.detach_(), "detach_"),
        (lambda a, w: a.tolist(), "tolist"),
    ],
)
def test_refusals(function: Any, why: str) -> None:
    a, w = jitorch.ones(3), jitorch.ones(3, requires_grad=True)
    result = trace(function, (a, w), {})
    assert result.staged.refused is not None
    assert why in str(result.staged.refused)
    assert not a.requires_grad
    assert w.requires_grad


def test_errors_of_the_function_are_its_own() -> None:
    with pytest.raises(errors.ShapeError):
        trace(lambda a: a @ a, (jitorch.ones(2, 3),), {})


def test_keys_with_symbolic_sizes_equal_what_fits() -> None:
    n = symbol("n", 2)
    key = SymbolicKey(TensorType(dtypes.float32, (n, 3)), (False, True))
    assert key == (TensorType(dtypes.float32, (7, 3)), False, True)
    assert key == SymbolicKey(TensorType(dtypes.float32, (n, 3)), (False, True))
    assert hash(key) == hash(SymbolicKey(TensorType(dtypes.float32, (n, 3)), (False, True)))
    assert "False" in repr(key)
    for other in (
        (TensorType(dtypes.float32, (7, 4)), False, True),
        (TensorType(dtypes.float64, (7, 3)), False, True),
        (TensorType(dtypes.float32, (7, 3, 1)), False, True),
        (TensorType(dtypes.float32, (7, 3)), True, True),
        None,
    ):
        assert key != other


class Scale:
    by = 0.5


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / x.shape[0] ** 0.5,
        lambda x: x * (x.shape[0] / 2),
        lambda x: x * (x.shape[0] * Scale.by),
        lambda x: x * (1 / x.shape[0]),
        lambda x: x * 2 ** x.shape[0],
        lambda x: x + (1 if x.shape[0] > 4.5 else 2),
        lambda x: x * (x.shape[0] == 4.0),
    ],
    ids=["power", "half", "scaled", "inverse", "exponent", "compared", "equal"],
)
def test_sizes_that_changed_have_the_arithmetic_of_numbers(function):
    compiled = jitorch.jit(function, fullgraph=True)
    for n in (4, 5, 6):
        x = jitorch.ones(n)
        np.testing.assert_allclose(compiled(x).numpy(), function(x).numpy(), rtol=1e-6)
    assert compiled.statistics.traces == 2


def _by_leaf(w: Any, v: Any) -> Any:
    return jitorch.autograd.grad((v**2).sum() + w.sum(), w)


def _by_both(w: Any, v: Any) -> Any:
    return jitorch.autograd.grad((v**2).sum() + w.sum(), (v, w))


def _by_leaf_that_is_reached_outside_only(w: Any, v: Any) -> Any:
    return jitorch.autograd.grad((v**2).sum(), w, allow_unused=True)


def _by_the_value_alone(w: Any, v: Any) -> Any:
    return jitorch.autograd.grad((v**2).sum() + w.sum(), v)


@pytest.mark.parametrize("make", [lambda w: w[0], lambda w: w[0] * 3], ids=["view", "value"])
@pytest.mark.parametrize(
    ("function", "is_native"),
    [
        (_by_leaf, False),
        (_by_both, False),
        (_by_leaf_that_is_reached_outside_only, False),
        (_by_the_value_alone, True),
    ],
)
def test_gradients_go_on_through_a_history_from_outside(function: Any, is_native: bool, make: Any) -> None:
    def gradients(called: Any) -> list[Any]:
        w = jitorch.arange(6.0).reshape(2, 3).clone().requires_grad_()
        return [g.tolist() for g in called(w, make(w))]

    compiled = jitorch.jit(function)
    if is_native:
        assert gradients(compiled) == gradients(function)
    else:
        with pytest.warns(RuntimeWarning, match="history of a tensor that was computed outside"):
            assert gradients(compiled) == gradients(function)
    assert (compiled.statistics.eager == 0) is is_native
