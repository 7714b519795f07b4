"""Schedules change how a kernel runs, never what it computes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch.errors import ValueRangeError
from jitorch.ir import kernel as k
from jitorch.ir.kernel import For, Kernel, verify
from jitorch.ir.kernel_interpret import run
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.schedules import schedule
from tests.ir.random_kernels import arguments, runnable
from tests.lower.random_nests import loop_nests, results


def kernel(text: str) -> Kernel:
    return verify(parse_kernel(text))


def names(kernel: Kernel) -> list[str]:
    return [s.var.name for s in k.walk(kernel) if isinstance(s, For)]


Schedule = Callable[[Kernel, st.DataObject], Kernel]


def _one(apply: Callable[..., Kernel], *more: st.SearchStrategy[object]) -> Schedule:
    def scheduled(kernel: Kernel, data: st.DataObject) -> Kernel:
        return apply(kernel, data.draw(st.sampled_from(names(kernel))), *(data.draw(m) for m in more))

    return scheduled


def _two(apply: Callable[..., Kernel]) -> Schedule:
    def scheduled(kernel: Kernel, data: st.DataObject) -> Kernel:
        pairs = [
            (s.var.name, t.var.name)
            for s in k.walk(kernel) if isinstance(s, For)
            for t in k.walk(s.body) if isinstance(t, For)
        ]  # fmt: skip
        return apply(kernel, *data.draw(st.sampled_from(pairs))) if pairs else kernel

    return scheduled


SCHEDULES: dict[str, Schedule] = {
    "split": _one(schedule.split, st.integers(1, 4)),
    "unroll": _one(schedule.unroll),
    "vectorize": _one(schedule.vectorize),
    "parallelize": _one(schedule.parallelize),
    "reorder": _two(schedule.reorder),
    "collapse": _two(schedule.collapse),
    "bind block": _one(schedule.bind, st.just("block")),
    "bind thread": _one(schedule.bind, st.just("thread")),
}


@given(loop_nests(), st.lists(st.sampled_from(sorted(SCHEDULES)), min_size=1, max_size=4), st.data())
@settings(max_examples=150, deadline=None)
def test_nests_compute_the_same(nest: Kernel, steps: list[str], data: st.DataObject) -> None:
    scheduled = nest
    for step in steps:
        try:
            scheduled = SCHEDULES[step](scheduled, data)
        except ValueRangeError:
            continue
    for n, m in [(0, 2), (3, 2), (4, 5)]:
        for before, after in zip(results(nest, n, m), results(scheduled, n, m), strict=True):
            np.testing.assert_array_equal(after, before)


@given(runnable(), st.sampled_from(sorted(SCHEDULES)), st.data(), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_any_kernel_computes_the_same(kernel: Kernel, step: str, data: st.DataObject, seed: int) -> None:
    if not names(kernel):
        return
    try:
        scheduled = SCHEDULES[step](kernel, data)
    except ValueRangeError:
        return
    before, after = arguments(kernel, seed), arguments(kernel, seed)
    run(kernel, before)
    run(scheduled, after)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(b, a)


MAP = "kernel @f(x: f32*, y: f32*, n: i64) { for i in parallel(n) { y[i] = x[i] } }"
TWO = """
kernel @f(x: f32*, y: f32*, n: i64, m: i64) {
  for i in parallel(n) { for j in serial(m) { y[i * m + j] = x[j * n + i] } }
}"""


def text_of(kernel: Kernel) -> str:
    return " ".join(str(kernel).split())


def test_split_guards_the_tail() -> None:
    assert text_of(schedule.split(kernel(MAP), "i", 4)) == (
        "kernel @f(x: f32*, y: f32*, n: i64) { for i_outer in parallel((n + 3) // 4) { for i_inner in parallel(4) { "
        "if i_outer * 4 + i_inner < n { y[i_outer * 4 + i_inner] = x[i_outer * 4 + i_inner] } } } }"
    )


def test_split_without_a_tail() -> None:
    split = schedule.split(kernel(MAP.replace("parallel(n)", "parallel(n * 8)")), "i", 4)
    assert "for i_outer in parallel(n * 2)" in str(split)
    assert "if" not in str(split)


def test_split_keeps_an_extent_that_the_body_changes() -> None:
    text = "kernel @f(n: i64*) { for i in serial(n[0]) { n[0] = 9 n[i + 1] = i } }"
    before, after = np.array([3, 0, 0, 0, 0]), np.array([3, 0, 0, 0, 0])
    run(kernel(text), [before])
    run(schedule.split(kernel(text), "i", 2), [after])
    assert before.tolist() == after.tolist() == [9, 0, 1, 2, 0]


def test_tiling() -> None:
    tiled = schedule.parallelize(kernel(TWO), "j")
    tiled = schedule.split(schedule.split(tiled, "i", 8), "j", 4)
    tiled = schedule.reorder(tiled, "i_inner", "j_outer")
    assert names(tiled) == ["i_outer", "j_outer", "i_inner", "j_inner"]
    x, y, z = np.arange(70, dtype=np.float32), np.zeros(70, np.float32), np.zeros(70, np.float32)
    run(kernel(TWO), [x, y, 10, 7])
    run(tiled, [x, z, 10, 7])
    np.testing.assert_array_equal(y, z)


def test_collapse() -> None:
    flat = schedule.collapse(schedule.parallelize(kernel(TWO), "j"), "i", "j")
    assert "for i_j in parallel(maximum(n, 0) * m)" in str(flat)
    assert "y[i_j // m * m + i_j % m] = x[i_j % m * n + i_j // m]" in str(flat)


@pytest.mark.parametrize(
    ("text", "apply", "what"),
    [
        (MAP, lambda f: schedule.split(f, "j", 4), "one loop over j"),
        (MAP, lambda f: schedule.split(f, "i", 0), "a factor of 1 or more"),
        (MAP, lambda f: schedule.unroll(f, "i"), "constant extent"),
        (MAP, lambda f: schedule.vectorize(f, "i"), "constant extent"),
        (MAP, lambda f: schedule.bind(f, "i", "warp"), "block or thread"),
        (MAP, lambda f: schedule.bind(f, "i", "thread"), "a constant number of threads"),
        (TWO, lambda f: schedule.bind(f, "j", "thread"), "a parallel loop"),
        (TWO, lambda f: schedule.collapse(f, "i", "j"), "two serial or two parallel loops"),
        (TWO, lambda f: schedule.reorder(f, "j", "i"), "i directly inside j"),
        (
            "kernel @f(y: f32*) { for i in serial(4) { y[i + 1] = y[i] } }",
            lambda f: schedule.parallelize(f, "i"),
            "independent iterations of i",
        ),
        (
            "kernel @f(y: f32*) { var s: f32 = 0.0 for i in serial(4) { s = s + y[i] } y[0] = s }",
            lambda f: schedule.vectorize(f, "i"),
            "independent iterations of i",
        ),
        (
            "kernel @f(y: f32*) { for i in parallel(4) { for j in serial(i) { y[i] = 1.0 } } }",
            lambda f: schedule.reorder(f, "i", "j"),
            "an extent of j that does not depend on i",
        ),
        (
            "kernel @f(y: f32*) { for i in parallel(4) { if i < 2 { y[i] = 1.0 } } }",
            lambda f: schedule.vectorize(f, "i"),
            "lanes of i that run in step",
        ),
        (
            "kernel @f(y: f32*) { for i in parallel(2048) { y[i] = 1.0 } }",
            lambda f: schedule.bind(f, "i", "thread"),
            "at most 1024 threads",
        ),
    ],
)
def test_what_cannot_be_proved_right_is_refused(text: str, apply: Callable[[Kernel], Kernel], what: str) -> None:
    with pytest.raises(ValueRangeError) as caught:
        apply(kernel(text))
    assert what in str(caught.value.expected)


def test_schedules_of_a_vector_kernel() -> None:
    text = "kernel @f(x: f32*, y: f32*, n: i64) { for i in serial(n * 8) { y[i] = x[i] } }"
    fast = schedule.vectorize(schedule.split(schedule.parallelize(kernel(text), "i"), "i", 8), "i_inner")
    assert text_of(fast) == (
        "kernel @f(x: f32*, y: f32*, n: i64) { for i_outer in parallel(n) { for i_inner in vector(8) { "
        "y[i_outer * 8 + i_inner] = x[i_outer * 8 + i_inner] } } }"
    )
