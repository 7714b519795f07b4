from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import jitorch
from jitorch import dims
from jitorch.errors import ArgumentError, DeviceError, DTypeError, ShapeError, ValueRangeError
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from tests.ops.oracle import agree, array, compare
from tests.samples import trace, trace_types

X = array(2, 3, dtype="float32")

AGREE = [
    lambda lib, x: [
        lib.tensor(v) for v in (1, 1.5, True, [1, 2], [[1, 2.5]], [], [[]], (True, 2), np.float64(2), np.int8(3))
    ],
    lambda lib, x: [
        lib.tensor([1, 2], dtype=lib.float16),
        lib.tensor([x[0, 0], 2.0]),
        lib.tensor(3.9, dtype=lib.int32),
    ],
    lambda lib, x: [
        lib.as_tensor([1.0, 2.0]),
        lib.as_tensor(x, dtype=lib.float64),
        lib.asarray([1, 2]),
        lib.scalar_tensor(2),
    ],
    lambda lib, x: (
        [getattr(lib, f)(2, 3) for f in ("zeros", "ones")] + [lib.zeros((2, 0), dtype=lib.int8), lib.ones(())]
    ),
    lambda lib, x: [lib.zeros(size=(2,)), lib.empty(2, 3).shape, lib.empty_strided((2, 3), (1, 2)).shape],
    lambda lib, x: [lib.zeros_like(x), lib.ones_like(x, dtype=lib.bool), lib.full_like(x, 7), lib.empty_like(x).shape],
    lambda lib, x: [
        x.new_zeros(2, 1),
        x.new_ones((2,), dtype=lib.int64),
        x.new_full((2,), 3.5),
        x.new_tensor([1, 2]),
        x.new_empty(3).shape,
    ],
    lambda lib, x: (
        [lib.full((2,), v) for v in (1, 1.5, True)] + [lib.full((), -1, dtype=lib.uint8), lib.full((2,), x[0, 0])]
    ),
    lambda lib, x: (
        [lib.arange(n) for n in (0, 5, 5.0, 2.5)] + [lib.arange(1, 9, 3), lib.arange(5, 0, -2), lib.arange(0, 1, 0.3)]
    ),
    lambda lib, x: [
        lib.arange(5, dtype=lib.float32),
        lib.arange(1, 4, dtype=lib.int8),
        lib.arange(0.5, 3.7, dtype=lib.int64),
        lib.arange(end=3),
    ],
    lambda lib, x: (
        [lib.linspace(0, 1, n) for n in (0, 1, 2, 5)]
        + [lib.linspace(3, -2, 7, dtype=lib.float64), lib.linspace(0, 9, 4, dtype=lib.int32)]
    ),
    lambda lib, x: [lib.logspace(0, 2, 3), lib.logspace(0, 3, 4, base=2), lib.linspace(x[0, 0], x[0, 1], 4)],
    lambda lib, x: [lib.eye(3), lib.eye(2, 4, dtype=lib.int64), lib.eye(0), lib.eye(3, 2)],
    lambda lib, x: [lib.frombuffer(bytearray(b"12345678"), dtype=lib.int16, offset=2, count=2)],
]


@pytest.mark.parametrize("call", AGREE)
def test_agrees_with_pytorch(call):
    agree(call, X)


def test_default_dtype():
    jitorch.set_default_dtype(jitorch.float64)
    try:
        assert jitorch.zeros(1).dtype is jitorch.tensor(1.5).dtype is jitorch.rand(1).dtype is jitorch.float64
        assert jitorch.arange(2.0).dtype is jitorch.float64
        assert jitorch.tensor(1).dtype is jitorch.int64
    finally:
        jitorch.set_default_dtype(jitorch.float32)


def test_what_shares_memory():
    array = X.copy()
    assert np.shares_memory(jitorch.from_numpy(array).numpy(), array)
    assert np.shares_memory(jitorch.as_tensor(array).numpy(), array)
    assert not np.shares_memory(jitorch.tensor(array).numpy(), array)
    x = jitorch.from_numpy(array)
    assert jitorch.as_tensor(x) is x
    assert not np.shares_memory(jitorch.tensor(x).numpy(), array)
    assert not np.shares_memory(jitorch.as_tensor(array, dtype=jitorch.float64).numpy(), array)


