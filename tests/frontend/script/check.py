"""Run a scripted function beside the Python that it was made from."""

from __future__ import annotations

import copy
import enum
from typing import Any

import numpy as np

import jitorch as torch
from jitorch.frontend.script.ops import SCRIPT_OPS
from jitorch.ir.graph import Graph


def same(actual: Any, expected: Any, where: str = "result", rtol: float = 2e-6) -> None:
    """Assert that two results are equal: structure, types of Python values, tensors within a few ulp."""
    if isinstance(expected, torch.Tensor):
        assert isinstance(actual, torch.Tensor), where
        assert actual.dtype is expected.dtype and actual.shape == expected.shape, where
        np.testing.assert_allclose(actual.detach().numpy(), expected.detach().numpy(), rtol=rtol, atol=rtol / 2)
        return
    assert type(actual) is type(expected), (where, actual, expected)
    if isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for key in expected:
            same(actual[key], expected[key], f"{where}[{key!r}]", rtol)
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), where
        for i, (a, b) in enumerate(zip(actual, expected)):
            same(a, b, f"{where}[{i}]", rtol)
    elif hasattr(expected, "__dict__") and not isinstance(expected, enum.Enum):
        same(vars(actual), vars(expected), where, rtol)
    else:
        assert actual == expected or (actual != actual and expected != expected), (where, actual, expected)


def tensors_of(value: Any) -> list[torch.Tensor]:
    """The tensors of a result through which gradients flow, in order."""
    if isinstance(value, torch.Tensor):
        return [value] if value.requires_grad else []
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in tensors_of(item)]
    if isinstance(value, dict):
        return tensors_of(list(value.values()))
    is_object = hasattr(value, "__dict__") and not isinstance(value, enum.Enum)
    return tensors_of(list(vars(value).values())) if is_object else []


def differentiated(function: Any, args: tuple[Any, ...], others: list[Any]) -> tuple[Any, list[Any]]:
    """What ``function`` gives, and the gradients of all that it gives to ``others`` and the tensors in ``args``."""
    result = function(*args)
    leaves = [t for t in (*tensors_of(args), *others) if t.is_leaf]
    outputs = tensors_of(result)
    weighted = [(t * torch.arange(1.0, t.numel() + 1).reshape(t.shape).to(t.dtype)).sum() for t in outputs]
    return result, list(torch.autograd.grad(weighted, leaves, allow_unused=True)) if outputs else []


def compare_native(thing: Any, *calls: tuple[Any, ...]) -> Any:
    """Script a function or module as one native program, and compare values and gradients; the scripted one."""
    scripted = torch.jit.script(copy.deepcopy(thing), fullgraph=True)
    module = isinstance(thing, torch.nn.Module)
    for args in calls:
        mine, theirs = copy.deepcopy(args), copy.deepcopy(args)
        expected, wanted = differentiated(thing, theirs, list(thing.parameters()) if module else [])
        found, gradients = differentiated(scripted, mine, list(scripted.parameters()) if module else [])
        same(found, expected)
        # A gradient adds up contributions, in another order.
        same(gradients, wanted, "gradients", rtol=2e-5)
        same(mine, theirs, "arguments")
    explained = scripted.explain()
    assert ", 0 eager" in explained.splitlines()[0], explained
    assert "runs eagerly" not in explained and "called from Python" not in explained, explained
    return scripted


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
