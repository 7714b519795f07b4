"""Each feature of the language, compiled whole, does what plain Python does: values, types and gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch
from tests.frontend.control import features_of_calls
from tests.frontend.control.features import FEATURES

MORE = features_of_calls.__name__  # importing it registers its features


def argument(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return jitorch.tensor(value, dtype=jitorch.float64, requires_grad=True)


def tensors(value: Any) -> list[Any]:
    if isinstance(value, jitorch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors(v)] if isinstance(value, (list, tuple)) else []


def play(function: Callable[..., Any], call: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    arguments = [argument(copy.deepcopy(v)) for v in call]
    result = function(*arguments)
    losses = [t.sin().sum() for t in tensors(result) if t.requires_grad]
    if losses:
        sum(losses).backward()
    return result, [a.grad for a in arguments if isinstance(a, jitorch.Tensor)]


def check_equal(got: Any, want: Any) -> None:
    if isinstance(want, jitorch.Tensor):
        assert got.dtype is want.dtype
        assert got.shape == want.shape
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-9, atol=1e-12)
        return
    assert type(got) is type(want)
    if isinstance(want, dict):
        assert list(got) == list(want)
        got, want = list(got.values()), list(want.values())
    if isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        for a, b in zip(got, want):
            check_equal(a, b)
    elif isinstance(want, float):
        assert got == pytest.approx(want, rel=1e-12)
    else:
        assert got == want


def check_gradient(got: Any, want: Any) -> None:
    # A result may require grad on one path only; compiled it always does, with a gradient of zero.
    if want is None or got is None:
        present = got if want is None else want
        assert present is None or not np.any(present.numpy())
        return
    check_equal(got, want)


@pytest.mark.parametrize("name", FEATURES)
def test_feature(name: str) -> None:
    function, calls = FEATURES[name]
    compiled = jitorch.jit(function, fullgraph=True)
    for call in (*calls, *calls):
        got, got_gradients = play(compiled, call)
        want, want_gradients = play(function, call)
        check_equal(got, want)
        for a, b in zip(got_gradients, want_gradients, strict=True):
            check_gradient(a, b)
    assert compiled.statistics.eager == 0
    text = compiled.explain()
    assert "runs eagerly" not in text
    assert "not run by the backend asked for" not in text
