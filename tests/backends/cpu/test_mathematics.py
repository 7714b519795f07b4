"""Every function of our own against mpmath or double precision: at most 2 units in the last place, everywhere."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jitorch import dtypes
from jitorch.backends.cpu import llvm, native
from jitorch.backends.cpu.host import entry_symbol
from jitorch.backends.cpu.mathematics.library import FUNCTIONS
from jitorch.dtypes import DType
from jitorch.ir import scalars
from jitorch.ir.kernel import Buffer, Call, For, Kernel, Load, Store, Var, const
from jitorch.ir.program import Launch, Program

MAX_ULP = 2.0
CHUNK = 1 << 17
UNARY = [name for name, entry in FUNCTIONS.items() if entry.arity == 1]
BASELINE = "x86-64"  # has no fused multiplication

Run = Callable[..., np.ndarray]


def program(name: str, dtype: DType, size: int, lanes: int = 1) -> Program:
    """``out[i] = name(a0[i], ...)``; in a plain loop, or ``lanes`` at a time."""
    operands = tuple(Buffer(f"a{k}", dtype) for k in range(scalars.TABLE[name].arity))
    out, i, lane = Buffer("out", dtype), Var("i"), Var("lane")
    place = i if lanes == 1 else i * lanes + lane
    body = (Store(out, place, Call(name, tuple(Load(b, place) for b in operands), dtype)),)
    if lanes > 1:
        body = (For(lane, const(lanes), body, "vector"),)
    kernel = Kernel(f"{name}_{dtype.short}", (*operands, out), (), (For(i, const(size // lanes), body),))
    return Program(kernel.name, (*operands, out), (), (), (Launch(kernel, kernel.params),))


def evaluate(name: str, *args: np.ndarray, lanes: int = 1, target: native.Target | None = None) -> np.ndarray:
    made = program(name, dtypes.from_numpy(args[0].dtype), args[0].size, lanes)
    data = native.compile_text(llvm.render(made), target=target)
    out = np.empty_like(args[0])
    pointers = np.array([a.ctypes.data for a in (*args, out)], np.int64)
    assert native.load_object(data, entry_symbol(made.name))(pointers.ctypes.data, 0, 0) == 0
    return out


def units(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """How far singles are from doubles, in units of the last place of the latter; infinity where a zero's sign, a
    NaN or an infinity is wrong."""
    with np.errstate(all="ignore"):
        return _units(got, want)


def _units(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    rounded = want.astype(np.float32)
    _, exponent = np.frexp(np.maximum(np.abs(want), 2.0**-126))
    # Next to the largest number, infinity stands for what would follow it.
    far, near = (
        np.where(np.isinf(v) & ~np.isnan(w), np.copysign(2.0**128, v), v) for v, w in ((got, want), (want, got))
    )
    error = np.abs(far.astype(np.float64) - near) / np.ldexp(1.0, exponent - 24)
    error[np.isnan(error) | ((want == 0) & (np.signbit(got) != np.signbit(want)))] = np.inf
    error[(np.isnan(got) & np.isnan(want)) | ((got == rounded) & ~np.isfinite(got))] = 0.0
    return error


def patterns(size: int, seed: int) -> np.ndarray:
    """Singles: random representations, and numbers of moderate size."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 2**32, size // 2, dtype=np.uint32).view(np.float32)
    moderate = np.concatenate([rng.uniform(-1.5, 1.5, size // 4), rng.uniform(-95, 95, size - size // 2 - size // 4)])
    return np.concatenate([raw, moderate.astype(np.float32)])


EDGES = np.array(
    (
        0.0, 1e-45, 1e-40, 1.1754942e-38, 1.1754944e-38, 3e-8, 1e-4, 0.25, 0.5, 0.57, 1.0, 1.5, 2.0, 88.72284,
        88.72283, 88.0, 103.97, 103.98, 104.1, 9.01, 3.9, 4.1, 3200.0, 3201.0, 1e5, 16777216.0, 1e30, 3.4028235e38,
        np.inf, np.nan, np.pi, np.pi / 2, np.pi / 4, 2 / 3, 4 / 3, 89.415985, 89.41599,
    ),
    np.float32,
)  # fmt: skip


def meaning(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(scalars.TABLE[name].numpy(*np.atleast_2d(x.astype(np.float64))))


def complain(name: str, errors: np.ndarray, *shown: np.ndarray) -> None:
    worst = int(np.argmax(errors))
    assert errors[worst] <= MAX_ULP, f"{name}: {[a[worst] for a in shown]} is off by {errors[worst]} units"


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("lanes", [1, 8])
def test_singles_are_within_two_units(name: str, lanes: int) -> None:
    x = np.concatenate([EDGES, -EDGES, patterns(CHUNK - 2 * EDGES.size, seed=lanes)])
    got = evaluate(name, x, lanes=lanes)
    want = meaning(name, x)
    complain(name, units(got, want), x, got, want)


@pytest.mark.parametrize("name", UNARY)
def test_singles_need_no_fused_multiplication(name: str) -> None:
    if not native.host().triple.startswith("x86_64"):
        pytest.skip("the baseline is one of x86-64")
    x = np.concatenate([EDGES, -EDGES, patterns((1 << 14) - 2 * EDGES.size, seed=3)])
    got = evaluate(name, x, target=native.Target(native.host().triple, BASELINE, ""))
    complain(name, units(got, meaning(name, x)), x, got)


@pytest.mark.long
@pytest.mark.parametrize("name", UNARY)
def test_all_singles_are_within_two_units(name: str) -> None:
    for start in range(0, 2**32, CHUNK << 4):
        x = np.arange(start, start + (CHUNK << 4), dtype=np.uint32).view(np.float32)
        got = evaluate(name, x)
        complain(name, units(got, meaning(name, x)), x, got)


def doubles(name: str, size: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    raw = rng.integers(0, 2**64, size // 4, dtype=np.uint64).view(np.float64)
    small = rng.uniform(-1.5, 1.5, size // 4)
    wide = rng.uniform(-750, 750, size // 4)
    near = 1.0 + rng.uniform(-0.4, 0.6, size // 4)
    edges = [
        0.0,
        5e-324,
        2.2250738585072014e-308,
        1e-20,
        0.5,
        1.0,
        6.0,
        709.782712893384,
        709.7827128933841,
        745.2,
        746.5,
    ]
    edges += [8e5, 1e22, 1.7976931348623157e308, np.inf, np.nan, 710.4758600739439, 710.475860073944, np.pi / 2, 2 / 3]
    return np.concatenate([raw, small, wide, near, edges, np.negative(edges)])


EXACT: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": lambda x: mpmath.log(x) / mpmath.log(10),
}


def double_units(name: str, x: float, got: float, usual: float) -> float:
    """How far ``got`` is from the exact value; or whether it is NumPy's ``usual`` where that is no ordinary number."""
    if not np.isfinite(usual) or usual == 0:
        same = (np.isnan(got) and np.isnan(usual)) or (got == usual and np.signbit(got) == np.signbit(usual))
        return 0.0 if same else np.inf
    if not np.isfinite(got):
        return np.inf
    with mpmath.workprec(200):
        want = (EXACT[name] if name in EXACT else getattr(mpmath, name))(mpmath.mpf(x))
        _, exponent = mpmath.frexp(want)
        return float(abs(want - got) / mpmath.ldexp(1, max(exponent - 53, -1074)))


@pytest.mark.parametrize("name", [name for name in UNARY if 64 in FUNCTIONS[name].widths])
def test_doubles_are_within_two_units(name: str) -> None:
    x = doubles(name, 2000)
    got, usual = evaluate(name, x), meaning(name, x)
    errors = np.array([double_units(name, *values) for values in zip(x.tolist(), got.tolist(), usual.tolist())])
    complain(name, errors, x, got, usual)


SPECIAL = np.array([0.0, 1e-45, 0.5, 1.0, 1.5, 2.0, 3.0, 16777215.0, 16777216.0, 1e30, 3.4028235e38, np.inf, np.nan])


def pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    special = np.concatenate([SPECIAL, -SPECIAL]).astype(np.float32)
    x, y = (a.ravel() for a in np.meshgrid(special, special))
    raw = rng.integers(0, 2**32, (2, size), dtype=np.uint32).view(np.float32)
    moderate = np.exp(rng.normal(size=size) * 3), rng.normal(size=size) * 8
    base = rng.choice([-1, 1], size) * rng.uniform(0, 20, size)
    whole = rng.integers(-30, 31, size)
    with np.errstate(invalid="ignore"):  # signalling NaN
        return (
            np.concatenate([x, raw[0], moderate[0], base]).astype(np.float32),
            np.concatenate([y, raw[1], moderate[1], whole]).astype(np.float32),
        )


@pytest.mark.parametrize("name", ["pow", "atan2"])
@pytest.mark.parametrize("lanes", [1, 4])
def test_functions_of_two_singles_are_within_two_units(name: str, lanes: int) -> None:
    x, y = (np.resize(a, a.size // 4 * 4) for a in pairs(20000))
    got = evaluate(name, x, y, lanes=lanes)
    with np.errstate(all="ignore"):
        want = scalars.TABLE[name].numpy(x.astype(np.float64), y.astype(np.float64))
    complain(name, units(got, want), x, y, got, want)


def test_the_angles_of_two_doubles_are_within_two_units() -> None:
    rng = np.random.default_rng(5)
    special = np.concatenate([SPECIAL, -SPECIAL])
    y, x = (a.ravel() for a in np.meshgrid(special, special))
    y, x = np.concatenate([y, rng.normal(size=2000)]), np.concatenate([x, rng.normal(size=2000)])
    got, usual = evaluate("atan2", y, x), np.arctan2(y, x)
    assert (np.signbit(got) == np.signbit(usual))[~np.isnan(usual)].all()
    np.testing.assert_array_max_ulp(got, usual, 2)


@pytest.mark.parametrize("name", UNARY)
def test_loops_are_vectorised(name: str) -> None:
    text = native.optimised_text(llvm.render(program(name, dtypes.float32, 1024)))
    assert "x float> @llvm.fmuladd" in text or "x float> @jitorch" in text


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16])
def test_halves_are_computed_in_single_precision(dtype: DType) -> None:
    x = np.arange(2**16, dtype=np.uint16).view(dtype.numpy)
    with np.errstate(all="ignore"):
        want = np.tanh(x.astype(np.float64)).astype(dtype.numpy)
        np.testing.assert_allclose(
            evaluate("tanh", x).astype(np.float64),
            want.astype(np.float64),
            rtol=float(2.0 ** (-10 if dtype.short == "f16" else -7)),
        )


@pytest.mark.parametrize("target", [None, BASELINE], ids=["host", "baseline"])
@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize(("kind", "bits"), [(np.float32, np.uint32), (np.float64, np.uint64)])
def test_remainders_are_exact(lanes: int, target: str | None, kind: type, bits: type) -> None:
    rng = np.random.default_rng(0)
    info = np.finfo(kind)
    special = np.array([0, 1, 3, 0.1, info.smallest_subnormal, info.tiny, info.max, np.inf, np.nan], kind)
    special = np.append(special, np.exp2([28, 29, 51, 52, 53]).astype(kind))
    x, y = (a.ravel() for a in np.meshgrid(*[np.concatenate([special, -special])] * 2))
    some = rng.integers(0, np.iinfo(bits).max, (2, 5000), bits).view(kind)
    whole = rng.standard_normal(5000).astype(kind)
    multiple = (rng.integers(1, 2**20, 5000) * whole.astype(np.float64)).astype(kind)
    x = np.concatenate([x, some[0], multiple, np.nextafter(multiple, kind(0))])
    y = np.concatenate([y, some[1], whole, whole])
    count = x.size // 16 * 16
    made = None if target is None else native.Target(native.host().triple, target, "")
    got = evaluate("fmod", x[:count], y[:count], lanes=lanes, target=made)
    with np.errstate(all="ignore"):
        want = np.fmod(x[:count], y[:count])
    np.testing.assert_array_equal(got, want)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


def by_a_number(name: str, number: float, size: int) -> Kernel:
    x, out, i = Buffer("x", dtypes.float32), Buffer("out", dtypes.float32), Var("i")
    body = (Store(out, i, Call(name, (Load(x, i), const(number, dtypes.float32)), dtypes.float32)),)
    return Kernel("by_a_number", (x, out), (), (For(i, const(size), body),))


@pytest.mark.parametrize("name", ["fmod", "mod", "floordiv"])
def test_remainders_by_a_number_are_made_of_vectors(name: str) -> None:
    text = native.optimised_text(llvm.render_kernel(by_a_number(name, 2.5, 1024)))
    assert "x float> @jitorch.fmod" in text


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(["fmod", "mod"]),
    number=st.one_of(st.sampled_from([-0.0, 7.0, -2.5, np.inf, np.nan]), st.floats(width=32)),
    x=arrays(np.float32, st.sampled_from([0, 1, 3, 16, 67]), elements=st.floats(width=32)),
)
def test_remainders_by_a_number_are_those_of_numpy(name: str, number: float, x: np.ndarray) -> None:
    kernel = by_a_number(name, number, x.size)
    made = Program(kernel.name, kernel.params, (), (), (Launch(kernel, kernel.params),))  # type: ignore[arg-type]
    out = np.empty_like(x)
    pointers = np.array([x.ctypes.data, out.ctypes.data], np.int64)
    data = native.compile_text(llvm.render(made))
    assert native.load_object(data, entry_symbol(made.name))(pointers.ctypes.data, 0, 0) == 0
    with np.errstate(all="ignore"):
        want = scalars.TABLE[name].numpy(x, np.float32(number))
    np.testing.assert_array_equal(out, want)
    assert (np.signbit(out) == np.signbit(want))[~np.isnan(want)].all()
