"""Loops over quotients and remainders instead of divisions."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import dims, dtypes
from jitorch.builder import graph_of
from jitorch.ir import kernel as k
from jitorch.ir.kernel_interpret import run
from jitorch.ir.kernel_text import parse_kernel
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.schedules.quotients import cut_quotients
from jitorch.passes.decompose import decompose
from tests.lower.graphs import assert_lowers

REPEAT = """graph @main(%x: f32[{n}, {m}]) {{
  %0: f32[{n}, {m}, 1] = reshape_to(%x, shape=({n}, {m}, 1))
  %1: f32[{n}, {m}, {r}] = broadcast_to(%0, shape=({n}, {m}, {r}))
  %2: f32[{n}, {mr}] = reshape_to(%1, shape=({n}, {mr}))
  %3: f32[{n}, {mr}] = neg(%2)
  return %3
}}"""


def divisions(kernel: k.Kernel) -> int:
    return sum(isinstance(e, k.Call) and e.fn in ("floordiv", "mod") for e in k.walk(kernel.body))


def kinds(kernel: k.Kernel) -> list[str]:
    return [s.kind for s in k.walk(kernel.body) if isinstance(s, k.For)]


@pytest.mark.parametrize("r", [2, 3, 4, 5, 16])
def test_a_repetition_divides_nothing(r: int) -> None:
    x = np.arange(6 * 7, dtype=np.float32).reshape(6, 7)
    (kernel,) = assert_lowers(REPEAT.format(n=6, m=7, r=r, mr=7 * r), x).kernels
    assert divisions(kernel) == 0
    assert kinds(kernel)[-1] == ("unroll" if r <= 4 else "parallel")


X, OUT = k.Buffer("x", dtypes.float32), k.Buffer("out", dtypes.float32)
i, j = k.Var("i"), k.Var("j")


def loop(extent: k.Expr | int, place: k.Expr) -> k.Kernel:
    body = (k.For(i, k.as_expr(extent), (k.Store(OUT, i, k.Load(X, place)),), "parallel"),)
    params = (OUT, X) if isinstance(extent, int) else (OUT, X, j)
    return k.verify(k.Kernel("kernel", params, (), body))


@pytest.mark.parametrize(
    ("extent", "place"),
    [
        (12, i // 2 + i % 3),  # two divisors
        (13, i // 2),  # what is left over
        (2, i // 2),  # one quotient only
        (j, i // 2),  # an unknown extent
        (12, (i + 1) // 2),  # something else is divided
        (12, i * 2),
    ],
)
def test_what_does_not_fit_stays_as_it_is(extent: k.Expr | int, place: k.Expr) -> None:
    kernel = loop(extent, place)
    assert cut_quotients(kernel) is kernel


def test_both_coordinates_and_the_whole_may_be_used() -> None:
    cut = cut_quotients(loop(12, i // 4 * 4 + (3 - i % 4)))
    assert [str(s.extent) for s in k.walk(cut.body) if isinstance(s, k.For)] == ["3", "4"]
    assert divisions(cut) == 0


def test_shuffled_pixels_need_no_division() -> None:
    types = [TensorType(dtypes.float32, (2, 8, 6, 10))]
    graph = graph_of(lambda x: jitorch.nn.functional.pixel_shuffle(x, 2), types, "call")
    decompose(graph)
    (kernel,) = program(graph).kernels
    assert not divisions(kernel)


SIZES = {name: dims.symbol(name, 1) for name in ("n", "m")}


@pytest.mark.parametrize(
    ("extent", "place", "expected"),
    [
        ("n * 2", "i // 2 + i % 2 * n", ["n", "2"]),
        ("n * 9", "i // 3 // 3 + i // 3 % 3 + i % 3", ["n", "3", "3"]),
        ("n * m", "i // m * m + (m - 1 - i % m)", ["n", "m"]),
        ("n * 2 + 1", "i // 2", ["n * 2 + 1"]),  # what is left over
        ("m * 2", "i // n", ["m * 2"]),
        ("m", "i // m", ["m"]),  # one quotient only
        ("n * m", "i // m + i % n", ["n * m"]),  # two divisors
        ("n * (m - 1)", "i // (m - 1)", ["n * (m - 1)"]),  # which may be zero
        ("n * 4", "i // 4 // m", ["n", "4"]),
    ],
)
def test_loops_over_sizes(extent: str, place: str, expected: list[str]) -> None:
    kernel = parse_kernel(f"""kernel @f(out: f32*, x: f32*, n: i64, m: i64) {{
      for i in parallel({extent}) {{
        out[i] = x[{place}]
      }}
    }}""")
    cut = cut_quotients(kernel, SIZES)
    assert [str(s.extent) for s in k.walk(cut.body) if isinstance(s, k.For)] == expected
    assert (cut is kernel) == (len(expected) == 1)
    for n, m in [(1, 1), (2, 3), (5, 2)]:
        x = np.arange(64, dtype=np.float32)
        whole, pieces = np.zeros(64, np.float32), np.zeros(64, np.float32)
        run(kernel, [whole, x, n, m])
        run(cut, [pieces, x, n, m])
        np.testing.assert_array_equal(pieces, whole)
