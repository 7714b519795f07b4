"""Every scalar function on every dtype it accepts, against its NumPy meaning, on edge values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from jitorch import dtypes
from jitorch.backends.cpu import llvm, words
from jitorch.backends.cpu.text import Function, Module
from jitorch.dtypes import Category, DType
from jitorch.errors import UnsupportedError
from jitorch.ir import scalars
from jitorch.ir.kernel import Buffer, Call, For, Kernel, Load, Store, Var, const
from jitorch.ir.program import Launch, Program

REAL = tuple(d for d in dtypes.ALL if not d.is_complex)
LANES = 4
MAX_ULP = 2  # of transcendental functions against NumPy; everything else is equal


def edges(dtype: DType) -> np.ndarray:
    """Values where functions go wrong; a multiple of LANES of them."""
    if dtype.category is Category.BOOL:
        return np.array([False, True] * 2)
    if dtype.category is Category.INT:
        info = np.iinfo(dtype.numpy)
        values = {0, 1, 2, 3, 4, 7, 8, 31, 63, 100, info.max, info.max - 1, info.max // 2}
        if dtype.is_signed:
            values |= {-1, -2, -3, -7, -100, info.min, info.min + 1}
        array = np.array(sorted(values), dtype.numpy)
    else:
        values = [0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 7.0, 1e-3, 0.1, 10.0, 88.0, 255.7, 700.0, 1e4, 65504.0, 65519.0, 1e-8]
        values += [np.inf, np.nan, np.pi, 1e-40, 3e38, 6e-8, 2049.0, 1 + 2.0**-11, 1 + 2.0**-11 + 2.0**-40, 1e300]
        with np.errstate(over="ignore"):
            array = np.array([*values, *(-v for v in values)]).astype(dtype.numpy)
    return np.concatenate([array, array[: -len(array) % LANES]])


def operands(fn: str, dtype: DType) -> list[np.ndarray]:
    values = edges(dtype)
    if fn == "philox":
        rng = np.random.default_rng(0)
        return [rng.integers(-(2**63), 2**63 - 1, 64) for _ in range(3)]
    arity = scalars.TABLE[fn].arity
    if arity == 1:
        return [values]
    x, y = (a.ravel().copy() for a in np.meshgrid(values, values))
    return [x, y] if arity == 2 else [np.arange(x.size) % 3 == 0, x, y]


def is_defined(fn: str, dtype: DType) -> bool:
    return dtype.category in scalars.TABLE[fn].accepts and (fn != "philox" or dtype is dtypes.int64)


def jobs() -> list[tuple[str, DType, list[np.ndarray], Any]]:
    """Name, dtype of the result, operands and meaning of everything there is to check."""
    found: list[tuple[str, DType, list[np.ndarray], Any]] = []
    for dtype in REAL:
        for fn in filter(lambda fn: is_defined(fn, dtype), scalars.TABLE):
            args = operands(fn, dtype)
            result = scalars.TABLE[fn].result(*(dtypes.from_numpy(a.dtype) for a in args))
            found.append((fn, result, args, scalars.TABLE[fn].numpy))
        for target in REAL:
            if target is not dtype:
                found.append(("cast", target, [edges(dtype)], lambda x, target=target: scalars.cast(x, target)))
    return found


def map_kernel(fn: str, args: list[np.ndarray], result: DType, lanes: int) -> Kernel:
    """``out[i] = fn(a0[i], a1[i], ...)``, ``lanes`` at a time."""
    buffers = tuple(Buffer(f"a{i}", dtypes.from_numpy(a.dtype)) for i, a in enumerate(args))
    out, i, lane = Buffer("out", result), Var("i"), Var("lane")
    place = i * lanes + lane
    value = Call(fn, tuple(Load(b, place) for b in buffers), result)
    inner = For(lane, const(lanes), (Store(out, place, value),), "vector")
    body = (For(i, const(len(args[0]) // lanes), (inner,)),)
    return Kernel(f"{fn}_{buffers[-1].dtype.short}_{result.short}", (*buffers, out), (), body)


def mismatches(fn: str, got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Indices where they differ: at all, or by more than MAX_ULP for functions of the C library."""
    if got.dtype.kind in "biu":
        return np.nonzero(got != want)[0]
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    if fn in words.TRANSCENDENTAL:
        info = ml_dtypes.finfo(got.dtype)
        exact = want.astype(np.float64)
        unit = np.maximum(np.abs(exact) * float(info.eps), float(info.smallest_subnormal))
        same |= np.abs(got.astype(np.float64) - exact) <= np.where(np.isfinite(exact), MAX_ULP * unit, 0.0)
    return np.nonzero(~same)[0]


