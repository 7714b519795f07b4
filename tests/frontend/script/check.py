"""Run a scripted function beside the Python that it was made from."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

import jitorch as torch
from jitorch.frontend.script.ops import SCRIPT_OPS
from jitorch.ir.graph import Graph


def same(actual: Any, expected: Any, where: str = "result") -> None:
    """Assert that two results are equal: structure, types of Python values, tensors within a few ulp."""
    if isinstance(expected, torch.Tensor):
        assert isinstance(actual, torch.Tensor), where
        assert actual.dtype is expected.dtype and actual.shape == expected.shape, where
        np.testing.assert_allclose(actual.detach().numpy(), expected.detach().numpy(), rtol=2e-6, atol=1e-6)
        return
    assert type(actual) is type(expected), (where, actual, expected)
    if isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for key in expected:
            same(actual[key], expected[key], f"{where}[{key!r}]")
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), where
        for i, (a, b) in enumerate(zip(actual, expected)):
            same(a, b, f"{where}[{i}]")
    elif hasattr(expected, "__dict__") and not hasattr(expected, "_member_map_"):
        same(vars(actual), vars(expected), where)
    else:
        assert actual == expected or (actual != actual and expected != expected), (where, actual, expected)


def compare(function: Any, *calls: tuple[Any, ...]) -> Any:
    """Script ``function`` and call both with each tuple of arguments, twice; the scripted function."""
    scripted = torch.jit.script(function)
    assert str(Graph.parse(str(scripted.graph), SCRIPT_OPS)) == str(scripted.graph)
    for args in calls:
        for _ in range(2):
            mine, theirs = copy.deepcopy(args), copy.deepcopy(args)
            try:
                expected = function(*theirs)
            except Exception as error:  # noqa: BLE001 - any exception must be the script's, too
                try:
                    scripted(*mine)
                except type(error) as raised:
                    # pytest says more about assertions of test modules, with addresses.
                    assert str(error).partition("\n")[0] == str(raised).partition("\n")[0]
                    continue
                raise AssertionError(f"no {type(error).__name__}") from error
            same(scripted(*mine), expected)
            same(mine, theirs, "arguments")
    return scripted