def test_from_numpy_keeps_strides_and_copies_what_cannot_be_written():
    assert jitorch.from_numpy(X.T).stride() == (1, 3)
    frozen = X.copy()
    frozen.flags.writeable = False
    jitorch.from_numpy(frozen).zero_()
    assert frozen.any()
    swapped = X.astype(">f4")
    np.testing.assert_array_equal(jitorch.from_numpy(swapped).numpy(), X)


def test_new_tensors_are_writable():
    for x in (jitorch.zeros(2), jitorch.full((2,), 1.0), jitorch.tensor([1.0]), jitorch.eye(2), jitorch.arange(3)):
        x.add_(1)
    assert jitorch.zeros(2).add_(1).tolist() == [1, 1]


def test_requires_grad():
    assert jitorch.ones(2, requires_grad=True).is_leaf
    assert jitorch.tensor([1.0], requires_grad=True).requires_grad
    x = jitorch.ones(2, requires_grad=True)
    assert not jitorch.tensor(x).requires_grad


def test_in_a_trace_data_becomes_a_constant():
    graph = trace(lambda x: x + jitorch.tensor([1.0, 2.0, 3.0]), [X])
    np.testing.assert_array_equal(interpret(graph, [X])[0], X + np.float32([1, 2, 3]))
    graph = trace(lambda x: jitorch.tensor([x[0, 0], x[1, 1]]), [X])
    np.testing.assert_array_equal(interpret(graph, [X])[0], [X[0, 0], X[1, 1]])


def test_symbolic_sizes():
    batch = dims.symbol("B", low=2)

    def step(x):
        return (
            jitorch.arange(x.shape[0]),
            jitorch.zeros(x.shape),
            jitorch.arange(1, x.shape[0], 2),
            jitorch.eye(x.shape[0]),
        )

    graph = trace_types(step, [TensorType(jitorch.float32, (batch, 3))])
    assert [str(v.type) for v in graph.outputs] == ["i64[B]", "f32[B, 3]", "i64[floordiv(B, 2)]", "f32[B, B]"]


ERRORS = [
    (lambda: jitorch.tensor([[1], [1, 2]]), ValueRangeError, "rectangular"),
    (lambda: jitorch.tensor("text"), ArgumentError, "not numbers"),
    (lambda: jitorch.tensor([None]), ArgumentError, "not numbers"),
    (lambda: jitorch.tensor(2**70), ValueRangeError, "int64"),
    (lambda: jitorch.zeros(-1), ShapeError, "negative"),
    (lambda: jitorch.zeros(1.5), ArgumentError, "size is an int"),
    (lambda: jitorch.zeros(2, device="cuda"), DeviceError, "cuda"),
    (lambda: jitorch.from_numpy([1]), ArgumentError, "NumPy array"),
    (lambda: jitorch.arange(0, 1, 0), ValueRangeError, "step"),
    (lambda: jitorch.arange(1, 0), ValueRangeError, "sign"),
    (lambda: jitorch.arange(0, math.inf), ValueRangeError, "finite"),
    (lambda: jitorch.arange("a"), ArgumentError, "number"),
    (lambda: jitorch.arange(2, dtype=jitorch.bool), DTypeError, "ramp"),
    (lambda: jitorch.linspace(0, 1, -1), ShapeError, "negative"),
    (lambda: jitorch.full((2,), "a"), ArgumentError, "number"),
    (lambda: jitorch.full((2,), 300, dtype=jitorch.uint8), ValueRangeError, "fit"),
    (lambda: jitorch.full((2,), 1j, dtype=jitorch.float32), DTypeError, "complex"),
    (lambda: jitorch.full((2,), math.inf, dtype=jitorch.int64), ValueRangeError, "fit"),
    (lambda: jitorch.full_like(jitorch.ones(2), jitorch.ones(2)), ValueRangeError, "0-d"),
    (lambda: jitorch.eye(-1), ShapeError, "negative"),
    (lambda: jitorch.frombuffer(b"123", dtype=jitorch.int16), ValueRangeError, "buffer"),
    (lambda: jitorch.empty_strided((2, 3), (1,)), ShapeError, "stride"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_range_includes_its_end():
    compare(jitorch.range(1, 4), torch.range(1, 4))
    compare(jitorch.range(0, 1, 0.5), torch.range(0, 1, 0.5))
