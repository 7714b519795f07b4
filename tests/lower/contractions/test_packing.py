"""Packing: panels of operands that lie along ``k``, in every shape of edge."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import dtypes
from jitorch.dims import Dim, symbol
from jitorch.ir import kernel as k
from jitorch.ir.program import Program
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.schedules.squares import is_in_squares
from jitorch.ops import OPS
from tests.lower.assembly import MACHINES
from tests.lower.graphs import execute
from tests.samples import trace_types

RNG = np.random.default_rng(0)


def values(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.integers(-3, 4, shape).astype(dtype)


def lowered(rows: Dim, lanes: Dim, inner: Dim, machine: str = "avx2", dtype: dtypes.DType = dtypes.float32) -> Program:
    types = [TensorType(dtype, (n, inner)) for n in (rows, lanes)]
    graph = trace_types(lambda x, w: OPS["matmul_batched"](x, OPS["transpose_axes"](w, perm=(1, 0))), types)
    return program(graph, "product", MACHINES[machine][0])


def packing(made: Program) -> k.Kernel:
    (kernel,) = [kernel for kernel in made.kernels if kernel.name.endswith("_pack")]
    return kernel


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("lanes", "inner"), [(32, 32), (37, 32), (32, 37), (37, 45)], ids=["whole", "last panel", "last square", "both"]
)
def test_panels_under_the_strict_interpreter(machine: str, lanes: int, inner: int) -> None:
    x, w = values(40, inner), values(lanes, inner)
    made = lowered(40, lanes, inner, machine)
    assert is_in_squares(packing(made))
    (actual,) = execute(made, [x, w], [x @ w.T])
    np.testing.assert_array_equal(actual, x @ w.T)


@pytest.mark.parametrize("inner", [0, 3, 8, 21, 32])
def test_a_size_of_k_that_varies(inner: int) -> None:
    x, w = values(40, inner), values(37, inner)
    made = lowered(40, 37, symbol("K"))
    (actual,) = execute(made, [x, w], [x @ w.T], [inner])
    np.testing.assert_array_equal(actual, x @ w.T)


def test_sums_too_short_for_a_square_are_packed_in_order() -> None:
    made = lowered(40, 37, 5)
    assert not packing(made).scratch
    x, w = values(40, 5), values(37, 5)
    (actual,) = execute(made, [x, w], [x @ w.T])
    np.testing.assert_array_equal(actual, x @ w.T)


def test_no_square_for_what_lies_right() -> None:
    types = [TensorType(dtypes.float32, shape) for shape in ((600, 400), (400, 512))]
    made = program(trace_types(lambda x, w: OPS["matmul_batched"](x, w), types), "product", MACHINES["avx512"][0])
    assert not packing(made).scratch


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int8"])
@pytest.mark.parametrize(("lanes", "inner"), [(64, 64), (50, 130), (130, 50)])
def test_compiled_products(dtype: str, lanes: int, inner: int) -> None:
    x, w = values(70, inner, dtype=dtype), values(lanes, inner, dtype=dtype)
    product = jitorch.jit(lambda a, b: a @ b.mT)(jitorch.tensor(x), jitorch.tensor(w))
    np.testing.assert_array_equal(product.numpy(), (x.astype("f8") @ w.astype("f8").T).astype("i8").astype(dtype))


def test_what_is_computed_on_the_way_is_computed_for_each_column() -> None:
    x, w, scale = values(70, 40), values(48, 40), values(48, 1)
    step = jitorch.jit(lambda a, b, c: a @ jitorch.relu(b * c).mT)
    actual = step(jitorch.tensor(x), jitorch.tensor(w), jitorch.tensor(scale))
    np.testing.assert_array_equal(actual.numpy(), x @ np.maximum(w * scale, 0).T)


def test_a_batch_of_operands() -> None:
    x, w = values(2, 3, 40, 24), values(2, 3, 37, 24)
    actual = jitorch.jit(lambda a, b: a @ b.mT)(jitorch.tensor(x), jitorch.tensor(w))
    np.testing.assert_array_equal(actual.numpy(), x @ w.swapaxes(-1, -2))
