"""Calls that are repeated run as NumPy calls: the same bits, types, memory and errors as op by op."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import jitorch
import jitorch.nn.functional as F
from jitorch.errors import JitorchError
from jitorch.frontend.eager import steps
from jitorch.ops import OPS, PUBLIC
from tests.samples import NARROW

ENTRIES = {entry.name: entry for entry in (*PUBLIC.values(), *OPS.values()) if "samples" in entry.rules}
del ENTRIES["seed"]  # which gives another number each time


@pytest.fixture(autouse=True)
def _no_calls_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_calls", {})
    monkeypatch.setattr(steps, "REPEATED", 1)


def tensors(value: Any, to: dict[Any, Any]) -> Any:
    """Sample arguments with tensors in the place of arrays, of the dtypes ``to`` where it has some."""
    if isinstance(value, np.ndarray):
        return jitorch.from_numpy(value.astype(to.get(value.dtype, value.dtype), order="C"))
    if isinstance(value, (list, tuple)):
        return type(value)(tensors(v, to) for v in value)
    return {k: tensors(v, to) for k, v in value.items()} if isinstance(value, dict) else value


def outcome(function: Callable[[], Any]) -> Any:
    """What a call gives, or the error that it raises."""
    jitorch.manual_seed(0)
    try:
        return function()
    except (JitorchError, ValueError, TypeError) as error:
        return type(error), str(error)


def same(got: Any, want: Any) -> None:
    if isinstance(want, jitorch.Tensor):
        assert got.type == want.type
        assert got.is_contiguous() or got.stride() == want.stride()
        assert got.numpy().tobytes() == want.numpy().tobytes()
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        for a, b in zip(got, want):
            same(a, b)
    else:
        assert type(got) is type(want) and repr(got) == repr(want)


def op_by_op(function: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patched:
        patched.setattr(steps, "call", lambda *_: NotImplemented)
        return outcome(function)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_sample(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for sample in ENTRIES[name].rules["samples"](np.random.default_rng(0)):
        for to in ({}, NARROW):

            def call(sample: Any = sample, to: Any = to) -> Any:
                return ENTRIES[name](*tensors(sample.args, to), **tensors(sample.kwargs, to))

            want = op_by_op(call, monkeypatch)
            for _ in range(3):
                same(outcome(call), want)


CALLS: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(0),
    "layer_norm": lambda x: F.layer_norm(x, (16,), x[0].clone(), x[1].clone()),
    "gelu": F.gelu,
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "var": lambda x: x.var(-1),
    "std over all": lambda x: x.std(),
    "cross_entropy": lambda x: F.cross_entropy(x, jitorch.arange(8)),
    "huber_loss": lambda x: F.huber_loss(x, x * 2, delta=0.3),
    "addcmul": lambda x: jitorch.addcmul(x, x, x, value=0.3),
    "max with its place": lambda x: x.max(1),
    "cat over columns": lambda x: jitorch.cat([x, x.softmax(0)], 1).softmax(1),
}


@pytest.fixture
def x() -> Any:
    return jitorch.from_numpy(np.random.default_rng(1).normal(size=(8, 16)).astype("f4"))


def made() -> list[Any]:
    return [call.steps for call in steps._calls.values() if call.steps is not None]


@pytest.mark.parametrize("name", CALLS)
def test_common_calls_have_steps(name: str, x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    want = op_by_op(lambda: CALLS[name](x), monkeypatch)
    CALLS[name](x)
    assert made()
    got = CALLS[name](x)
    same(got, want)
    first = got[0] if isinstance(got, tuple) else got
    first.zero_()  # it has memory of its own
    same(CALLS[name](x), want)


def test_what_numpy_broadcasts_is_not_broadcast_before(x: Any) -> None:
    x.softmax(-1)
    (softmax,) = (found for found in made() if len(found.steps) > 1)
    assert [step.rule for step in softmax.steps].count(OPS["broadcast_to"].rules["numpy"]) == 0


def test_steps_are_made_of_calls_that_are_repeated(x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "REPEATED", 3)
    counts = []
    for _ in range(4):
        x.softmax(-1)
        counts.append(len(made()))
    assert counts[:2] == [0, 0] and counts[2] > 0
    assert counts[3] == counts[2]


def test_other_types_attributes_and_layouts_are_other_calls(x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [
        lambda: x.softmax(0), lambda: x.softmax(1), lambda: x.double().softmax(1), lambda: x[:4].softmax(1),
        lambda: x.t().softmax(1), lambda: x[:, ::2].softmax(1), lambda: x.clamp(-1, 1), lambda: x.clamp(-1.0, 1.0),
        lambda: x.clamp(max=0.5), lambda: x.clamp(min=0.5), lambda: x.clamp(2.0, -2.0),
    ]  # fmt: skip
    wants = [op_by_op(call, monkeypatch) for call in calls]
    for _ in range(3):
        for call, want in zip(calls, wants):
            same(call(), want)


def test_numbers_are_values(x: Any) -> None:
    for low in (-0.5, -0.25, 0.0, float("nan"), -jitorch.inf):
        expected = np.maximum(x.numpy(), np.float32(low))
        np.testing.assert_array_equal(x.clamp(min=low).numpy(), expected)


def test_a_call_that_wants_a_gradient_is_recorded(x: Any) -> None:
    for _ in range(3):
        x.softmax(-1)
    x.requires_grad_()
    y = x.softmax(-1)
    assert y.requires_grad
    (gradient,) = jitorch.autograd.grad(y[:, 0].sum(), x)
    assert gradient.abs().sum().item() > 0
    with jitorch.no_grad():
        assert not x.softmax(-1).requires_grad


@pytest.mark.parametrize("name", [name for name in CALLS if name != "max with its place"])
def test_a_recorded_call_has_steps_and_the_same_gradients(name: str, x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x.requires_grad_()
    weights = jitorch.randn(16, 32)

    def gradients() -> Any:
        y = CALLS[name](x)
        total = (y * weights.flatten()[: y.numel()].reshape(y.shape)).sum()
        (first,) = jitorch.autograd.grad(total, x, create_graph=True)
        (second,) = jitorch.autograd.grad((first * x).sum(), x)
        return y.detach(), first.detach(), second

    want = op_by_op(gradients, monkeypatch)
    gradients()
    assert made()
    same(outcome(gradients), want)


def test_an_error_in_a_repeated_call_is_the_same(x: Any) -> None:
    table = jitorch.ones(4, 3)
    for _ in range(3):
        F.embedding(jitorch.tensor([0, 3]), table)
    messages = []
    for labels in ([0, 4], [0, 4, 0]):  # of types that were seen, and that were not
        with pytest.raises(IndexError) as caught:
            F.embedding(jitorch.tensor(labels), table)
        messages.append(str(caught.value).splitlines()[0])
    assert messages[0] == messages[1]


def test_chance_is_not_repeated(x: Any) -> None:
    drawn = {F.dropout(x, 0.5).numpy().tobytes() for _ in range(6)}
    assert len(drawn) == 6


@pytest.fixture
def double_by_default() -> Iterator[Callable[[], None]]:
    yield lambda: jitorch.set_default_dtype(jitorch.float64)
    jitorch.set_default_dtype(jitorch.float32)


@pytest.mark.parametrize("count", [8, 100_000])
def test_the_default_dtype_is_asked_for_again(count: int, double_by_default: Callable[[], None]) -> None:
    x = jitorch.arange(count)
    compiled = jitorch.jit(jitorch.sigmoid)
    for _ in range(3):
        assert jitorch.sigmoid(x).dtype is compiled(x).dtype is jitorch.softmax(x * 1.0, 0).dtype is jitorch.float32
    double_by_default()
    for _ in range(3):
        assert jitorch.sigmoid(x).dtype is compiled(x).dtype is jitorch.softmax(x * 1.0, 0).dtype is jitorch.float64
