"""Kernels and programs as C99: compiled, run, and compared with the interpreter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import UnsupportedError
from jitorch.ir import kernel as k
from jitorch.ir import scalars
from jitorch.ir.kernel import Buffer, Call, Kernel, Load, Var
from jitorch.ir.kernel_interpret import program_interpret, run
from jitorch.ir.kernel_text import parse_kernel, parse_program
from jitorch.lower.source.render import CSource
from tests.ir.random_kernels import NATIVE, arguments, runnable, several
from tests.lower.native import call, call_program, load
from tests.lower.random_nests import inputs, loop_nests, results

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 3.0, 1e-30, 1e9, -3e9, 1e19, 1e30, np.inf, -np.inf, np.nan]

ULPS = 4
"""How far the C library's maths may be from NumPy's; the C standard promises nothing."""


def operands(dtype: DType, arity: int) -> list[np.ndarray]:
    """Every combination of awkward values."""
    if dtype.category is Category.BOOL:
        values = np.array([False, True])
    elif dtype.category is Category.INT:
        info = np.iinfo(dtype.numpy)
        picked = {
            info.min,
            info.min + 1,
            info.max,
            info.max - 1,
            0,
            1,
            2,
            3,
            5,
            7,
            31,
            64,
            max(info.min, -1),
            max(info.min, -5),
        }
        values = np.array(sorted(picked), dtype.numpy)
    else:
        with np.errstate(over="ignore"):
            values = np.array(SPECIAL, dtype.numpy)
    return [a.reshape(-1).copy() for a in np.meshgrid(*[values] * arity)]


def kernel_of(fn: str, source: DType, target: DType, arity: int) -> Kernel:
    i, n = Var("i"), Var("n")
    inputs = [Buffer(f"x{j}", source) for j in range(arity)]
    if fn == "where":
        inputs[0] = Buffer("x0", dtypes.bool_)
    out = Buffer("y", target)
    value = Call(fn, tuple(Load(b, i) for b in inputs), target)
    body = (k.For(i, n, (k.Store(out, i, value),)),)
    return k.verify(Kernel(f"{fn}_of_{source.name}_to_{target.name}", (*inputs, out, n), (), body))


def every_function() -> list[Kernel]:
    kernels = []
    for f in scalars.TABLE.values():
        for dtype in NATIVE:
            if dtype.category not in f.accepts or (f.name == "philox" and dtype is not dtypes.int64):
                continue
            kernels.append(kernel_of(f.name, dtype, f.result(dtype), f.arity))
    return kernels + [kernel_of("cast", a, b, 1) for a in NATIVE for b in NATIVE]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, list[Kernel]]:
    kernels = every_function()
    return load(CSource().source(kernels), tmp_path_factory.mktemp("table")), kernels


EXACT = {
    "sqrt",
    "floor",
    "ceil",
    "trunc",
    "round",
    "abs",
    "neg",
    "sign",
    "add",
    "sub",
    "mul",
    "div",
    "fmod",
    "cast",
    "where",
}


@pytest.mark.parametrize("fn", [*scalars.TABLE, "cast"])
def test_every_function_of_every_dtype(table: tuple[object, list[Kernel]], fn: str) -> None:
    library, kernels = table
    for kernel in kernels:
        if not kernel.name.startswith(f"{fn}_of_"):
            continue
        source, out = kernel.params[-3].dtype, kernel.params[-2].dtype
        args = operands(source, len(kernel.params) - 2)
        if fn == "where":
            args[0] = np.arange(args[0].size) % 2 == 0
        with np.errstate(all="ignore"):
            expected = scalars.cast(args[0], out) if fn == "cast" else scalars.TABLE[fn].numpy(*args)
        actual = np.zeros(args[0].size, out.numpy)
        call(library, kernel, [*args, actual, actual.size])
        if not out.is_floating_point or fn in EXACT:
            np.testing.assert_array_equal(actual, expected, err_msg=kernel.name)
            continue
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(
                actual, expected, rtol=ULPS * np.finfo(out.numpy).eps, atol=0, err_msg=kernel.name
            )


def test_philox_is_the_reference_bit_for_bit(tmp_path: Path) -> None:
    text = "kernel @f(y: i64*, seed: i64, offset: i64) { for i in serial(100) { y[i] = philox(seed, offset, i) } }"
    kernel = parse_kernel(text)
    library = load(CSource().source([kernel]), tmp_path)
    for seed, offset in [(0, 0), (-1, 2**40), (2**62 + 12345, 7)]:
        y = np.zeros(100, np.int64)
        call(library, kernel, [y, seed, offset])
        np.testing.assert_array_equal(y, scalars.philox(seed, offset, np.arange(100)))


def assert_same(actual: object, expected: object, what: object) -> None:
    np.testing.assert_array_equal(actual, expected, err_msg=str(what))


@pytest.mark.parametrize("seed", range(4))
def test_random_kernels(tmp_path: Path, seed: int) -> None:
    # Compiled together, because a compiler takes long to start.
    kernels = [replace(kernel, name=f"random{i}") for i, kernel in enumerate(several(runnable(), 25, seed))]
    library = load(CSource().source(kernels), tmp_path)
    for kernel in kernels:
        expected, actual = arguments(kernel, seed), arguments(kernel, seed)
        run(kernel, expected)
        call(library, kernel, actual)
        for a, b in zip(actual, expected, strict=True):
            assert_same(a, b, kernel)


class NarrowC(CSource):
    """C whose index arithmetic is 32 bits wide, as it may be on a GPU."""

    index_type = dtypes.int32


def test_random_kernels_with_narrow_indices(tmp_path: Path) -> None:
    kernels = [replace(kernel, name=f"random{i}") for i, kernel in enumerate(several(runnable(), 40, 9))]
    library = load(NarrowC().source(kernels), tmp_path)
    for kernel in kernels:
        expected, actual = arguments(kernel, 5), arguments(kernel, 5)
        run(kernel, expected)
        call(library, kernel, actual)
        for a, b in zip(actual, expected, strict=True):
            assert_same(a, b, kernel)


def test_nests_with_narrow_indices(tmp_path: Path) -> None:
    kernels = [replace(kernel, name=f"nest{i}") for i, kernel in enumerate(several(loop_nests(), 40, 9))]
    library = load(NarrowC().source(kernels), tmp_path)
    for kernel in kernels:
        for n, m in [(3, 2), (4, 5)]:
            actual = inputs(n, m)
            call(library, kernel, [*actual, n, m])
            for a, b in zip(actual, results(kernel, n, m), strict=True):
                assert_same(a, b, kernel)


def test_names_that_c_has_other_uses_for(tmp_path: Path) -> None:
    text = """
    kernel @"int"(exp: f32*, "a.b": f32*, args: i64) {
      for double in parallel(args) {
        let add_i64: i64 = double + 1
        let t: f32 = exp(exp[double])
        "a.b"[double] = t + cast(add_i64 + args, f32)
        let t: f32 = t * 2.0
        "a.b"[double] = "a.b"[double] + t
      }
    }"""
    kernel = k.verify(parse_kernel(text))
    source = CSource().source([kernel])
    library = load(source, tmp_path)
    x, expected, actual = np.arange(3, dtype=np.float32) / 4, np.zeros(3, np.float32), np.zeros(3, np.float32)
    run(kernel, [x, expected, 3])
    call(library, replace(kernel, name="int_1"), [x, actual, 3])
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_an_extent_is_fixed_when_its_loop_begins(tmp_path: Path) -> None:
    text = "kernel @f(n: i64*, y: i64*) { for i in serial(n[0]) { n[0] = 9 y[i] = 1 } }"
    library = load(CSource().source([parse_kernel(text)]), tmp_path)
    n, y = np.array([2]), np.zeros(9, np.int64)
    call(library, parse_kernel(text), [n, y])
    assert y.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_indices_are_plain_arithmetic_and_values_wrap() -> None:
    text = (
        "kernel @f(x: i64*, y: i64*, n: i64) { for i in parallel(n) { let j: i64 = i * 2 + 1 y[j // 2] = x[j] * 3 } }"
    )
    source = CSource().source([parse_kernel(text)])
    assert "const int64_t j = i * 2 + 1;" in source
    assert "y[j / 2] = mul_i64(x[j], 3);" in source


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("kernel @f(x: f16*) { x[0] = f16(1.0) }", "C: no word for dtype float16"),
        ("kernel @f(x: c64*) { x[0] = x[1] }", "C: no word for dtype complex64"),
        ("kernel @f(x: f32*) { for i in thread(4) { barrier } }", "C: no word for a barrier"),
        ("kernel @f(x: i32*) { x[0] = philox(x[0], x[1], x[2]) }", "C: no word for philox of int32"),
    ],
)
def test_what_c_cannot_say(text: str, what: str) -> None:
    with pytest.raises(UnsupportedError, match=what):
        CSource().source([parse_kernel(text)])


PROGRAM = """
kernel @step(x: f32*, y: f32*, n: i64, lr: f32) { for i in parallel(n) { y[i] = y[i] + x[i] * lr } }
kernel @half(y: f32*, n: i64, part: i64) { for i in serial(n) { y[part * n + i] = y[part * n + i] * 0.5 } }
kernel @check(x: f32*, code: i32*, n: i64) { for i in serial(n) { if x[i] > 100.0 { code[0] = i32(7) } } }
program @main {
  input x: f32* of n
  output y: f32* of n
  scalar n: i64
  scalar lr: f32
  scalar flip: bool
  status code: i32* of 1
  arena n * 4
  launch @check(x, code, n)
  if n > 5 { return }
  alloc t: f32* of n
  place u: f32* of n at 0
  copy t = x of n
  copy u = t of n
  let m: i64 = 3
  copy y = x of n
  loop {
    let go: bool = m > 0
    while go
    launch @step(u, y, n, lr)
    let m: i64 = m - 1
  }
  for part in parallel(2) {
    let m: i64 = 2
    launch @half(y, n // 2, part)
  }
  if flip { launch @step(t, y, n, lr * 2.0) } else { launch @step(t, y, n, neg(lr)) }
  free t
}"""


@pytest.mark.parametrize(
    ("n", "flip", "top"), [(3, True, 1.0), (3, False, 1.0), (6, True, 1.0), (4, True, 101.0), (0, True, 1.0)]
)
def test_program(tmp_path: Path, n: int, flip: bool, top: float) -> None:
    program = parse_program(PROGRAM)
    c = CSource()
    library = load(c.program(program), tmp_path)
    x = np.linspace(0, top, n, dtype=np.float32)
    expected, actual = np.zeros(n, np.float32), np.zeros(n, np.float32)
    status = program_interpret(program, [x], [expected], [n, 0.1, flip])
    assert call_program(library, c.symbol(program), [x, actual], [n, 0.1, flip], 4 * n) == status
    assert status == (7 if top > 100 else 0)
    np.testing.assert_array_equal(actual, expected)


def test_program_out_of_memory(tmp_path: Path) -> None:
    text = "program @f { output y: f32* of 1 scalar n: i64 alloc t: f32* of n alloc u: f32* of 4 free u free t }"
    program = parse_program(text)
    library = load(CSource().program(program), tmp_path)
    assert call_program(library, "f", [np.zeros(1, np.float32)], [2**60]) == -1
    assert call_program(library, "f", [np.zeros(1, np.float32)], [2]) == 0


def test_a_subclass_changes_words() -> None:
    class Traced(CSource):
        name = "traced C"
        linkage = "extern "

        def loop(self, loop: k.For, header: str) -> list[str]:
            return [f"/* {loop.kind} */ {header} {{"]

    source = Traced().source([parse_kernel("kernel @f(n: i64) { for i in unroll(4) { } }")])
    assert "extern void f(int64_t n) {\n  /* unroll */ for (int64_t i = 0; i < 4; ++i) {\n  }\n}" in source
    with pytest.raises(UnsupportedError, match="traced C: no word for dtype bfloat16"):
        Traced().source([parse_kernel("kernel @f(n: bf16) { }")])
