"""Intervals: every place that a kernel touches is between the bounds, and the bounds are touched where they can be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch.ir import kernel as k
from jitorch.ir.kernel_interpret import evaluate
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.intervals import Known, accesses, interval

X, Y = k.Var("i"), k.Var("j")


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> k.Expr:
    """Integer arithmetic of two variables."""
    if not depth or draw(st.booleans()):
        return draw(st.one_of(st.sampled_from([X, Y]), st.integers(-9, 9).map(k.const)))
    fn = draw(st.sampled_from(["add", "sub", "mul", "minimum", "maximum", "floordiv", "mod"]))
    x = draw(expressions(depth - 1))
    y = k.const(draw(st.integers(1, 7))) if fn in ("floordiv", "mod") else draw(expressions(depth - 1))
    return k.call(fn, x, y)


ENDS = st.tuples(st.integers(-4, 4), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(max_examples=150, deadline=None)
@given(expressions(), ENDS, ENDS)
def test_values_are_between(e: k.Expr, i: tuple[int, int], j: tuple[int, int]) -> None:
    bounds = interval(e, {X: i, Y: j})
    assert bounds is not None
    found = [
        int(evaluate(e, {"i": k.INDEX.numpy.type(a), "j": k.INDEX.numpy.type(b)}))
        for a in range(i[0], i[1] + 1)
        for b in range(j[0], j[1] + 1)
    ]
    assert bounds[0] <= min(found) and max(found) <= bounds[1]


def test_what_is_not_known() -> None:
    assert interval(X + k.Var("n"), {X: (0, 3)}) is None
    assert interval(k.call("floordiv", X, Y), {X: (0, 3), Y: (1, 2)}) is None
    assert interval(k.Load(k.Buffer("x", k.INDEX), X), {X: (0, 3)}) is None


PLACES = {
    "for j in serial(5) { x[j * 3 + 1] = 1.0 }": (1, 13),
    "for j in serial(0) { x[j - 7] = 1.0 }": None,
    "let j: i64 = 4 x[j * j] = 1.0": (16, 16),
    "for b in serial(3) { for j in serial(minimum(5, 12 - b * 5)) { x[b * 5 + j] = 1.0 } }": (0, 11),
    "for b in serial(3) { for j in serial(minimum(5, 12 - b * 5)) { x[b * 5 - j + 4] = 1.0 } }": (0, 14),
    "for b in serial(3) { for j in serial(minimum(5, 12 - b * 5)) { x[b * 5 + j + j % 2] = 1.0 } }": (0, 15),
    "for b in serial(3) { for j in serial(minimum(5, 12 - b * 5)) { let b: i64 = 9 x[b + j] = 1.0 } }": (9, 13),
    "if 1 < 2 { x[3] = 1.0 } else { x[8] = x[9] }": (3, 9),
}


@pytest.mark.parametrize("body", PLACES)
def test_places(body: str) -> None:
    kernel = parse_kernel(f"kernel @f(x: f32*) {{ {body} }}")
    found = [bounds for _, bounds in accesses(kernel.body, Known({}, {})) if bounds is not None]
    expected = PLACES[body]
    assert (min(low for low, _ in found), max(high for _, high in found)) == expected if expected else not found


def test_a_variable_that_is_assigned_is_anything() -> None:
    kernel = parse_kernel("kernel @f(x: f32*) { var n: i64 = 3 for j in serial(4) { x[n] = 1.0 n = n + j } }")
    assert [bounds for _, bounds in accesses(kernel.body, Known({}, {}))] == [None]
