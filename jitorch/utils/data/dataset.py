"""Datasets: what a loader draws its samples from."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import jitorch
from jitorch.errors import ShapeError, TensorIndexError, UnsupportedError, ValueRangeError
from jitorch.tensor import Tensor

Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Samples by index: subclasses define ``__getitem__``, and ``__len__`` for samplers."""

    def __getitem__(self, index: Any) -> Sample:
        raise UnsupportedError(f"{type(self).__name__} has no __getitem__", hint="define __getitem__(self, index)")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample]):
    """Samples as they come: subclasses define ``__iter__``."""

    def __iter__(self) -> Iterator[Sample]:
        raise UnsupportedError(f"{type(self).__name__} has no __iter__", hint="define __iter__(self)")


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample ``i`` is the tuple of the ``i``-th elements, along axis 0, of all the tensors."""

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor):
        sizes = [tensor.shape[0] for tensor in tensors]
        if not sizes or min(sizes) != max(sizes):
            raise ShapeError("Size mismatch between tensors", expected="one size of axis 0", actual=sizes)
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class ConcatDataset(Dataset[Any]):
    """Datasets one after the other."""

    def __init__(self, datasets: Iterable[Dataset[Any]]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueRangeError("datasets should not be an empty iterable")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        length = len(self)
        if not -length <= index < length:
            raise TensorIndexError(
                f"index {index} is out of range", expected=f"-{length} <= index < {length}", actual=index
            )
        index %= length
        which = bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]


class Subset(Dataset[Sample]):
    """The samples of ``dataset`` at ``indices``."""

    def __init__(self, dataset: Dataset[Sample], indices: Sequence[int]):
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Sample:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Dataset[Any], lengths: Sequence[int | float], generator: Any = None) -> list[Subset[Any]]:
    """Random disjoint subsets of the given lengths.

    Lengths that add up to 1 are shares; what rounding down leaves over goes to the first subsets, one each.
    """
    total = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        for i, share in enumerate(lengths):
            if not 0 <= share <= 1:
                raise ValueRangeError(f"Fraction at index {i} is not between 0 and 1", expected="0 to 1", actual=share)
        lengths = [math.floor(total * share) for share in lengths]
        for i in range(total - sum(lengths)):
            lengths[i % len(lengths)] += 1
    if sum(lengths) != total:
        raise ValueRangeError(
            "Sum of input lengths does not equal the length of the input dataset!", expected=total, actual=sum(lengths)
        )
    order = jitorch.randperm(total, generator=generator).tolist()
    ends = list(accumulate(int(length) for length in lengths))
    return [Subset(dataset, order[end - int(length) : end]) for end, length in zip(ends, lengths, strict=True)]
