"""Squares of local buffers, transposed in registers: run here, and as text for other processors."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.backends.cpu import llvm, native, squares
from jitorch.dtypes import DType
from jitorch.ir.kernel import Buffer, Expr, For, Kernel, Load, Stmt, Store, Var, const, verify
from tests.lower.assembly import MACHINES

LANE, ROW, COLUMN = Var("lane"), Var("row"), Var("column")
DTYPES = (dtypes.bool_, dtypes.uint8, dtypes.int16, dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.int64)
_INSERTED = re.compile(r"^\s+(?:v?insertps|v?pinsr[bwdq]|v?gather\w+|ins|ld1\s+\{ v\d+\.[bhsd] \}\[)", re.MULTILINE)
"""Instructions that put single elements into a vector."""


def unrolled(var: Var, width: int, *body: Stmt) -> For:
    return For(var, const(width), (For(LANE, const(width), body, "vector"),), "unroll")


def transposition(dtype: DType, width: int, *between: Stmt) -> Kernel:
    """``y`` is ``x`` transposed, a matrix of ``width`` rows and columns; ``between`` stands before the columns."""
    x, y, square = Buffer("x", dtype), Buffer("y", dtype), Buffer("square", dtype, "local", width * width)
    rows = unrolled(ROW, width, Store(square, ROW * width + LANE, Load(x, ROW * width + LANE)))
    columns = unrolled(COLUMN, width, Store(y, COLUMN * width + LANE, Load(square, LANE * width + COLUMN)))
    return verify(Kernel("turned", (x, y), (square,), (rows, *between, columns)))


def run(kernel: Kernel, x: np.ndarray) -> np.ndarray:
    function = native.load_object(native.compile_text(llvm.render_kernel(kernel)), kernel.name)
    result = np.zeros_like(x)
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)(x.ctypes.data, result.ctypes.data)
    return result


@pytest.mark.parametrize("width", [2, 4, 8, 16])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_columns_are_those_of_the_matrix(dtype: DType, width: int) -> None:
    numbers = np.arange(width * width).reshape(width, width)
    x = numbers % 2 == 0 if dtype is dtypes.bool_ else numbers.astype(dtype.numpy)
    np.testing.assert_array_equal(run(transposition(dtype, width), x), x.T)


def test_columns_are_computed_once_for_all() -> None:
    text = llvm.render_kernel(transposition(dtypes.float32, 8))
    assert text.count("shufflevector") == 8 * 3
    assert text.count("load <8 x float>") == 8 + 8


def test_what_is_stored_after_a_column_was_read_is_seen() -> None:
    square, x = Buffer("square", dtypes.float32, "local", 16), Buffer("x", dtypes.float32)
    first = For(LANE, const(4), (Store(x, LANE, Load(square, LANE * 4)),), "vector")
    changed = For(LANE, const(4), (Store(square, LANE, const(7.0, dtypes.float32)),), "vector")
    result = run(transposition(dtypes.float32, 4, first, changed), np.arange(16, dtype=np.float32).reshape(4, 4))
    np.testing.assert_array_equal(result[:, 0], 7)
    np.testing.assert_array_equal(result[:, 1], [4, 5, 6, 7])


@pytest.mark.parametrize(
    ("lanes", "stride", "number", "size"),
    [(8, 4, 0, 64), (8, 8, 8, 64), (8, 8, 0, 128), (1, 1, 0, 1), (3, 3, 0, 9)],
    ids=["other stride", "second row", "no square", "one lane", "no power of two"],
)
def test_other_places_are_no_columns(lanes: int, stride: int, number: int, size: int) -> None:
    assert not squares.is_column(lanes, stride, number, size)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("dtype", [dtypes.uint8, dtypes.float16, dtypes.float32, dtypes.float64], ids=str)
def test_no_element_is_moved_alone(machine: str, dtype: DType) -> None:
    target, made_for = MACHINES[machine]
    kernel = transposition(dtype, min(16, target.lanes(dtype)))
    assembly = native.assembly(llvm.render_kernel(kernel), target=made_for)
    assert not _INSERTED.findall(assembly)


def test_a_place_that_varies_reads_memory() -> None:
    square, y, n = Buffer("square", dtypes.float32, "local", 16), Buffer("y", dtypes.float32), Var("n")
    place: Expr = LANE * 4 + n
    body = (For(LANE, const(4), (Store(y, LANE, Load(square, place)),), "vector"),)
    text = llvm.render_kernel(Kernel("k", (y, n), (square,), body))
    assert text.count("load float") == 4
