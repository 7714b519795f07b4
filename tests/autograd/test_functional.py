"""PyTorch's own `autograd.functional` is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from jitorch.autograd import functional
from jitorch.errors import AutogradError, ShapeError, UnsupportedError

X, Y = np.array([0.5, -1.0, 2.0]), np.array([[1.0, 2.0, 3.0], [0.1, 0.2, 0.3]])


def single(x: Any) -> Any:
    return (x * x).cumsum(0)


def pair(x: Any, y: Any) -> Any:
    return y @ x.exp(), (x * y).sin()


def scalar(x: Any, y: Any) -> Any:
    return (x.exp() * y * y).sum()


def both(name: str, function: Any, arrays: Any, *rest: Any) -> None:
    """The same call of either library, compared with its nesting."""
    results = []
    for lib, namespace in ((jitorch, functional), (torch, torch.autograd.functional)):

        def lift(a: Any, lib: Any = lib) -> Any:
            return tuple(map(lift, a)) if isinstance(a, tuple) else lib.from_numpy(a.copy())

        results.append(getattr(namespace, name)(function, lift(arrays), *map(lift, rest)))
    same(*results)


def same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple):
        assert isinstance(ours, tuple) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            same(a, b)
        return
    assert not ours.requires_grad
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["vjp", "jvp"])
def test_products(name):
    both(name, single, X, X + 1)
    both(name, pair, (X, Y), (X + 1, Y - 1) if name == "jvp" else (np.array([2.0, 3.0]), Y - 1))
    both("vjp", scalar, (X, Y))


def test_whole_derivatives():
    both("jacobian", single, X)
    both("jacobian", pair, (X, Y))
    both("hessian", scalar, (X, Y))
    both("hessian", lambda x: (x**3).sum(), X)


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_whole_derivatives_at_once(strategy):
    for function, arrays in ((single, X), (pair, (X, Y))):
        given = tuple(map(jitorch.tensor, arrays)) if isinstance(arrays, tuple) else jitorch.tensor(arrays)
        found = functional.jacobian(function, given, vectorize=True, strategy=strategy)
        same(found, _detached(functional.jacobian(function, given)))
    x = jitorch.tensor(X, requires_grad=True)
    found = functional.jacobian(single, x, create_graph=True, vectorize=True, strategy=strategy)
    found.sum().backward()
    expected = jitorch.tensor(X, requires_grad=True)
    functional.jacobian(single, expected, create_graph=True).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), expected.grad.numpy())
    given = (jitorch.tensor(X), jitorch.tensor(Y))
    second = functional.hessian(scalar, given, vectorize=True, outer_jacobian_strategy=strategy)
    same(second, _detached(functional.hessian(scalar, given)))
    with pytest.raises(UnsupportedError, match="strict"):
        functional.jacobian(single, x, strict=True, vectorize=True)


def _detached(value):
    return tuple(map(_detached, value)) if isinstance(value, tuple) else value.detach()


@pytest.mark.parametrize("name", ["hvp", "vhp"])
def test_products_with_the_hessian(name):
    both(name, scalar, (X, Y), (X + 1, Y - 1))


def test_an_output_that_does_not_depend():
    constant = jitorch.ones(2).double()
    assert functional.jacobian(lambda x: constant, jitorch.from_numpy(X.copy())).abs().sum().item() == 0
    with pytest.raises(AutogradError, match="does not depend"):
        functional.jacobian(lambda x: constant, jitorch.from_numpy(X.copy()), strict=True)


def test_create_graph():
    x = jitorch.from_numpy(X.copy()).requires_grad_()
    out = functional.jacobian(lambda a: a**3, x, create_graph=True)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * X)


def test_errors():
    x = jitorch.from_numpy(X.copy())
    with pytest.raises(ShapeError, match="shapes"):
        functional.vjp(single, x, jitorch.ones(2).double())
    with pytest.raises(AutogradError, match="left out"):
        functional.vjp(single, x)
    with pytest.raises(ShapeError, match="one element"):
        functional.hessian(single, x)


def test_works_under_no_grad():
    with jitorch.no_grad():
        assert functional.jacobian(single, jitorch.from_numpy(X.copy())).shape == (3, 3)
