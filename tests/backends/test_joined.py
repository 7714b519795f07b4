"""A host plan binds sizes between the programs of its regions."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch.backends.joined import Binding, Joined
from jitorch.dims import symbol

X = np.array([3.0, -1.0, 2.0, -2.0, 1.0])


@pytest.mark.parametrize("count", [0, 3])
def test_a_ramp_that_is_read_counts(count: int) -> None:
    table, sizes = [np.asarray(count), None], {}
    Binding(0, 1, symbol("n", computed=True)).bind(table, sizes)
    assert table[1].tolist() == list(range(count)) and sizes == {"n": count}


def test_a_ramp_that_is_not_read_has_a_size_only() -> None:
    table, sizes = [np.asarray(4), None], {}
    Binding(0, 1, symbol("n", computed=True), read=False).bind(table, sizes)
    assert table[1].shape == (4,) and sizes == {"n": 4}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x[x > 0], [3.0, 2.0, 1.0]),
        (lambda x: jitorch.arange(x[x > 0].shape[0]), [0, 1, 2]),
        (lambda x: x[x > 0][x[x > 0] > 1], [3.0, 2.0]),
        (lambda x: jitorch.zeros(x[x > 0].shape[0]) + x.max(), [3.0] * 3),
    ],
)
def test_results_of_bound_sizes(function, expected) -> None:
    jitted = jitorch.jit(function, fullgraph=True)
    assert jitted(jitorch.tensor(X)).tolist() == expected
    assert jitted(-jitorch.tensor(X)).tolist() == function(-jitorch.tensor(X)).tolist()
    (program,) = [c for entry in jitted.entries for c in entry.function.compiled]
    assert isinstance(program.executable, Joined) and program.executable.binds