@pytest.mark.parametrize("lanes", [1, LANES])
def test_scalar_functions_mean_what_numpy_does(lanes: int, run_program: Callable[..., int]) -> None:
    work = jobs()
    inputs, outputs, launches = [], [], []
    for number, (fn, result, args, _) in enumerate(work):
        kernel = map_kernel(fn, args, result, lanes)
        bound = [Buffer(f"j{number}_{p.name}", p.dtype) for p in kernel.params]
        inputs += bound[:-1]
        outputs.append(bound[-1])
        launches.append(Launch(kernel, tuple(bound)))
    results = [np.zeros(len(args[0]), result.numpy) for _, result, args, _ in work]
    program = Program("everything", tuple(inputs), tuple(outputs), (), tuple(launches))
    assert run_program(program, [a for _, _, args, _ in work for a in args], results, opt=1) == 0
    wrong = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for (fn, result, args, meaning), got in zip(work, results, strict=True):
            want = np.asarray(meaning(*args)).astype(result.numpy)
            for i in mismatches(fn, got, want)[:3]:
                dtype = dtypes.from_numpy(args[-1].dtype).short
                wrong.append(f"{fn} {dtype}: {[a[i] for a in args]} gave {got[i]}, not {want[i]}")
    assert not wrong, "\n".join(wrong)


def test_every_scalar_function_has_a_word() -> None:
    assert words.WORDS.keys() == scalars.TABLE.keys()


@pytest.mark.parametrize("fn", ["maximum", "minimum"])
def test_reordered_extremes_propagate_nan(fn: str, run_kernel: Callable[..., None]) -> None:
    x, y, out, i = Buffer("x", dtypes.float32), Buffer("y", dtypes.float32), Buffer("out", dtypes.float32), Var("i")
    value = Call(fn, (Load(x, i), Load(y, i)), dtypes.float32, reassociate=True)
    kernel = Kernel("extreme", (x, y, out), (), (For(i, const(4), (Store(out, i, value),)),))
    a, b = np.array([1, np.nan, 3, -np.inf], np.float32), np.array([2, 1, np.nan, np.inf], np.float32)
    got = np.empty(4, np.float32)
    run_kernel(kernel, a, b, got)
    np.testing.assert_array_equal(got, scalars.TABLE[fn].numpy(a, b))


@pytest.mark.parametrize("dtype", [dtypes.complex64, dtypes.complex128])
def test_complex_is_refused_by_name(dtype: DType) -> None:
    x = Buffer("x", dtype)
    kernel = Kernel("twice", (x,), (), (Store(x, const(0), Call("add", (Load(x, const(0)),) * 2, dtype)),))
    with pytest.raises(UnsupportedError, match=f"llvm.*{dtype.name}"):
        llvm.render_kernel(kernel)
    with pytest.raises(UnsupportedError, match=f"cast.*{dtype.name}"):
        words.cast(words.At(Function(Module()), dtype), "%x", dtypes.float32)


@pytest.mark.parametrize(("fn", "dtype"), [("exp", dtypes.int32), ("and", dtypes.float32), ("philox", dtypes.int32)])
def test_a_function_over_a_dtype_it_does_not_accept_is_refused(fn: str, dtype: DType) -> None:
    args = ("%x",) * scalars.TABLE[fn].arity
    with pytest.raises(UnsupportedError, match=f"{fn} over {dtype.name}"):
        words.say(words.At(Function(Module()), dtype), fn, *args)


def test_doubles_are_rounded_to_half_once(run_kernel: Callable[..., None]) -> None:
    rng = np.random.default_rng(1)
    # Next to the midpoints of neighbouring halves, where rounding through float goes wrong.
    middle = (rng.integers(1, 2**15 - 2**10, 4000).astype(np.uint16).view(np.float16)).astype(np.float64)
    values = middle * (1 + 2.0**-11) + rng.choice([-1, 0, 1], 4000) * middle * 2.0**-45
    x, out, i = Buffer("x", dtypes.float64), Buffer("out", dtypes.float16), Var("i")
    value = Call("cast", (Load(x, i),), dtypes.float16)
    kernel = Kernel("halve", (x, out), (), (For(i, const(4000), (Store(out, i, value),)),))
    got = np.empty(4000, np.float16)
    run_kernel(kernel, values, got)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got, values.astype(np.float16))
