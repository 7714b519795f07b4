"""Folding: the place of an extremum is found by two loops with one accumulator each."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ir import kernel as k
from tests.lower.graphs import assert_lowers

TEXT = "graph @main(%x: {dtype}[3, 9]) {{ %0: i64[3] = {op}(%x, axes=(1,)) return %0 }}"


@pytest.mark.parametrize("op", ["reduce_argmax", "reduce_argmin"])
def test_the_first_of_equals_wins(op: str) -> None:
    x = np.array([[0, 5, 5, -5, -5, 0, 0, 0, 0], [7] * 9, range(9)])
    (kernel,) = assert_lowers(TEXT.format(dtype="i64", op=op), x).kernels
    found = [s for s in k.walk(kernel) if isinstance(s, k.For) and s.kind == "serial"]
    assert len(found) == 2
    assert all(e.reassociate for e in k.walk(kernel) if isinstance(e, k.Call) and e.fn in ("maximum", "minimum"))


@pytest.mark.parametrize("op", ["reduce_argmax", "reduce_argmin"])
def test_the_first_nan_wins_over_all(op: str) -> None:
    x = np.zeros((3, 9), np.float32)
    x[0, 3] = x[0, 5] = np.nan
    x[1] = np.inf
    x[2] = -np.inf
    assert_lowers(TEXT.format(dtype="f32", op=op), x)
