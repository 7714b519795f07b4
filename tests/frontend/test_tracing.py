"""Traced functions: one program, called with other tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import ArgumentError, CheckFailed
from jitorch.frontend.tracing import TracedFunction

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.trace. is deprecated:DeprecationWarning")


def same(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found.detach()), expected.detach().numpy(), rtol=1e-5, atol=1e-6)


def values(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# ---- functions beside torch.jit.trace ---------------------------------------------------------------
def scaled(t: Any, x: Any) -> Any:
    return (x * 2 + 1).tanh() / x.shape[0]


def softmax_attention(t: Any, x: Any) -> Any:
    scores = x @ x.transpose(-1, -2) / x.shape[-1] ** 0.5
    return t.softmax(scores, -1) @ x


def in_place(t: Any, x: Any) -> Any:
    y = x.clone()
    y += 1
    y[0] *= 2
    return y


def unrolled(t: Any, x: Any) -> Any:
    for i in range(3):
        x = x * (i + 1) + x.mean()
    return x


def normalised(t: Any, x: Any) -> Any:
    return (x - x.mean(0)) / (x.std(0) + 1e-3)


def indexed(t: Any, x: Any) -> Any:
    return x[1:, ::2].flip(0).sum(1)


def branching(t: Any, x: Any) -> Any:
    if x.sum() > 0:
        return x * 2
    return x - 1


def converging(t: Any, x: Any) -> Any:
    y = x.abs() + 1
    while y.max() > 1.01:
        y = y**0.5
    return y


def counting(t: Any, x: Any) -> Any:
    count = 0
    for row in x:
        if row.sum() > 0:
            count += 1
    return x * count


def clipped(t: Any, x: Any) -> Any:
    return x if float(x.abs().max()) < 1.0 else x / x.abs().max()


@pytest.mark.parametrize("function", [scaled, softmax_attention, in_place, unrolled, normalised, indexed])
def test_straight_code_is_what_torch_traces(function: Any) -> None:
    x = values(4, 6)
    ours = jitorch.jit.trace(lambda x: function(jitorch, x), jitorch.tensor(x))
    theirs = torch.jit.trace(lambda x: function(torch, x), torch.tensor(x))
    for other in (x, values(4, 6) * 2):
        same(ours(jitorch.tensor(other)), theirs(torch.tensor(other)))


@pytest.mark.parametrize("function", [branching, converging, counting, clipped])
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torch_freezes_what_stays_right_here(function: Any) -> None:
    x = np.abs(values(4, 6))
    ours = jitorch.jit.trace(lambda x: function(jitorch, x), jitorch.tensor(x))
    theirs = torch.jit.trace(lambda x: function(torch, x), torch.tensor(x), check_trace=False)
    other = -x / 10
    right = function(torch, torch.tensor(other))
    assert not np.allclose(theirs(torch.tensor(other)), right)
    same(ours(jitorch.tensor(other)), right)
    same(ours(jitorch.tensor(x)), function(torch, torch.tensor(x)))


# ---- sizes ------------------------------------------------------------------------------------------
def sizes_of(traced: TracedFunction) -> list[str]:
    return [str(v.type) for v in traced.graph.inputs]


def test_sizes_are_symbols_unless_they_decided_something() -> None:
    def function(x: Any, y: Any) -> Any:
        return x @ y

    traced = jitorch.jit.trace(function, (jitorch.ones(2, 3), jitorch.ones(3, 4)))
    assert sizes_of(traced) == ["f32[s0, s1]", "f32[s1, s3]"]
    assert traced(jitorch.ones(5, 1), jitorch.ones(1, 2)).shape == (5, 2)
    with pytest.raises(ArgumentError, match="function: y is not as it was traced"):
        traced(jitorch.ones(5, 2), jitorch.ones(3, 2))


def test_a_size_that_must_be_a_number_stays_it() -> None:
    weight = jitorch.ones(3)
    traced = jitorch.jit.trace(lambda x: x * weight, jitorch.ones(2, 3))
    assert sizes_of(traced) == ["f32[s0, 3]", "f32[3]"]
    with pytest.raises(ArgumentError, match="expected: f32"):
        traced(jitorch.ones(2, 4))


def test_limits_of_sizes_are_checked() -> None:
    traced = jitorch.jit.trace(lambda x: x[:, :2] if x.shape[0] > 1 else x, jitorch.ones(4, 4))
    assert traced(jitorch.ones(2, 9)).shape == (2, 2)
    with pytest.raises(ArgumentError, match="does not hold for these sizes") as caught:
        traced(jitorch.ones(1, 9))
    assert "1 < s0" in str(caught.value)


def test_sizes_that_decide_too_much_stay_as_they_are() -> None:
    traced = jitorch.jit.trace(lambda x: [x * i for i in range(x.shape[0])][-1], jitorch.ones(3))
    assert traced(jitorch.ones(3)).tolist() == [2.0, 2.0, 2.0]


# ---- arguments --------------------------------------------------------------------------------------
def test_arguments_are_trees_of_tensors_and_fixed_values() -> None:
    def function(pair: Any, options: Any, times: int = 1, *, flag: bool = False) -> Any:
        total = pair[0] + pair[1][0] * times
        return {"total": total, "more": (options["x"] if flag else total, None, "a")}

    x = jitorch.ones(2)
    traced = jitorch.jit.trace(function, ((x, [x]), {"x": x}, 3), example_kwarg_inputs={"flag": True})
    y = jitorch.ones(3)
    found = traced((y, [y * 2]), {"x": y * 5}, 3, flag=True)
    assert found["total"].tolist() == [7.0] * 3
    assert [found["more"][0].tolist(), *found["more"][1:]] == [[5.0] * 3, None, "a"]
    assert traced((y, [y]), {"x": y}, times=3, flag=True)["total"].tolist() == [4.0] * 3
    for wrong in [
        ((y, [y]), {"x": y}, 4),
        ((y, [y, y]), {"x": y}, 3),
        ((y, [y]), {"z": y}, 3),
        ((y, [3]), {"x": y}, 3),
    ]:
        with pytest.raises(ArgumentError, match="the arguments are not as they were traced"):
            traced(*wrong, flag=True)
    with pytest.raises(ArgumentError, match="the arguments are not"):
        traced((y, [y]), {"x": y}, 3)


@pytest.mark.parametrize("wrong", [jitorch.ones(2).double(), jitorch.ones(2, 2), 3, None])
def test_other_types_are_refused(wrong: Any) -> None:
    traced = jitorch.jit.trace(lambda x: x + 1, jitorch.ones(2))
    with pytest.raises(ArgumentError, match="not as it was traced"):
        traced(wrong)


def test_what_was_read_stays_what_it_was() -> None:
    settings = {"scale": 2.0, "depth": 2}

    def function(x: Any) -> Any:
        for _ in range(settings["depth"]):
            x = x * settings["scale"]
        return x

    traced = jitorch.jit.trace(function, jitorch.ones(2))
    settings.update(scale=5.0, depth=7)
    assert traced(jitorch.ones(2)).tolist() == [4.0, 4.0]


# ---- as any function --------------------------------------------------------------------------------
def test_gradients_of_any_order_whatever_the_example_required() -> None:
    traced = jitorch.jit.trace(lambda x: (x**3).sum(), jitorch.ones(2))
    x = jitorch.tensor([1.0, 2.0], requires_grad=True)
    (first,) = jitorch.autograd.grad(traced(x), x, create_graph=True)
    (second,) = jitorch.autograd.grad(first.sum(), x)
    assert (first.tolist(), second.tolist()) == ([3.0, 12.0], [6.0, 12.0])


def test_tracing_without_gradients_does_not_cut_them() -> None:
    with jitorch.no_grad():
        traced = jitorch.jit.trace(lambda x: x * x, jitorch.ones(2))
    x = jitorch.tensor([3.0], requires_grad=True)
    traced(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [6.0]


def test_layouts_and_writes_to_arguments() -> None:
    def function(x: Any) -> Any:
        x += 1
        return x * 2, x

    traced = jitorch.jit.trace(function, jitorch.ones(2, 3))
    base = jitorch.tensor(values(3, 2))
    before = base.clone()
    doubled, same_one = traced(base.mT)
    same(base, before + 1)
    same(doubled, (before.mT + 1) * 2)
    assert same_one.data_ptr() == base.data_ptr()


def test_compiled_functions_call_traced_ones() -> None:
    traced = jitorch.jit.trace(branching_of_one, jitorch.ones(2))
    outer = jitorch.jit(lambda x: traced(x * 2) + 1, fullgraph=True)
    assert outer(jitorch.ones(2)).tolist() == [5.0, 5.0]
    assert outer(-jitorch.ones(2)).tolist() == [-2.0, -2.0]
    assert outer.statistics.traces == 1
    again = jitorch.jit.trace(lambda x: traced(x) * 3, jitorch.ones(3))
    assert again(-jitorch.ones(3)).tolist() == [-6.0, -6.0, -6.0]


def branching_of_one(x: Any) -> Any:
    return branching(jitorch, x)


def test_a_failed_check_points_at_its_line() -> None:
    def function(x: Any) -> Any:
        assert x.sum() > 0
        return x

    traced = jitorch.jit.trace(function, jitorch.ones(2))
    with pytest.raises(CheckFailed) as caught:
        traced(-jitorch.ones(2))
    assert "assert x.sum() > 0" in str(caught.value)


def test_looking_inside() -> None:
    traced = jitorch.jit.trace(branching_of_one, jitorch.ones(2))
    x = jitorch.tensor([1.0, 2.0])
    namespace: dict[str, Any] = {}
    exec(traced.code, namespace)
    assert namespace["branching_of_one"](-x).tolist() == traced(-x).tolist()
    assert traced.check(x)
    assert "1 traces" in traced.explain() and "kernels" in traced.sources()
    assert traced.statistics.traces == 1
    assert (repr(traced), traced.name) == ("<traced branching_of_one>", "branching_of_one")


def test_programs_of_equal_arguments_have_records_of_their_own() -> None:
    x = jitorch.ones(2)
    first, second = (jitorch.jit.trace(f, x) for f in (lambda x: x + 1, lambda x: x * 5))
    assert first(x).tolist() == [2.0, 2.0]
    assert second(x).tolist() == [5.0, 5.0]
    assert first.program.__record_key__ != second.program.__record_key__
