import pytest

import jitorch
from jitorch.errors import UnsupportedError, ValueRangeError
from jitorch.utils import data
from tests.nn.oracle import array, check_signature


class Pairs(data.Dataset):
    """Sample i is (i, [i, i])."""

    def __init__(self, size):
        self.size = size

    def __getitem__(self, index):
        return index, jitorch.tensor([float(index)] * 2)

    def __len__(self):
        return self.size


class Stream(data.IterableDataset):
    def __iter__(self):
        return iter(range(5))


def first_parts(loader):
    return [array(batch[0]).tolist() for batch in loader]


def test_signature():
    import torch

    check_signature(data.DataLoader, torch.utils.data.DataLoader)


def test_batches_in_order():
    loader = data.DataLoader(Pairs(5), batch_size=2)
    assert first_parts(loader) == [[0, 1], [2, 3], [4]]
    assert len(loader) == 3
    assert tuple(next(iter(loader))[1].shape) == (2, 2)
    assert first_parts(loader) == first_parts(loader), "a loader can be iterated over again"


def test_default_batch_size_is_one():
    assert first_parts(data.DataLoader(Pairs(2))) == [[0], [1]]


def test_drop_last():
    loader = data.DataLoader(Pairs(5), batch_size=2, drop_last=True)
    assert first_parts(loader) == [[0, 1], [2, 3]]
    assert len(loader) == 2


def test_shuffle_follows_the_generator():
    def order(seed):
        generator = jitorch.Generator().manual_seed(seed)
        batches = first_parts(data.DataLoader(Pairs(40), batch_size=8, shuffle=True, generator=generator))
        return [i for batch in batches for i in batch]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(40))


def test_a_tensor_dataset_gives_the_same_in_one_go():
    tensors = jitorch.arange(10).reshape(5, 2), jitorch.arange(5)
    fast = data.DataLoader(data.TensorDataset(*tensors), batch_size=2)
    slow = data.DataLoader(data.TensorDataset(*tensors), batch_size=2, collate_fn=lambda s: data.default_collate(s))
    for a, b in zip(fast, slow, strict=True):
        assert type(a) is type(b) is list
        assert [array(x).tolist() for x in a] == [array(x).tolist() for x in b]
    subset = data.DataLoader(data.Subset(data.TensorDataset(*tensors), [4, 1, 2]), batch_size=2)
    assert [array(batch[1]).tolist() for batch in subset] == [[4, 1], [2]]


def test_a_subclass_is_asked_for_each_sample():
    class Shifted(data.TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)[0] + 100

    loader = data.DataLoader(Shifted(jitorch.arange(3)), batch_size=3)
    assert array(next(iter(loader))).tolist() == [100, 101, 102]


def test_without_batches():
    loader = data.DataLoader(Pairs(3), batch_size=None)
    assert [sample[0] for sample in loader] == [0, 1, 2]
    assert len(loader) == 3


def test_samplers():
    loader = data.DataLoader(Pairs(9), batch_size=2, sampler=[5, 3, 8])
    assert first_parts(loader) == [[5, 3], [8]]
    loader = data.DataLoader(Pairs(9), batch_sampler=[[1], [2, 3]])
    assert first_parts(loader) == [[1], [2, 3]]
    assert len(loader) == 2
    assert loader.batch_size is None


def test_collate_function():
    loader = data.DataLoader(Pairs(3), batch_size=2, collate_fn=len)
    assert list(loader) == [2, 1]


def test_stream():
    assert [array(b).tolist() for b in data.DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [array(b).tolist() for b in data.DataLoader(Stream(), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(data.DataLoader(Stream(), batch_size=None)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("drop_last", [True, False])
def test_length_of_a_stream(drop_last):
    class Sized(Stream):
        def __len__(self):
            return 5

    loader = data.DataLoader(Sized(), batch_size=2, drop_last=drop_last)
    assert len(loader) == len(list(loader))
    assert len(data.DataLoader(Sized(), batch_size=None)) == 5


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": [1], "shuffle": True},
        {"batch_sampler": [[1]], "batch_size": 2},
        {"batch_sampler": [[1]], "drop_last": True},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
    ],
    ids=str,
)
def test_options_that_exclude_each_other(options):
    with pytest.raises(ValueRangeError):
        data.DataLoader(Pairs(3), **options)


def test_other_misuse():
    with pytest.raises(ValueRangeError, match="own order"):
        data.DataLoader(Stream(), shuffle=True)
    with pytest.raises(UnsupportedError, match="worker"):
        data.DataLoader(Pairs(3), num_workers=2)
