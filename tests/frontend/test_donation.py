"""Donated arguments: results take their memory where nobody else sees it, and they cannot be used afterwards."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch as torch
from jitorch.errors import ArgumentError, CheckFailed
from jitorch.frontend.donation import Loan, is_alone
from jitorch.frontend.eager.interpreter import DonatedTensor


def step(params: Any, x: Any) -> Any:
    return {name: p - 0.5 * x for name, p in params.items()}, x.sum()


def fresh() -> Any:
    return {"w": torch.ones(64), "b": torch.full((64,), 3.0)}


def test_results_take_the_memory() -> None:
    compiled = torch.jit(step, donate="params", fullgraph=True)
    params = fresh()
    address = {name: p.data_ptr() for name, p in params.items()}
    for count in range(1, 4):
        params, total = compiled(params, torch.ones(64))
        assert {name: p.data_ptr() for name, p in params.items()} == address
        np.testing.assert_array_equal(params["w"].numpy(), np.full(64, 1 - 0.5 * count))
        np.testing.assert_array_equal(params["b"].numpy(), np.full(64, 3 - 0.5 * count))
        assert total.item() == 64
    assert compiled.statistics.traces == 1
    text = compiled.explain()
    assert "donated: arg0['w'] to result 0" in text and "donated: arg0['b'] to result 1" in text
    assert "peak memory 4 B: 4 B of results" in text


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x + 1,
        lambda x: x[0],
        lambda x: x.detach(),
        lambda x: x.numpy(),
        lambda x: x.add_(1),
        lambda x: x.tolist(),
        lambda x: x.clone(),
        copy.deepcopy,
        pickle.dumps,
        lambda x: torch.jit(lambda y: y + 1)(x),
        lambda x: torch.jit(lambda y: y + 1, donate="y")(x),
    ],
    ids=["add", "getitem", "detach", "numpy", "add_", "tolist", "clone", "deepcopy", "pickle", "jit", "donate again"],
)
def test_a_donated_tensor_cannot_be_used(use: Callable[[Any], Any]) -> None:
    x = torch.ones(8)
    torch.jit(lambda x: x * 2, donate="x")(x)
    with pytest.raises(ArgumentError, match=r"donated to <lambda>\(\)") as caught:
        use(x)
    assert re.search(r"donated at .*test_donation.py:\d+", str(caught.value))
    assert "clone()" in str(caught.value)
    assert (x.shape, x.dtype) == ((8,), torch.float32)
    assert "donated" in repr(x)


def test_the_call_that_took_it_does_not_take_it_again() -> None:
    compiled = torch.jit(lambda x: x * 2, donate="x")
    x = torch.ones(8)
    y = compiled(x)
    with pytest.raises(ArgumentError, match="donated"):
        compiled(x)
    np.testing.assert_array_equal(y.numpy(), np.full(8, 2))


SHARED: dict[str, Callable[[Any], Any]] = {
    "a view": lambda x: x[2:],
    "an alias": lambda x: x.detach(),
    "an array": lambda x: x.numpy(),
    "a view of an array": lambda x: x.numpy()[1:],
    "a memoryview": lambda x: memoryview(x.numpy()),
}


@pytest.mark.parametrize("share", SHARED.values(), ids=list(SHARED))
def test_memory_that_others_see_is_not_taken(share: Callable[[Any], Any]) -> None:
    compiled = torch.jit(lambda x: x * 2, donate="x")
    x = torch.ones(8)
    other = share(x)
    y = compiled(x)
    np.testing.assert_array_equal(y.numpy(), np.full(8, 2))
    np.testing.assert_array_equal(x.numpy(), np.ones(8))
    np.testing.assert_array_equal(np.asarray(other), np.ones(len(other)))
    assert "1 donated arguments were copied" in compiled.explain()


def test_views_inside_of_the_function_do_not_count() -> None:
    compiled = torch.jit(lambda x, b: b + (x + b.reshape(1, 4)).mT[:, 0], donate="b")
    b = torch.ones(4)
    address = b.data_ptr()
    assert compiled(torch.ones(3, 4), b).data_ptr() == address


def test_a_view_of_a_tensor_is_not_taken() -> None:
    whole = torch.ones(4, 4)
    part = whole[1]
    y = torch.jit(lambda x: x * 2, donate="x")(part)
    np.testing.assert_array_equal(y.numpy(), np.full(4, 2))
    np.testing.assert_array_equal(whole.numpy(), np.ones((4, 4)))


def test_an_array_of_the_users_is_not_taken() -> None:
    array = np.ones(8, np.float32)
    torch.jit(lambda x: x * 2, donate="x")(torch.from_numpy(array))
    np.testing.assert_array_equal(array, np.ones(8))


def test_a_transposed_tensor_is_not_taken() -> None:
    x = torch.arange(6.0).reshape(2, 3).t()
    y = torch.jit(lambda x: x * 2, donate="x")(x)
    np.testing.assert_array_equal(y.numpy(), 2 * np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(x.numpy(), np.arange(6).reshape(2, 3).T)


def test_one_tensor_given_twice() -> None:
    compiled = torch.jit(lambda x, y: (x + 1, y + 2), donate=("x", "y"))
    compiled(torch.zeros(8), torch.zeros(8))
    x = torch.zeros(8)
    a, b = compiled(x, x)
    np.testing.assert_array_equal(a.numpy(), np.ones(8))
    np.testing.assert_array_equal(b.numpy(), np.full(8, 2))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: x @ w,
        lambda x, w: torch.softmax(x @ w, -1) @ w,
        lambda x, w: x.t() + x,
        lambda x, w: (x.flip(0), x * 2),
        lambda x, w: (x * 2, x + w, x),
        lambda x, w: (x * 2).t(),
        lambda x, w: torch.where(x.sum() > 0, x - w, w),
    ],
    ids=["matmul", "layers", "transposed", "read elsewhere", "returned", "a view", "where"],
)
def test_results_are_what_they_are_without(function: Callable[..., Any]) -> None:
    compiled, plain = torch.jit(function, donate=0, fullgraph=True), torch.jit(function, fullgraph=True)
    generator = np.random.default_rng(0)
    x, w = (torch.tensor(generator.normal(size=(8, 8)).astype(np.float32)) for _ in range(2))
    kept = x.clone()
    for _ in range(3):
        actual, expected = compiled(kept.clone(), w), plain(kept, w)
        for a, e in zip(*((r if isinstance(r, tuple) else (r,)) for r in (actual, expected)), strict=True):
            np.testing.assert_array_equal(a.numpy(), e.numpy())


def test_an_argument_that_is_returned_stays() -> None:
    x = torch.ones(8)
    same, double = torch.jit(lambda x: (x, x * 2), donate="x")(x)
    assert same is x
    np.testing.assert_array_equal(x.numpy(), np.ones(8))
    np.testing.assert_array_equal(double.numpy(), np.full(8, 2))


def test_what_fits_no_result_stays() -> None:
    compiled = torch.jit(lambda x: x.sum(), donate="x")
    x = torch.ones(8)
    assert compiled(x).item() == 8
    np.testing.assert_array_equal(x.numpy(), np.ones(8))
    assert "not donated: arg0" in compiled.explain()


def test_nothing_is_donated_where_gradients_are_recorded() -> None:
    compiled = torch.jit(lambda x: x * x, donate="x")
    x = torch.full((4,), 3.0, requires_grad=True)
    compiled(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(4, 6))
    assert "nothing is donated to a call that records gradients" in compiled.explain()


def test_symbolic_sizes() -> None:
    compiled = torch.jit(lambda x: x + 1, donate="x")
    for size in (3, 5, 9):
        x = torch.zeros(size)
        address = x.data_ptr()
        y = compiled(x)
        assert y.data_ptr() == address
        np.testing.assert_array_equal(y.numpy(), np.ones(size))
    assert compiled.statistics.traces == 2


def test_what_a_failed_call_may_have_overwritten_is_gone() -> None:
    compiled = torch.jit(lambda x, i: torch.gather(x, 0, i) + x, donate="x", fullgraph=True)
    x = torch.ones(4)
    with pytest.raises(Exception, match="index"):
        compiled(x, torch.tensor([0, 1, 2, 9]))
    with pytest.raises(ArgumentError, match="donated"):
        x.numpy()


@pytest.mark.parametrize(("error", "is_gone"), [(KeyboardInterrupt(), True), (CheckFailed(1), False)])
def test_a_program_that_raises_may_have_overwritten_all_unless_a_check_failed(error: Any, is_gone: bool) -> None:
    def program(inputs: Any) -> Any:
        raise error

    x = torch.ones(4)
    with pytest.raises(type(error)):
        Loan((0,), "f").compute(program, (x,))
    assert isinstance(x, DonatedTensor) is is_gone


@pytest.mark.parametrize("donate", [0, "params", ("params",), [0]])
@pytest.mark.parametrize("by_name", [False, True])
def test_names_and_positions(donate: Any, by_name: bool) -> None:
    compiled = torch.jit(step, donate=donate)
    params = fresh()
    x = torch.ones(64)
    compiled(params=params, x=x) if by_name else compiled(params, x)
    with pytest.raises(ArgumentError, match="donated"):
        params["w"].numpy()


@pytest.mark.parametrize("donate", [2, -1, "missing", ("params", "y"), True])
def test_arguments_that_are_not_there(donate: Any) -> None:
    with pytest.raises(ArgumentError, match="donate names no argument") as caught:
        torch.jit(step, donate=donate)
    assert "params, x" in str(caught.value)


def test_who_is_alone() -> None:
    x = torch.ones(100_000)
    assert is_alone(x) and is_alone(torch.randn(3)) and is_alone(x + 1)
    alias = x.detach()
    assert not is_alone(x) and not is_alone(alias)
    del alias
    assert is_alone(x)
    assert not is_alone(torch.frombuffer(bytearray(16), dtype=torch.float32))
