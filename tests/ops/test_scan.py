from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import config
from jitorch.autograd import gradcheck, gradgradcheck
from jitorch.errors import DTypeError, TensorIndexError
from tests.ops.oracle import agree, array

X = array(2, 3, 4)
ROWS = np.array([[1.0, 3, 3, 2], [np.nan, 1, np.nan, 0], [-np.inf, -np.inf, 1, np.inf]])


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"])
def test_agrees_with_pytorch(name):
    agree(lambda lib, x: [getattr(lib, name)(x, d) for d in (0, 1, -1)], X)
    agree(lambda lib, x: [getattr(lib, name)(x, 1), getattr(x[0, 0], name)(dim=0), getattr(x[:0], name)(0)], ROWS[:2])


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("shape", "axis"), [((70_003,), 0), ((301, 157), 1), ((157, 301), 0), ((0, 3), 1), ((3, 0), 1)]
)
def test_large_lines_with_ties_and_nan(shape, axis, native):
    x = np.random.default_rng(0).integers(-3, 4, shape).astype("float32")
    with_nan = x.copy()
    with_nan.ravel()[5::7777] = np.nan
    with config.override(native=native):
        for line in (x, with_nan):
            agree(lambda lib, t: [t.cummax(axis), t.cummin(axis), t.cumsum(axis)], line)
        agree(lambda lib, t: t.double().logcumsumexp(axis), with_nan)


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_gradients_go_to_the_last_of_equals(name):
    def gradient(lib, x):
        leaf = x.clone().requires_grad_()
        (getattr(leaf, name)(1)[0] * lib.arange(1.0, 6)).sum().backward()
        return leaf.grad

    agree(gradient, np.array([[1.0, 1, 0, 2, 2], [3, 3, 3, 3, 3], [5, 4, 4, 3, 3]], "float32"))


def test_half_precision_is_summed_in_single():
    x = jitorch.zeros(5000, dtype=jitorch.float16)
    assert abs(x.logcumsumexp(0)[-1].item() - np.log(5000)) < 0.01


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
