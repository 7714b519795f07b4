"""Few long rows: folded in chunks, then the chunks' states in order."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.dims import symbol
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.rows.joined import LONG
from jitorch.lower.rows.long import CHUNK
from jitorch.ops import OPS
from tests.lower.graphs import assert_lowers, execute
from tests.samples import trace_types

RNG = np.random.default_rng(0)
LENGTH = LONG + 1


@pytest.mark.parametrize("op", ["reduce_sum", "reduce_max", "reduce_min", "reduce_argmax", "reduce_argmin"])
def test_a_long_row_takes_two_steps(op: str) -> None:
    text = f"graph @main(%x: i64[{LENGTH}]) {{ %0: i64[] = {op}(%x, axes=(0,)) return %0 }}"
    lowered = assert_lowers(text, RNG.integers(-9, 9, LENGTH))
    assert [kernel.name for kernel in lowered.kernels] == [f"{op}_1_chunks", f"{op}_1"]


def test_several_reductions_of_one_domain_share_the_steps() -> None:
    text = f"""graph @main(%x: i64[3, {LENGTH}]) {{
      %0: i64[3] = reduce_sum(%x, axes=(1,))
      %1: i64[3] = reduce_argmax(%x, axes=(1,))
      %2: i64[3] = add(%0, %1)
      return %2
    }}"""
    assert len(assert_lowers(text, RNG.integers(-9, 9, (3, LENGTH))).kernels) == 2


def test_the_first_of_equals_and_the_first_nan_are_found_across_chunks() -> None:
    text = f"graph @main(%x: f32[{LENGTH}]) {{ %0: i64[] = reduce_argmax(%x, axes=(0,)) return %0 }}"
    x = np.zeros(LENGTH, np.float32)
    assert_lowers(text, x)
    x[CHUNK + 5] = x[3 * CHUNK + 1] = 2
    assert_lowers(text, x)
    x[2 * CHUNK + 7] = x[3 * CHUNK + 7] = np.nan
    assert_lowers(text, x)


def test_a_symbolic_length_may_be_any() -> None:
    n = symbol("N")
    graph = trace_types(lambda x: OPS["reduce_sum"](x, axes=(0,)), [TensorType(dtypes.int64, (n,))])
    lowered = program(graph)
    for length in (0, 1, CHUNK, CHUNK + 1, 3 * CHUNK):
        x = RNG.integers(-9, 9, length)
        (actual,) = execute(lowered, [x], [x.sum()], [length])
        np.testing.assert_array_equal(actual, x.sum())


def test_a_short_row_takes_one() -> None:
    text = "graph @main(%x: i64[100]) { %0: i64[] = reduce_sum(%x, axes=(0,)) return %0 }"
    assert len(assert_lowers(text, RNG.integers(-9, 9, 100)).kernels) == 1
