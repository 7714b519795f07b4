"""Lanes: what stays a scalar, what is a vector access, what is gathered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.backends.cpu import llvm
from jitorch.errors import CompilerBug
from jitorch.ir.kernel import (
    INDEX,
    Buffer,
    Call,
    Expr,
    For,
    Kernel,
    Let,
    Load,
    Store,
    Var,
    call,
    cast,
    const,
    substitute,
)

F32 = dtypes.float32
X, Y, OUT = Buffer("x", F32), Buffer("y", F32), Buffer("out", F32)
LANE, N = Var("lane"), Var("n")


def vector(*body: object, lanes: int = 8) -> For:
    return For(LANE, const(lanes), body, "vector")  # type: ignore[arg-type]


def text_of(place: Expr) -> str:
    return llvm.render_kernel(Kernel("k", (X, OUT, N), (), (vector(Store(OUT, LANE, Load(X, place))),)))


def test_an_index_that_moves_by_one_is_a_vector_access() -> None:
    text = text_of(N * 8 + LANE)
    assert text.count("load <8 x float>") == text.count("store <8 x float>") == 1
    assert "load float" not in text


def test_an_index_that_does_not_move_is_loaded_once() -> None:
    text = text_of(N * 8)
    assert text.count("load float") == 1
    assert "shufflevector <8 x float>" in text


def test_an_index_that_moves_by_one_downwards_is_a_vector_access_and_a_shuffle() -> None:
    text = text_of(N - LANE)
    assert text.count("load <8 x float>") == 1
    assert "load float" not in text
    assert "<i32 7, i32 6, i32 5, i32 4, i32 3, i32 2, i32 1, i32 0>" in text


@pytest.mark.parametrize("place", [LANE * 2, LANE * -2, LANE * N, LANE % 3])
def test_other_indices_are_gathered(place: Expr) -> None:
    assert text_of(place).count("load float") == 8


def test_a_stride_survives_a_let() -> None:
    row = Var("row")
    body = (Let(row, LANE + N * 4), Store(OUT, LANE, Load(X, row + 1)))
    assert "load <8 x float>" in llvm.render_kernel(Kernel("k", (X, OUT, N), (), (vector(*body),)))


def test_constant_index_arithmetic_is_folded() -> None:
    place = Call("add", (Call("mul", (const(3), const(4)), INDEX), Call("mod", (const(7), const(4)), INDEX)), INDEX)
    text = llvm.render_kernel(Kernel("k", (X, OUT), (), (Store(OUT, const(0), Load(X, place)),)))
    assert "i64 15" in text
    assert "mul" not in text


def test_neighbours_share_one_address() -> None:
    at = N * 8 + LANE
    total = Load(X, at + 9) + Load(X, at + 10) + Load(X, (at + 3) - 5)
    text = llvm.render_kernel(Kernel("k", (X, OUT, N), (), (vector(Store(OUT, LANE, total)),)))
    assert text.count("getelementptr float, ptr %p0") == 1
    assert [f", i64 {offset}\n" in text for offset in (9, 10, -2)] == [True] * 3
    assert "add i64" not in text


def test_a_constant_in_an_index_is_not_lost(run_kernel: Callable[..., None]) -> None:
    # As operands of what is no address: a product of two variables, a quotient, a comparison, a cast.
    for index, actual in (
        ((N + 3) * (N + 5), 10 * 12),
        ((N + 3) // 2, 5),
        (5 - (N - 1), -1),
        ((N + 3) * 4 + (N - 2), 45),
    ):
        x, out = np.array([7.0], np.float32), np.zeros(1, np.float32)
        value = cast(index, F32) + call("where", (N + 1) < (N + 2), Load(X, const(0)), const(0, F32))
        run_kernel(Kernel("k", (X, OUT, N), (), (Store(OUT, const(0), value),)), x, out, 7)
        assert out[0] == actual + 7


def test_a_shared_subexpression_is_computed_once() -> None:
    value: Expr = Load(X, const(0))
    for _ in range(200):  # a tree of 2**200 nodes
        value = Call("mul", (value, value), F32)
    text = llvm.render_kernel(Kernel("k", (X, OUT), (), (Store(OUT, const(0), value),)))
    assert text.count("fmul") == 200


def test_lanes_may_not_store_to_one_element() -> None:
    kernel = Kernel("k", (X, OUT), (), (vector(Store(OUT, const(0), Load(X, LANE))),))
    with pytest.raises(CompilerBug, match="store to one element of out"):
        llvm.render_kernel(kernel)


@pytest.mark.parametrize("step", [1, -1, 3])
def test_scatter_and_gather_by_stride(step: int, run_kernel: Callable[..., None]) -> None:
    place = LANE * step if step > 0 else LANE * step + 7
    x = np.arange(32, dtype=np.float32)
    gathered, scattered = np.zeros(8, np.float32), np.zeros(32, np.float32)
    run_kernel(Kernel("gather", (X, OUT), (), (vector(Store(OUT, LANE, Load(X, place))),)), x, gathered)
    run_kernel(Kernel("scatter", (X, OUT), (), (vector(Store(OUT, place, Load(X, LANE))),)), x, scattered)
    places = np.arange(8) * step + (7 if step < 0 else 0)
    np.testing.assert_array_equal(gathered, x[places])
    np.testing.assert_array_equal(scattered[places], x[:8])


def test_data_dependent_gather(run_kernel: Callable[..., None]) -> None:
    which = Buffer("which", dtypes.int64)
    kernel = Kernel("take", (X, which, OUT), (), (vector(Store(OUT, LANE, Load(X, Load(which, LANE)))),))
    x, places, out = np.arange(9, dtype=np.float32), np.array([8, 0, 3, 3, 1, 7, 2, 5]), np.zeros(8, np.float32)
    run_kernel(kernel, x, places, out)
    np.testing.assert_array_equal(out, x[places])


def index_expressions() -> st.SearchStrategy[Expr]:
    """int64 expressions over the lane and a size."""
    leaves = st.one_of(st.just(LANE), st.just(N), st.integers(-5, 5).map(const))
    operators = st.sampled_from(["add", "sub", "mul", "floordiv", "mod", "minimum", "maximum"])
    return st.recursive(
        leaves,
        lambda inner: st.builds(lambda fn, x, y: Call(fn, (x, y), INDEX), operators, inner, inner),
        max_leaves=6,
    )


@settings(deadline=None, max_examples=30)
@given(values=st.lists(index_expressions(), min_size=4, max_size=4), n=st.integers(-9, 9))
def test_a_vector_loop_computes_what_a_serial_loop_does(
    run_kernel: Callable[..., None], values: list[Expr], n: int
) -> None:
    """Both loops against the simplifier, which evaluates with all variables known."""
    out = Buffer("out", dtypes.int64)
    expected = [
        substitute(value, {LANE: const(lane), N: const(n)}).value  # type: ignore[attr-defined]
        for value in values
        for lane in range(4)
    ]
    for kind in ("vector", "serial"):
        body = tuple(Store(out, LANE + 4 * row, value) for row, value in enumerate(values))
        got = np.zeros(16, np.int64)
        run_kernel(Kernel("k", (out, N), (), (For(LANE, const(4), body, kind),)), got, n, opt=0)
        assert got.tolist() == expected


def test_lanes_of_bools_and_halves(run_kernel: Callable[..., None]) -> None:
    half, flag = Buffer("half", dtypes.float16), Buffer("flag", dtypes.bool_)
    body = vector(
        Store(flag, LANE, call("gt", Load(half, LANE), 0.0)),
        Store(half, LANE, cast(cast(LANE, F32) * 0.5, dtypes.float16)),
    )
    halves, flags = np.array([-1, 0, 1, 2, -0.5, np.nan, np.inf, 1e-7], np.float16), np.zeros(8, np.bool_)
    want = halves > 0
    run_kernel(Kernel("k", (half, flag), (), (body,)), halves, flags)
    np.testing.assert_array_equal(flags, want)
    np.testing.assert_array_equal(halves, np.arange(8) * np.float16(0.5))
