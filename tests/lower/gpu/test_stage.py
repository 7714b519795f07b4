"""Tiles in shared memory."""

from collections.abc import Callable

import numpy as np
import pytest

from jitorch.errors import ValueRangeError
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Kernel, Var, verify
from jitorch.ir.kernel_interpret import run
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.gpu.stage import stage

R = Var("r")
ORIGIN = R * 8 + Var("b") * 4

# Each thread sums the four elements of its block's row; two turns of the loop read one row each.
SUM = """
kernel @f(x: f32*, y: f32*, n: i64) {
  for b in block(2) {
    for i in thread(3) {
      var s: f32 = 0.0
      for r in serial(2) {
        for j in serial(4) { s = s + x[r * 8 + b * 4 + j] * cast(i, f32) }
      }
      y[b * 3 + i] = s
    }
  }
}"""


def kernel(text: str) -> Kernel:
    return verify(parse_kernel(text))


def staged_sum(limits: tuple[k.Expr, ...] | None = None) -> Kernel:
    return stage(kernel(SUM), "x", "r", ORIGIN, (4,), (k.const(1),), limits)


def run_sum(f: Kernel, x: np.ndarray) -> np.ndarray:
    y = np.zeros(6, np.float32)
    run(f, [x, y, 0])
    return y


def test_threads_share_the_copying() -> None:
    x = np.arange(16, dtype=np.float32)
    np.testing.assert_array_equal(run_sum(staged_sum(), x), run_sum(kernel(SUM), x))
    # Four elements by three threads take two turns, and the last turn is guarded.
    assert "for x_tile_turn in serial(2)" in str(staged_sum())
    assert "if x_tile_place < 4" in str(staged_sum())


def test_elements_beyond_the_limits_read_as_zero() -> None:
    x = np.arange(16, dtype=np.float32)
    cut = np.where(np.arange(16) % 4 < 3, x, 0).astype(np.float32)
    # The last element need not exist, and so is not read.
    np.testing.assert_array_equal(run_sum(staged_sum((k.const(3),)), x[:15]), run_sum(kernel(SUM), cut))


def apply(f: Kernel, loop: str = "r", origin: k.Expr = ORIGIN, size: int = 4) -> Kernel:
    return stage(f, "x", loop, origin, (size,), (k.const(1),))


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (lambda f: stage(f, "z", "r", R, (4,), (k.const(1),)), "a buffer parameter"),
        (lambda f: stage(f, "x", "r", R, (4, 2), (k.const(1),)), "as many strides"),
        (lambda f: apply(f, size=3), "an index of x inside the tile"),
        (lambda f: apply(f, origin=R * 8), "an index of x inside the tile"),
        (lambda f: apply(f, loop="i"), "a serial loop inside all thread loops"),
        (lambda f: stage(f, "y", "r", R, (4,), (k.const(1),)), "a load of y in the loop"),
    ],
)
def test_refused(change: Callable[[Kernel], Kernel], refused: str) -> None:
    with pytest.raises(ValueRangeError) as caught:
        change(kernel(SUM))
    assert refused in str(caught.value.expected)


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("for r in serial(2)", "for r in serial(i)", "no differing extent"),
        ("for r in serial(2)", "for r in serial(cast(s, i64))", "no differing extent"),
        ("for r in serial(2)", "for r in vector(2)", "serial loops between"),
        ("in block(2)", "in parallel(2)", "block, thread and serial loops"),
        ("s = s + x", "x[0] = 0.0 s = s + x", "a loop that does not write x"),
        ("for r in serial(2) {", "if i < 1 { for r in serial(2) {", "no test"),
    ],
)
def test_threads_that_part_are_refused(old: str, new: str, refused: str) -> None:
    text = SUM.replace(old, new)
    if new.startswith("if"):
        text = text.replace("y[b * 3", "} y[b * 3")
    with pytest.raises(ValueRangeError) as caught:
        apply(kernel(text))
    assert refused in str(caught.value.expected)
