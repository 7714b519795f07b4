"""Loops over the inside and the borders of what is padded, instead of a question for each element."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.lower.borders import cut_borders
from tests.lower.graphs import assert_lowers

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
