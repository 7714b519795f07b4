"""Elementwise short ways that broadcast, and those in place: what the ordinary way gives, bit for bit."""

from __future__ import annotations

import operator
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch.errors import AutogradError, JitorchError
from jitorch.frontend.eager import shortcut
from tests.frontend.eager.test_native import BINARY, agree, ordinary, values

DTYPES = ["float32", "float64", "int64", "int32", "bool"]
PAIRS = [((3, 4), (4,)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((2, 3, 4), (3, 1)), ((), (5,)), ((1,), ()), ((0, 3), (3,))]


def tensor(dtype: str, shape: tuple[int, ...], seed: int = 0) -> Any:
    return jitorch.from_numpy(values(dtype, shape, seed))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", BINARY, ids=lambda f: getattr(f, "__name__", str(f)))
def test_tensors_that_broadcast(function: Callable[..., Any], dtype: str) -> None:
    for a, b in (*PAIRS, ((3, 4), (3,)), ((2, 3), (3, 2))):
        agree(function, tensor(dtype, a, 1), tensor(dtype, b, 2))


shapes = st.lists(st.sampled_from([1, 2, 3]), max_size=4).map(tuple)


@given(a=shapes, b=shapes)
def test_any_shapes_broadcast_or_are_refused_alike(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    agree(operator.add, tensor("float32", a, 1), tensor("float32", b, 2))


def test_numpy_broadcasts_without_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = tensor("float32", (3, 4)), tensor("float32", (4,))
    monkeypatch.setattr(jitorch.ops.registry, "normalize", None)  # what the ordinary way would call
    assert (x + y).shape == (y * x).shape == (3, 4)


def test_a_gradient_of_what_broadcasts_is_summed() -> None:
    x, y = tensor("float32", (3, 4)).requires_grad_(), tensor("float32", (4,)).requires_grad_()
    gradients = jitorch.autograd.grad((x * y).sum(), [x, y])
    np.testing.assert_array_equal(gradients[0].numpy(), np.broadcast_to(y.detach().numpy(), (3, 4)))
    np.testing.assert_allclose(gradients[1].numpy(), x.detach().numpy().sum(0), rtol=1e-6)


METHODS = ["add_", "sub_", "mul_", "div_", "exp_", "sqrt_", "neg_", "abs_", "bitwise_and_", "pow_", "atan2_"]


def _after(method: str, x: Any, *args: Any) -> Any:
    x = x.clone()
    result = getattr(x, method)(*args)
    assert result is x
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_in_place(method: str, dtype: str) -> None:
    x = tensor(dtype, (3, 4), 1)
    others: list[tuple[Any, ...]] = [
        (), (2,), (0.5,), (tensor(dtype, (3, 4), 2),), (tensor(dtype, (4,), 3),), (tensor(dtype, (3, 1), 3),),
        (tensor(dtype, (), 4),), (tensor("float64", (3, 4), 5),), (tensor(dtype, (2, 3, 4), 6),),
        (tensor(dtype, (5,)),),
    ]  # fmt: skip
    for args in others:
        try:
            want = ordinary(_after, method, x, *args)
        except (JitorchError, TypeError) as error:
            with pytest.raises(type(error)):
                _after(method, x, *args)
            continue
        got = _after(method, x, *args)
        assert got.type == want.type and got.numpy().tobytes() == want.numpy().tobytes()


def test_in_place_writes_the_memory_that_views_and_arrays_share() -> None:
    array = np.arange(6.0, dtype="f4").reshape(2, 3)
    x = jitorch.from_numpy(array)
    row = x[1]
    version = x._version
    x.add_(1).mul_(jitorch.tensor([1.0, 2.0, 3.0]))
    row += 10
    np.testing.assert_array_equal(array, [[1, 4, 9], [14, 20, 28]])
    assert x._version == version + 3


def test_operands_in_the_same_memory_are_read_before_the_write() -> None:
    x = jitorch.arange(6.0)
    want = ordinary(lambda: x.clone()[1:] + x.clone()[:-1])
    x[1:].add_(x[:-1])
    assert x[1:].tolist() == want.tolist()


def test_in_place_serves_steps_of_any_size_and_short_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[str] = []

    def ordinarily(name: str, target: Any, result: Any) -> Any:
        served.append(name)
        return target

    monkeypatch.setattr(import_module("jitorch.tensor"), "in_place", ordinarily)
    large, small = jitorch.ones(shortcut.LARGE * 8), jitorch.ones(8)
    large.add_(2.0).mul_(large)
    small.exp_().add_(1)
    assert not served
    large.exp_()
    small.add_(1, alpha=2)
    assert served == ["exp", "add"]


def test_in_place_with_gradients_goes_the_ordinary_way() -> None:
    leaf = jitorch.ones(3, requires_grad=True)
    with pytest.raises(AutogradError, match="in-place"):
        leaf.add_(1)
    with jitorch.no_grad():
        leaf.add_(1)
    y = leaf * 1
    y.mul_(leaf)
    y[0].add_(y[1])
    (gradient,) = jitorch.autograd.grad(y.sum(), leaf)
    assert gradient.tolist() == [4.0, 8.0, 4.0]
    plain = jitorch.zeros(3)
    plain.add_(leaf)
    assert plain.requires_grad


def test_what_a_gradient_needs_is_missed_when_it_was_overwritten() -> None:
    x, weight = jitorch.ones(3), jitorch.ones(3, requires_grad=True)
    y = x * weight
    x.add_(1)
    with pytest.raises(AutogradError, match="modified by an in-place operation"):
        y.sum().backward()


def test_memory_that_may_not_be_written_is_refused() -> None:
    frozen = jitorch.ones(3)
    frozen._array.flags.writeable = False
    for x in (frozen, jitorch.ones(1).expand(3)):
        with pytest.raises(JitorchError, match="cannot write"):
            x.add_(1)
