"""Statements of kernels: loops of each kind, locals, branches, register tiles."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.backends.cpu import llvm, native
from jitorch.backends.cpu.host import entry_symbol
from jitorch.errors import CompilerBug, UnsupportedError
from jitorch.ir.kernel import (
    Assign,
    Barrier,
    Buffer,
    Call,
    Expr,
    For,
    If,
    Kernel,
    Let,
    Load,
    Local,
    Prefetch,
    Stmt,
    Store,
    Var,
    call,
    const,
    where,
)
from jitorch.ir.program import Launch, Program

F32 = dtypes.float32
X, Y, OUT = Buffer("x", F32), Buffer("y", F32), Buffer("out", F32)
i, J, K, N, M = (Var(name) for name in "ijknm")
Run = Callable[..., None]


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["serial", "parallel", "block", "thread"])
@pytest.mark.parametrize("n", [0, 1, 7, 100])
def test_loops_with_an_extent_of_the_caller(kind: str, n: int, run_kernel: Run) -> None:
    kernel = Kernel("scale", (X, OUT, N), (), (For(i, N, (Store(OUT, i, Load(X, i) * 2.0),), kind),))
    x, out = floats(n), np.zeros(n, np.float32)
    run_kernel(kernel, x, out, n)
    np.testing.assert_array_equal(out, 2 * x)


@pytest.mark.parametrize("kind", ["serial", "vector", "unroll"])
@pytest.mark.parametrize("extent", [0, 1, 5])
def test_loops_with_a_constant_extent(kind: str, extent: int, run_kernel: Run) -> None:
    kernel = Kernel("scale", (X, OUT), (), (For(i, const(extent), (Store(OUT, i, Load(X, i) * 2.0),), kind),))
    x, out = floats(8), np.zeros(8, np.float32)
    run_kernel(kernel, x, out)
    np.testing.assert_array_equal(out[:extent], 2 * x[:extent])
    assert not out[extent:].any()


@pytest.mark.parametrize("lanes", [1, 3, 4, 16])
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float16, dtypes.bool_], ids=lambda d: d.name)
def test_streamed_stores_at_any_address(dtype: dtypes.DType, offset: int, lanes: int, run_kernel: Run) -> None:
    x, out = Buffer("x", dtype), Buffer("out", dtype)
    place = i * lanes + J
    inner = For(J, const(lanes), (Store(out, place, Load(x, place), streamed=True),), "vector")
    values = (np.arange(4 * lanes) % 2).astype(dtype.numpy)
    memory = np.zeros(4 * lanes + 64, dtype.numpy)
    first = -memory.ctypes.data % 64 // memory.itemsize + offset
    result = memory[first : first + 4 * lanes]
    run_kernel(Kernel("copy", (x, out), (), (For(i, const(4), (inner,), "parallel"),)), values, result)
    np.testing.assert_array_equal(result, values)
    assert memory[:first].sum() == memory[first + 4 * lanes :].sum() == 0


def test_streamed_stores_are_fenced() -> None:
    inner = For(J, const(8), (Store(OUT, i * 8 + J, Load(X, i * 8 + J), streamed=True),), "vector")
    kernel = Kernel("copy", (X, OUT), (), (For(i, const(1 << 20), (inner,), "parallel"),))
    text = llvm.render_kernel(kernel)
    loop = text[text.index("define internal void @copy.loop0") :]
    assert loop.index("!nontemporal") < loop.index("fence seq_cst") < loop.index("ret void")
    assert "movnt" in native.assembly(text, target=native.Target("x86_64-unknown-linux-gnu", "znver3", ""))


def test_negative_extents_run_nothing(run_kernel: Run) -> None:
    out = np.zeros(4, np.float32)
    kernel = Kernel("fill", (OUT, N), (), (For(i, N - 5, (Store(OUT, i, const(1.0, F32)),)),))
    run_kernel(kernel, out, 3)
    assert not out.any()


def test_nested_loops_and_locals(run_kernel: Run) -> None:
    acc = Var("acc", F32)
    inner = For(K, const(5), (Assign(acc, acc + Load(X, i * 5 + K) * Load(Y, K * 3 + J)),))
    body = For(i, const(4), (For(J, const(3), (Local(acc, const(0.0, F32)), inner, Store(OUT, i * 3 + J, acc))),))
    a, b, out = floats(4, 5), floats(5, 3), np.zeros((4, 3), np.float32)
    run_kernel(Kernel("matmul", (X, Y, OUT), (), (body,)), a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-5)


def test_inner_names_hide_outer_ones(run_kernel: Run) -> None:
    t = Var("t", F32)
    body = (
        Let(t, const(1.0, F32)),
        For(i, const(1), (Let(t, const(2.0, F32)), Store(OUT, const(0), t))),
        Store(OUT, const(1), t),
    )
    out = np.zeros(2, np.float32)
    run_kernel(Kernel("hide", (OUT,), (), body), out)
    assert out.tolist() == [2, 1]


def test_branches(run_kernel: Run) -> None:
    acc = Var("acc", F32)
    test = If(
        call("lt", Load(X, i), 0.0),
        (Assign(acc, acc - Load(X, i)), If(i.eq(3), (Store(OUT, const(1), acc),))),
        (Assign(acc, acc + 10.0),),
    )
    body = (Local(acc, const(0.0, F32)), For(i, const(5), (test,)), Store(OUT, const(0), acc))
    x, out = np.array([-1, 2, -3, -4, 5], np.float32), np.zeros(2, np.float32)
    run_kernel(Kernel("branch", (X, OUT), (), body), x, out)
    assert out.tolist() == [28, 18]


def test_scalar_parameters_of_every_dtype(run_kernel: Run) -> None:
    params = tuple(Var(f"p_{d.short}", d) for d in dtypes.ALL if not d.is_complex)
    outs = tuple(Buffer(f"o_{d.short}", d) for d in dtypes.ALL if not d.is_complex)
    body = tuple(Store(o, const(0), p) for o, p in zip(outs, params))
    values = [1.5 if d.is_floating_point else True if d is dtypes.bool_ else 100 for d in (p.dtype for p in params)]
    arrays = [np.zeros(1, o.dtype.numpy) for o in outs]
    run_kernel(Kernel("pass", (*outs, *params), (), body), *arrays, *values)
    assert [a[0] for a in arrays] == values


def test_a_vector_loop_keeps_a_local_a_lane(run_kernel: Run) -> None:
    acc, lane = Var("acc", F32), Var("lane")
    body = (
        Local(acc, const(0.0, F32)),
        For(K, N, (Assign(acc, acc + Load(X, K * 8 + lane)),)),
        Store(OUT, lane, acc),
    )
    kernel = Kernel("columns", (X, OUT, N), (), (For(lane, const(8), body, "vector"),))
    x, out = floats(5, 8), np.zeros(8, np.float32)
    run_kernel(kernel, x, out, 5)
    np.testing.assert_allclose(out, x.sum(0), rtol=1e-5)


@pytest.mark.parametrize("dtype", [F32, dtypes.float64, dtypes.int32, dtypes.uint8, dtypes.bool_, dtypes.float16])
@pytest.mark.parametrize("fn", ["add", "mul", "maximum", "minimum"])
def test_lanes_are_reduced_into_a_variable_from_outside(dtype: dtypes.DType, fn: str, run_kernel: Run) -> None:
    x, out = Buffer("x", dtype), Buffer("out", dtype)
    acc, lane = Var("acc", dtype), Var("lane")
    reduce = Call(fn, (acc, Load(x, i * 4 + lane)), dtype, reassociate=True)
    body = (
        Local(acc, Load(x, const(0))),
        For(i, const(2), (For(lane, const(4), (Assign(acc, reduce),), "vector"),)),
        Store(out, const(0), acc),
    )
    values = np.array([1, 2, 3, 1, 0.5, 1, 3, 1], np.float64).astype(dtype.numpy)
    if dtype is dtypes.uint8:
        values[2] = 200
    want = {"add": values.sum(dtype=dtype.numpy), "mul": values.prod(dtype=dtype.numpy)}
    want |= {"maximum": values.max(), "minimum": values.min()}
    got = np.zeros(1, dtype.numpy)
    run_kernel(Kernel("reduce", (x, out), (), body), values, got)
    first = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}[fn]
    assert got[0] == first(want[fn], values[0])


def test_bitwise_lane_reductions(run_kernel: Run) -> None:
    x, out, lane = Buffer("x", dtypes.int32), Buffer("out", dtypes.int32), Var("lane")
    names = ("and", "or", "xor")
    body: list[Stmt] = []
    for number, fn in enumerate(names):
        acc = Var(f"acc{number}", dtypes.int32)
        reduce = Call(fn, (Load(x, lane), acc), dtypes.int32, reassociate=True)
        body += [
            Local(acc, const(12, dtypes.int32)),
            For(lane, const(4), (Assign(acc, reduce),), "vector"),
            Store(out, const(number), acc),
        ]
    values, got = np.array([13, 9, 13, 29], np.int32), np.zeros(3, np.int32)
    run_kernel(Kernel("bits", (x, out), (), tuple(body)), values, got)
    assert got.tolist() == [8, 29, 12 ^ 13 ^ 9 ^ 13 ^ 29]


def test_lanes_may_not_assign_an_outer_variable_in_order() -> None:
    acc, lane = Var("acc", F32), Var("lane")
    body = (Local(acc, const(0.0, F32)), For(lane, const(4), (Assign(acc, acc + Load(X, lane)),), "vector"))
    with pytest.raises(CompilerBug, match="lanes of a vector loop assign acc"):
        llvm.render_kernel(Kernel("sum", (X,), (), body))


@pytest.mark.parametrize(
    ("stmt", "construct"),
    [
        (For(i, const(4), (If(i < 2, (Store(OUT, i, Load(X, i)),)),), "vector"), "If whose test differs"),
        (For(i, const(4), (For(J, i, (Store(OUT, J, Load(X, J)),)),), "vector"), "extent differs"),
        (For(i, const(4), (For(J, const(4), (Store(OUT, J, Load(X, J)),), "vector"),), "vector"), "inside a vector"),
        (For(i, const(4), (Barrier(),), "thread"), "barrier inside a thread loop"),
        (For(i, const(4), (), "warp"), "a warp loop"),
    ],
)
def test_what_has_no_words_is_refused_by_name(stmt: Stmt, construct: str) -> None:
    with pytest.raises(UnsupportedError, match=f"renderer llvm: .*{construct}"):
        llvm.render_kernel(Kernel("k", (X, OUT), (), (stmt,)))


def test_a_uniform_test_in_a_vector_loop_branches(run_kernel: Run) -> None:
    body = If(N > 0, (Store(OUT, i, Load(X, i)),), (Store(OUT, i, const(0.0, F32)),))
    kernel = Kernel("k", (X, OUT, N), (), (For(i, const(4), (body, Barrier()), "vector"),))
    x, out = floats(4), np.ones(4, np.float32)
    run_kernel(kernel, x, out, 1)
    np.testing.assert_array_equal(out, x)
    run_kernel(kernel, x, out, 0)
    assert not out.any()


@pytest.mark.parametrize("written", [False, True])
def test_a_prefetch_is_a_hint(run_kernel: Run, written: bool) -> None:
    loop = For(i, const(4), (Prefetch(X, i + 2, written), Store(OUT, i, Load(X, i))))
    kernel = Kernel("k", (X, OUT), (), (loop,))
    assert re.search(rf"call void @llvm.prefetch.p0\(ptr %\w+, i32 {int(written)},", llvm.render_kernel(kernel))
    x, out = floats(4), np.zeros(4, np.float32)
    run_kernel(kernel, x, out)
    np.testing.assert_array_equal(out, x)


def test_scratch_is_shared_by_the_loops_of_a_call(run_kernel: Run) -> None:
    tile = Buffer("tile", F32, "shared", 16)
    body = (
        For(i, const(16), (Store(tile, i, Load(X, i)),), "thread"),
        Barrier(),
        For(i, const(16), (Store(OUT, i, Load(tile, const(15) - i)),), "thread"),
    )
    x, out = floats(16), np.zeros(16, np.float32)
    run_kernel(Kernel("flip", (X, OUT), (tile,), (For(J, const(1), body, "block"),)), x, out)
    np.testing.assert_array_equal(out, x[::-1])


def test_scratch_memory_is_bounded() -> None:
    with pytest.raises(CompilerBug, match="too much scratch"):
        llvm.render_kernel(Kernel("k", (), (Buffer("big", F32, "local", 1 << 20),), ()))


def micro_kernel(rows: int = 6, vectors: int = 2, lanes: int = 8) -> Kernel:
    """``out = x @ y`` for a tile of ``rows`` by ``vectors * lanes``, held in registers over the loop."""
    columns, r, v, lane = vectors * lanes, Var("r"), Var("v"), Var("lane")
    tile = Buffer("tile", F32, "local", rows * columns)

    def each(store: Callable[[Expr], Stmt]) -> For:
        inner = For(lane, const(lanes), (store((r * vectors + v) * lanes + lane),), "vector")
        return For(r, const(rows), (For(v, const(vectors), (inner,), "unroll"),), "unroll")

    product = Load(X, r * N + K) * Load(Y, K * columns + v * lanes + lane)
    body = (
        each(lambda at: Store(tile, at, const(0.0, F32))),
        For(K, N, (each(lambda at: Store(tile, at, Load(tile, at) + product)),)),
        each(lambda at: Store(OUT, at, Load(tile, at))),
    )
    return Kernel("micro", (X, Y, OUT, N), (tile,), body)


def test_a_register_tile_multiplies(run_kernel: Run) -> None:
    a, b, out = floats(6, 33), floats(33, 16), np.zeros((6, 16), np.float32)
    run_kernel(micro_kernel(), a, b, out, 33)
    np.testing.assert_allclose(out, a @ b, rtol=1e-4, atol=1e-5)


def test_a_register_tile_stays_in_registers() -> None:
    text = native.optimised_text(llvm.render_kernel(micro_kernel()))
    assert "alloca" not in text
    assert text.count("phi <8 x float>") >= 12
    if not re.match(r"x86_64|amd64", native.host().triple):
        return
    target = native.Target(native.host().triple, "x86-64-v3", "")
    code = native.assembly(llvm.render_kernel(micro_kernel()), target=target)
    assert "(%rsp" not in code
    assert code.count("vfmadd") >= 12


def test_simple_loops_are_vectorised() -> None:
    acc = Var("acc", F32)
    x = Load(X, i)
    add = call("add", acc, x * x, reassociate=True)
    largest = call("maximum", acc, x, reassociate=True)
    kernels = [
        Kernel("map", (X, Y, OUT, N), (), (For(i, N, (Store(OUT, i, where(x > 0.0, x + Load(Y, i), 0.0)),)),)),
        Kernel(
            "rows", (X, Y, OUT, N), (), (For(J, N, (For(i, N, (Store(OUT, J * N + i, Load(X, J * N + i) * 3.0),)),)),)
        ),
        *(
            Kernel("sum", (X, OUT, N), (), (Local(acc, x0), For(i, N, (Assign(acc, e),)), Store(OUT, const(0), acc)))
            for x0, e in ((const(0.0, F32), add), (const(-np.inf, F32), largest))
        ),
    ]
    target = native.Target("x86_64-unknown-linux-gnu", "x86-64-v3", "")
    for kernel in kernels:
        assert "<8 x float>" in native.optimised_text(llvm.render_kernel(kernel), target=target), kernel.name


def test_loops_that_only_read_use_the_widest_registers() -> None:
    acc = Var("acc", F32)
    add = call("add", acc, Load(X, J * N + i), reassociate=True)
    row = (Local(acc, const(0.0, F32)), For(i, N, (Assign(acc, add),)), Store(OUT, J, acc))
    sums = Kernel("sums", (X, OUT, N), (), (For(J, N, row, "parallel"),))
    each = For(i, N, (Store(OUT, J * N + i, Load(X, J * N + i) * 3.0),))
    rows = Kernel("rows", (X, OUT, N), (), (For(J, N, (each,), "parallel"),))
    target = native.Target("x86_64-unknown-linux-gnu", "x86-64-v4", "")
    for kernel, lanes in ((sums, 16), (rows, 8)):
        assert f"<{lanes} x float>" in native.optimised_text(llvm.render_kernel(kernel), target=target), kernel.name


def test_ordered_sums_stay_ordered(run_kernel: Run) -> None:
    acc = Var("acc", F32)
    body = (Local(acc, const(0.0, F32)), For(i, N, (Assign(acc, acc + Load(X, i)),)), Store(OUT, const(0), acc))
    x, out = floats(1000), np.zeros(1, np.float32)
    run_kernel(Kernel("sum", (X, OUT, N), (), body), x, out, 1000, opt=3)
    assert out[0] == np.cumsum(x, dtype=np.float32)[-1]


def test_kernels_of_one_name_are_kept_apart() -> None:
    first = Kernel("k", (OUT,), (), (Store(OUT, const(0), const(1.0, F32)),))
    second = Kernel("k", (OUT,), (), (Store(OUT, const(1), const(2.0, F32)),))
    program = Program("both", (), (OUT,), (), (Launch(first, (OUT,)), Launch(second, (OUT,)), Launch(first, (OUT,))))
    text = llvm.render(program)
    assert text.count("define internal void") == 2
    function = native.load_object(native.compile_text(text), entry_symbol("both"))
    out = np.zeros(2, np.float32)
    pointers = np.array([out.ctypes.data], np.int64)
    assert function(pointers.ctypes.data, 0, 0) == 0
    assert out.tolist() == [1, 2]


def test_rendering_is_deterministic() -> None:
    kernel = micro_kernel()
    program = Program("p", (X, Y), (OUT,), (N,), (Launch(kernel, (X, Y, OUT, N)),))
    assert llvm.render(program) == llvm.render(program)
