from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from tests.ops.oracle import agree, array

X, Y = array(3, 5), array(3, 5, seed=1)

AGREE = [
    lambda lib, x, y: [
        x.diff(),
        x.diff(2),
        x.diff(dim=0),
        lib.diff(x, 1, 1, y, y[:, :1]),
        x.diff(9),
        (x > 0).diff(),
        x.diff(0),
    ],
    lambda lib, x, y: [lib.trapezoid(x), lib.trapezoid(x, dx=0.5, dim=0), lib.trapz(x, y), lib.trapezoid(x, y[0])],
    lambda lib, x, y: [lib.cumulative_trapezoid(x), lib.cumulative_trapezoid(x, y[:, 0], dim=0)],
    lambda lib, x, y: [x.cov(), x.cov(correction=0), x[0].cov(), x.cov(fweights=lib.arange(5)), x.long().cov()],
    lambda lib, x, y: [x.cov(aweights=y[0].abs()), x.cov(fweights=lib.arange(1, 6), aweights=y[0].abs())],
    lambda lib, x, y: [x.corrcoef(), x[0].corrcoef()],
    lambda lib, x, y: [x.renorm(2, 0, 1.0), lib.renorm(x, 1, 1, 2.0), x.renorm_(2, 0, 0.5)],
    lambda lib, x, y: [x.fill_(2), x.long().fill_(lib.tensor(3)), lib.fill(x, 1.5), y.zero_(), lib.zero_(y)],
]


@pytest.mark.parametrize("call", AGREE)
def test_agrees_with_pytorch(call):
    agree(call, X, Y)


def test_fill_cuts_the_history():
    x = jitorch.ones(3, requires_grad=True)
    value = jitorch.tensor(2.0, requires_grad=True)
    y = x * 1
    y[:2].fill_(value)
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 1] and value.grad.item() == 2


ERRORS = [
    (lambda x: x.diff(-1), ValueRangeError, "negative"),
    (lambda x: x.sum().diff(), ShapeError, "1 axis"),
    (lambda x: jitorch.trapezoid(x, jitorch.ones(3)), ShapeError, "length"),
    (lambda x: jitorch.trapezoid(x.sum()), ShapeError, "1 axis"),
    (lambda x: x[None].cov(), ShapeError, "2 axes"),
    (lambda x: (x > 0).cov(), DTypeError, "bool"),
    (lambda x: x.cov(fweights=jitorch.ones(5)), DTypeError, "integer"),
    (lambda x: x.cov(fweights=jitorch.arange(5) - 1), ValueRangeError, "negative"),
    (lambda x: x.cov(aweights=jitorch.ones(4)), ShapeError, "observation"),
    (lambda x: x.renorm(0, 0, 1.0), ShapeError, "p > 0"),
    (lambda x: x.fill_(jitorch.ones(2)), ValueRangeError, "0-d"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(jitorch.from_numpy(X.copy()))


def test_integers_out_of_range():
    with pytest.raises(ValueRangeError, match="fit"):
        jitorch.full((1,), np.iinfo(np.int32).max + 1, dtype=jitorch.int32)
