import pytest
import torch

import jitorch
from jitorch.errors import ShapeError, TensorIndexError, UnsupportedError, ValueRangeError
from jitorch.utils import data
from tests.nn.oracle import array


class Squares(data.Dataset):
    def __init__(self, size):
        self.size = size

    def __getitem__(self, index):
        return index * index

    def __len__(self):
        return self.size


def test_tensor_dataset():
    dataset = data.TensorDataset(jitorch.arange(6).reshape(3, 2), jitorch.tensor([5, 6, 7]))
    assert len(dataset) == 3
    x, y = dataset[1]
    assert array(x).tolist() == [2, 3]
    assert int(y) == 6
    assert array(dataset[[0, 2]][1]).tolist() == [5, 7]
    with pytest.raises(ShapeError):
        data.TensorDataset(jitorch.zeros(2), jitorch.zeros(3))


def test_concatenation():
    both = Squares(2) + Squares(0) + Squares(3)
    assert isinstance(both, data.ConcatDataset)
    assert [both[i] for i in range(len(both))] == [0, 1, 0, 1, 4]
    assert both[-1] == 4
    for index in (5, -6):
        with pytest.raises(TensorIndexError):
            both[index]
    with pytest.raises(ValueRangeError):
        data.ConcatDataset([])


def test_subset():
    subset = data.Subset(Squares(10), [7, 3])
    assert len(subset) == 2
    assert [subset[0], subset[1]] == [49, 9]


@pytest.mark.parametrize("lengths", [[4, 6], [10], [0, 10], [0.3, 0.7], [0.34, 0.33, 0.33], [0.25, 0.25, 0.25, 0.25]])
def test_random_split(lengths):
    parts = data.random_split(Squares(10), lengths, generator=jitorch.Generator().manual_seed(1))
    expected = torch.utils.data.random_split(range(10), lengths)
    assert [len(part) for part in parts] == [len(part) for part in expected]
    assert sorted(i for part in parts for i in part.indices) == list(range(10))


def test_random_split_follows_the_generator():
    def split(seed):
        return data.random_split(Squares(50), [50], generator=jitorch.Generator().manual_seed(seed))[0].indices

    assert split(1) == split(1)
    assert split(1) != split(2)


def test_random_split_checks_lengths():
    with pytest.raises(ValueRangeError):
        data.random_split(Squares(10), [4, 7])
    with pytest.raises(ValueRangeError):
        data.random_split(Squares(10), [1.5, -0.5])


def test_base_classes():
    with pytest.raises(UnsupportedError):
        data.Dataset()[0]
    with pytest.raises(UnsupportedError):
        iter(data.IterableDataset())
