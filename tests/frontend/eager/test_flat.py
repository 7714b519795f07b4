"""Elementwise calls on large plain tensors mean what small ones do, in any shape; so do calls that are planned."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import config
from jitorch.frontend.eager import flat, kernels, shortcut
from jitorch.frontend.eager.large import LARGE
from jitorch.ops import registry
from tests.frontend.eager.test_native import BINARY, INSTALLED, SPECIAL, ordinary, values

pytestmark = pytest.mark.skipif(not INSTALLED, reason="kernels serve eager calls where machine code may be made")

SHAPES = [(1 << 17,), (256, 512), (8, 1 << 7, 1 << 7)]
LOOPS = [op for op in registry.OPS.values() if op.scalar is not None and shortcut.loops_of(op).ufunc is not None]


@pytest.fixture(autouse=True)
def _no_kernels_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(flat, "_kernels", {})
    with config.override(native=True):
        yield


def check(function: Callable[..., Any], *args: Any) -> None:
    """One kernel serves the call; a result of float32 is within a few units in the last place of NumPy's."""
    before = len(flat._kernels)
    got, want = function(*args), ordinary(function, *args)
    assert len(flat._kernels) == before + 1
    assert got.type == want.type
    tolerance = {"float32": 2e-6, "float64": 1e-14}.get(got.numpy().dtype.name, 0.0)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=tolerance, atol=tolerance * 1e-3)


@pytest.mark.parametrize("op", LOOPS, ids=lambda op: op.name)
def test_each_op(op: Any) -> None:
    for dtype, result in op.loops.results.items():
        name = dtype.numpy.name
        args = [jitorch.from_numpy(values(name, (1 << 17,), seed)) for seed in range(op.loops.arity)]
        if result.is_floating_point and op.loops.arity == 1:
            args[0][: SPECIAL.size] = jitorch.tensor(SPECIAL.astype(name))
        check(op, *args)


@pytest.mark.parametrize("function", BINARY, ids=lambda f: getattr(f, "__name__", str(f)))
@pytest.mark.parametrize("number", [3, -2, 0.1, 2.5])
def test_numbers(function: Callable[..., Any], number: float) -> None:
    x = jitorch.from_numpy(values("float32", SHAPES[0]))
    if function is jitorch.atan2 or function in (jitorch.maximum, jitorch.minimum):
        number = jitorch.full(SHAPES[0], float(number))  # type: ignore[assignment]
    check(function, x, number)
    if isinstance(number, float):
        np.testing.assert_allclose(function(number, x).numpy(), ordinary(function, number, x).numpy(), rtol=1e-6)


def test_numbers_of_one_kernel() -> None:
    """The number is an argument: it is looked at in each call."""
    x = jitorch.ones(1 << 17)
    assert [float((x * factor)[5]) for factor in (0.5, 0.25, -1.0)] == [0.5, 0.25, -1.0]
    assert [int((jitorch.arange(1 << 17) + n)[5]) for n in (1, 7, -(2**31) + 1)] == [6, 12, -(2**31) + 6]
    assert len(flat._kernels) == 2


def test_one_kernel_for_all_shapes() -> None:
    for shape in SHAPES:
        x = jitorch.from_numpy(values("float32", shape))
        np.testing.assert_array_equal((x - x * x).numpy(), x.numpy() - x.numpy() * x.numpy())
        assert x.relu().shape == shape
    assert sorted(key[0].name for key in flat._kernels) == ["mul", "relu", "sub"]


X = values("float32", (512, 512))


@pytest.mark.parametrize(
    "operands",
    [
        lambda: (jitorch.from_numpy(X).t(), jitorch.from_numpy(X)),
        lambda: (jitorch.from_numpy(X)[:, ::2], jitorch.from_numpy(X)[:, 1::2]),
        lambda: (jitorch.from_numpy(X), jitorch.from_numpy(X[0])),
        lambda: (jitorch.from_numpy(X), jitorch.from_numpy(X.astype("f8"))),
        lambda: (jitorch.from_numpy(X.astype("i4")), 0.5),
        lambda: (jitorch.from_numpy(X), True),
        lambda: (jitorch.from_numpy(X).requires_grad_(), 2.0),  # whose gradient is compiled with it
    ],
    ids=["turned", "strided", "broadcast", "two types", "promoted", "a bool", "recorded"],
)
def test_what_takes_the_ordinary_way(operands: Callable[[], Any]) -> None:
    x, y = operands()
    got, want = x + y, ordinary(operator.add, x, y)
    assert not flat._kernels
    assert got.type == want.type and got.stride() == want.stride() and got.requires_grad == want.requires_grad
    np.testing.assert_array_equal(got.detach().numpy(), want.detach().numpy())


def test_small_calls_and_python_alone_have_no_kernels() -> None:
    jitorch.exp(jitorch.ones(LARGE - 1))
    with config.override(native=False):
        jitorch.exp(jitorch.ones(LARGE))
    assert not any(flat._kernels.values())


