"""Reuse: results computed in place of the inputs they replace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jitorch.compiler import compile_graph
from jitorch.errors import TensorIndexError
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.interpret import interpret
from jitorch.ir.kernel_text import parse_kernel, parse_program
from jitorch.ir.program import Program
from jitorch.ir.program_verify import verify_program
from jitorch.lower import program
from jitorch.lower.memory.arena import plan_memory
from jitorch.lower.memory.reuse import SMALLEST, rename_buffers, reuse_operands, reuse_written
from tests.lower.graphs import execute, parse

W = np.arange(5, dtype=np.float32)


def reused(program: host.Program) -> host.Program:
    """``program`` with its write-backs in place."""
    return replace(program, body=tuple(reuse_written(program.body, frozenset(program.inputs))))


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
    renamed = rename_buffers(kernel, {y: x})
    assert k.verify(renamed).params == (x, k.Var("n"))
    a, b = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    both = parse_program(f"{kernel}\nprogram @p {{ input x: f32* of 4 output y: f32* of 4 launch @f(x, y, 4) }}")
    assert execute(both, [a], [b])[0].tolist() == [0, 1, 3, 6]


@pytest.mark.parametrize(("loops", "place", "copies"), [
    ("i in serial(4)", "i", 0), ("i in serial(4)", "t", 0), ("i in serial(8)", "minimum(i, 3)", 1),
    ("again in serial(2) { for i in serial(4)", "i", 1), ("one in serial(1) { for i in serial(4)", "i", 0),
])  # fmt: skip
def test_what_is_stored_more_than_once_is_not_read_in_place(loops: str, place: str, copies: int) -> None:
    end = "}" * loops.count("for") + "}"
    before = parse_program(
        f"kernel @f(x: f32*, y: f32*) {{ for {loops} {{ let t: i64 = i y[{place}] = x[{place}] + 1.0 {end} }}"
        "program @main { input x: f32* of 4 alloc y: f32* of 4 launch @f(x, y) copy x = y of 4 }"
    )
    assert count(reused(before), host.Copy) == copies


def test_nothing_is_reused_where_no_copy_ends_the_program() -> None:
    before = parse_program(
        "kernel @step(x: f32*, y: f32*) { for i in parallel(4) { y[i] = x[i] + 1.0 } }"
        "program @main { input x: f32* of 4 output y: f32* of 4 alloc a: f32* of 4"
        "  launch @step(x, a) launch @step(a, y) }"
    )
    assert reused(before) == before


@pytest.mark.parametrize(("rows", "columns"), [(19, 23), (7, 40), (64, 17), (3, 5)])
def test_tiles_that_overlap_do_not_update_twice(rows: int, columns: int) -> None:
    text = f"""graph @main(%w: f32[{rows}, {columns}], %x: f32[{rows}, 24], %y: f32[24, {columns}]) writes (0: 0) {{
      %0: f32[{rows}, {columns}] = matmul_batched(%x, %y)
      %1: f32[{rows}, {columns}] = sub(%w, %0)
      return %1
    }}"""
    rng = np.random.default_rng(0)
    whole = (rng.integers(-9, 9, shape).astype(np.float32) for shape in ((rows, columns), (rows, 24), (24, columns)))
    graph, arrays = parse(text), list(whole)
    expected = arrays[0] - arrays[1] @ arrays[2]
    execute(program(graph), arrays, [])
    np.testing.assert_array_equal(arrays[0], expected)


def test_inputs_are_not_written_before_a_check_that_may_fail() -> None:
    text = (
        "kernel @step(x: f32*, y: f32*) {{ for i in parallel(4) {{ y[i] = x[i] + 1.0 }} }}"
        "program @main {{ input x: f32* of 4 scalar ok: bool status status: i32* of 1 alloc y: f32* of 4"
        "  {} launch @step(x, y) {} copy x = y of 4 }}"
    )
    check = "if ok { } else { stop 1 }"
    assert count(reused(parse_program(text.format(check, ""))), host.Copy) == 0
    assert count(reused(parse_program(text.format("", check))), host.Copy) == 1


def test_updates_that_are_alike_share_a_kernel_in_place() -> None:
    text = """graph @main(%a: f32[], %g: f32[], %b: f32[], %h: f32[]) writes (0: 0, 2: 1) {
      %0: f32[] = sub(%a, %g)
      %1: f32[] = sub(%b, %h)
      return %0, %1
    }"""
    lowered = assert_writes(text, 0, *(np.array(i, np.float32) for i in (2, 3, 5, 7)))
    assert count(lowered, host.Launch) == 2
    assert len(lowered.kernels) == 1


def test_a_kernel_that_is_also_launched_with_two_buffers_keeps_its_name() -> None:
    lowered = reused(
        parse_program(
            "kernel @step(x: f32*, y: f32*) { for i in parallel(4) { y[i] = x[i] + 1.0 } }"
            "program @main { input w: f32* of 4 input v: f32* of 4 input z: f32* of 4 output y: f32* of 4"
            "  alloc a: f32* of 4 alloc b: f32* of 4"
            "  launch @step(z, y) launch @step(w, a) launch @step(v, b) copy w = a of 4 copy v = b of 4 }"
        )
    )
    verify_program(lowered)
    assert [str(s) for s in lowered.body] == [
        "launch @step(z, y)",
        "launch @step_2_in_place(w)",
        "launch @step_2_in_place(v)",
    ]
    zeros = [np.zeros(4, np.float32) for _ in range(3)]
    np.testing.assert_array_equal(execute(lowered, zeros, [W[:4]])[0], 1)
    np.testing.assert_array_equal(zeros, [[1] * 4, [1] * 4, [0] * 4])


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
    lowered = reuse_operands(parse_program(CHAIN.format(n=LARGE)))
    assert count(lowered, host.Alloc) == 1
    assert [len(kernel.params) for kernel in lowered.kernels] == [2, 1, 2]
    run_chain(lowered, LARGE)


def test_a_result_lends_its_memory_to_an_operand_that_dies() -> None:
    text = CHAIN.format(n=LARGE).replace(f"b[{LARGE} - 1 - i]", "b[i]")
    lowered = reuse_operands(parse_program(text))
    assert count(lowered, host.Alloc) == 0
    x = np.arange(LARGE, dtype=np.float32)
    np.testing.assert_array_equal(execute(plan_memory(lowered), [x.copy()], [x])[0], (x + 1) * 2)


def test_an_operand_that_is_read_later_keeps_its_memory() -> None:
    text = CHAIN.format(n=LARGE)
    text = text.replace("launch @third(b, y)", "launch @third(b, y)\n  launch @third(a, y)")
    lowered = reuse_operands(parse_program(text))
    assert count(lowered, host.Alloc) == 2


def test_small_temporaries_are_left_alone() -> None:
    before = parse_program(CHAIN.format(n=20))
    assert reuse_operands(before) == before


def test_a_kernel_that_may_store_an_element_twice_needs_two_buffers() -> None:
    text = CHAIN.format(n=LARGE).replace("for i in parallel", "for again in serial(2) { for i in parallel", 2)
    text = text.replace("1.0 } }", "1.0 } } }").replace("2.0 } }", "2.0 } } }")
    before = parse_program(text)
    assert reuse_operands(before) == before


TABLE = """graph @main(%t: f32[5]) {{
  %0: int = number(value=0)
  %1: int, %2: f32[5] = while_loop(%0, %t, test=graph @test(%i: int, %x: f32[5]) {{
    %0: int = number(value=4)
    %1: bool = lt(%i, %0)
    return %1
  }}, body=graph @body(%i: int, %x: f32[5]) {{
    %0: i64[] = cast(%i, dtype=i64, number=False)
    {value}
    %3: f32[5] = put(%x, %0, %2, axis=0, accumulate=False)
    %4: int = number(value=1)
    %5: int = add(%i, %4)
    return %5, %3
  }}, constants=0)
  return %2
}}"""
ELEMENT = "%1: f32[] = take(%x, %0, axis=0)\n    %2: f32[] = exp(%1)"
TOTAL = "%1: f32[5] = neg(%x)\n    %2: f32[] = reduce_sum(%1, axes=(0,))"


@pytest.mark.parametrize("value", [ELEMENT, TOTAL], ids=["an element", "a total"])
def test_a_table_that_a_loop_carries_is_written_in_place(value: str) -> None:
    graph = parse(TABLE.format(value=value))
    lowered = program(graph)
    (loop,) = [s for s in host.walk(lowered.body) if isinstance(s, host.While)]
    assert not any(isinstance(s, host.Copy) for s in loop.body)
    (got,) = execute(lowered, [W.copy()], [W])
    np.testing.assert_allclose(got, interpret(graph.copy(), [W.copy()])[0], rtol=1e-6)


def test_an_input_is_not_half_written_where_an_index_may_be_wrong() -> None:
    text = """graph @main(%w: f32[5], %i: i64[2], %y: f32[2]) writes (0: 0) {
      %0: f32[5] = put(%w, %i, %y, axis=0, accumulate=False)
      return %0
    }"""
    # The index is checked first, then the elements are put where they belong.
    assert_writes(text, 0, W, np.array([1, 3]), W[:2])
    given = W.copy()
    with pytest.raises(TensorIndexError):
        compile_graph(parse(text), "cpu").run([given, np.array([1, 5]), W[:2]])
    np.testing.assert_array_equal(given, W)


def test_what_is_read_at_an_index_does_not_go_straight_into_an_input() -> None:
    text = """graph @main(%w: f32[2], %i: i64[2], %y: f32[5]) writes (0: 0) {
      %0: f32[2] = take(%y, %i, axis=0)
      return %0
    }"""
    assert_writes(text, 1, W[:2], np.array([1, 3]), W)
    given = W[:2].copy()
    with pytest.raises(TensorIndexError):
        compile_graph(parse(text), "cpu").run([given, np.array([1, 5]), W])
    np.testing.assert_array_equal(given, W[:2])


def test_an_input_is_written_after_the_last_check_of_an_index() -> None:
    text = """graph @main(%w: f32[5], %i: i64[2], %y: f32[2]) writes (0: 0) {
      %0: f32[5] = exp(%w)
      %1: f32[2] = take(%0, %i, axis=0)
      %2: f32[2] = mul(%1, %y)
      return %0, %2
    }"""
    given = W.copy()
    with pytest.raises(TensorIndexError):
        compile_graph(parse(text), "cpu").run([given, np.array([1, 5]), W[:2]])
    np.testing.assert_array_equal(given, W)


def test_a_copy_of_what_is_read_later_stays() -> None:
    text = """graph @main(%x: f32[5], %i: i64[2], %y: f32[2]) {
      %0: f32[5] = exp(%x)
      %1: f32[5] = put(%0, %i, %y, axis=0, accumulate=False)
      %2: f32[5] = flip_axes(%0, axes=(0,))
      %3: f32[5] = mul(%1, %2)
      %4: f32[] = reduce_sum(%3, axes=(0,))
      return %4, %1
    }"""
    graph = parse(text)
    arrays = [W, np.array([1, 3]), W[:2]]
    expected = interpret(graph.copy(), arrays)
    for got, want in zip(execute(program(graph), arrays, expected), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
