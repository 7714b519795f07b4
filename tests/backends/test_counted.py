"""Programs that count the sizes of their own results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.backends.counted import Counted
from jitorch.compiler import Compiled, compile_graph
from jitorch.frontend.jitted import Jitted

VALUES = jitorch.tensor([[3.0, -1.0, 2.0], [-5.0, 4.0, 1.0]])

FUNCTIONS: dict[str, Any] = {
    "elements": lambda x: x[x > 0],
    "rows": lambda x: x[x.sum(1) > 1],
    "columns": lambda x: x[:, x[0] > 0],
    "coordinates": lambda x: (x > 0).nonzero(),
    "twice": lambda x: x[x > 0][x[x > 0] > 2],
    "a computed size": lambda x: jitorch.cat([x[x > 0], x[x > 0], x[0]]),
    "and a number": lambda x: (x[x > 0], int((x > 0).sum())),
    "unique": lambda x: jitorch.unique(x > 0),
}


def program_of(jitted: Jitted) -> Compiled:
    (found,) = [c for entry in jitted.entries[:1] if entry.function is not None for c in entry.function.compiled]
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_program_gives_equal_results(name: str) -> None:
    jitted = jitorch.jit(FUNCTIONS[name], fullgraph=True)
    for factor in (1.0, 2.0, -1.0, 1.0):
        found, plain = jitted(VALUES * factor), FUNCTIONS[name](VALUES * factor)
        for a, b in zip(found, plain, strict=True) if isinstance(found, tuple) else [(found, plain)]:
            assert a == b if isinstance(b, int) else (a.equal(b) and a.type == b.type)
    assert isinstance(program_of(jitted).executable, Counted)


def test_the_program_comes_from_the_cache() -> None:
    jitted = jitorch.jit(FUNCTIONS["elements"], fullgraph=True)
    jitted(VALUES)
    again = compile_graph(jitted.graph)
    assert again.cached and isinstance(again.executable, Counted)
    (found,) = again.run([VALUES.numpy()])
    np.testing.assert_array_equal(found, [3, 2, 4, 1])


def test_gradients() -> None:
    def cost(x: Any) -> Any:
        return x[x > 0] ** 2

    jitted = jitorch.jit(cost, fullgraph=True)
    for factor in (1.0, -1.0):
        gradients = []
        for function in (jitted, cost):
            x = (VALUES * factor).requires_grad_()
            (g,) = jitorch.autograd.grad(function(x).sum(), x)
            gradients.append(g.numpy())
        np.testing.assert_array_equal(*gradients)
