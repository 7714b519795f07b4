"""The door `jitorch.func`."""

from __future__ import annotations

import inspect

import pytest
import torch

import jitorch
from jitorch import func

MISSING = {"debug_unwrap", "functionalize", "rearrange", "replace_all_batch_norm_modules_"}
"""What PyTorch has besides: tools of its own implementation, a notation for axes, and a change of modules."""


def test_the_names_are_those_of_pytorch() -> None:
    theirs = {name for name in dir(torch.func) if not name.startswith("_") and callable(getattr(torch.func, name))}
    assert theirs - set(func.__all__) <= MISSING
    assert set(func.__all__) <= theirs
    assert jitorch.vmap is func.vmap


@pytest.mark.parametrize("name", func.__all__)
def test_parameters_are_those_of_pytorch(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (func, torch.func))
    known = {n for n in theirs if not n.startswith("_")}
    assert known <= set(ours)
    for n in known:
        if theirs[n].default is not inspect.Parameter.empty:
            assert ours[n].default == theirs[n].default
