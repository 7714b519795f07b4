"""Datasets, samplers and the loader that makes batches of them."""

from jitorch.utils.data.collate import default_collate as default_collate, default_convert as default_convert
from jitorch.utils.data.dataloader import DataLoader as DataLoader
from jitorch.utils.data.dataset import (
    ConcatDataset as ConcatDataset,
    Dataset as Dataset,
    IterableDataset as IterableDataset,
    Subset as Subset,
    TensorDataset as TensorDataset,
    random_split as random_split,
)
from jitorch.utils.data.sampler import (
    BatchSampler as BatchSampler,
    RandomSampler as RandomSampler,
    Sampler as Sampler,
    SequentialSampler as SequentialSampler,
    SubsetRandomSampler as SubsetRandomSampler,
    WeightedRandomSampler as WeightedRandomSampler,
)
