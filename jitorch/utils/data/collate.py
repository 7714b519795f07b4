"""Putting samples together into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import jitorch
from jitorch.errors import ArgumentError, ShapeError
from jitorch.tensor import Tensor


def default_convert(data: Any) -> Any:
    """NumPy arrays within ``data`` become tensors; the rest stays."""
    if isinstance(data, Tensor | str | bytes):
        return data
    if isinstance(data, np.ndarray | np.generic):
        return data if data.dtype.kind in "SUO" else jitorch.as_tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence):
        return [default_convert(value) for value in data]
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """One batch from a list of samples that are alike.

    Tensors and NumPy arrays are stacked along a new axis 0; numbers become a tensor (Python floats float64, ints
    int64); strings stay as they are; of dicts, named tuples and sequences each part is collated by itself.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return jitorch.stack(list(batch))
    if isinstance(first, np.ndarray | np.generic):
        if first.dtype.kind in "SUO":
            raise _refusal(first.dtype)
        return jitorch.stack([jitorch.as_tensor(sample) for sample in batch])
    if isinstance(first, float):
        return jitorch.tensor(batch, dtype=jitorch.float64)
    if isinstance(first, int):
        return jitorch.tensor(batch)
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, Sequence):
        return _collate_sequences(batch, first)
    raise _refusal(type(first))


def _collate_sequences(batch: Sequence[Any], first: Sequence[Any]) -> Any:
    if any(len(sample) != len(first) for sample in batch):
        raise ShapeError(
            "each element in list of batch should be of equal size",
            expected=len(first),
            actual=sorted({len(sample) for sample in batch}),
        )
    parts = [default_collate(part) for part in zip(*batch, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else parts


def _refusal(found: Any) -> ArgumentError:
    return ArgumentError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists",
        actual=found,
        hint="pass a collate_fn to the DataLoader",
    )
