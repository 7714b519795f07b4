"""The interpreter of kernels and programs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.errors import CompilerBug
from jitorch.ir import scalars
from jitorch.ir.kernel import Kernel, verify
from jitorch.ir.kernel_interpret import program_interpret, run
from jitorch.ir.kernel_text import parse_kernel, parse_program
from tests.ir.random_kernels import REAL, arguments, runnable


def kernel(text: str) -> Kernel:
    return verify(parse_kernel(text))


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_elementwise() -> None:
    x, y = f32(1, 2, 3), np.zeros(3, np.float32)
    run(kernel("kernel @f(x: f32*, y: f32*, n: i64) { for i in parallel(n) { y[i] = exp(x[i]) * 2.0 } }"), [x, y, 3])
    np.testing.assert_array_equal(y, np.exp(x) * np.float32(2))


@pytest.mark.parametrize("how", ["prefetch", "prefetch written"])
def test_a_prefetch_changes_nothing(how: str) -> None:
    text = f"kernel @f(x: f32*, y: f32*) {{ for i in serial(2) {{ {how} x[i + 7] y[i] = x[i] }} }}"
    x, y = f32(1, 2), np.zeros(2, np.float32)
    made = kernel(text)
    assert parse_kernel(str(made)) == made
    run(made, [x, y])
    np.testing.assert_array_equal(y, x)


def test_a_prefetch_of_a_buffer_that_is_not_there_is_found() -> None:
    made = kernel("kernel @f(x: f32*, y: f32*) { prefetch x[0] y[0] = 1.0 }")
    with pytest.raises(CompilerBug, match="prefetch of unknown buffer x"):
        verify(replace(made, params=made.params[1:]))


def test_scalar_parameters_take_their_dtype() -> None:
    y = np.zeros(1, np.uint8)
    run(kernel("kernel @f(y: u8*, s: u8) { y[0] = s + u8(250) }"), [y, 10])
    assert y[0] == 4


def test_reduction_keeps_its_order() -> None:
    x, y = f32(1e8, 1, -1e8, 1), np.zeros(1, np.float32)
    text = "kernel @f(x: f32*, y: f32*) { var s: f32 = 0.0 for k in serial(4) { s = s + x[k] } y[0] = s }"
    run(kernel(text), [x, y])
    assert y[0] == ((np.float32(1e8) + np.float32(1)) - np.float32(1e8)) + np.float32(1)


@pytest.mark.parametrize("kind", ["serial", "parallel", "vector", "unroll", "block", "thread"])
def test_every_kind_of_loop(kind: str) -> None:
    y = np.zeros(4, np.int64)
    run(kernel(f"kernel @f(y: i64*) {{ for i in {kind}(4) {{ y[i] = i * i }} }}"), [y])
    assert y.tolist() == [0, 1, 4, 9]


REVERSE = """
kernel @reverse(x: f32*, y: f32*) {{
  shared t: f32[4]
  for b in block(2) {{
    for i in thread(4) {{
      t[i] = x[b * 4 + i]
      {barrier}
      y[b * 4 + i] = t[3 - i]
    }}
  }}
}}"""


def test_barrier_lets_threads_exchange() -> None:
    x, y = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    run(kernel(REVERSE.format(barrier="barrier")), [x, y])
    assert y.tolist() == [3, 2, 1, 0, 7, 6, 5, 4]


def test_missing_barrier_is_found() -> None:
    x, y = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    with pytest.raises(CompilerBug, match="never written"):
        run(kernel(REVERSE.format(barrier="")), [x, y])


def test_barriers_join_all_nested_threads() -> None:
    # A rotation along the outer thread loop needs the threads of every inner loop.
    text = """
    kernel @f(x: i64*, y: i64*) {
      shared t: i64[6]
      for i in thread(2) {
        for j in thread(3) {
          for k in serial(2) {
            t[i * 3 + j] = x[i * 3 + j] + k
            barrier
            y[k * 6 + i * 3 + j] = t[(1 - i) * 3 + j]
            barrier
          }
        }
      }
    }"""
    x, y = np.arange(6), np.zeros(12, np.int64)
    run(kernel(text), [x, y])
    assert y.tolist() == [3, 4, 5, 0, 1, 2, 4, 5, 6, 1, 2, 3]


def test_divergent_barrier_is_found() -> None:
    text = "kernel @f(y: i64*) { for i in thread(2) { if i < 1 { barrier } y[i] = i } }"
    with pytest.raises(CompilerBug, match="only some threads"):
        run(kernel(text), [np.zeros(2, np.int64)])


def test_shared_memory_ends_with_its_block() -> None:
    text = """
    kernel @f(y: i64*) {
      shared t: i64[1]
      for b in block(2) { for i in thread(1) { if b < 1 { t[0] = 7 } y[b] = t[0] } }
    }"""
    with pytest.raises(CompilerBug, match=r"t\[0\] is read, but was never written"):
        run(kernel(text), [np.zeros(2, np.int64)])


def test_local_memory_belongs_to_its_iteration() -> None:
    text = """
    kernel @f(y: i64*) {
      local r: i64[1]
      for i in parallel(2) { if i < 1 { r[0] = 7 } y[i] = r[0] }
    }"""
    with pytest.raises(CompilerBug, match="never written"):
        run(kernel(text), [np.zeros(2, np.int64)])


def test_a_scalar_of_another_thread_cannot_be_assigned() -> None:
    text = "kernel @f(y: i64*) { var s: i64 = 0 for i in parallel(3) { s = s + i } y[0] = s }"
    with pytest.raises(CompilerBug, match="do not own"):
        run(kernel(text), [np.zeros(1, np.int64)])


@pytest.mark.parametrize("index", ["n", "-1", "1000"])
def test_out_of_bounds(index: str) -> None:
    y = np.zeros(3, np.int64)
    with pytest.raises(CompilerBug, match="out of bounds"):
        run(kernel(f"kernel @f(y: i64*, n: i64) {{ y[{index}] = 0 }}"), [y, 3])
    with pytest.raises(CompilerBug, match="out of bounds"):
        run(kernel(f"kernel @f(y: i64*, n: i64) {{ y[0] = where(n < {index}, y[{index}], 0) }}"), [y, 3])


def test_wrong_arguments() -> None:
    f = kernel("kernel @f(y: i64*) { y[0] = 1 }")
    with pytest.raises(CompilerBug, match="takes 1 arguments"):
        run(f, [])
    with pytest.raises(CompilerBug, match="argument y"):
        run(f, [np.zeros(1, np.int32)])
    with pytest.raises(CompilerBug, match="argument y"):
        run(f, [np.zeros((4, 4), np.int64).T[1:]])


@given(runnable(REAL, frozenset(scalars.TABLE)), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_random_kernels_run_and_are_deterministic(kernel: Kernel, seed: int) -> None:
    first, second = arguments(kernel, seed), arguments(kernel, seed)
    run(kernel, first)
    run(kernel, second)
    for a, b in zip(first, second, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_values_are_those_of_the_table() -> None:
    x, y = np.array([5, -5, 7, 0], np.int8), np.array([3, 3, -2, 0], np.int8)
    for fn in ("floordiv", "mod", "fmod", "shl", "shr", "pow", "maximum"):
        out = np.zeros(4, np.int8)
        run(
            kernel(f"kernel @f(x: i8*, y: i8*, o: i8*) {{ for i in serial(4) {{ o[i] = {fn}(x[i], y[i]) }} }}"),
            [x, y, out],
        )
        np.testing.assert_array_equal(out, scalars.TABLE[fn].numpy(x, y))


ADD = "kernel @add(x: f32*, y: f32*, z: f32*, n: i64) { for i in parallel(n) { z[i] = x[i] + y[i] } }"
HEAD = """program @p {
  input x: f32* of n
  output y: f32* of n
  scalar n: i64
"""


def program_run(body: str, n: int = 3, head: str = HEAD) -> np.ndarray:
    y = np.zeros(n, np.float32)
    assert program_interpret(parse_program(f"{ADD}\n{head}{body}\n}}"), [np.arange(n, dtype=np.float32)], [y], [n]) == 0
    return y


def test_program() -> None:
    y = program_run(
        """
        alloc t: f32* of n
        copy t = x of n
        launch @add(x, t, y, n)
        free t
        """
    )
    assert y.tolist() == [0, 2, 4]


def test_program_control_flow() -> None:
    y = program_run(
        """
        alloc t: f32* of n
        copy y = x of n
        let i: i64 = 0
        loop {
          let go: bool = i < 3
          while go
          copy t = y of n
          launch @add(x, t, y, n)
          let i: i64 = i + 1
        }
        free t
        if n > 100 { copy y = x of n } else { return }
        copy y = x of n
        """
    )
    assert y.tolist() == [0, 4, 8]


def test_a_view_that_moves() -> None:
    y = program_run(
        """
        let i: i64 = 0
        view two: f32* of 1 in x at 2
        view v: f32* of 1 in x at 1
        loop {
          while i < n
          view row: f32* of 1 in y at i
          launch @add(v, two, row, 1)
          view v: f32* of 1 in row at 0
          let i: i64 = i + 1
        }
        copy y = v of 1
        """
    )
    assert y.tolist() == [7, 5, 7]


PARALLEL = """
kernel @put(y: f32*, i: i64) {{ y[i] = 1.0 }}
kernel @move(x: f32*, y: f32*, i: i64, j: i64) {{ y[j] = x[i] }}
{head}
  let step: i64 = 5
  view v: f32* of 1 in x at 0
  for s in parallel(n) {{
    let step: i64 = 1
    view v: f32* of 1 in x at step
    {body}
  }}
  {after}
}}"""


def parallel_run(body: str, after: str = "") -> list[float]:
    y = np.zeros(3, np.float32)
    text = PARALLEL.format(head=HEAD, body=body, after=after)
    program_interpret(parse_program(text), [np.arange(3, dtype=np.float32)], [y], [3])
    return y.tolist()


def test_a_parallel_statement() -> None:
    assert parallel_run("launch @move(x, y, 2 - s, s)") == [2, 1, 0]
    assert parallel_run("launch @put(y, s)", "launch @move(v, y, 0, step) launch @put(y, 0)") == [1, 1, 1]
    assert parallel_run("launch @move(v, y, 0, s)", "launch @move(x, y, 0, 1)") == [1, 0, 1]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("launch @put(y, s // 2)", "is touched by run 1 of a parallel statement and written by another"),
        ("launch @move(y, x, 0, s) launch @put(y, s)", "y[0] is touched by run 1"),
        ("launch @move(y, x, (s + 1) % 3, s) launch @put(y, s)", "y[1] is written by run 1"),
        ("view w: f32* of 2 in y at 1 launch @move(w, x, s // 2, s) launch @put(y, s)", "y[1] is written by run 1"),
    ],
)
def test_runs_that_meet(body: str, what: str) -> None:
    with pytest.raises(CompilerBug) as caught:
        parallel_run(body)
    assert what in caught.value.what


def test_host_scalars_read_buffers() -> None:
    assert program_run("let m: i64 = cast(x[2], i64) copy y = x of m").tolist() == [0, 1, 0]


def test_memory_is_undefined_until_written() -> None:
    with pytest.raises(CompilerBug, match="never written"):
        program_run("alloc t: f32* of n launch @add(x, t, y, n) free t")


def test_places_that_overlap_lose_their_contents() -> None:
    head = f"{HEAD} arena 24\n"
    with pytest.raises(CompilerBug, match=r"t\[2\] is read, but was never written or has been overwritten"):
        program_run(
            """
            place t: f32* of n at 0
            place u: f32* of n at 8
            copy t = x of n
            copy u = x of n
            launch @add(t, u, y, n)
            """,
            head=head,
        )
    assert program_run("place t: f32* of n at 8 copy t = x of n launch @add(x, t, y, n)", head=head).tolist() == [
        0,
        2,
        4,
    ]


@pytest.mark.parametrize("offset", [2, 16, -4])
def test_place_outside_of_the_arena(offset: int) -> None:
    with pytest.raises(CompilerBug, match="place of t"):
        program_run(f"place t: f32* of n at {offset}", head=f"{HEAD} arena 24\n")


def test_status() -> None:
    text = """
    kernel @check(code: i32*, n: i64) { if n > 2 { code[0] = i32(5) } }
    program @p { scalar n: i64 status code: i32* of 1 launch @check(code, n) }
    """
    program = parse_program(text)
    assert [program_interpret(program, [], [], [n]) for n in (1, 3)] == [0, 5]


def test_wrong_program_arguments() -> None:
    program = parse_program(f"{ADD}\n{HEAD} copy y = x of n }}")
    with pytest.raises(CompilerBug, match="wrong number"):
        program_interpret(program, [], [], [3])
    with pytest.raises(CompilerBug, match="size of x"):
        program_interpret(program, [f32(1)], [f32(1, 2, 3)], [3])


def test_dtypes_stay_narrow() -> None:
    half = np.array([1.0, 2.0], dtypes.bfloat16.numpy)
    out = np.zeros(2, dtypes.bfloat16.numpy)
    run(kernel("kernel @f(x: bf16*, y: bf16*) { for i in serial(2) { y[i] = x[i] + bf16(0.00390625) } }"), [half, out])
    np.testing.assert_array_equal(out, half + dtypes.bfloat16.numpy.type(0.00390625))
