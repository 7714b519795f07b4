"""Loops in pieces: padding and joining read one operand at a time."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ir import kernel as k
from jitorch.ir.kernel_text import parse_kernel
from jitorch.ir.program import Program
from jitorch.lower.pieces import cut
from tests.lower.graphs import assert_lowers

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


@pytest.mark.parametrize(("a", "b", "pieces"), [(16, 40, 2), (32, 32, 2), (20, 3, 1), (3, 20, 1)])
def test_a_sum_of_padded_parts(a: int, b: int, pieces: int) -> None:
    lowered = assert_lowers(PADS.format(a=a, b=b, n=a + b), floats(3, a), floats(3, b))
    assert loops(lowered) == pieces
    assert (choices(lowered) == 0) == (pieces > 1)


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
    assert loops(assert_lowers(text, floats(3, 20_000), floats(3, 20_000))) == 1


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("i0 < 32", 2), ("i0 <= 31", 2), ("i0 >= 32", 2), ("i0 > 31", 2), ("i0 + -8 < 24", 2),
        ("i0 < 0", 1), ("i0 < 64", 1), ("i0 < 60", 1), ("i0 < n", 1), ("i0 == 32", 1),
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
    assert len(cut(parse_kernel(text)).body) == expected


def test_a_serial_loop_stays() -> None:
    text = """kernel @f(x: f32*, out: f32*) {
      for i0 in serial(64) {
        out[i0] = where(i0 < 32, x[i0], 0.0)
      }
    }"""
    kernel = parse_kernel(text)
    assert cut(kernel) is kernel
