"""Integers by floating-point arithmetic: what the loops over them are made of, and their limits."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.ir import scalars
from jitorch.ir.kernel import Buffer, Call, For, Kernel, Load, Store, Var, const
from tests.lower.assembly import MACHINES, inner_loops

SIGNED = (dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)
DIVISIONS = ("floordiv", "mod", "fmod")


def kernel_of(fn: str, source: DType, result: DType, extent: int) -> Kernel:
    """``out[i] = fn(x[i], ...)``."""
    operands = (Buffer("x", source),) if fn == "cast" else (Buffer("x", source), Buffer("y", source))
    out, i = Buffer("out", result), Var("i")
    value = Call(fn, tuple(Load(b, i) for b in operands), result)
    return Kernel("each", (*operands, out), (), (For(i, const(extent), (Store(out, i, value),)),))


@pytest.mark.parametrize("machine", ["avx512", "avx2"])
@pytest.mark.parametrize("source", [dtypes.float32, dtypes.float64])
@pytest.mark.parametrize("target", [dtypes.int8, dtypes.uint8, dtypes.int16, dtypes.int32])
def test_conversions_are_made_by_vectors(source: DType, target: DType, machine: str) -> None:
    loop = max(inner_loops(kernel_of("cast", source, target, 4096), MACHINES[machine][1]), key=len)
    name = "vcvttpd2dq" if source is dtypes.float64 else "vcvttps2dq"
    assert any(name in line for line in loop)
    assert not any(re.search(r"\bv?cvttss|\bv?cvttsd", line) for line in loop)


@pytest.mark.parametrize("fn", DIVISIONS)
@pytest.mark.parametrize("dtype", SIGNED)
def test_divisions_are_made_by_vectors(fn: str, dtype: DType) -> None:
    loop = max(inner_loops(kernel_of(fn, dtype, dtype, 4096), MACHINES["avx512"][1]), key=len)
    assert any("vdivp" in line for line in loop)
    assert not any("idiv" in line for line in loop)


@pytest.mark.parametrize("fn", DIVISIONS)
@pytest.mark.parametrize("dtype", [*SIGNED, dtypes.uint8, dtypes.uint16, dtypes.uint32, dtypes.uint64])
def test_divisions_are_exact(fn: str, dtype: DType, run_kernel: Callable[..., None]) -> None:
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype.numpy)
    count = 20_000

    def small(low: int, high: int) -> np.ndarray:
        return rng.integers(low, high, count).astype(dtype.numpy)

    # Of all magnitudes, and of both signs.
    whole = [rng.integers(info.min, info.max, count, dtype.numpy, endpoint=True) for _ in range(2)]
    x, y = (each >> small(0, info.bits) for each in whole)
    x, y = np.append(x, y * small(-9, 10) + small(-1, 2)), np.append(y, y)
    got = np.empty_like(x)
    run_kernel(kernel_of(fn, dtype, dtype, len(x)), x, y, got)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(got, scalars.TABLE[fn].numpy(x, y))


@pytest.mark.parametrize("source", [dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64])
@pytest.mark.parametrize("target", [*SIGNED, dtypes.uint8, dtypes.uint16, dtypes.uint32, dtypes.uint64])
def test_conversions_saturate_at_the_limits(source: DType, target: DType, run_kernel: Callable[..., None]) -> None:
    info = np.iinfo(target.numpy)
    with np.errstate(over="ignore"):
        limits = np.array([info.min, info.max, 0], np.float64).astype(source.numpy)
    around = [np.nextafter(limits, np.array(to, source.numpy)) for to in (np.inf, -np.inf)]
    x = np.concatenate([limits, *around, np.array([np.nan, np.inf, -np.inf, -0.75, 1.75], source.numpy)])
    x = x.astype(source.numpy)
    got = np.empty(len(x), target.numpy)
    run_kernel(kernel_of("cast", source, target, len(x)), x, got)
    np.testing.assert_array_equal(got, scalars.cast(x, target))


def test_doubles_become_halves_in_one_rounding(run_kernel: Callable[..., None]) -> None:
    rng = np.random.default_rng(1)
    halves = rng.integers(0, 1 << 16, 20_000).astype(np.uint16).view(np.float16).astype(np.float64)
    with np.errstate(all="ignore"):
        # Close to the middle between two halves, where rounding twice goes wrong.
        middle = halves * (1 + np.exp2(-11.0) * rng.integers(-1, 2, halves.size))
        x = np.concatenate([halves, middle, middle * (1 + 2.0**-45), middle * (1 - 2.0**-45)])
        want = x.astype(np.float16)
    got = np.empty(len(x), np.float16)
    run_kernel(kernel_of("cast", dtypes.float64, dtypes.float16, len(x)), x, got)
    np.testing.assert_array_equal(got, want)
