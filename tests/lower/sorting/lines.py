"""Lines to sort: numbers of which some are equal, zeros of both signs, NaN; and a graph of one op compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitorch.builder import graph_of
from jitorch.dtypes import DType, from_numpy
from jitorch.ir.types import TensorType
from tests.samples import compile_graph

DTYPES = ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def elements(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Elements of all magnitudes, half of them of a few values."""
    dtype = np.dtype(name)
    few = rng.integers(0, 4, shape)
    if dtype.kind == "b":
        return few > 1
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        wide = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
        return np.where(rng.random(shape) < 0.5, wide, few.astype(dtype))
    wide = rng.normal(size=shape) * 10.0 ** rng.integers(-6, 4, shape)
    special = rng.choice([np.nan, -np.nan, 0.0, -0.0, np.inf, -np.inf, 1.0, -1.0], shape)
    return np.where(rng.random(shape) < 0.5, wide, special).astype(dtype)


def order_of(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """The stable order, element by element; NaN is greatest."""

    def order(row: np.ndarray) -> list[int]:
        if descending:
            return sorted(range(len(row)), key=lambda i: (row[i] == row[i], 0 if row[i] != row[i] else -row[i]))
        return sorted(range(len(row)), key=lambda i: (bool(row[i] != row[i]), 0 if row[i] != row[i] else row[i]))

    moved = np.moveaxis(x.astype(object) if x.dtype.kind in "iub" else x, axis, -1)
    found = np.zeros(moved.shape, np.int64)
    for place in np.ndindex(moved.shape[:-1]):
        found[place] = order([int(v) for v in moved[place]] if x.dtype.kind in "iub" else moved[place])
    return np.moveaxis(found, -1, axis)


def compiled(function: Callable[..., Any], *arrays: np.ndarray, backend: str = "cpu") -> Any:
    """What ``function`` of tensors like ``arrays`` gives; all of it must be the backend's own."""
    types = [TensorType(dtype(a), a.shape) for a in arrays]
    made = compile_graph(graph_of(function, types), backend)
    assert not made.reasons
    return made.run(list(arrays))[0]


def dtype(array: np.ndarray) -> DType:
    return from_numpy(array.dtype)
