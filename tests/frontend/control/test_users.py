"""Loops as users write them: each is one program, and gives what plain Python and PyTorch give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

import jitorch
from tests.frontend.control.users import DIFFERENTIABLE, OTHERS, gru

Maker = Callable[[Any], Any]


def arguments(shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    rng = np.random.default_rng(len(shapes))
    return [rng.normal(size=shape).astype(np.float32) * 0.5 for shape in shapes]


def arrays(results: Any) -> list[np.ndarray]:
    """What a function gave, one array after the other."""
    results = results if isinstance(results, (list, tuple)) else [results]
    return [np.asarray(r.detach().numpy() if hasattr(r, "detach") else r) for r in results]


@pytest.mark.parametrize("maker", [*DIFFERENTIABLE, *OTHERS])
def test_a_loop_is_one_program(maker: Maker) -> None:
    function, shapes = maker(jitorch)
    compiled = jitorch.jit(function, fullgraph=True)
    given = arguments(shapes)
    got = arrays(compiled(*map(jitorch.tensor, given)))
    for expected in (function(*map(jitorch.tensor, given)), maker(torch)[0](*map(torch.tensor, given))):
        for a, b in zip(got, arrays(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    assert compiled.statistics.native == 1


@pytest.mark.parametrize("maker", DIFFERENTIABLE)
def test_its_gradients(maker: Maker) -> None:
    gradients = []
    for package in (jitorch, torch):
        function, shapes = maker(package)
        tensors = [package.tensor(a).requires_grad_() for a in arguments(shapes)]
        run = jitorch.jit(function, fullgraph=True) if package is jitorch else function
        results = run(*tensors)
        first = results[0] if isinstance(results, tuple) else results
        first.sum().backward()
        gradients.append([np.asarray(t.grad) if t.grad is not None else None for t in tensors])
    for got, want in zip(*gradients, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_bits_do_not_depend_on_threads() -> None:
    """Products of all steps, packed weights and gates computed by the tasks of their product."""
    function, _ = gru(jitorch)
    shapes = [(20, 8, 64), (8, 128), (384, 64), (384, 128), (384,), (384,)]
    tensors = [jitorch.tensor(a * 0.2) for a in arguments(shapes)]
    compiled = jitorch.jit(function, fullgraph=True)
    before, results = jitorch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            jitorch.set_num_threads(threads)
            results.append(arrays(compiled(*tensors)))
    finally:
        jitorch.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(results[0], arrays(function(*tensors)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
