from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import config
from jitorch.errors import ArgumentError, ValueRangeError
from jitorch.ir.interpret import interpret
from jitorch.passes.decompose import expand
from tests.ops.oracle import agree
from tests.samples import trace

M = np.array([[3, 0, 1, 1], [3, 0, 1, 1], [0, 0, 2, 2]])


def test_whole_tensors():
    agree(
        lambda lib, x: [lib.equal(x, x.clone()), lib.equal(x, x[:1]), x.equal(x + 1), lib.allclose(x * 1.0, x + 1e-7)],
        M,
    )
    x = jitorch.ones(2)
    assert jitorch.equal(x, x) is True and jitorch.allclose(x, x * 2) is False
    with pytest.raises(ValueRangeError, match="negative"):
        jitorch.allclose(x, x, rtol=-1)
    with pytest.raises(ArgumentError, match="tensor"):
        jitorch.equal(x, 1)


def test_positions():
    agree(lambda lib, x: [x.nonzero(), lib.nonzero(x, as_tuple=True), lib.argwhere(x > 1), x[0, 0].nonzero()], M)
    agree(lambda lib, x: [x.nonzero(), x.nonzero(as_tuple=True)], np.zeros((2, 3)))


UNIQUE = [
    {}, {"return_inverse": True}, {"return_counts": True}, {"return_inverse": True, "return_counts": True, "dim": 0},
    {"dim": 1, "return_inverse": True}, {"dim": 0},
]  # fmt: skip


@pytest.mark.parametrize("options", UNIQUE, ids=str)
@pytest.mark.parametrize("name", ["unique", "unique_consecutive"])
@pytest.mark.parametrize("dtype", ["int64", "float32", "uint8"])
def test_unique(name, options, dtype):
    agree(lambda lib, x: [getattr(lib, name)(x, **options)], M.astype(dtype))


def test_unique_of_nothing_and_of_nan():
    agree(lambda lib, x: [lib.unique(x), lib.unique_consecutive(x)], np.zeros(0))
    assert jitorch.unique(jitorch.tensor([1.0, float("nan"), float("nan")])).numel() == 3


def test_isin():
    agree(lambda lib, x: [lib.isin(x, lib.tensor([0, 2])), lib.isin(x, 3, invert=True), lib.isin(1, x)], M)
    with pytest.raises(ArgumentError, match="tensor or a number"):
        jitorch.isin("a", jitorch.ones(1))


CALLS = {
    "nonzero": lambda x: x.nonzero(),
    "as_tuple": lambda x: x.nonzero(as_tuple=True),
    "of one element": lambda x: x[0, 0].nonzero(),
    "unique": lambda x: x.unique(return_inverse=True, return_counts=True),
    "unique rows": lambda x: x.unique(dim=0, return_inverse=True, return_counts=True),
    "unique columns": lambda x: x.unique(dim=1, return_inverse=True),
    "consecutive": lambda x: x.unique_consecutive(return_inverse=True, return_counts=True),
    "consecutive columns": lambda x: x.unique_consecutive(dim=1),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("array", [M, M * 0, M[:0], M.astype(np.float32) - 1], ids=["some", "zeros", "empty", "float"])
def test_sizes_that_are_data_are_bound_by_the_program(name, array):
    if array is not M and name == "of one element":
        array = M * 0
    graph = trace(CALLS[name], [array])
    expected = CALLS[name](jitorch.from_numpy(array.copy()))
    expected = expected if isinstance(expected, tuple) else (expected,)
    for found, want in zip(interpret(graph, [array], expand), expected, strict=True):
        assert found.shape == tuple(want.shape) and found.dtype == want.dtype.numpy
        np.testing.assert_array_equal(found, want.numpy())


LARGE = np.random.default_rng(0).integers(0, 300, (200, 211))


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    "call",
    [
        lambda lib, x: x.unique(return_inverse=True, return_counts=True),
        lambda lib, x: x.ravel().sort()[0].unique_consecutive(return_inverse=True, return_counts=True),
        lambda lib, x: (x - 250).clamp(min=0).float().nonzero(),
        lambda lib, x: (x > 250).nonzero(as_tuple=True),
        lambda lib, x: (x < 0).nonzero(),
        lambda lib, x: [x[x > 250], lib.masked_select(x, x.T.contiguous().reshape(x.shape) > 250)],
        lambda lib, x: x.T[x.T > 250],
        lambda lib, x: x.reshape(10, 20, 211).nonzero(),
    ],
)
def test_tensors_that_are_large_enough_for_kernels(call, native):
    with config.override(native=native):
        agree(call, LARGE)
