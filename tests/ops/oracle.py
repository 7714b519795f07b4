"""The same call in PyTorch and here: values, dtypes, shapes and structure must agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import jitorch


def array(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Normal values, rounded for integers."""
    values = np.random.default_rng(seed).normal(size=shape) * 3
    return np.asarray(values.round() if "int" in dtype else values).astype(dtype)


def lift(lib: Any, value: Any) -> Any:
    """Arrays as tensors of ``lib``, at any depth."""
    if isinstance(value, np.ndarray):
        return lib.from_numpy(value.copy())
    if isinstance(value, (list, tuple)):
        return type(value)(lift(lib, v) for v in value)
    return value


def agree(call: Callable[..., Any], *arrays: Any) -> None:
    """``call(lib, *tensors)`` gives the same with either library."""
    compare(call(jitorch, *lift(jitorch, arrays)), call(torch, *lift(torch, arrays)))


def compare(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, jitorch.Tensor), type(ours)
        assert str(ours.dtype).removeprefix("jitorch.") == str(theirs.dtype).removeprefix("torch.")
        assert tuple(ours.shape) == tuple(theirs.shape)
        wide = (ours.double(), theirs.double()) if theirs.dtype == torch.bfloat16 else (ours, theirs)
        np.testing.assert_allclose(
            wide[0].detach().numpy(), wide[1].detach().numpy(), rtol=1e-6, atol=1e-7, equal_nan=True
        )
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            compare(a, b)
    else:
        assert ours == theirs
