"""Squares: rows read along one axis, columns used along another."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Kernel, Load, Store, Var, const
from jitorch.ir.kernel_interpret import run
from jitorch.lower.schedules.squares import Square, is_in_squares, over_columns, width_of
from jitorch.lower.target import Target

DOWN, RIGHT = Var("i"), Var("j")
X, Y = Buffer("x", dtypes.float32), Buffer("y", dtypes.float32)


def turned(load: Load) -> Kernel:
    """``y``, of 10 columns, at (1, 2) and on, is a square of ``load`` at (3, 5)."""
    square = Square(load, DOWN, RIGHT, 4, 0)
    columns = over_columns(4, lambda c, v: (Store(Y, (c + 1) * 10 + (v + 2), square.element(c, v)),))
    return k.verify(Kernel("f", (X, Y), (square.buffer,), (square.filled(const(3), const(5)), columns)))


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_square_is_transposed(is_reversed: bool) -> None:
    kernel = turned(Load(X, RIGHT * 10 + (9 - DOWN if is_reversed else DOWN)))
    x, y = np.arange(90, dtype=np.float32).reshape(9, 10), np.zeros((9, 10), np.float32)
    run(kernel, [x, y])
    expected = np.zeros_like(y)
    expected[1:5, 2:6] = (x[:, ::-1] if is_reversed else x)[5:9, 3:7].T
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("bytes", "dtype", "width"),
    [(64, dtypes.float32, 16), (64, dtypes.uint8, 16), (32, dtypes.float64, 4), (16, dtypes.float64, 2)],
)
def test_widths(bytes: int, dtype: DType, width: int) -> None:
    assert width_of(Target(vector_bytes=bytes), dtype) == width


def test_what_is_in_squares() -> None:
    kernel = turned(Load(X, RIGHT * 10 + DOWN))
    assert is_in_squares(kernel)
    sums = k.For(DOWN, const(4), (Store(Y, DOWN, Load(X, DOWN)),), "vector")
    assert not is_in_squares(Kernel("f", (X, Y), (), (sums,)))
    assert not is_in_squares(Kernel("f", (X, Y), kernel.scratch, (kernel.body[0], sums)))
    wider = k.For(DOWN, const(8), (Store(Y, DOWN, Load(X, DOWN)),), "vector")
    assert not is_in_squares(Kernel("f", (X, Y), kernel.scratch, (*kernel.body, wider)))
