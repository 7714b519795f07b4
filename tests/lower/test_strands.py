"""Strands: loops are cut where each part keeps to its own memory, and only there; results stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch.ir import program as host
from jitorch.ir.kernel_text import parse_program
from jitorch.ir.program import Program
from jitorch.ir.program_verify import verify_program
from jitorch.lower import program
from jitorch.lower import strands as strands_of
from jitorch.lower.strands import cut_into_strands
from tests.lower.graphs import execute, parse

# A step of 8 rows of 64: y = f(x) by rows, then the state is y.
STEP = """
kernel @step(x: f32*, y: f32*) {{
  for i in parallel(8) {{
    for j in serial(64) {{
      y[i * 64 + j] = x[{read}] * 0.5 + 1.0
    }}
  }}
}}
program @main {{
  input x: f32* of 512
  output y: f32* of {size}
  view previous: f32* of 512 in x at 0
  let step: i64 = 0
  loop {{
    while step < 3
    view row: f32* of {row} in y at {at}
    launch @step(previous, row)
    view previous: f32* of {row} in row at 0
    let step: i64 = step + 1
  }}
  {after}
}}"""


@pytest.fixture(autouse=True)
def _short_turns_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strands_of, "LEAST_OPERATIONS", 1000)


def step(
    read: str = "i * 64 + j", size: int = 3 * 512, row: str = "512", at: str = "step * 512", after: str = ""
) -> Program:
    return parse_program(STEP.format(read=read, size=size, row=row, at=at, after=after))


def strands(made: Program) -> int:
    """Into how many strands the one loop of a program was cut."""
    found = [s for s in host.walk(made.body) if isinstance(s, host.Parallel)]
    return int(found[0].extent.value) if found else 1  # type: ignore[attr-defined]


def test_a_loop_of_rows() -> None:
    made = verify_program(cut_into_strands(step(), {}))
    assert made.host_text() == (
        "program @main {\n"
        "  input x: f32* of 512\n"
        "  output y: f32* of 1536\n"
        "  view previous: f32* of 512 in x at 0\n"
        "  let step: i64 = 0\n"
        "  for strand in parallel(2) {\n"
        "    view previous: f32* of 512 in x at 0\n"
        "    let step: i64 = 0\n"
        "    loop {\n"
        "      while step < 3\n"
        "      view row: f32* of 512 in y at step * 512\n"
        "      launch @step_strand(previous, row, strand)\n"
        "      view previous: f32* of 512 in row at 0\n"
        "      let step: i64 = step + 1\n"
        "    }\n"
        "  }\n"
        "}"
    )
    (kernel,) = made.kernels
    assert str(kernel.body[0]).startswith("for i_own in serial(4) {\n  let i: i64 = strand * 4 + i_own\n")


@pytest.mark.parametrize(
    ("read", "is_cut"),
    [
        ("i * 64 + j", True),
        # The other way round in its own row; a neighbour that is in the same half; what stays below a number.
        ("i * 64 + (63 - j)", True),
        ("i // 2 * 128 + j", True),
        ("i * 64 + minimum(j + 7, 63)", True),
        ("i * 64 + (j + 100) % 64", True),
        ("i * 64 + j % 7 * 9 + j // 8", True),
        # The neighbour's row, the next element, all rows.
        ("(i + 1) % 8 * 64 + j", False),
        ("minimum(i * 64 + j + 1, 511)", False),
        ("j * 8 + i", False),
    ],
)
def test_what_a_part_reads_decides(read: str, is_cut: bool) -> None:
    whole = step(read)
    made = verify_program(cut_into_strands(whole, {}))
    assert (strands(made) > 1) == is_cut
    x = np.random.default_rng(0).normal(size=512).astype(np.float32)
    y = np.zeros(3 * 512, np.float32)
    for got, expected in zip(execute(made, [x], [y]), execute(whole, [x], [y]), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "changed",
    [
        # Rows that overlap; rows of a size that is not known; rows that begin anywhere.
        step(at="step * 256"),
        step(row="512 + step", at="0"),
        step(at="step * 512 + 1", size=3 * 512 + 1),
    ],
    ids=["overlapping", "growing", "shifted"],
)
def test_rows_that_are_no_whole_rows(changed: Program) -> None:
    assert strands(cut_into_strands(changed, {})) == 1


LOOPS = {
    "a total of the state": """
      launch @total(s, t)
      launch @scale(s, t)""",
    "an element decides": """
      let first: f32 = s[0]
      launch @square(s)""",
    "a row that an element chooses": """
      view part: f32* of 512 in s at cast(t[0], i64) * 512
      launch @square(part)""",
    "an element is an operand": "launch @by(s, s[0])",
    "little to do": "launch @few(s)",
    "it may fail": "launch @checked(s, status)",
}


@pytest.mark.parametrize("turn", LOOPS.values(), ids=LOOPS.keys())
def test_loops_that_stay_whole(turn: str) -> None:
    text = f"""
    kernel @total(s: f32*, t: f32*) {{
      for i in parallel(16) {{ for j in serial(64) {{ t[i] = t[i] + s[j] }} }}
    }}
    kernel @scale(s: f32*, t: f32*) {{ for i in parallel(512) {{ s[i] = s[i] / t[i // 256] }} }}
    kernel @square(s: f32*) {{ for i in parallel(512) {{ s[i] = s[i] * s[i] }} }}
    kernel @by(s: f32*, factor: f32) {{ for i in parallel(512) {{ s[i] = s[i] * factor * factor }} }}
    kernel @few(s: f32*) {{ for i in parallel(64) {{ s[i] = s[i] * s[i] }} }}
    kernel @checked(s: f32*, status: i32*) {{
      for i in parallel(512) {{ if s[i] < 0.0 {{ status[0] = cast(1, i32) }} }}
    }}
    program @main {{
      output s: f32* of 512
      output t: f32* of 16
      status status: i32* of 1
      let step: i64 = 0
      loop {{ while step < 4 {turn} let step: i64 = step + 1 }}
    }}"""
    assert strands(cut_into_strands(parse_program(text), {})) == 1


def test_copies_and_temporaries() -> None:
    """A copy goes by parts too; what a turn allocates is there before the strands, which share it."""
    text = """
    kernel @square(s: f32*, t: f32*) { for i in parallel(16384) { t[i] = s[i] * s[i] } }
    program @main {
      output s: f32* of 16384
      let step: i64 = 0
      loop {
        while step < 4
        alloc t: f32* of 16384
        launch @square(s, t)
        copy s = t of 16384
        let step: i64 = step + 1
      }
    }"""
    made = cut_into_strands(parse_program(text), {})
    assert strands(made) == 16
    assert [type(s) for s in made.body] == [host.Scalar, host.Alloc, host.Parallel]
    assert [k.name for k in made.kernels] == ["square_strand", "copy_to_s_strand"]


def test_names_that_are_taken() -> None:
    other = "kernel @step_strand(x: f32*) { x[0] = 1.0 }"
    text = f"{other}\n{step()}".replace("  output", "  input z: f32* of 1\n  output")
    text = text.replace("  view", "  launch @step_strand(z)\n  view", 1)
    assert [k.name for k in cut_into_strands(parse_program(text), {}).kernels] == ["step_strand", "step_strand2"]
    text = str(step()).replace("let step: i64 = 0", "let step: i64 = 0\n let strand: i64 = 0")
    assert strands(cut_into_strands(parse_program(text), {})) == 1


def test_lines_of_kernels_are_kept() -> None:
    origins = {"step": {("model.py", 3): None}}
    cut_into_strands(step(), origins)
    assert origins["step_strand"] == origins["step"]


CELL = """graph @main(%h: f32[{rows}, {n}], %x: f32[{steps}, {rows}, {m}], %w: f32[{n}, {n}], %v: f32[{m}, {n}]) {{
  %0: f32[{rows}, {n}], %1: f32[{steps}, {rows}, {n}] = scan(%h, %x, %w, %v, body=graph @body(
      %h: f32[{rows}, {n}], %x: f32[{rows}, {m}], %w: f32[{n}, {n}], %v: f32[{m}, {n}]) {{
    %0: f32[{rows}, {n}] = matmul_batched(%h, %w)
    %1: f32[{rows}, {n}] = matmul_batched(%x, %v)
    %2: f32[{rows}, {n}] = add(%0, %1)
    %3: f32[{rows}, {n}] = tanh(%2)
    return %3, %3
  }}, carried=1, stacked=1, length={steps}, reverse={reverse})
  return %0, %1
}}"""


@settings(max_examples=6, deadline=None)
@given(
    rows=st.sampled_from([1, 7, 8, 12]),
    n=st.sampled_from([16, 24]),
    m=st.sampled_from([3, 16]),
    steps=st.integers(1, 3),
    reverse=st.booleans(),
)
def test_recurrent_cells(rows: int, n: int, m: int, steps: int, reverse: bool) -> None:
    lowered = verify_program(program(parse(CELL.format(rows=rows, n=n, m=m, steps=steps, reverse=reverse))))
    rng = np.random.default_rng(0)
    h, x, w, v = (rng.normal(size=s).astype(np.float32) * 0.3 for s in ((rows, n), (steps, rows, m), (n, n), (m, n)))
    last, every = execute(lowered, [h, x, w, v], [h, np.zeros((steps, rows, n), np.float32)])
    expected = np.zeros_like(every)
    for t in range(steps)[:: -1 if reverse else 1]:
        h = expected[t] = np.tanh(h @ w + x[t] @ v)
    np.testing.assert_allclose(every, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(last, h, rtol=1e-4, atol=1e-5)


BLOCKS = """
kernel @step(x: f32*, y: f32*) {{
  for i in parallel(4) {{
    for block in serial(5) {{
      for j in serial(minimum(13, {rest})) {{
        for u in unroll(4) {{
          y[i * 64 + block * 13 + j] = x[i * 64 + {first}{turned}] + 1.0
        }}
      }}
    }}
  }}
}}
program @main {{
  output s: f32* of 256
  output t: f32* of 256
  let step: i64 = 0
  loop {{
    while step < 2
    launch @step(s, t)
    launch @step(t, s)
    let step: i64 = step + 1
  }}
}}"""


@pytest.mark.parametrize(
    ("rest", "first", "turned", "is_cut"),
    [
        ("64 - block * 13", "block * 13 + ", "j", True),
        ("66 - block * 13", "block * 13 + ", "j", False),
        ("64 - block * 13", "block * 13 + ", "(12 - j)", False),
        ("64 - block * 13", "block * 13 + ", "j % 2", True),
        ("64 - block * 13", "", "j * 5", True),
    ],
)
def test_blocks_of_a_row_that_do_not_divide_it(rest: str, first: str, turned: str, is_cut: bool) -> None:
    """The last of five blocks of 13 elements has 12: where a block begins limits how many it has."""
    text = BLOCKS.format(rest=rest, first=first, turned=turned)
    assert (strands(cut_into_strands(parse_program(text), {})) > 1) == is_cut


@pytest.mark.parametrize(("count", "is_cut"), [(2048, True), (2016, False)])
def test_maps_are_cut_where_vectors_end(count: int, is_cut: bool) -> None:
    row = count // 8
    text = f"""
    kernel @square(s: f32*) {{ for i in parallel({count}) {{ s[i] = s[i] * s[i] }} }}
    kernel @rows(s: f32*) {{ for i in parallel(8) {{ for j in serial({row}) {{ s[i * {row} + j] = 1.0 }} }} }}
    program @main {{
      output s: f32* of {count}
      let step: i64 = 0
      loop {{ while step < 4 launch @square(s) MORE let step: i64 = step + 1 }}
    }}"""
    assert (strands(cut_into_strands(parse_program(text.replace("MORE", "")), {})) > 1) == is_cut
    # Little of the time, where there is more to a turn.
    assert strands(cut_into_strands(parse_program(text.replace("MORE", "launch @rows(s)")), {})) > 1
