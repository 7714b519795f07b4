"""The kernel language: simplification keeps the meaning, verification finds what is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Call, Const, Expr, Var, verify
from jitorch.ir.kernel_interpret import evaluate
from jitorch.ir.kernel_text import parse_kernel

INTEGERS = [d for d in dtypes.ALL if d.category is dtypes.Category.INT]
FUNCTIONS = ["add", "sub", "mul", "floordiv", "mod", "maximum", "minimum"]


def expressions(dtype: DType) -> st.SearchStrategy[Expr]:
    """Integer expressions over x and y, as written: nothing is simplified."""
    least = max(-4, int(np.iinfo(dtype.numpy).min))
    leaf = st.sampled_from([Var("x", dtype), Var("y", dtype)]) | st.integers(least, 9).map(lambda v: Const(v, dtype))
    return st.recursive(
        leaf,
        lambda inner: st.tuples(st.sampled_from(FUNCTIONS), inner, inner).map(lambda t: Call(t[0], t[1:], dtype)),
        max_leaves=8,
    )


def simplified(e: Expr) -> Expr:
    return k.transform(e, lambda part: k.simplify(part) if isinstance(part, Call) else part)


@given(st.sampled_from(INTEGERS).flatmap(expressions), st.data())
@settings(max_examples=400, deadline=None)
def test_simplification_keeps_the_value(e: Expr, data: st.DataObject) -> None:
    info = np.iinfo(e.dtype.numpy)
    # Indices stay far from the ends of int64; all other integers wrap, and may be anything.
    least, greatest = (-100, 100) if e.dtype is k.INDEX else (int(info.min), int(info.max))
    values = {name: e.dtype.numpy.type(data.draw(st.integers(least, greatest))) for name in "xy"}
    with np.errstate(all="ignore"):
        assert evaluate(simplified(e), values) == evaluate(e, values)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(n * 4 + m * 8) // 4", "n + m * 2"),
        ("(n * 4 + m * 8) % 4", "0"),
        ("n // 4 * 4 + n % 4", "n"),
        ("(n + 1) + (m + 2)", "n + m + 3"),
        ("(n + 3) * 2", "n * 2 + 6"),
        ("0 * n + m * 1 - 0", "m"),
        ("n // 1 + n % 1", "n"),
        ("maximum(n, n)", "n"),
    ],
)
def test_index_algebra(before: str, after: str) -> None:
    store = parse_kernel(f"kernel @f(y: i64*, n: i64, m: i64) {{ y[0] = {before} }}").body[0]
    assert isinstance(store, k.Store)
    assert str(simplified(store.value)) == after


def test_constants_are_folded_in_their_dtype() -> None:
    assert k.const(250, dtypes.uint8) + 10 == k.const(4, dtypes.uint8)
    assert k.cast(k.const(1e300, dtypes.float64), dtypes.float32) == k.const(float("inf"), dtypes.float32)
    assert k.const(1, dtypes.float32) / 3 == k.const(1 / 3, dtypes.float32)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("kernel @f(x: f32*, x: f32*) { }", "share a name"),
        ("kernel @f(y: f32*) { y[0] = 1 }", "expected f32, got i64"),
        ("kernel @f(y: f32*) { y[1.0] = 1.0 }", "expected i64, got f32"),
        ("kernel @f(y: f32*) { y[0] = y[1.0] }", "an index that is not int64"),
        ("kernel @f(y: f32*, n: i64) { y[0] = cast(n + cast(n, i64), f32) + cast(1.0 + n, f32) }", "add over f32, i64"),
        ("kernel @f(y: f32*, n: i64) { n = 3 }", "n is assigned but is not a Local"),
        ("kernel @f(n: i64) { for i in vector(n) { } }", "kind vector"),
        ("kernel @f(n: i64) { if n { } }", "expected bool, got i64"),
        ("kernel @f(n: i64) { global t: f32[4] }", "with a size"),
    ],
)
def test_verification(text: str, what: str) -> None:
    with pytest.raises(CompilerBug) as caught:
        verify(parse_kernel(text))
    assert what in caught.value.what
    assert "kernel @f" in str(caught.value)


def test_the_users_integers_wrap_before_they_are_divided() -> None:
    x = Var("x", dtypes.int8)
    with np.errstate(all="ignore"):
        assert evaluate(x * 4 // 4, {"x": np.int8(100)}) == -28  # 100 * 4 is -112 in eight bits
        assert evaluate(x * 12 % 6, {"x": np.int8(100)}) == (100 * 12 - 5 * 256) % 6
