from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.autograd import gradcheck, gradgradcheck
from jitorch.errors import DTypeError, TensorIndexError
from tests.ops.oracle import agree, array

X = array(2, 3, 4)
ROWS = np.array([[1.0, 3, 3, 2], [np.nan, 1, np.nan, 0], [-np.inf, -np.inf, 1, np.inf]])


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"])
def test_agrees_with_pytorch(name):
    agree(lambda lib, x: [getattr(lib, name)(x, d) for d in (0, 1, -1)], X)
    agree(lambda lib, x: [getattr(lib, name)(x, 1), getattr(x[0, 0], name)(dim=0), getattr(x[:0], name)(0)], ROWS[:2])


def test_infinities():
    agree(lambda lib, x: [x.cummax(1), x.cummin(1), x.logcumsumexp(1)], ROWS)


def test_dtypes():
    agree(
        lambda lib, x: [x.cumsum(0), x.cumprod(1), x.cumsum(0, dtype=lib.float32), x.cummax(0)],
        (X[0] * 2).astype("int32"),
    )
    agree(lambda lib, x: x.cumsum(0), X[0] > 0)


def test_in_place():
    x = jitorch.from_numpy(X.copy())
    assert x.cumsum_(0) is x
    np.testing.assert_allclose(x.numpy(), X.cumsum(0))


@pytest.mark.parametrize("row", [[1.0, 2, 3], [1.0, 0, 3, 2], [0.0, 1, 0, 2]])
def test_gradient_of_cumprod_at_zeros(row):
    def gradient(lib, x):
        leaf = x.clone().requires_grad_()
        (leaf.cumprod(0) * lib.arange(1.0, len(row) + 1).double()).sum().backward()
        return leaf.grad

    agree(gradient, np.array(row))


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp"])
def test_second_derivatives(name):
    x = jitorch.from_numpy(X.copy()).requires_grad_()
    assert gradcheck(lambda t: getattr(t, name)(1), x)
    assert gradgradcheck(lambda t: getattr(t, name)(1), x)


def test_errors():
    x = jitorch.from_numpy(X.copy())
    with pytest.raises(TensorIndexError, match="axis"):
        x.cumsum(3)
    with pytest.raises(DTypeError, match="floating"):
        x.long().logcumsumexp(0)
