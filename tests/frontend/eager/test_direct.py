"""Short ways of common functions: the same results, types, views and refusals as the ordinary way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.errors import JitorchError
from jitorch.frontend.eager import direct
from tests.frontend.eager.test_native import agree, ordinary, same, values

SHAPES = [(), (1,), (7,), (3, 4), (2, 3, 4), (0, 3)]
DTYPES = ["float32", "float64", "int64", "float16", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_reductions(name: str, dtype: str) -> None:
    function = getattr(jitorch, name)
    for shape in SHAPES:
        x = jitorch.from_numpy(values(dtype, shape))
        agree(function, x)
        for dim in (0, -1, 1, 5, (0,), None, True):
            agree(function, x, dim)
            agree(lambda x, dim=dim: function(x, dim=dim), x)
            agree(lambda x, dim=dim: function(x, axis=dim, keepdims=True), x)
    agree(function, jitorch.from_numpy(values(dtype, (4, 6))).t())


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul(dtype: str) -> None:
    pairs = [((3, 4), (4, 5)), ((1, 4), (4, 1)), ((4,), (4,)), ((2, 3, 4), (4, 5)), ((3, 4), (3, 4)), ((0, 4), (4, 2))]
    for a, b in pairs:
        agree(jitorch.matmul, jitorch.from_numpy(values(dtype, a, 1)), jitorch.from_numpy(values(dtype, b, 2)))
    x = jitorch.from_numpy(values(dtype, (4, 3)))
    agree(jitorch.matmul, x.t(), x)
    agree(jitorch.matmul, x, jitorch.ones(3, 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [jitorch.relu, jitorch.sigmoid], ids=lambda f: f.name)
def test_activations(function: Callable[..., Any], dtype: str) -> None:
    for shape in SHAPES:
        agree(function, jitorch.from_numpy(values(dtype, shape)))
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e30, -1e30], "f4")
    agree(function, jitorch.from_numpy(special))

    def gradients() -> list[Any]:
        x = jitorch.from_numpy(values("float32", (9,))).requires_grad_()
        (first,) = jitorch.autograd.grad(function(x).sum(), x, create_graph=True)
        (second,) = jitorch.autograd.grad((first * x).sum(), x)
        return [first.detach(), second]

    for got, want in zip(gradients(), ordinary(gradients), strict=True):
        same(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where(dtype: str) -> None:
    x, y = (jitorch.from_numpy(values(dtype, (3, 4), seed)) for seed in (1, 2))
    mask, row = jitorch.from_numpy(values("bool", (3, 4))), jitorch.from_numpy(values("bool", (4,)))
    other = jitorch.from_numpy(values("float64", (3, 4), 3))
    chosen = [(x, y), (x, y[0]), (x[:, :1], y[0]), (x, 0), (0, x), (x, 0.5), (True, x), (1, 2), (x, other), (x, None)]
    for condition in (mask, row, mask[:, :1], mask[0, 0], mask.t(), jitorch.ones(3, 4), mask[:2]):
        for a, b in chosen:
            agree(jitorch.where, condition, a, b)
    assert len(jitorch.where(mask)) == 2


@pytest.mark.parametrize(
    "sizes",
    [(6, 4), (-1,), (4, -1, 3), ((2, 12),), (24, 1), (5, 5), (-1, -1), (0, -1), (-2, 12), ([4, 6],), (True, 24)],
)
def test_reshape(sizes: tuple[Any, ...]) -> None:
    x = jitorch.arange(24.0).reshape(2, 3, 4)
    agree(lambda x: x.reshape(*sizes), x)
    agree(lambda x: x.reshape(*sizes), x.transpose(0, 2))
    agree(lambda x: x.reshape(*sizes), jitorch.ones(0, 3))


KEYS: list[Any] = [
    0, -1, 3, -4, None, ..., slice(None), slice(1, None), slice(-2, None), slice(0, 10, 2), slice(2, 1), slice(5, 9),
    (0, 1), (slice(None), 2), (1, slice(1, 3), -1), (slice(None), slice(None), 0), (0, 0, 0), (0, 0, 0, 0), (),
    slice(None, None, -1), [0, 1], (..., 1), (None, 1), slice(True, 2), (slice(0, 2), slice(0, 3), slice(0, 4)),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_indexing(key: Any) -> None:
    x = jitorch.from_numpy(values("float32", (2, 3, 4)))
    for source in (x, x.transpose(0, 2), x.long(), x[1:], jitorch.ones(0, 3)):

        def get(source: Any) -> Any:
            return source[key]

        try:
            want = ordinary(get, source)
        except JitorchError as error:
            with pytest.raises(type(error)):
                get(source)
            continue
        got = get(source)
        same(got, want)
        assert got._steps == want._steps and got._root is want._root
        moving = [axis for axis, size in enumerate(got.shape) if size > 1]
        assert [got.stride(axis) for axis in moving] == [want.stride(axis) for axis in moving]


@pytest.mark.parametrize("key", [0, (slice(None), 1), (1, 1), (1, slice(0, 3, 2)), slice(1, None)], ids=repr)
def test_what_is_written_through_an_index_has_a_history(key: Any) -> None:
    x = jitorch.zeros(2, 3)
    view = x[key]
    view.mul_(0).add_(jitorch.ones(view.shape, requires_grad=True))
    expected = np.zeros((2, 3), "f4")
    expected[key] = 1
    np.testing.assert_array_equal(x.detach().numpy(), expected)
    assert x.requires_grad and x[key].requires_grad and view[..., None].requires_grad


@pytest.mark.parametrize("name", ["add", "sub", "div"])
def test_functions_of_two_operands(name: str) -> None:
    function = getattr(jitorch, name)
    for dtype in DTYPES:
        x, y = (jitorch.from_numpy(values(dtype, (3,), seed)) for seed in (1, 2))
        for other in (y, 2, 2.5, True, x):
            agree(function, x, other)
            agree(getattr(jitorch.Tensor, name), x, other)
    agree(lambda x: jitorch.add(x, x, alpha=2), x.float())


def test_a_reshaped_tensor_is_a_view() -> None:
    x = jitorch.arange(6.0)
    view = x.reshape(2, 3)
    view.add_(1)
    assert x.tolist() == [1, 2, 3, 4, 5, 6] and view.reshape(-1)._root is x
    x.mul_(jitorch.ones(6, requires_grad=True))
    assert view.requires_grad and view.reshape(6).requires_grad


def test_what_needs_a_gradient_is_recorded() -> None:
    x = jitorch.ones(2, 2, requires_grad=True)
    for result in (x @ x, x.sum(), x.mean(), x.reshape(4), jitorch.relu(x), jitorch.sigmoid(x)):
        assert result.requires_grad
    with jitorch.no_grad():
        assert not (x @ x).requires_grad and not x.sum().requires_grad
    (jitorch.relu(x @ x).mean() + jitorch.sigmoid(x).sum()).backward()
    assert x.grad.shape == (2, 2)


def test_every_short_way_is_installed() -> None:
    direct.install()
    for name in ("matmul", "sum", "mean", "reshape"):
        assert jitorch.ops.PUBLIC[name].short is not None
