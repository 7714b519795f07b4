"""Loops over the inside and the borders of what is padded, instead of a question for each element."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch import dims, dtypes
from jitorch.ir import kernel as k
from jitorch.ir.kernel_interpret import run
from jitorch.ir.kernel_text import parse_kernel
from jitorch.ir.program import Program
from jitorch.lower import program
from jitorch.lower.schedules.borders import cut_borders
from tests.lower.graphs import assert_lowers, parse

PAD = """graph @main(%x: f32[3, 5, 6], %v: f32[]) {{
  %0: f32[3, {rows}, {columns}] = pad_axes(%x, %v, low=(0, {a}, {b}), high=(0, {c}, {d}), interior=(0, {s}, 0))
  %1: f32[3, {rows}, {columns}] = neg(%0)
  return %1
}}"""
JOIN = """graph @main(%x: f32[4, 5], %y: f32[4, 7]) {
  %0: f32[4, 12] = concatenate(%x, %y, axis=1)
  %1: f32[4, 12] = neg(%0)
  return %1
}"""


def comparisons(kernel: k.Kernel) -> int:
    return sum(isinstance(e, k.Call) and e.fn in ("ge", "lt") for e in k.walk(kernel.body))


@pytest.mark.parametrize(("a", "b", "c", "d"), [(1, 1, 1, 1), (0, 2, 3, 0), (2, 0, 0, 0), (0, 0, 0, 1), (9, 9, 9, 9)])
def test_a_padding_compares_nothing(a: int, b: int, c: int, d: int) -> None:
    text = PAD.format(a=a, b=b, c=c, d=d, s=0, rows=5 + a + c, columns=6 + b + d)
    x = np.arange(90, dtype=np.float32).reshape(3, 5, 6)
    (kernel,) = assert_lowers(text, x, np.float32(7)).kernels
    assert comparisons(kernel) == 0


def test_spaces_between_elements_are_still_found() -> None:
    text = PAD.format(a=1, b=1, c=1, d=1, s=1, rows=11, columns=8)
    x = np.arange(90, dtype=np.float32).reshape(3, 5, 6)
    (kernel,) = assert_lowers(text, x, np.float32(7)).kernels
    assert any(isinstance(e, k.Call) and e.fn == "mod" for e in k.walk(kernel.body))


def test_a_concatenation_compares_nothing() -> None:
    x, y = np.arange(20, dtype=np.float32).reshape(4, 5), np.ones((4, 7), np.float32)
    (kernel,) = assert_lowers(JOIN, x, y).kernels
    assert comparisons(kernel) == 0


def test_few_turns_around_pieces_are_shared_with_their_turns() -> None:
    def nests(rows: int) -> list[int]:
        """The lengths of the outermost loops of a padding of so many matrices."""
        text = f"""graph @main(%x: f32[{rows}, 40, 16], %v: f32[]) {{
          %0: f32[{rows}, 42, 18] = pad_axes(%x, %v, low=(0, 1, 1), high=(0, 1, 1), interior=(0, 0, 0))
          return %0
        }}"""
        x = np.arange(rows * 640, dtype=np.float32).reshape(rows, 40, 16)
        (kernel,) = assert_lowers(text, x, np.float32(7)).kernels
        assert comparisons(kernel) == 0
        loops = [s.body[0] if isinstance(s, k.For) and len(s.body) == 1 else s for s in kernel.body]
        return [int(s.extent.value.real) for s in loops if isinstance(s, k.For) and isinstance(s.extent, k.Const)]

    assert nests(3) == [1, 40, 1]
    assert nests(8) == [8]


X, OUT = k.Buffer("x", dtypes.float32), k.Buffer("out", dtypes.float32)
i, j = k.Var("i"), k.Var("j")


def loop(extent: k.Expr | int, *tests: k.Expr) -> k.Kernel:
    value: k.Expr = k.Load(X, i)
    for number, test in enumerate(tests):
        value = k.where(test, value, float(number))
    body = (k.For(i, k.as_expr(extent), (k.Store(OUT, i, value),), "parallel"),)
    free = () if isinstance(extent, int) and not any(j in k.walk(t) for t in tests) else (j,)
    return k.verify(k.Kernel("kernel", (OUT, X, *free), (), body))


@pytest.mark.parametrize(
    ("extent", "tests"),
    [
        (12, [i * 2 < 5]),  # something else is compared
        (12, [i < j]),  # with what is not known
        (j, [i < 5]),  # in a loop of unknown extent
        (12, [i + j < 5]),
        (12, [i < 12, i >= 0]),  # never changes
        (12, [i < 2, i < 4, i < 6]),  # changes too often
    ],
)
def test_what_does_not_fit_stays_as_it_is(extent: k.Expr | int, tests: list[k.Expr]) -> None:
    kernel = loop(extent, *tests)
    assert cut_borders(kernel) is kernel


def test_pieces_begin_where_comparisons_change() -> None:
    body = cut_borders(loop(12, i + 1 < 5, i >= 7)).body
    assert [s.extent for s in body if isinstance(s, k.For)] == [k.const(4), k.const(3), k.const(5)]


RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def loops(lowered: Program) -> int:
    """The innermost loops of the last kernel."""
    found = [s for s in k.walk(lowered.kernels[-1].body) if isinstance(s, k.For)]
    return sum(not any(isinstance(s, k.For) for s in k.walk(loop.body)) for loop in found)


def choices(lowered: Program) -> int:
    return sum(
        isinstance(e, k.Call) and e.fn in ("where", "minimum", "maximum") for e in k.walk(lowered.kernels[-1].body)
    )


PADS = """graph @main(%a: f32[3, {a}], %b: f32[3, {b}]) {{
  %0: f32[] = constant(value=0.5, dtype=f32)
  %1: f32[3, {n}] = pad_axes(%a, %0, low=(0, 0), high=(0, {b}), interior=(0, 0))
  %2: f32[3, {n}] = pad_axes(%b, %0, low=(0, {a}), high=(0, 0), interior=(0, 0))
  %3: f32[3, {n}] = add(%1, %2)
  return %3
}}"""


@pytest.mark.parametrize(("a", "b", "pieces"), [(16, 40, 2), (32, 32, 2), (20, 3, 2), (3, 20, 2)])
def test_a_sum_of_padded_parts(a: int, b: int, pieces: int) -> None:
    lowered = assert_lowers(PADS.format(a=a, b=b, n=a + b), floats(3, a), floats(3, b))
    assert loops(lowered) == pieces
    assert choices(lowered) == 0


@pytest.mark.parametrize("axis", [0, 1])
def test_joined_tensors(axis: int) -> None:
    shapes = [(18, 20), (18, 30), (18, 40)] if axis else [(20, 18), (30, 18), (40, 18)]
    inputs = ", ".join(f"%{n}: f32[{s[0]}, {s[1]}]" for n, s in zip("abc", shapes))
    shape = "18, 90" if axis else "90, 18"
    text = f"""graph @main({inputs}) {{
      %0: f32[{shape}] = concatenate(%a, %b, %c, axis={axis})
      %1: f32[{shape}] = neg(%0)
      return %1
    }}"""
    assert_lowers(text, *(floats(*s) for s in shapes))


def test_few_long_rows_are_shared_among_threads_as_a_whole() -> None:
    text = PADS.format(a=20_000, b=20_000, n=40_000)
    assert loops(program(parse(text))) == 1


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("i0 < 32", 2), ("i0 <= 31", 2), ("i0 >= 32", 2), ("i0 > 31", 2), ("i0 + -8 < 24", 2),
        ("i0 < 0", 1), ("i0 < 64", 1), ("i0 < 60", 2), ("i0 < n", 1), ("i0 == 32", 1),
    ],
)  # fmt: skip
def test_where_a_loop_is_cut(test: str, expected: int) -> None:
    text = f"""kernel @f(x: f32*, out: f32*, n: i64) {{
      for i0 in parallel(64) {{
        let t1: f32 = x[i0]
        let t2: f32 = where({test}, t1, 0.0)
        out[i0] = t2
      }}
    }}"""
    assert len(cut_borders(parse_kernel(text)).body) == expected


def test_many_pieces_are_long() -> None:
    long, short = [i < n for n in (16, 32, 48)], [i < n for n in (16, 24, 48)]
    assert len(cut_borders(loop(64, *long)).body) == 4
    assert len(cut_borders(loop(64, *short)).body) == 1


SIZES = {name: dims.symbol(name) for name in ("n", "m")}


def of_sizes(extent: str, *tests: str) -> k.Kernel:
    value = "x[i]"
    for number, test in enumerate(tests):
        value = f"where({test}, {value}, {number}.0)"
    return parse_kernel(f"""kernel @f(out: f32*, x: f32*, n: i64, m: i64) {{
      for i in parallel({extent}) {{
        out[i] = {value}
      }}
    }}""")


@pytest.mark.parametrize(
    ("extent", "tests", "expected"),
    [
        ("n + 4", ["i >= 3", "i + -3 < n"], ["3", "n", "1"]),
        ("n + 4", ["3 <= i", "n > i + -3"], ["3", "n", "1"]),
        ("n + m", ["i < n"], ["n", "m"]),
        ("n", ["i < m"], ["minimum(m, n)", "minimum(m, n) * -1 + n"]),
        ("n", ["i < n", "i >= 0"], ["n"]),  # never changes
        ("n", ["i * 2 < m", "i < x_"], ["n"]),  # something else is compared
        ("n", ["i < m // n"], ["n"]),  # which may be divided by zero
        ("n", ["i < -5 % (n + 1)"], ["-5 % (n + 1)", "-5 % (n + 1) * -1 + n"]),
    ],
)
def test_pieces_of_loops_over_sizes(extent: str, tests: list[str], expected: list[str]) -> None:
    tests = [test.replace("x_", "m * i") for test in tests]
    kernel = cut_borders(of_sizes(extent, *tests), SIZES)
    assert [str(s.extent) for s in kernel.body if isinstance(s, k.For)] == expected
    if len(expected) > 1:
        assert not any(isinstance(e, k.Call) and e.fn == "where" for e in k.walk(kernel.body))


def test_what_is_no_size_cuts_nothing() -> None:
    kernel = of_sizes("n", "i < m")
    assert cut_borders(kernel, {"n": SIZES["n"]}) is kernel


def test_a_division_of_sizes_keeps_axes_together() -> None:
    text = """graph @main<n: 2..>(%x: f32[n, n]) {
      %0: f32[n*n] = reshape_to(%x, shape=(n*n,))
      %1: f32[-mod(-3, n*n) + n*n] = slice_axes(%0, starts=(mod(-3, n*n),), stops=(n*n,), steps=(1,))
      %2: f32[mod(-3, n*n)] = slice_axes(%0, starts=(0,), stops=(mod(-3, n*n),), steps=(1,))
      %3: f32[n*n] = concatenate(%1, %2, axis=0)
      %4: f32[n, n] = reshape_to(%3, shape=(n, n))
      return %4
    }"""
    (kernel,) = program(parse(text)).kernels
    assert [isinstance(s, k.For) and str(s.body[-1])[:7] for s in kernel.body] == ["out0[i0", "out0[i0"]
    assert comparisons(kernel) == 0


PLACES = ("0", "3", "n", "m", "n + m", "n - m", "m - 2", "n // 2", "m % 3", "-5 % (n + 1)", "minimum(n, m)", "9 - n")
comparisons_of_sizes = st.builds(
    "{} {} {}".format, st.sampled_from(["i", "i + 2", "i - n", "m - i"]), st.sampled_from(["<", "<=", ">", ">="]),
    st.sampled_from(PLACES),
)  # fmt: skip
indices_of_sizes = st.builds("{}(i - 2, {})".format, st.sampled_from(["minimum", "maximum"]), st.sampled_from(PLACES))


@settings(max_examples=60)
@given(
    st.sampled_from(["n", "m + 2", "n + m", "9"]), st.lists(comparisons_of_sizes, max_size=2), indices_of_sizes,
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=4),
)  # fmt: skip
def test_pieces_give_what_the_whole_does(
    extent: str, tests: list[str], index: str, sizes: list[tuple[int, int]]
) -> None:
    value = f"cast({index}, f32)"
    for number, test in enumerate(tests):
        value = f"where({test}, {value}, {number + 0.5})"
    kernel = parse_kernel(f"""kernel @f(out: f32*, n: i64, m: i64) {{
      for i in parallel({extent}) {{
        out[i] = out[i] + 100.0 + {value}
      }}
    }}""")
    cut = cut_borders(kernel, SIZES)
    for n, m in sizes:
        whole, pieces = (np.zeros(16, np.float32) for _ in range(2))
        run(kernel, [whole, n, m])
        run(cut, [pieces, n, m])
        np.testing.assert_array_equal(pieces, whole)
