"""Machine code for short operations: the same results, references, errors and overrides as the twin in Python."""

from __future__ import annotations

import contextvars
import gc
import operator
import os
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import config
from jitorch.backends.cpu import extension
from jitorch.errors import AutogradError, JitorchError
from jitorch.frontend.eager import native, shortcut, tape
from jitorch.ops import dispatch, registry

with config.override(native=True, verify=True):
    INSTALLED = native.install() if extension.available() is None else False

needs_code = pytest.mark.skipif(not INSTALLED, reason=f"no machine code here: {extension.available()}")

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.lt, operator.le, operator.eq, operator.ne,
    operator.gt, operator.ge, jitorch.maximum, jitorch.minimum, jitorch.atan2,
]  # fmt: skip
UNARY = [
    operator.neg, operator.abs, jitorch.exp, jitorch.log, jitorch.sqrt, jitorch.tanh, jitorch.sin, jitorch.floor,
    jitorch.erf, jitorch.log1p,
]  # fmt: skip
SHAPES = [(), (1,), (10,), (3, 5), (2, 3, 4), (257,), (4096,)]
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38, -1.5, 2.0, 0.5])


def values(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * 10
    if dtype == "bool":
        return np.asarray(x > 0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.asarray(x.astype(dtype))


def ordinary(function: Callable[..., Any], *args: Any) -> Any:
    """What the ordinary way gives: a context that entered an interpreter has no short one."""

    def inside() -> Any:
        dispatch.enter(dispatch.installed())
        return function(*args)

    return contextvars.copy_context().run(inside)


def same(got: Any, want: Any) -> None:
    assert type(got) is type(want) is jitorch.Tensor
    assert got.type == want.type and got.numpy().dtype == want.numpy().dtype
    assert got.numpy().tobytes() == want.numpy().tobytes()


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except (JitorchError, OverflowError) as error:
        return type(error), str(error).partition("at: ")[0]


def agree(function: Callable[..., Any], *args: Any) -> None:
    got, want = outcome(function, *args), outcome(ordinary, function, *args)
    if isinstance(want, tuple):
        assert got == want
    else:
        same(got, want)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool", "float16", "int8"])
@pytest.mark.parametrize("function", BINARY, ids=lambda f: getattr(f, "__name__", str(f)))
def test_two_tensors_give_what_the_ordinary_way_gives(function: Callable[..., Any], dtype: str) -> None:
    for shape in SHAPES:
        x, y = (jitorch.from_numpy(values(dtype, shape, seed)) for seed in (1, 2))
        agree(function, x, y)
        agree(function, x, x)
    agree(function, x[:10], y[:10].reshape(1, 10).broadcast_to((10, 10)).t()[0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool"])
@pytest.mark.parametrize("function", BINARY, ids=lambda f: getattr(f, "__name__", str(f)))
def test_numbers_are_promoted_as_the_ordinary_way_does(function: Callable[..., Any], dtype: str) -> None:
    for shape in ((), (7,)):
        x = jitorch.from_numpy(values(dtype, shape))
        for number in (2, -3, 0, 0.1, 1e300, float("inf"), float("nan"), True, 2**31 - 1, 2**31, -(2**31), 16777217):
            agree(function, x, number)
            agree(function, number, x)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("function", UNARY, ids=lambda f: getattr(f, "__name__", str(f)))
def test_one_tensor_gives_what_the_ordinary_way_gives(function: Callable[..., Any], dtype: str) -> None:
    for shape in SHAPES:
        agree(function, jitorch.from_numpy(values(dtype, shape)))


@pytest.mark.parametrize("function", [*BINARY, *UNARY], ids=lambda f: getattr(f, "__name__", str(f)))
def test_special_values_give_the_same_and_no_warning(function: Callable[..., Any]) -> None:
    for dtype in ("float32", "float64"):
        with np.errstate(all="ignore"):
            x = jitorch.from_numpy(SPECIAL.astype(dtype))
        args = (x,) if function in UNARY else (x, x.flip(0))
        agree(function, *args)


def test_views_and_other_layouts_are_read_right() -> None:
    x = jitorch.arange(24.0).reshape(4, 6)
    for view in (x.t(), x[1:3], x[:, 2], x[0], x[::2], x.t()[1:], x[:0]):
        agree(operator.mul, view, 2.0)
        agree(operator.add, view, view)
        agree(jitorch.exp, view)


def chain(x: Any, y: Any) -> Any:
    z = (x * y + 2.0 - y / 3.0).exp() * (-x).tanh()
    return (1.0 - z * z).abs() + jitorch.maximum(x, y) * jitorch.sqrt(x * x + 1)


def test_gradients_of_first_and_second_order_are_the_same() -> None:
    def gradients() -> list[Any]:
        x = jitorch.from_numpy(values("float32", (5,), 1) / 10).requires_grad_()
        y = jitorch.from_numpy(values("float32", (5,), 2) / 10).requires_grad_()
        first = jitorch.autograd.grad(chain(x, y).sum(), (x, y), create_graph=True)
        second = jitorch.autograd.grad((first[0] * first[1]).sum(), (x, y))
        return [*(f.detach() for f in first), *second]

    for got, want in zip(gradients(), ordinary(gradients), strict=True):
        same(got, want)


def test_a_recorded_node_is_as_the_twin_makes_it() -> None:
    x, y = jitorch.ones(3, requires_grad=True), jitorch.ones(3)
    inner = x * 2.0
    out = inner * y
    node = out.grad_fn
    assert node.name() == "MulBackward0" and out.requires_grad and not out.is_leaf
    assert node.next_functions == ((inner.grad_fn, 0), (None, 0))
    assert inner.grad_fn.next_functions == ((x, 0), (None, 0))
    assert inner.grad_fn.number < node.number
    with jitorch.no_grad():
        assert not (x * y).requires_grad
    assert not (x < y).requires_grad
    assert (3.0 - x).grad_fn.next_functions == ((None, 0), (x, 0))


def test_what_was_saved_and_overwritten_is_refused() -> None:
    x = jitorch.ones(3, requires_grad=True)
    y = x * 1.0
    z = y * y
    y.add_(1)
    with pytest.raises(AutogradError, match="in-place"):
        z.sum().backward()
    e = jitorch.exp(x)
    with jitorch.no_grad():
        e.mul_(2)
    with pytest.raises(AutogradError, match="in-place"):
        e.sum().backward()
    out = x * x
    out.sum().backward()
    with pytest.raises(AutogradError, match="second time"):
        out.sum().backward()


def test_a_view_whose_base_was_written_has_the_new_history() -> None:
    base = jitorch.zeros(4)
    view = base[:2]
    x = jitorch.ones(4, requires_grad=True)
    base.add_(x)
    (view * 3.0).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 0.0, 0.0]


def test_subclasses_decide_for_themselves() -> None:
    class Loud(jitorch.Tensor):
        def __add__(self, other: Any) -> Any:
            return "left"

        def __radd__(self, other: Any) -> Any:
            return "right"

        def __lt__(self, other: Any) -> Any:
            return "less"

    loud, x = jitorch.ones(3)._make_subclass.__func__(Loud, jitorch.ones(3)), jitorch.ones(3)
    assert loud + x == "left" and loud + 1 == "left" and 1 + loud == "right" and x + loud == "right"
    assert (loud < x) == "less" and (x > loud) == "less"
    same(loud * x, jitorch.ones(3))
    parameter = jitorch.nn.Parameter(jitorch.ones(3))
    assert (parameter + x).grad_fn is not None and (x + parameter).grad_fn is not None


def test_other_objects_get_their_turn() -> None:
    class Other:
        __array_ufunc__ = None

        def __radd__(self, other: Any) -> str:
            return "radd"

        def __gt__(self, other: Any) -> str:
            return "gt"

    x = jitorch.ones(3)
    assert x + Other() == "radd" and (x < Other()) == "gt"
    with pytest.raises(TypeError):
        x + "text"
    with pytest.raises(TypeError):
        "text" + x  # type: ignore[operator]
    assert (x == "text") is False and (x != "text") is True
    same(np.float32(2) * x, jitorch.full((3,), 2.0))
    with pytest.raises(JitorchError):
        jitorch.exp("text")  # type: ignore[arg-type]
    with pytest.raises(JitorchError):
        jitorch.exp()  # type: ignore[call-arg]
    with pytest.raises(JitorchError):
        jitorch.exp(x, x)  # type: ignore[call-arg]
    same(jitorch.exp(input=x), jitorch.exp(x))


def test_an_operator_that_is_assigned_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import jitorch
from jitorch.frontend.eager import native
native.install()
x = jitorch.ones(3)
assert (x + x).tolist() == [2.0] * 3
before = jitorch.Tensor.__add__
jitorch.Tensor.__add__ = lambda self, other: "mine"
assert x + x == "mine" and x + 1 == "mine"
jitorch.Tensor.__add__ = before
assert (x + x).tolist() == [2.0] * 3
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_trace_records_every_operation() -> None:
    def f(x: Any, y: Any) -> Any:
        return (x + y * 2.0 - jitorch.exp(x)) / (1.0 + (x < y).float())

    x, y = (jitorch.from_numpy(values("float32", (6,), s)) for s in (1, 2))
    compiled = jitorch.jit(f)
    np.testing.assert_allclose(compiled(x, y).numpy(), f(x, y).numpy(), rtol=1e-5)
    assert compiled.explain() is not None
    np.testing.assert_allclose(compiled(y, x).numpy(), f(y, x).numpy(), rtol=1e-5)


@needs_code
def test_the_machine_code_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(op: Any, args: tuple[Any, ...]) -> Any:
        raise AssertionError("the twin ran")

    monkeypatch.setattr(dispatch, "_shortcut", [refuse])
    x = jitorch.ones(3, requires_grad=True)
    y = jitorch.ones(3)
    for result in (x + y, y * 2, 1.5 - y, -x, x < y, jitorch.exp(x), y.tanh(), jitorch.maximum(x, y)):
        assert isinstance(result, jitorch.Tensor)
    with pytest.raises(AssertionError, match="the twin ran"):
        y + jitorch.ones(1)


@needs_code
def test_references_are_counted_exactly() -> None:
    x, y = jitorch.ones(10), jitorch.ones(10)
    g = jitorch.ones(10, requires_grad=True)
    number, loops = 3.7, 2000
    watched = [
        x, y, g, x._array, x._type, x._storage, number, jitorch.exp, dispatch._slot, tape.ElementNode, np.dtype("f"),
        np.dtype("bool"), jitorch.Tensor, g._type,
    ]  # fmt: skip
    for _ in range(10):
        _mixed(x, y, g, number)
    gc.collect()
    before = [sys.getrefcount(w) for w in watched]
    for _ in range(loops):
        _mixed(x, y, g, number)
    gc.collect()
    after = [sys.getrefcount(w) for w in watched]
    assert all(abs(a - b) < 10 for a, b in zip(before, after)), (before, after)


def _mixed(x: Any, y: Any, g: Any, number: float) -> None:
    x + y
    x * number
    number - x
    operator.lt(x, y)
    g * y
    g * number
    jitorch.exp(g)
    -g
    x + np.float32(2)
    jitorch.exp(x[::2])


@needs_code
def test_nothing_is_left_behind() -> None:
    x, y = jitorch.ones(10), jitorch.ones(10)
    g = jitorch.ones(10, requires_grad=True)

    def many(times: int) -> None:
        for _ in range(times):
            x + y
            operator.lt(x, y)
            (g * 2.0).exp()

    many(2000)
    gc.collect()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        many(20000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    assert grown < 20000


def test_threads_and_contexts_do_not_disturb_each_other() -> None:
    x = jitorch.ones(8, requires_grad=True)
    wrong: list[Any] = []

    def work(recorded: bool) -> None:
        for _ in range(300):
            with jitorch.set_grad_enabled(recorded):
                if (x * 2.0).requires_grad is not recorded:
                    wrong.append(recorded)

    threads = [threading.Thread(target=work, args=(flag,)) for flag in (True, False, True, False)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_every_elementwise_op_has_a_description() -> None:
    ops = [op for op in registry.OPS.values() if op.scalar is not None]
    described = [op.name for op in ops if shortcut.loops_of(op).ufunc is not None]
    assert {"add", "exp", "lt", "maximum", "bitwise_and"} <= set(described) and "where" not in described
    assert shortcut.loops_of(registry.OPS["div"]).results.keys() == {jitorch.float32, jitorch.float64}


def test_the_setting_leaves_the_twin_in_charge() -> None:
    code = """
import jitorch
from jitorch.frontend.eager import native
assert not native.install()
x = jitorch.ones(3)
for _ in range(3000):
    y = x + x
assert y.tolist() == [2.0] * 3 and not hasattr(jitorch.exp, "entry")
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "JITORCH_NATIVE": "0"})
