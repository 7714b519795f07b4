"""Memory: temporaries in one arena."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.kernel_text import parse_program
from jitorch.lower import program
from jitorch.lower.memory.arena import ALIGNMENT, plan_memory
from tests.lower.graphs import execute, parse

PIPELINE = """
kernel @step(x: f32*, y: f32*, n: i64) {{ for i in parallel(n) {{ y[i] = x[i] + 1.0 }} }}
program @main {{
  input x: f32* of {n}
  output y: f32* of {n}
  scalar n: i64
  alloc a: f32* of {n}
  alloc b: f32* of {n}
  alloc c: f32* of {n}
  launch @step(x, a, n)
  launch @step(a, b, n)
  launch @step(b, c, n)
  launch @step(c, y, n)
}}"""


@pytest.mark.parametrize(("n", "arena"), [("20", "256"), ("n", None)])
def test_memory_is_reused_when_its_last_reader_is_done(n: str, arena: str | None) -> None:
    planned = plan_memory(parse_program(PIPELINE.format(n=n)))
    places = {s.buffer.name: s.offset for s in planned.body if isinstance(s, host.Place)}
    assert set(places) == {"a", "b", "c"}
    if arena is not None:
        assert str(planned.arena) == arena
        assert places["a"] == places["c"] != places["b"]
    else:
        assert [str(e) for e in places.values()] == [
            "0", "(n * 4 + 63) // 64 * 64", "(n * 4 + 63) // 64 * 64 + (n * 4 + 63) // 64 * 64",
        ]  # fmt: skip
    x = np.zeros(20, np.float32)
    np.testing.assert_array_equal(execute(planned, [x], [x], [20])[0], x + 4)


def test_places_are_aligned() -> None:
    planned = plan_memory(parse_program(PIPELINE.format(n="5")))
    offsets = [s.offset.value for s in planned.body if isinstance(s, host.Place) and isinstance(s.offset, k.Const)]
    assert len(offsets) == 3
    assert all(isinstance(o, int) and o % ALIGNMENT == 0 for o in offsets)


def test_a_program_without_temporaries_has_an_empty_arena() -> None:
    lowered = program(parse("graph @main(%x: f32[5]) { %0: f32[5] = neg(%x) return %0 }"))
    assert lowered.arena == k.const(0)
