"""Maps that follow a recipe are computed where it stores its result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from jitorch.ir import kernel as k
from jitorch.ir.program import Alloc, Launch, Place, Program, Stmt, While, walk
from jitorch.lower import program
from tests.lower.graphs import assert_lowers, execute, parse

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def launches(lowered: Program) -> int:
    return sum(isinstance(s, Launch) for s in lowered.body)


def temporaries(lowered: Program) -> int:
    return sum(isinstance(s, (Alloc, Place)) for s in lowered.body)


HEAD = "graph @main(%x: f32[5, 7], %w: f32[7, 18], %b: f32[18], %r: f32[5, 18]) {{ {body} }}"
PRODUCT = "%0: f32[5, 18] = matmul_batched(%x, %w) "


def lower(body: str) -> Program:
    return assert_lowers(HEAD.format(body=PRODUCT + body), floats(5, 7), floats(7, 18), floats(18), floats(5, 18))


def test_bias_activation_and_residual() -> None:
    made = lower(
        """%1: f32[5, 18] = broadcast_to(%b, shape=(5, 18))
        %2: f32[5, 18] = add(%0, %1)
        %3: f32[5, 18] = tanh(%2)
        %4: f32[5, 18] = add(%3, %r)
        return %4"""
    )
    assert (launches(made), temporaries(made)) == (1, 0)


def test_several_results_and_the_product_itself() -> None:
    made = lower(
        """%1: f32[5, 18] = exp(%0)
        %2: f32[5, 18] = mul(%1, %r)
        return %0, %1, %2"""
    )
    assert (launches(made), temporaries(made)) == (1, 0)


def test_a_cast() -> None:
    made = lower("%1: f64[5, 18] = cast(%0, dtype=f64) return %1")
    assert (launches(made), temporaries(made)) == (1, 0)


@pytest.mark.parametrize(
    "body",
    [
        "%1: f32[18, 5] = transpose_axes(%0, perm=(1, 0)) %2: f32[18, 5] = exp(%1) return %2",
        "%1: f32[5, 18] = flip_axes(%0, axes=(1,)) %2: f32[5, 18] = mul(%1, %0) return %2",
    ],
)
def test_what_reads_at_another_index_stays_outside(body: str) -> None:
    assert launches(lower(body)) == 2


def test_a_product_waits_for_what_its_epilogue_reads() -> None:
    made = lower(
        """%1: f32[5] = reduce_sum(%r, axes=(1,))
        %2: f32[5, 1] = reshape_to(%1, shape=(5, 1))
        %3: f32[5, 18] = broadcast_to(%2, shape=(5, 18))
        %4: f32[5, 18] = mul(%0, %3)
        return %4, %1"""
    )
    assert (launches(made), temporaries(made)) == (2, 0)  # the factors are a result


def test_an_epilogue_of_another_shape() -> None:
    made = lower(
        """%1: f32[5, 1, 18] = reshape_to(%0, shape=(5, 1, 18))
        %2: f32[5, 1, 18] = broadcast_to(%b, shape=(5, 1, 18))
        %3: f32[5, 1, 18] = add(%1, %2)
        %4: f32[5, 1, 18] = tanh(%3)
        %5: f32[5, 18] = reshape_to(%4, shape=(5, 18))
        %6: f32[5, 18] = add(%5, %r)
        return %4, %6"""
    )
    assert (launches(made), temporaries(made)) == (1, 0)


@pytest.mark.parametrize(
    ("rows", "is_turned", "expected"),
    [(32, False, True), (8, False, True), (32, True, True), (8, True, False)],
    ids=["tall", "wide", "tall, of a transpose", "wide, of a transpose"],
)
def test_a_product_that_stores_across_its_result_has_no_epilogue_of_another_shape(
    rows: int, is_turned: bool, expected: bool
) -> None:
    shape = (16, 24) if is_turned else (24, 16)
    change = "transpose_axes(%w, perm=(1, 0))" if is_turned else "neg(%w)"
    text = f"""graph @main(%x: f32[{rows}, 24], %w: f32[{shape[0]}, {shape[1]}]) {{
      %t: f32[24, 16] = {change}
      %0: f32[{rows}, 16] = matmul_batched(%x, %t)
      %1: f32[2, {rows // 2}, 16] = reshape_to(%0, shape=(2, {rows // 2}, 16))
      %2: f32[2, {rows // 2}, 16] = tanh(%1)
      return %2
    }}"""
    kernels = assert_lowers(text, floats(rows, 24), floats(*shape)).kernels
    assert [kernel.name.startswith("matmul") for kernel in kernels if "tanh" in str(kernel)] == [expected]


def test_two_products_added() -> None:
    text = """graph @main(%x: f32[5, 7], %w: f32[7, 18], %y: f32[5, 3], %v: f32[3, 18]) {
      %0: f32[5, 18] = matmul_batched(%x, %w)
      %1: f32[5, 18] = matmul_batched(%y, %v)
      %2: f32[5, 18] = add(%0, %1)
      return %2
    }"""
    made = assert_lowers(text, floats(5, 7), floats(7, 18), floats(5, 3), floats(3, 18))
    assert (launches(made), temporaries(made)) == (2, 1)


def test_a_weight_is_updated_in_its_own_memory() -> None:
    text = """graph @main(%x: f32[5, 8], %g: f32[5, 32], %w: f32[8, 32]) writes (2: 0) {
      %0: f32[8, 5] = transpose_axes(%x, perm=(1, 0))
      %1: f32[8, 32] = matmul_batched(%0, %g)
      %2: f32[8, 32] = sub(%w, %1)
      return %2
    }"""
    made = program(parse(text))
    assert len(made.body) == 1
    x, g, w = floats(5, 8), floats(5, 32), floats(8, 32)
    expected = w - x.T @ g
    execute(made, [x, g, w], [])
    np.testing.assert_allclose(w, expected, rtol=1e-6, atol=1e-6)


CELL = """graph @main(%h: f32[{rows}, {width}], %x: f32[2, {rows}, {wide}], %w: f32[{width}, {wide}]) {{
  %0: f32[{rows}, {width}], %1: f32[2, {rows}, {width}] = scan(%h, %x, %w, body=graph @body(
      %h: f32[{rows}, {width}], %x: f32[{rows}, {wide}], %w: f32[{width}, {wide}]) {{
    %0: f32[{rows}, {wide}] = matmul_batched(%h, %w)
    %1: f32[{rows}, {wide}] = add(%0, %x)
    %2: f32[{rows}, {width}] = slice_axes(%1, starts=(0, 0), stops=({rows}, {width}), steps=(1, 1))
    %3: f32[{rows}, {width}] = slice_axes({source}, starts=(0, {start}), stops=({rows}, {stop}), steps=(1, 1))
    %4: f32[{rows}, {width}] = tanh(%2)
    %5: f32[{rows}, {width}] = mul(%4, %3)
    return %5, %3
  }}, carried=1, stacked=1, length=2, reverse=False)
  return %0, %1
}}"""


def cell(rows: int, width: int, source: str = "%1", offset: int = 0) -> str:
    """A recurrent step with two gates, the second from columns ``offset`` before its block."""
    start = width - offset
    return CELL.format(rows=rows, width=width, wide=2 * width, source=source, start=start, stop=start + width)


def launched(body: Sequence[Stmt]) -> list[Launch]:
    """What computes something."""
    return [s for s in body if isinstance(s, Launch) and not s.kernel.name.startswith("copy_to_")]


@pytest.mark.parametrize(
    ("text", "launches"),
    [
        (cell(8, 32), 1), (cell(3, 64, "%0"), 1), (cell(8, 48), 1), (cell(1, 32), 1),
        # Columns that no tile divides; blocks that are none.
        (cell(8, 13), 2), (cell(8, 32, offset=1), 2),
    ],
    ids=["two gates", "from the product itself", "three tiles", "one row", "no tiles", "no blocks"],
)  # fmt: skip
def test_gates_are_computed_by_the_tasks_of_their_product(text: str, launches: int) -> None:
    rng = np.random.default_rng(0)
    shapes = [v.type.shape for v in parse(text).inputs]
    lowered = assert_lowers(text, *(rng.normal(size=s).astype(np.float32) * 0.3 for s in shapes))
    (loop,) = [s for s in walk(lowered.body) if isinstance(s, While)]
    assert len(launched(loop.body)) == launches


def test_what_gates_read_besides_their_product_is_asked_for_while_it_is_computed() -> None:
    (loop,) = [s for s in walk(program(parse(cell(8, 32))).body) if isinstance(s, While)]
    (launch,) = launched(loop.body)
    asked = [s for s in k.parts(launch.kernel) if isinstance(s, k.Prefetch)]
    read = {e.buffer for e in k.parts(launch.kernel) if isinstance(e, k.Load)}
    assert asked
    assert all(s.buffer in read and not s.written for s in asked)


def test_an_operand_that_no_turn_changes_is_packed_before_the_loop() -> None:
    lowered = program(parse(cell(8, 32)))
    before = [s.kernel.name for s in lowered.body if isinstance(s, Launch)]
    assert any(name.endswith("_pack") for name in before)