def test_gradients_of_what_is_not_very_large() -> None:
    array = values("float32", (1 << 16,))
    x = jitorch.from_numpy(array).requires_grad_()
    y = jitorch.from_numpy(values("float32", (1 << 16,), 1)).requires_grad_()
    (jitorch.atan2(x, y).exp() * 2.0).sum().backward()
    assert {key[0].name for key in flat._kernels} >= {"atan2", "exp"}
    assert x.grad is not None and y.grad is not None
    wide = [jitorch.from_numpy(t.detach().numpy().astype("f8")).requires_grad_() for t in (x, y)]
    ordinary(lambda: (jitorch.atan2(*wide).exp() * 2.0).sum().backward())
    for t, w in zip((x, y), wide, strict=True):
        np.testing.assert_allclose(t.grad.numpy(), w.grad.numpy(), rtol=1e-4, atol=1e-5)  # type: ignore[union-attr]


def test_turned_operands_of_middling_size_are_numpys() -> None:
    x = jitorch.from_numpy(values("float32", (256, 256)))
    assert x.t().exp().stride() == x.t().stride() and not flat._kernels


def test_what_is_changed_later_does_not_change_a_result() -> None:
    x = jitorch.ones(1 << 17)
    y = x + 1
    x.add_(5)
    assert y.eq(2).all() and (x + 1).eq(7).all()


# ---- plans ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["softmax", "sum", "cumsum", "topk", "clone"])
def test_a_call_of_types_that_were_seen_is_planned(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(kernels, "_plans", {})
    calls: dict[str, Callable[[Any], Any]] = {
        "softmax": lambda x: x.softmax(1), "sum": lambda x: x.sum(0), "cumsum": lambda x: x.cumsum(1),
        "topk": lambda x: x.topk(5, 1), "clone": lambda x: x.clone(),
    }  # fmt: skip
    function = calls[name]
    first = function(jitorch.from_numpy(X))
    assert kernels._plans
    monkeypatch.setattr(kernels, "_pattern", lambda _: pytest.fail("a planned call asks for nothing"))
    for factor in (1.0, -2.0):
        x = jitorch.from_numpy(X * np.float32(factor))
        got, want = function(x), ordinary(function, x)
        pairs = zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]
        for a, b in pairs:
            assert a.type == b.type
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-4)
    again = function(jitorch.from_numpy(X))
    one, two = (r[0] if isinstance(r, tuple) else r for r in (first, again))
    assert one.numpy() is not two.numpy()
    np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_plans_know_attributes_layouts_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_plans", {})
    x = jitorch.from_numpy(X)
    for dim in (0, 1, 0, 1):
        np.testing.assert_allclose(x.softmax(dim).sum(dim).numpy(), np.ones(512, "f4"), rtol=1e-5)
    planned = len(kernels._plans)
    turned = x.t().softmax(0)
    np.testing.assert_allclose(turned.numpy(), x.softmax(1).numpy().T, rtol=1e-5)
    w = x.clone().requires_grad_()
    w.softmax(1)[:, 0].sum().backward()
    assert w.grad is not None and w.grad.abs().sum() > 0
    assert len({key for key in kernels._plans if key[0].name == "softmax"}) <= planned


# ---- joining and copying -------------------------------------------------------------------------------
@pytest.mark.parametrize("dim", [0, 1, -1, 2, 5, -4])
def test_joining(dim: int) -> None:
    x = jitorch.from_numpy(values("float32", (3, 4, 5)))
    y = jitorch.from_numpy(values("float32", (3, 4, 5), 1))

    def outcome(way: Callable[..., Any]) -> Any:
        try:
            return way(lambda: jitorch.cat((x, y), dim)).numpy()
        except jitorch.errors.JitorchError as error:
            return str(error).partition("\n  at")[0]

    np.testing.assert_array_equal(outcome(lambda f: f()), outcome(ordinary))


@pytest.mark.parametrize(
    "tensors",
    [
        lambda: (jitorch.ones(2, 3), jitorch.zeros(0), jitorch.ones(1, 3)),
        lambda: (jitorch.ones(2, 3), jitorch.zeros(2, 3).double()),
        lambda: (jitorch.ones(2, 3).t(), jitorch.zeros(4, 2)),
        lambda: (jitorch.ones(2, 3),),
        lambda: (jitorch.ones(2, 3), jitorch.zeros(2, 4)),
        lambda: (jitorch.ones(3), jitorch.ones(())),
        lambda: (jitorch.ones(3), 1.0),
        lambda: (),
        lambda: jitorch.ones(2, 3),
    ],
    ids=["empty", "two types", "turned", "one", "no match", "no axis", "a number", "nothing", "a tensor"],
)
def test_joining_what_is_unusual(tensors: Callable[[], Any]) -> None:
    given = tensors()

    def outcome(way: Callable[..., Any]) -> Any:
        try:
            made = way(lambda: jitorch.cat(given))
            return made.type, made.numpy().tolist()
        except jitorch.errors.JitorchError as error:
            return str(error).partition("\n  at")[0]

    assert outcome(lambda f: f()) == outcome(ordinary)


def test_what_is_joined_and_copied_has_a_history_and_memory_of_its_own() -> None:
    x = jitorch.ones(3, requires_grad=True)
    (jitorch.cat((x, x * 2)).sum() + x.clone().sum()).backward()
    assert x.grad is not None and x.grad.tolist() == [4, 4, 4]
    y = jitorch.ones(300, 300)
    copied, joined = y.clone(), jitorch.cat([y, y], dim=1)
    y.zero_()
    assert copied.eq(1).all() and joined.eq(1).all() and joined.shape == (300, 600)
    assert copied.t().clone().is_contiguous()
