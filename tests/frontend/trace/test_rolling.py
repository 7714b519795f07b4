"""Which loops become one scan, and that it reads rows and stacks results in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch

WEIGHTS = [0.1 * i for i in range(20)]


def by_index(x, h):
    for t in range(x.shape[0]):
        h = (h * 0.5 + x[t]).tanh() + x[t].sin()
    return h


def by_row(x, h):
    for row in x:
        h = (h * 0.5 + row).tanh() + row.sin()
    return h


def stacked(x, h):
    rows = []
    for t in range(len(x)):
        h = (h * 0.5 + x[t]).tanh() + h * 0.1
        rows.append(h * 2)
    return jitorch.stack(rows), h


def by_step(x, h):
    for i in range(19, -1, -1):
        h = (h * 0.5 + x[i]).tanh() + i * 0.01
    return h


def reads_what_it_appends(x, h):
    rows = [h]
    for t in range(20):
        rows.append((rows[-1] * 0.5 + x[t]).tanh())
    return rows[-1], len(rows)


def numbers_of_a_list(x, h):
    for i in range(20):
        h = (h * WEIGHTS[i] + x[i]).tanh()
    return h


def too_short(x, h):
    for i in range(3):
        h = (h * 0.5 + x[i]).tanh()
    return h


@pytest.mark.parametrize(
    ("function", "rolled"),
    [
        (by_index, True), (by_row, True), (stacked, True), (by_step, True),
        (reads_what_it_appends, False), (numbers_of_a_list, False), (too_short, False),
    ],
)  # fmt: skip
def test_rolling(function: Callable[..., Any], rolled: bool) -> None:
    compiled = jitorch.jit(function, fullgraph=True)
    x = jitorch.arange(60, dtype=jitorch.float64).reshape(20, 3) / 60
    results = []
    for f in (compiled, function):
        h, rows = jitorch.ones(3, dtype=jitorch.float64, requires_grad=True), x.clone().requires_grad_()
        found = f(rows, h)
        first = found[0] if isinstance(found, tuple) else found
        first.sum().backward()
        results.append([first.detach(), h.grad, rows.grad])
    for a, b in zip(*results):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9)
    scans = [n for n in compiled.graph.nodes if n.op.name == "scan"]
    assert len(scans) == rolled


def test_rows_are_read_and_stacked_in_place() -> None:
    compiled = jitorch.jit(stacked, fullgraph=True)
    compiled(jitorch.ones(20, 3), jitorch.ones(3))
    (scan,) = [n for n in compiled.graph.nodes if n.op.name == "scan"]
    assert scan.attrs["length"] == 20
    assert [str(v.type) for v in scan.outputs if v.type.shape[:1] == (20,)] == ["f32[20, 3]"]
    assert any(v is compiled.graph.inputs[0] for v in scan.inputs)
