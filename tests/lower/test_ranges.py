"""Ranges of the elements of values, and the checks of indices that they save."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.dtypes import float32
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.pull import STATUS
from jitorch.lower.ranges import ANY, Range, range_of
from jitorch.passes.decompose import decompose
from tests.lower.graphs import parse

F = jitorch.nn.functional


def found(lines: str) -> Range:
    """The range of ``%r`` of a graph of an i64[4] ``%x`` and an f32[4] ``%y``."""
    graph = parse(f"graph @main(%x: i64[4], %y: f32[4]) {{ {lines} return %r }}")
    return range_of(graph.outputs[0], {})


COUNTED = "%i: i64[4] = iota(size=4, dtype=i64) "
SEVEN = "%c: i64[] = constant(value=7, dtype=i64) %s: i64[4] = broadcast_to(%c, shape=(4,)) "


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("%r: i64[4] = neg(%x)", ANY),
        (COUNTED + "%r: i64[4] = add(%i, %i)", (0, 6)),
        (COUNTED + SEVEN + "%r: i64[4] = sub(%i, %s)", (-7, -4)),
        (COUNTED + SEVEN + "%r: i64[4] = mul(%i, %s)", (0, 21)),
        (COUNTED + SEVEN + "%p: i64[4] = mul(%i, %s) %r: i64[4] = floor_divide(%p, %s)", (0, 3)),
        (SEVEN + "%r: i64[4] = minimum(%x, %s)", (-math.inf, 7)),
        (SEVEN + "%r: i64[4] = maximum(%x, %s)", (7, math.inf)),
        (SEVEN + "%a: i64[4] = maximum(%x, %s) %r: i64[4] = minimum(%a, %s)", (7, 7)),
        ("%r: i64[4] = cast(%y, dtype=i64, number=False)", (-(2**63), 2**63 - 1)),
        (COUNTED + "%f: f32[4] = cast(%i, dtype=f32, number=False) %r: f32[4] = floor(%f)", (0, 3)),
        # What wraps, or is rounded to 2**31, is anything.
        ("%c: i64[] = constant(value=9223372036854775807, dtype=i64) %r: i64[] = add(%c, %c)", ANY),
        ("%c: f32[] = constant(value=2147483647.0, dtype=f32) %r: f32[] = floor(%c)", (2.0**31, 2.0**31)),
        (SEVEN + "%r: i64[4] = remainder(%x, %s)", (0, 6)),
    ],
)  # fmt: skip
def test_ranges(lines: str, expected: tuple[float, float]) -> None:
    assert found(lines) == Range(*expected)


def test_rounding_widens_ranges() -> None:
    text = "%c: f32[] = constant(value=0.1, dtype=f32) %r: f32[] = mul(%c, %c)"
    low, high = found(text)
    exact = float(np.float32(0.1)) ** 2
    assert 0 < low < exact < high < exact + 1e-8


def is_checked(function: Any, *shapes: tuple[Any, ...]) -> bool:
    """Whether a kernel for operands of these shapes looks for indices out of range."""
    graph = graph_of(function, [TensorType(float32, shape) for shape in shapes], "call")
    decompose(graph)
    return any(STATUS in kernel.params for kernel in program(graph).kernels)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_points_of_a_grid_are_not_checked(mode: str, padding: str) -> None:
    def sample(x: Any, grid: Any) -> Any:
        return F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=False)

    height = symbol("h", 2)
    assert not is_checked(sample, (2, 3, 5, 7), (2, 4, 4, 2))
    assert not is_checked(sample, (2, 3, height, 7), (2, 4, 4, 2))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.interpolate(x, size=(7, 4)),
        lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest-exact"),
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: F.adaptive_max_pool2d(x, (2, 3), return_indices=True)[0],
    ],
)
def test_indices_that_are_computed_in_range_are_not_checked(function: Any) -> None:
    assert not is_checked(function, (2, 3, 5, 7))


def test_indices_of_the_user_are_checked() -> None:
    assert is_checked(lambda x, y: x[y.to(jitorch.int64)], (5, 3), (4,))
    assert is_checked(lambda x, y: x[y.to(jitorch.int64).remainder(6)], (5, 3), (4,))
    assert not is_checked(lambda x, y: x[y.to(jitorch.int64).remainder(5)], (5, 3), (4,))
