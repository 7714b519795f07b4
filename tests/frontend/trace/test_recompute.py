"""Checkpoints of the tape, by what their frames do; what they give is tested in `tests/utils/test_checkpoint.py`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.frontend.trace.recompute import ForgetfulNode, Forgetting, Frame, checkpoint
from jitorch.ops import dispatch


def leaf() -> Any:
    return jitorch.tensor([1.0, 2.0], dtype=jitorch.float64, requires_grad=True)


def test_a_frame_runs_once_for_all_of_its_nodes() -> None:
    calls: list[int] = []

    def function(x: Any) -> Any:
        calls.append(1)
        return (x.exp() * x).sin()

    x = leaf()
    frame = Frame(function, (x,), {}, dispatch.current().inner, nullcontext(), True)
    with dispatch.interpreting(Forgetting(frame)):
        y = function(x)
    assert isinstance(y.grad_fn, ForgetfulNode)
    assert len(frame.ops) == 3
    assert frame.nodes == []
    y.sum().backward()
    assert len(calls) == 2
    assert frame.nodes == []  # given back when the last node was done
    expected = leaf()
    (expected.exp() * expected).sin().sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), expected.grad.numpy())


@pytest.mark.parametrize("preserve", [True, False])
def test_random_state_is_taken_back_only_if_asked_for(preserve: bool) -> None:
    drawn: list[Any] = []

    def function(x: Any) -> Any:
        noise = jitorch.rand(2, dtype=jitorch.float64)
        drawn.append(noise.tolist())
        return x * noise

    checkpoint(function, leaf(), preserve_rng_state=preserve).sum().backward()
    assert (drawn[0] == drawn[1]) is preserve


def test_hooks_and_retained_gradients_work_on_results() -> None:
    x = leaf()
    y = checkpoint(lambda x: x * x, x)
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.retain_grad()
    (y * 3).sum().backward()
    assert seen == [[3.0, 3.0]]
    assert y.grad.tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [6.0, 12.0]
