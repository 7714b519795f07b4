from __future__ import annotations

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from tests.ops.oracle import compare

NAMES = "Float Double Half Byte Char Short Int Long Bool".split()


@pytest.mark.parametrize("name", NAMES)
def test_typed_constructors(name):
    ours, theirs = getattr(jitorch, f"{name}Tensor"), getattr(torch, f"{name}Tensor")
    compare(ours([1, 0, 3]), theirs([1, 0, 3]))
    assert ours(2, 3).shape == (2, 3) and ours(2, 3).dtype is ours([1]).dtype
    assert ours().shape == (0,) and ours(jitorch.Size([2])).shape == (2,)
    assert isinstance(ours(1), ours)
    assert not isinstance(jitorch.ones(1, dtype=jitorch.complex64), ours) and not isinstance(3, ours)


def test_bfloat16():
    assert jitorch.BFloat16Tensor([1.5]).dtype is jitorch.bfloat16


def test_tensor_itself():
    compare(jitorch.Tensor([[1, 2], [3, 4]]), torch.Tensor([[1, 2], [3, 4]]))
    assert jitorch.Tensor(2, 3).shape == (2, 3) and jitorch.Tensor().shape == (0,)
    assert jitorch.Tensor(np.ones(2)).dtype is jitorch.float32
    assert jitorch.Tensor([1], dtype=jitorch.int8).dtype is jitorch.int8
    with pytest.raises(ArgumentError, match="data, or sizes"):
        jitorch.Tensor([1], [2])
    with pytest.raises(ShapeError, match="negative"):
        jitorch.Tensor(-1)
    with pytest.raises(ValueRangeError, match="rectangular"):
        jitorch.Tensor([[1], []])


def test_new():
    x = jitorch.ones(2).double()
    assert x.new(2, 3).shape == (2, 3) and x.new([1, 2]).tolist() == [1, 2]
    assert x.new([1]).dtype is x.new(1).dtype is jitorch.float64


def test_in_a_trace_a_constructor_is_part_of_the_graph():
    compiled = jitorch.jit(lambda x: x + jitorch.Tensor([1, 2]) + jitorch.FloatTensor([3, 4]), fullgraph=True)
    for _ in range(2):
        assert compiled(jitorch.zeros(2)).tolist() == [4, 6]
