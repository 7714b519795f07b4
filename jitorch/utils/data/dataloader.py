"""`DataLoader`: batches of a dataset, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jitorch.errors import UnsupportedError, ValueRangeError
from jitorch.utils.data.collate import default_collate, default_convert
from jitorch.utils.data.dataset import IterableDataset, Subset, TensorDataset
from jitorch.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler


def _takes_lists(dataset: Any) -> bool:
    """Whether ``dataset[[i, j, ...]]`` is the batch that collating the single samples would give."""
    if type(dataset) is Subset:
        return _takes_lists(dataset.dataset)
    return type(dataset) is TensorDataset


class DataLoader:
    """Iterates over batches of ``dataset``: ``for batch in DataLoader(dataset, batch_size=32, shuffle=True)``.

    ``batch_size=None`` gives single samples.  ``sampler`` or ``batch_sampler`` take the place of ``shuffle``, and
    ``collate_fn`` makes a batch from a list of samples (`default_collate`).  ``generator`` is for shuffling.
    Loading is done in this process: ``num_workers`` other than 0 is UnsupportedError, and ``pin_memory`` and the
    options of workers have no effect.  A `TensorDataset` is indexed once for each batch rather than for each sample.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        if num_workers != 0:
            raise UnsupportedError("DataLoader has no worker processes", expected="num_workers=0", actual=num_workers)
        _check_options(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.dataset = dataset
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.generator = generator
        self._streams = isinstance(dataset, IterableDataset)
        if batch_sampler is not None:
            batch_size, drop_last = None, False
        if sampler is None and not self._streams:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        batched = batch_size is not None or batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)

    def __iter__(self) -> Iterator[Any]:
        if self._streams:
            return self._stream()
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[index]) for index in self.sampler or ())
        if self.collate_fn is default_collate and _takes_lists(self.dataset):
            return (list(self.dataset[list(indices)]) for indices in self.batch_sampler)
        return (self.collate_fn([self.dataset[i] for i in indices]) for indices in self.batch_sampler)

    def _stream(self) -> Iterator[Any]:
        if self.batch_size is None:
            yield from map(self.collate_fn, self.dataset)
            return
        batch: list[Any] = []
        for sample in self.dataset:
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)

    def __len__(self) -> int:
        """The number of batches (of samples, without batching)."""
        if not self._streams:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        length = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)


def _check_options(
    dataset: Any, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if isinstance(dataset, IterableDataset) and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueRangeError(
            "an IterableDataset gives its samples in its own order", expected="no shuffle and no sampler"
        )
    if sampler is not None and shuffle:
        raise ValueRangeError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueRangeError(
            "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
        )
    if batch_size is None and drop_last:
        raise ValueRangeError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
