from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch.errors import UnsupportedError, ValueRangeError
from jitorch.utils import data


def generator(seed=0):
    return jitorch.Generator().manual_seed(seed)


def test_in_order():
    sampler = data.SequentialSampler("abc")
    assert list(sampler) == [0, 1, 2]
    assert len(sampler) == 3


def test_random_order():
    sampler = data.RandomSampler(range(30), generator=generator())
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second
    assert list(data.RandomSampler(range(30), generator=generator())) == first
    assert len(sampler) == 30
    assert list(data.RandomSampler([])) == []


def test_random_order_of_more_or_fewer():
    sampler = data.RandomSampler(range(4), num_samples=10, generator=generator())
    assert len(sampler) == 10
    counts = Counter(sampler)
    assert sum(counts.values()) == 10
    assert set(counts) == set(range(4))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(set(data.RandomSampler(range(40), num_samples=7))) == 7


def test_with_replacement():
    drawn = list(data.RandomSampler(range(3), replacement=True, num_samples=200, generator=generator()))
    assert len(drawn) == 200
    assert set(drawn) == {0, 1, 2}


def test_subset_in_random_order():
    sampler = data.SubsetRandomSampler([5, 8, 9], generator=generator())
    assert len(sampler) == 3
    assert sorted(sampler) == [5, 8, 9]


def test_weighted():
    sampler = data.WeightedRandomSampler([0.0, 1.0, 9.0], 500, generator=generator())
    counts = Counter(sampler)
    assert len(sampler) == 500
    assert counts[0] == 0
    assert 20 < counts[1] < 90
    once = data.WeightedRandomSampler([1.0, 2.0, 3.0], 3, replacement=False)
    assert sorted(once) == [0, 1, 2]


@given(size=st.integers(0, 20), batch=st.integers(1, 7), drop_last=st.booleans())
def test_batches(size, batch, drop_last):
    sampler = data.BatchSampler(range(size), batch, drop_last)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert [i for b in batches for i in b] == list(range(size - size % batch if drop_last else size))
    assert all(len(b) == batch for b in batches[:-1])


def test_checks():
    for make in (
        lambda: data.RandomSampler(range(3), num_samples=0),
        lambda: data.RandomSampler(range(3), num_samples=True),
        lambda: data.BatchSampler(range(3), 0, False),
        lambda: data.BatchSampler(range(3), 2, "no"),
        lambda: data.WeightedRandomSampler([1.0], 0),
        lambda: data.WeightedRandomSampler([[1.0]], 1),
    ):
        with pytest.raises(ValueRangeError):
            make()
    with pytest.raises(UnsupportedError):
        iter(data.Sampler())
