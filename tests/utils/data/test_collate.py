from collections import namedtuple

import numpy as np
import pytest
import torch

import jitorch
from jitorch.errors import ArgumentError, ShapeError
from jitorch.utils import data
from tests.nn.oracle import array

Point = namedtuple("Point", ["x", "y"])


def plain(value):
    """Tensors of either library as (dtype, lists), within any structure."""
    if hasattr(value, "detach"):
        return str(array(value).dtype), array(value).tolist()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if hasattr(value, "_fields"):
        return type(value)(*map(plain, value))
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return value


BATCHES = [
    [1, 2, 3],
    [True, False],
    [1.5, 2.5],
    ["a", "b"],
    [b"a", b"b"],
    [np.arange(3.0), np.ones(3)],
    [np.float32(1), np.float32(2)],
    [np.arange(2, dtype=np.int16)] * 2,
    [{"a": 1, "b": [1.0, 2.0]}, {"a": 2, "b": [3.0, 4.0]}],
    [(1, "a"), (2, "b")],
    [[1, 2.0], [3, 4.0]],
    [Point(1, 2.0), Point(3, 4.0)],
    [((1, 2), {"k": np.ones(1)}), ((3, 4), {"k": np.zeros(1)})],
]


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_structure_is_pytorchs(batch):
    assert plain(data.default_collate(batch)) == plain(torch.utils.data.default_collate(batch))


@pytest.mark.parametrize("sample", [b[0] for b in BATCHES], ids=str)
def test_conversion_of_one_sample(sample):
    assert plain(data.default_convert(sample)) == plain(torch.utils.data.default_convert(sample))


def test_tensors_are_stacked():
    batch = [(jitorch.ones(2), jitorch.tensor(1)), (jitorch.zeros(2), jitorch.tensor(2))]
    x, y = data.default_collate(batch)
    assert array(x).tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert array(y).tolist() == [1, 2]
    tensor = jitorch.ones(1)
    assert data.default_convert(tensor) is tensor


def test_what_cannot_be_collated():
    for batch in ([object()], [None], [np.array(["a"])]):
        with pytest.raises(ArgumentError, match="default_collate"):
            data.default_collate(batch)
    with pytest.raises(ShapeError):
        data.default_collate([[1, 2], [1]])
