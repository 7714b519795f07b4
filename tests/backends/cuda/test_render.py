"""Kernels as CUDA C++, compiled by NVRTC for three generations of GPUs.  Nothing here runs on one."""

from dataclasses import replace

import pytest

from jitorch import dtypes
from jitorch.backends.cuda.nvrtc import compile
from jitorch.backends.cuda.render import CudaSource
from jitorch.dtypes import DType
from jitorch.errors import UnsupportedError, ValueRangeError
from jitorch.ir import kernel as k
from jitorch.ir import scalars
from jitorch.ir.kernel import Buffer, Call, Kernel, Load, Var, verify
from jitorch.ir.kernel_text import parse_kernel
from jitorch.lower.gpu.grid import for_gpu
from tests.ir.random_kernels import REAL, runnable, several
from tests.lower.gpu.test_grid import tiled_matmul

ARCHITECTURES = (75, 80, 90)


def kernel(text: str) -> Kernel:
    return verify(parse_kernel(text))


KERNELS = [
    kernel("kernel @scale(x: f32*, y: f32*, n: i64) { for i in parallel(n) { y[i] = tanh(x[i]) * 2.0 } }"),
    kernel("kernel @halves(x: f16*, y: bf16*, n: i64) { for i in parallel(n) { y[i] = cast(exp(x[i]), bf16) } }"),
    kernel(
        """kernel @transpose(x: f64*, y: f64*, n: i64, m: i64) {
             for i in parallel(n) { for j in serial(m) { y[i * m + j] = x[j * n + i] } }
           }"""
    ),
    kernel(
        """kernel @row_sum(x: f32*, y: f32*, n: i64, m: i64) {
             for i in parallel(n) {
               var s: f32 = 0.0
               for j in serial(m) { s = add~(s, x[i * m + j]) }
               y[i] = s
             }
           }"""
    ),
    kernel(
        """kernel @row_max(x: f32*, y: f32*, n: i64, m: i64) {
             for i in parallel(n) {
               var s: f32 = -inf
               for j in serial(m) { s = maximum(s, x[i * m + j]) }
               y[i] = s
             }
           }"""
    ),
    kernel(
        """kernel @column_sum(x: f32*, y: f32*, n: i64, m: i64) {
             for c in serial(m) { y[c] = 0.0 }
             for r in serial(n) { for c in serial(m) { y[c] = y[c] + x[r * m + c] } }
           }"""
    ),
    kernel(
        """kernel @softmax_in_one_block(x: f32*, y: f32*, n: i64) {
             var top: f32 = -inf
             for i in serial(n) { top = maximum(top, x[i]) }
             for i in parallel(n) { y[i] = exp(x[i] - top) }
             var s: f32 = 0.0
             for i in serial(n) { s = s + y[i] }
             for i in parallel(n) { y[i] = y[i] / s }
           }"""
    ),
    kernel(
        """kernel @dropout(x: f32*, y: f32*, n: i64, seed: i64, offset: i64, p: f32) {
             for i in parallel(n) {
               let u: f32 = cast(philox(seed, offset, i), f32) * 0.00000000023283064
               y[i] = where(u < p, 0.0, x[i])
             }
           }"""
    ),
]


def source(kernels: list[Kernel], bits: int) -> str:
    return CudaSource(bits).source([for_gpu(kernel)[0] for kernel in kernels])


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_kernels_compile(arch: int, bits: int) -> None:
    cubin = compile(source([*KERNELS, tiled_matmul()], bits), arch)
    for each in KERNELS:
        assert each.name.encode() in cubin


def every_function(dtype: DType) -> Kernel:
    """A kernel that calls every function that takes ``dtype``, and casts to and from every other."""
    i, n = Var("i"), Var("n")
    params: dict[DType, Buffer] = {d: Buffer(f"y_{d.name}", d) for d in REAL}
    x = Load(Buffer("x", dtype), i)
    body: list[k.Stmt] = []
    for f in scalars.TABLE.values():
        if dtype.category in f.accepts and (f.name != "philox" or dtype is dtypes.int64):
            args = (k.call("lt", i, 4), x, x) if f.name == "where" else (x,) * f.arity
            result = f.result(*(a.dtype for a in args))
            body.append(k.Store(params[result], i, Call(f.name, args, result)))
    for other in REAL:
        body.append(k.Store(params[other], i, Call("cast", (x,), other)))
        body.append(k.Store(params[dtype], i, Call("cast", (Load(params[other], i),), dtype)))
    buffers = (Buffer("x", dtype), *params.values())
    return verify(Kernel(f"all_of_{dtype.name}", (*buffers, n), (), (k.For(i, n, tuple(body), "parallel"),)))


def test_every_function_of_every_dtype_compiles() -> None:
    kernels = [every_function(dtype) for dtype in REAL]
    cubin = compile(CudaSource(32).source([for_gpu(kernel)[0] for kernel in kernels]), 80)
    assert b"all_of_bfloat16" in cubin


@pytest.mark.parametrize("bits", [32, 64])
def test_random_kernels_compile(bits: int) -> None:
    kernels = several(runnable(REAL, frozenset(scalars.TABLE)), 30, bits)
    kernels = [replace(for_gpu(kernel)[0], name=f"random{i}") for i, kernel in enumerate(kernels)]
    assert compile(CudaSource(bits).source(kernels), 80)


def test_indices_are_32_bits_wide_on_request() -> None:
    scaled = for_gpu(KERNELS[0])[0]
    assert "const int i = block * 256 + thread;" in CudaSource(32).source([scaled])
    assert "const long long i = block * 256 + thread;" in CudaSource(64).source([scaled])


def test_what_is_divided_by_a_parameter_is_computed_in_full() -> None:
    text = "kernel @f(x: f32*, y: f32*, n: i64, s: i64) { for i in block(n) { y[i * s + i // 3] = x[(i + s) % n] } }"
    source = CudaSource(32).source([kernel(text)])
    assert "y[i * (int)s + i / 3] = x[(int)mod_i64((long long)i + s, n)];" in source


def test_axes_of_the_grid_and_the_block() -> None:
    text = CudaSource().source([tiled_matmul()])
    for name, place in [("i_outer", "blockIdx.y"), ("j_outer", "blockIdx.x"), ("j_inner", "threadIdx.x")]:
        assert f"const long long {name} = {place};" in text
    assert "__launch_bounds__(16)" in text
    assert "__shared__ float a_tile[16];" in text


def test_a_nest_narrower_than_the_block_is_guarded() -> None:
    text = "kernel @f(y: f32*) { for c in thread(8) { y[c] = 0.0 } for d in thread(32) { y[d] = 1.0 } }"
    assert "if (c < 8) {" in CudaSource().source([kernel(text)])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("kernel @f(y: c64*) { y[0] = y[1] }", "CUDA: no word for dtype complex64"),
        (
            "kernel @f(y: f32*) { for c in thread(8) { barrier y[c] = 0.0 } for d in thread(32) { y[d] = 1.0 } }",
            "CUDA: no word for a barrier in some of a block's threads",
        ),
    ],
)
def test_what_cuda_cannot_say(text: str, what: str) -> None:
    with pytest.raises(UnsupportedError, match=what):
        CudaSource().source([kernel(text)])


def test_loops_that_no_grid_has_are_refused() -> None:
    with pytest.raises(ValueRangeError, match="number of threads must be constant"):
        CudaSource().source([kernel("kernel @f(n: i64) { for c in thread(n) { } }")])
