from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import dims
from jitorch.errors import ArgumentError, DTypeError, ShapeError, TensorIndexError
from jitorch.ir.types import TensorType
from tests.ops.oracle import agree, array
from tests.samples import trace_types

X = array(2, 3, 4)
Z = X * (np.abs(X) > 2)
DTYPES = ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sum", "prod", "all", "any", "count_nonzero", "nansum"])
def test_dtypes(name, dtype):
    values = np.abs(Z).round().astype(dtype) if dtype != "bool" else Z > 0
    agree(lambda lib, x: [getattr(lib, name)(x), getattr(lib, name)(x, 1)], values)


AXES = [None, 0, -1, (0, 2), (1,), (), [0, 1]]


@pytest.mark.parametrize("dim", AXES, ids=str)
def test_axes(dim):
    for name in ("sum", "mean", "nansum", "nanmean"):
        agree(lambda lib, x: [getattr(lib, name)(x, dim, k) for k in (False, True)], X)  # noqa: B023
    for name in ("all", "any"):
        agree(lambda lib, x: [getattr(lib, name)(x, dim, k) for k in (False, True)] if dim != () else [], Z)  # noqa: B023


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_nothing_to_reduce(shape):
    agree(lambda lib, x: [f(x, 0) for f in (lib.sum, lib.mean, lib.prod, lib.all, lib.any)], np.zeros(shape))
    agree(lambda lib, x: [f(x) for f in (lib.sum, lib.mean, lib.prod, lib.all, lib.any)], np.zeros(shape))


def test_dtype_of_the_result():
    agree(
        lambda lib, x: [x.sum(dtype=lib.float32), x.mean(0, dtype=lib.float32), x.prod(1, dtype=lib.int64)], X.round()
    )


def test_nan():
    values = np.array([[1.0, np.nan], [np.nan, np.nan]])
    agree(lambda lib, x: [lib.nansum(x, 0), lib.nanmean(x, 1), x.sum(), x.any(), x.prod(0)], values)


def test_halves_are_added_in_single_precision():
    x = jitorch.ones(5000).half()
    assert x.sum().item() == 5000 and x.mean().item() == 1
    assert (jitorch.ones(5000).bfloat16() * 2).mean().item() == 2


@pytest.mark.parametrize("rows", [[1.0, 2, 3], [0.0, 2, 3], [0.0, 0, 3]])
def test_gradient_of_prod_at_zeros(rows):
    agree(_prod_gradient, np.array([rows, [1.0, -2, 0.5]]))


def _prod_gradient(lib, x):
    grads = []
    for dim in (None, 0, 1):
        leaf = x.clone().requires_grad_()
        out = leaf.prod() if dim is None else leaf.prod(dim)
        (out * out.detach().exp()).sum().backward()
        grads.append(leaf.grad)
    return grads


def test_symbolic_count():
    batch = dims.symbol("B", low=2)
    graph = trace_types(lambda x: (x.mean(0), x.mean(), x.var(0)), [TensorType(jitorch.float32, (batch, 3))])
    assert [str(v.type) for v in graph.outputs] == ["f32[3]", "f32[]", "f32[3]"]


def test_errors():
    x = jitorch.from_numpy(X.copy())
    with pytest.raises(TensorIndexError, match="axis out of range"):
        x.sum(3)
    with pytest.raises(ShapeError, match="more than once"):
        x.sum((0, -3))
    with pytest.raises(DTypeError, match="integer"):
        x.long().mean()
    with pytest.raises(ArgumentError, match="tensor"):
        jitorch.sum([1, 2])
    with pytest.raises(ArgumentError, match="axis is an int"):
        x.sum("0")
