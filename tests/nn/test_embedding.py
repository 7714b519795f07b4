import numpy as np
import pytest
import torch

import jitorch
from jitorch import nn
from jitorch.errors import ShapeError, UnsupportedError, ValueRangeError
from tests.nn.oracle import array, check_module, numbers, ours

INDICES = np.array([[0, 3, 3], [9, 2, 0]])


@pytest.mark.parametrize("padding_idx", [None, 3, -1])
def test_agrees(padding_idx):
    args = (10, 4, padding_idx)
    check_module(nn.Embedding(*args), torch.nn.Embedding(*args), INDICES)


def test_padding_row_starts_as_zero():
    table = nn.Embedding(5, 3, padding_idx=-2)
    assert table.padding_idx == 3
    assert array(table.weight)[3].tolist() == [0.0] * 3
    assert (array(table.weight)[:3] != 0).all()


def test_from_pretrained():
    values = ours(numbers(5, 3))
    table = nn.Embedding.from_pretrained(values)
    assert not table.weight.requires_grad
    assert array(table(jitorch.tensor([4]))).tolist() == [array(values)[4].tolist()]
    assert nn.Embedding.from_pretrained(values, freeze=False).weight.requires_grad
    with pytest.raises(ShapeError):
        nn.Embedding.from_pretrained(jitorch.ones(3))
    with pytest.raises(ShapeError):
        nn.Embedding(4, 3, _weight=values)


def test_what_is_not_supported():
    for options in ({"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}):
        with pytest.raises(UnsupportedError):
            nn.Embedding(5, 3, **options)
    with pytest.raises(ValueRangeError):
        nn.Embedding(5, 3, padding_idx=5)
