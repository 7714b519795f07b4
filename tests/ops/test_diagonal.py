from __future__ import annotations

import pytest

import jitorch
from jitorch.errors import ShapeError
from tests.ops.oracle import agree, array

X = array(2, 3, 4)

AGREE = [
    lambda lib, x: [getattr(lib, f)(x, k) for f in ("tril", "triu") for k in (-5, -1, 0, 1, 5)],
    lambda lib, x: [(x > 0).tril(), (x * 3).long().triu(diagonal=1), x[:, :0].tril()],
    lambda lib, x: [getattr(lib, f)(3, 4, k) for f in ("tril_indices", "triu_indices") for k in (-2, 0, 1)],
    lambda lib, x: [x[0].diag(), x[0, 0].diag(), x[0].diag(1), x[0, 0].diag(-1), lib.diagflat(x, 1)],
    lambda lib, x: [lib.diag_embed(x), lib.diag_embed(x[0], 1, 0, 2), x[0].diag_embed(-1, 2, 0)],
    lambda lib, x: [lib.diagonal_scatter(x, x[:, 0, :3] * 0, 1, 1, 2), lib.diagonal_scatter(x[0], x[0, 0, :3])],
]


@pytest.mark.parametrize("call", AGREE)
def test_agrees_with_pytorch(call):
    agree(call, X)


ERRORS = [
    (lambda x: x[0, 0].tril(), "2 axes"),
    (lambda x: x.diag(), "vector or a matrix"),
    (lambda x: x.sum().diag_embed(), "1 axis"),
    (lambda x: x.diag_embed(0, 1, 1), "same axis"),
    (lambda x: jitorch.tril_indices(-1, 2), "negative"),
    (lambda x: jitorch.diagonal_scatter(x, x), "diagonal's shape"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call, message):
    with pytest.raises(ShapeError, match=message):
        call(jitorch.from_numpy(X.copy()))
