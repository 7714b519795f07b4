"""Memory: results computed in place of the inputs they replace, and temporaries in one arena."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.interpret import interpret
from jitorch.ir.kernel_text import parse_kernel, parse_program
from jitorch.ir.program import Program
from jitorch.lower import program
from jitorch.lower.memory import ALIGNMENT, plan_memory, rename_buffer, reuse_written
from tests.lower.graphs import execute, parse

W = np.arange(5, dtype=np.float32)


def count(lowered: Program, kind: Any) -> int:
    return sum(isinstance(s, kind) for s in lowered.body)


def assert_writes(text: str, copies: int, *arrays: np.ndarray) -> Program:
    """The graph writes its inputs as it says, with so many copies at the end."""
    graph = parse(text)
    expected = interpret(graph.copy(), [a.copy() for a in arrays])
    written = {o: i for i, o in graph.writes}
    given = [a.copy() for a in arrays]
    lowered = program(graph)
    outputs = iter(execute(lowered, given, [e for o, e in enumerate(expected) if o not in written]))
    for o, want in enumerate(expected):
        np.testing.assert_array_equal(given[written[o]] if o in written else next(outputs), want)
    assert count(lowered, host.Copy) == copies
    return lowered


def test_an_update_happens_in_place() -> None:
    text = "graph @main(%w: f32[5], %g: f32[5]) writes (0: 0) { %0: f32[5] = sub(%w, %g) return %0 }"
    lowered = assert_writes(text, 0, W, W * 2)
    assert lowered.kernels[0].params == lowered.inputs
    assert lowered.outputs == ()


def test_an_input_read_at_another_place_is_not_overwritten_early() -> None:
    text = "graph @main(%w: f32[5]) writes (0: 0) { %0: f32[5] = flip_axes(%w, axes=(0,)) return %0 }"
    assert_writes(text, 1, W)


def test_an_input_read_later_is_not_overwritten_early() -> None:
    text = """graph @main(%w: f32[5]) writes (0: 0) {
      %0: f32[5] = neg(%w)
      %1: f32[] = reduce_sum(%w, axes=(0,))
      return %0, %1
    }"""
    assert_writes(text, 1, W)


def test_an_input_read_again_in_the_same_kernel_is_not_overwritten_early() -> None:
    text = """graph @main<N: 1..>(%w: f32[N, 1]) writes (0: 0) {
      %0: f32[N, 1] = neg(%w)
      %1: f32[N, 1] = slice_axes(%w, starts=(0, 0), stops=(N, 1), steps=(1, 1))
      %2: f32[N, 1] = add(%w, %1)
      return %0, %2
    }"""
    (kernel,) = program(parse(text)).kernels
    stores = [i for i, s in enumerate(k.walk(kernel)) if isinstance(s, k.Store)]
    reads = [i for i, e in enumerate(k.walk(kernel)) if isinstance(e, k.Load)]
    assert len(stores) == 2
    assert max(reads) < min(stores)


def test_an_output_may_be_an_input_as_it_was() -> None:
    text = "graph @main(%w: f32[5]) writes (0: 0) { %0: f32[5] = neg(%w) return %0, %w }"
    assert_writes(text, 2, W)


def test_one_value_may_be_written_and_returned() -> None:
    text = "graph @main(%w: f32[5]) writes (0: 0) { %0: f32[5] = neg(%w) return %0, %0 }"
    assert_writes(text, 1, W)


def test_an_input_that_keeps_its_value_needs_nothing() -> None:
    assert_writes("graph @main(%w: f32[5]) writes (0: 0) { return %w }", 0, W)


def test_two_inputs_change_together() -> None:
    text = """graph @main(%a: f32[5], %b: f32[5]) writes (0: 0, 1: 1) {
      %0: f32[5] = add(%a, %b)
      %1: f32[5] = sub(%a, %b)
      return %0, %1
    }"""
    assert_writes(text, 0, W, W * 3)


def test_inputs_exchange_their_contents() -> None:
    text = "graph @main(%a: f32[5], %b: f32[5]) writes (0: 0, 1: 1) { return %b, %a }"
    assert_writes(text, 3, W, W * 3)


def test_a_chain_of_inputs_moves_on() -> None:
    text = "graph @main(%a: f32[5], %b: f32[5], %c: f32[5]) writes (0: 0, 1: 1) { return %b, %c }"
    assert_writes(text, 2, W, W * 3, W * 5)


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


def test_a_buffer_in_place_of_another() -> None:
    kernel = parse_kernel(
        "kernel @f(x: f32*, y: f32*, n: i64) { for i in serial(n) {"
        "  if i > 0 { y[i] = x[i] + y[i - 1] } else { y[i] = x[i] } } }"
    )
    x, y = kernel.buffers
    renamed = rename_buffer(kernel, y, x)
    assert k.verify(renamed).params == (x, k.Var("n"))
    a, b = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    both = parse_program(f"{kernel}\nprogram @p {{ input x: f32* of 4 output y: f32* of 4 launch @f(x, y, 4) }}")
    assert execute(both, [a], [b])[0].tolist() == [0, 1, 3, 6]


def test_nothing_is_reused_where_no_copy_ends_the_program() -> None:
    before = parse_program(PIPELINE.format(n="20"))
    assert reuse_written(before.body, frozenset(before.inputs)) == list(before.body)
