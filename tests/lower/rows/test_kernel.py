"""Kernels of rows: the loops, where results are stored, parallel rows."""

from __future__ import annotations

import numpy as np

from jitorch.ir import kernel as k
from tests.lower.graphs import assert_lowers

RNG = np.random.default_rng(0)


def test_two_reductions_and_a_map_share_the_first_loop() -> None:
    text = """graph @main(%x: f32[5, 6]) {
      %0: f32[5, 6] = exp(%x)
      %1: f32[5] = reduce_sum(%x, axes=(1,))
      %2: f32[5] = reduce_sum(%0, axes=(1,))
      return %0, %1, %2
    }"""
    (kernel,) = assert_lowers(text, RNG.normal(size=(5, 6)).astype(np.float32)).kernels
    loops = [(s.kind, str(s.extent)) for s in k.walk(kernel) if isinstance(s, k.For)]
    assert loops == [("parallel", "5"), ("serial", "6")]
    assert sum(isinstance(e, k.Call) and e.fn == "exp" for e in k.walk(kernel)) == 1


def test_rows_of_several_axes_are_one_loop_where_nothing_is_divided() -> None:
    text = """graph @main(%x: f32[2, 3, 6], %m: f32[3, 6]) {
      %0: f32[2, 3, 6] = broadcast_to(%m, shape=(2, 3, 6))
      %1: f32[2, 3, 6] = add(%x, %0)
      %2: f32[2, 3] = reduce_max(%1, axes=(2,))
      return %2
    }"""
    arrays = [RNG.normal(size=shape).astype(np.float32) for shape in ((2, 3, 6), (3, 6))]
    (kernel,) = assert_lowers(text, *arrays).kernels
    columns = {s.var for s in k.walk(kernel) if isinstance(s, k.For) and s.var.name.startswith("j")}
    divided = [e for e in k.walk(kernel) if isinstance(e, k.Call) and e.fn in ("floordiv", "mod")]
    assert columns
    assert not any(part in columns for e in divided for part in k.walk(e))


def test_a_domain_without_rows_has_no_loop_over_them() -> None:
    text = """graph @main(%x: f32[6]) {
      %0: f32[] = reduce_sum(%x, axes=(0,))
      %1: f32[1] = reshape_to(%0, shape=(1,))
      %2: f32[6] = broadcast_to(%1, shape=(6,))
      %3: f32[6] = sub(%x, %2)
      return %3
    }"""
    (kernel,) = assert_lowers(text, RNG.normal(size=6).astype(np.float32)).kernels
    assert [s.kind for s in k.walk(kernel) if isinstance(s, k.For)] == ["serial", "serial"]
