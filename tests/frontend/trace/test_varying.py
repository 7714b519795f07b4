"""Branches and loops that compute the sizes of tensors: compiled, they are what plain Python is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.errors import StagingError

Tensor = jitorch.Tensor


def boxes_and_scores(seed: int, count: int = 12) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(size=(count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.2, 1, size=(count, 2))], 1)
    return jitorch.tensor(boxes), jitorch.tensor(rng.uniform(size=count))


def overlap(box: Tensor, others: Tensor) -> Tensor:
    low, high = jitorch.maximum(box[:2], others[:, :2]), jitorch.minimum(box[2:], others[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    return both / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - both)


# -- loops that make tensors shorter ---------------------------------------------------------------------------
def suppressed(boxes, scores):
    """Non-maximum suppression, as it is often written."""
    order = scores.argsort(descending=True)
    keep = []
    while order.numel() > 0:
        i = order[0]
        keep.append(i)
        if order.numel() == 1:
            break
        order = order[1:][overlap(boxes[i], boxes[order[1:]]) <= 0.3]
    return jitorch.stack(keep)


def suppressed_without_break(boxes, scores):
    order = scores.argsort(descending=True)
    keep = []
    while len(order):
        i, rest = order[0], order[1:]
        keep.append(i)
        order = rest[overlap(boxes[i], boxes[rest]) <= 0.3]
    return jitorch.stack(keep)


def above_the_mean(boxes, scores):
    rounds = 0
    while boxes.shape[0] > 2:
        kept = scores > scores.mean()
        boxes, scores = boxes[kept], scores[kept]
        rounds += 1
    return boxes * scores[:, None], rounds


def one_less(boxes, scores):
    total = scores.new_zeros(())
    while len(scores) > 2:
        scores = scores[1:]
        total = total + scores.sum() * boxes.sum()
    return total, scores


def unchanged_in_some(boxes, scores):
    step = 0
    while step < 4:
        if scores.sum() > 2:
            scores = scores[scores > 0.2 * step]
        step = step + 1
    return scores


def nothing_left(boxes, scores):
    while scores.shape[0] > 0:
        scores = scores[scores < scores.min()]
    return scores


# -- used up inside --------------------------------------------------------------------------------------------
def used_up_in_a_loop(boxes, scores):
    total, i = scores.new_zeros(()), 0
    while i < 5 and total < 100:
        total = total + boxes[boxes[:, 0] > i * 0.1].sum()
        i = i + 1
    return total


def used_up_in_a_scan(boxes, scores):
    total = scores.new_zeros(())
    for row in boxes.repeat(3, 1):
        total = total * 0.5 + row[row > 0.5].sum()
    return total


def used_up_in_a_branch(boxes, scores):
    if scores.sum() > 6:
        return boxes[scores > 0.3].sum()
    return scores[scores < 0.1].sum()


# -- results of branches ---------------------------------------------------------------------------------------
def one_of_two(boxes, scores):
    if scores.sum() > 6:
        return boxes[scores > 0.3]
    return boxes[scores < 0.1]


def filtered_or_not(boxes, scores):
    kept = boxes
    if scores.sum() > 6:
        kept = boxes[scores > 0.3]
    return kept @ boxes.T


def two_alike(boxes, scores):
    some = scores > 0.5
    if scores.sum() > 6:
        some = scores > 0.1
        a, b = boxes[some], scores[some]
    else:
        a, b = boxes[some], scores[some]
    return a * b[:, None]


def early_return(boxes, scores):
    if scores.max() < 0.95:
        return scores[scores < 0.2] * 2
    top = scores[scores > 0.5]
    return top.sort().values


def of_a_branch_in_a_branch(boxes, scores):
    if scores.sum() > 5:
        y = scores[scores > 0.2]
        if y.shape[0] > 8:
            y = y[y > 0.5]
    else:
        y = scores[scores < 0.3]
    return y.cumsum(0)


FUNCTIONS = [
    suppressed, suppressed_without_break, above_the_mean, one_less, unchanged_in_some, nothing_left,
    used_up_in_a_loop, used_up_in_a_scan, used_up_in_a_branch, one_of_two, filtered_or_not, two_alike, early_return,
    of_a_branch_in_a_branch,
]  # fmt: skip


def listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_as_plain_python(function: Callable[..., Any]) -> None:
    jitted = jitorch.jit(function, fullgraph=True)
    for seed in range(6):
        given = boxes_and_scores(seed)
        for found, expected in zip(listed(jitted(*given)), listed(function(*given)), strict=True):
            assert np.shape(found) == np.shape(expected)
            np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-10)
    assert jitted.statistics.traces == 1 and jitted.statistics.eager == 0, jitted.explain()


# -- gradients -------------------------------------------------------------------------------------------------
DIFFERENTIABLE = [used_up_in_a_loop, used_up_in_a_scan, used_up_in_a_branch, one_of_two, filtered_or_not, two_alike]


@pytest.mark.parametrize("function", DIFFERENTIABLE, ids=lambda f: f.__name__)
def test_gradients(function: Callable[..., Any]) -> None:
    for seed in range(4):
        gradients = []
        for f in (function, jitorch.jit(function, fullgraph=True)):
            args = [x.requires_grad_() for x in boxes_and_scores(seed)]
            (f(*args) ** 2).sum().backward()
            gradients.append([np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in args])
        for found, expected in zip(gradients[1], gradients[0], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


# -- refusals --------------------------------------------------------------------------------------------------
def grows(boxes, scores):
    while scores.sum() < 100:
        scores = jitorch.cat([scores, scores[scores > 0.5]])
    return scores


def collects(boxes, scores):
    parts, i = [], 0
    while i < scores.sum():
        parts.append(scores[scores > i * 0.1])
        i = i + 1
    return parts


def writes(boxes, scores):
    while len(scores) > 2:
        scores[0] = 1.0
        scores = scores[scores > scores.min()]
    return scores


def two_axes(boxes, scores):
    if scores.sum() > 6:
        return boxes[scores > 0.3][:, scores[:4] > 0.2]
    return boxes


REFUSED = {
    grows: "the size of the variable 'scores' is computed inside of a branch or loop",
    collects: "a list of tensors whose sizes the iterations of a loop compute",
    writes: "a write",
}


@pytest.mark.parametrize("function", REFUSED, ids=lambda f: f.__name__)
def test_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(StagingError, match=REFUSED[function]):
        jitorch.jit(function, fullgraph=True)(*boxes_and_scores(0))


def test_sides_that_differ_in_two_sizes_are_kept_apart() -> None:
    jitted = jitorch.jit(two_axes, fullgraph=True)
    for seed in range(4):
        given = boxes_and_scores(seed)
        assert jitted(*given).tolist() == two_axes(*given).tolist()


def test_a_gradient_of_what_a_loop_makes_shorter_is_refused() -> None:
    boxes, scores = boxes_and_scores(0)
    with pytest.raises(StagingError, match="a tensor with a gradient that a loop makes shorter"):
        jitorch.jit(above_the_mean, fullgraph=True)(boxes, scores.requires_grad_())


def test_what_is_refused_runs_as_plain_python() -> None:
    given = boxes_and_scores(0)
    with pytest.warns(RuntimeWarning, match="runs eagerly"):
        found = jitorch.jit(grows)(*given)
    assert found.shape == grows(*given).shape
