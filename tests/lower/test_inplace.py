"""In place: results computed in the memory of what they replace."""

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
from jitorch.lower.inplace import SMALLEST, rename_buffer, reuse_operands, reuse_written_inputs
from jitorch.lower.memory import plan_memory
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


def test_many_updates_happen_in_place() -> None:
    text = """graph @main(%a: f32[5], %b: f32[5], %c: f32[5], %g: f32[5]) writes (0: 0, 1: 1, 2: 2) {
      %0: f32[5] = sub(%a, %g)
      %1: f32[5] = sub(%b, %0)
      %2: f32[5] = reduce_sum(%1, axes=())
      %3: f32[5] = sub(%c, %2)
      return %0, %1, %3
    }"""
    assert_writes(text, 0, W, W * 3, W * 5, W * 7)


def test_inputs_exchange_their_contents() -> None:
    text = "graph @main(%a: f32[5], %b: f32[5]) writes (0: 0, 1: 1) { return %b, %a }"
    assert_writes(text, 3, W, W * 3)


def test_a_chain_of_inputs_moves_on() -> None:
    text = "graph @main(%a: f32[5], %b: f32[5], %c: f32[5]) writes (0: 0, 1: 1) { return %b, %c }"
    assert_writes(text, 2, W, W * 3, W * 5)


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
    before = parse_program(CHAIN.format(n=20))
    assert reuse_written_inputs(before) == before


CHAIN = """
kernel @first(x: f32*, a: f32*) {{ for i in parallel({n}) {{ a[i] = x[i] + 1.0 }} }}
kernel @second(a: f32*, b: f32*) {{ for i in parallel({n}) {{ b[i] = a[i] * 2.0 }} }}
kernel @third(b: f32*, y: f32*) {{ for i in parallel({n}) {{ y[i] = b[{n} - 1 - i] }} }}
program @main {{
  input x: f32* of {n}
  output y: f32* of {n}
  alloc a: f32* of {n}
  alloc b: f32* of {n}
  launch @first(x, a)
  launch @second(a, b)
  launch @third(b, y)
}}"""
LARGE = SMALLEST // 4


def run_chain(lowered: Program, size: int) -> None:
    x = np.arange(size, dtype=np.float32)
    np.testing.assert_array_equal(execute(plan_memory(lowered), [x.copy()], [x])[0], ((x + 1) * 2)[::-1])


def test_a_temporary_takes_the_place_of_an_operand_that_dies() -> None:
    lowered = reuse_operands(parse_program(CHAIN.format(n=LARGE)), {"first", "second", "third"})
    assert count(lowered, host.Alloc) == 1
    assert [len(kernel.params) for kernel in lowered.kernels] == [2, 1, 2]
    run_chain(lowered, LARGE)


def test_a_result_lends_its_memory_to_an_operand_that_dies() -> None:
    text = CHAIN.format(n=LARGE).replace(f"b[{LARGE} - 1 - i]", "b[i]")
    lowered = reuse_operands(parse_program(text), {"first", "second", "third"})
    assert count(lowered, host.Alloc) == 0
    x = np.arange(LARGE, dtype=np.float32)
    np.testing.assert_array_equal(execute(plan_memory(lowered), [x.copy()], [x])[0], (x + 1) * 2)


def test_an_operand_that_is_read_later_keeps_its_memory() -> None:
    text = CHAIN.format(n=LARGE)
    text = text.replace("launch @third", "launch @second(a, b)\n  launch @third").replace(
        "launch @second(a, b)\n", "", 1
    )
    lowered = reuse_operands(parse_program(text), {"third"})
    assert count(lowered, host.Alloc) == 2


@pytest.mark.parametrize(("size", "once"), [(LARGE, {"first", "third"}), (20, {"first", "second", "third"})])
def test_small_temporaries_and_kernels_that_may_store_twice_are_left_alone(size: int, once: set[str]) -> None:
    before = parse_program(CHAIN.format(n=size))
    assert reuse_operands(before, once) == before
