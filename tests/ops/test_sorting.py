from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.errors import ArgumentError, DTypeError, ShapeError, TensorIndexError, ValueRangeError
from tests.ops.oracle import agree, array

X = array(3, 4, 5)
NAN = np.array([[1.0, np.nan, -3, 2, np.nan], [5, 4, 3, 2, 1], [np.nan] * 5])
REPEATED = np.array([[3, 1, 3, 1, 2], [0, 0, 0, 5, 5], [4, 3, 2, 1, 0]])


@pytest.mark.parametrize("values", [X, NAN, NAN.astype("float32"), REPEATED, REPEATED.astype("uint8"), REPEATED > 2])
def test_sort(values):
    agree(
        lambda lib, x: [
            lib.sort(x, stable=True), x.sort(dim=0, descending=True, stable=True), x.sort(stable=True, dim=-1),
            lib.argsort(x, dim=1, stable=True), x.argsort(dim=-1, descending=True, stable=True), lib.msort(x).shape,
        ],
        values,
    )  # fmt: skip


def test_zero_dimensional():
    agree(lambda lib, x: [x.sort(), x.argsort(), x.topk(1), x.kthvalue(1), x.median(0), x.mode()], np.array(2.0))


def test_topk():
    agree(
        lambda lib, x: [x.topk(2), x.topk(3, 0), x.topk(2, -1, False), x.topk(0), lib.topk(x, k=5, dim=2, sorted=True)],
        X,
    )
    agree(lambda lib, x: x.topk(2).values, NAN)


@pytest.mark.parametrize("name", ["median", "nanmedian"])
def test_median(name):
    agree(lambda lib, x: [getattr(lib, name)(x), getattr(lib, name)(x, 1).values, getattr(x, name)(0, True).values], X)
    agree(lambda lib, x: [getattr(lib, name)(x), getattr(lib, name)(x, 1).values, getattr(lib, name)(x, 0).values], NAN)
    agree(lambda lib, x: getattr(lib, name)(x), np.zeros(0))


def test_kthvalue_and_mode():
    agree(lambda lib, x: [x.kthvalue(2), x.kthvalue(1, 0), x.kthvalue(3, 1, True)], X)
    agree(lambda lib, x: [x.mode(), x.mode(0), x.mode(-1, True)], REPEATED)


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_quantile(name, interpolation):
    q = np.array([0.0, 0.1, 0.5, 0.77, 1.0])
    for values in (X, NAN):
        agree(
            lambda lib, x, q: [
                getattr(lib, name)(x, 0.3, interpolation=interpolation),
                getattr(lib, name)(x, q, 1, interpolation=interpolation),
                getattr(lib, name)(x, q, 0, True, interpolation=interpolation),
                getattr(lib, name)(x, 0.5, keepdim=True, interpolation=interpolation),
            ],
            values,
            q,
        )


@pytest.mark.parametrize(
    "call", [lambda t: t.sort(1).values, lambda t: t.topk(2, 0).values, lambda t: t.median(1).values]
)
def test_gradients_go_to_where_values_came_from(call):
    def gradient(lib, x):
        leaf = x.clone().requires_grad_()
        out = call(leaf)
        (out * out.detach().exp()).sum().backward()
        return leaf.grad

    agree(gradient, X)


ERRORS = [
    (lambda x: x.topk(6), ShapeError, "k out of range"),
    (lambda x: x.topk(-1), ShapeError, "k out of range"),
    (lambda x: x.kthvalue(0), ValueRangeError, "k out of range"),
    (lambda x: x.sort(3), TensorIndexError, "axis"),
    (lambda x: x[:0].median(0), TensorIndexError, "without elements"),
    (lambda x: x.quantile(1.5), ValueRangeError, "fraction"),
    (lambda x: x.long().quantile(0.5), DTypeError, "floating"),
    (lambda x: x.quantile(0.5, interpolation="cubic"), ArgumentError, "interpolation"),
    (lambda x: x.quantile(jitorch.ones(1)), ShapeError, "dtype of input"),
    (lambda x: x[:0].quantile(0.5), ShapeError, "no elements"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(jitorch.from_numpy(X.copy()))
