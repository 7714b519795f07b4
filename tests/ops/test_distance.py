"""Distances of all pairs of rows: by a product or by differences, and what their gradients are."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jitorch
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.distance import MANY_ROWS, MODES
from tests.ops.oracle import agree, array

SHAPES = [((5, 3), (4, 3)), ((MANY_ROWS, 7), (4, 7)), ((2, 40, 7), (2, 3, 7)), ((3, 1, 40, 5), (2, 27, 5))]


@pytest.mark.parametrize("shapes", [*SHAPES, ((4, 0), (30, 0)), ((0, 3), (30, 3))])
@pytest.mark.parametrize("p", [0, 1.0, 2.0, 3.0, math.inf])
def test_agrees_with_pytorch(shapes, p):
    x, y = array(*shapes[0]), array(*shapes[1], seed=1)
    agree(lambda lib, x, y: [lib.cdist(x, y, p, mode) for mode in MODES], x, y)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("shapes", SHAPES)
def test_gradients(shapes, p):
    def gradients(lib, x, y, weight):
        leaves = x.clone().requires_grad_(), y.clone().requires_grad_()
        (lib.cdist(*leaves, p) * weight).sum().backward()
        return [leaf.grad for leaf in leaves]

    x, y = array(*shapes[0]), array(*shapes[1], seed=1)
    weight = array(*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-2], seed=2)
    agree(gradients, x, y, weight)


@pytest.mark.parametrize(
    ("rows", "mode", "expected"),
    [(MANY_ROWS - 1, 0, False), (MANY_ROWS, 0, True), (MANY_ROWS - 1, 1, True), (MANY_ROWS, 2, False)],
)
def test_a_product_is_taken_where_pytorch_takes_one(rows, mode, expected):
    trace = jitorch.jit(lambda x, y: jitorch.cdist(x, y, 2.0, MODES[mode]))
    trace(jitorch.ones(rows, 3), jitorch.ones(2, 3))
    assert ("matmul" in str(trace.graph)) is expected


def test_a_row_is_at_no_distance_from_itself_and_has_no_gradient_there():
    x = jitorch.tensor(np.full((30, 3), 2.0), requires_grad=True)
    distances = jitorch.cdist(x, x)
    distances.sum().backward()
    assert distances.abs().max().item() == 0 and x.grad.abs().max().item() == 0


def test_errors():
    x = jitorch.ones(3, 4)
    with pytest.raises(ShapeError, match="two axes"):
        jitorch.cdist(x[0], x)
    with pytest.raises(ShapeError, match="differ"):
        jitorch.cdist(x, x[:, :2])
    with pytest.raises(ValueRangeError, match="negative"):
        jitorch.cdist(x, x, p=-1.0)
    with pytest.raises(ValueRangeError, match="compute_mode"):
        jitorch.cdist(x, x, compute_mode="fast")
