"""Loops over quotients and remainders instead of divisions."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import dtypes
from jitorch.builder import graph_of
from jitorch.ir import kernel as k
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
