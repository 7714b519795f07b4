from __future__ import annotations

import math

import numpy as np
import pytest

import jitorch
from jitorch.errors import ArgumentError, DTypeError
from tests.ops.oracle import agree, array

X = array(3, 4, 5)


@pytest.mark.parametrize("name", ["var", "std", "var_mean", "std_mean"])
def test_variance(name):
    def call(lib, x):
        f = getattr(lib, name)
        return [
            *[f(x), f(x, False), f(x, 1), f(x, (0, 2)), f(x, 1, False), f(x, -1, True, True), f(x[0, 0].float(), 0)],
            *[f(x, dim=0, correction=2), f(x, correction=0, keepdim=True)],
        ]

    agree(call, X)


@pytest.mark.filterwarnings("ignore:var")
@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize("shape", [(1,), (0,)])
def test_too_few_elements(shape):
    agree(lambda lib, x: [x.var(correction=0), x.std(correction=0), x.var()], np.ones(shape))


def test_gradient_of_std_at_zero():
    def gradient(lib, x):
        leaf = x.clone().requires_grad_()
        leaf.std(0).sum().backward()
        return leaf.grad

    agree(gradient, np.array([[1.0, 2.0], [1.0, 3.0]]))


def test_logsumexp():
    agree(lambda lib, x: [lib.logsumexp(x, d, k) for d in (0, -1, (0, 1)) for k in (False, True)], X)
    agree(
        lambda lib, x: [x.logsumexp(0), x.logsumexp(1)], np.array([[1e4, -np.inf], [1e4, -np.inf], [np.inf, -np.inf]])
    )
    agree(lambda lib, x: lib.logsumexp(x, 0), np.zeros((0, 2)))
    agree(lambda lib, x: lib.logsumexp(x, 0), np.arange(3))


@pytest.mark.parametrize("p", [None, "fro", 0, 1, 2, 3.5, -1, math.inf, -math.inf])
def test_norm(p):
    agree(lambda lib, x: [lib.norm(x, p), lib.norm(x, p, 1), x.norm(p, (0, 2), True)], X)


def test_norm_in_another_dtype():
    agree(lambda lib, x: [x.float().norm(dtype=lib.float64), lib.dist(x, x[0], 1), x[0].norm("nuc")], X)


def test_gradient_of_norm_at_zero():
    x = jitorch.zeros(3, requires_grad=True)
    x.norm().backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_errors():
    x = jitorch.from_numpy(X.copy())
    for call in (lambda: x.long().var(), lambda: x.long().norm()):
        with pytest.raises(DTypeError, match="floating point"):
            call()
    with pytest.raises(ArgumentError, match="unknown order"):
        x.norm("max")
