"""The thread pool: the same bits on any number of threads, and no way to hang it."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from jitorch import config, dtypes
from jitorch.backends.cpu import cost, llvm, native, pool, pool_text, regions
from jitorch.backends.cpu.host import entry_symbol
from jitorch.ir import kernel as k
from jitorch.ir import scalars
from jitorch.ir.kernel import Assign, Buffer, Call, For, If, Kernel, Let, Load, Local, Store, Var
from jitorch.ir.program import Launch, Program

F32 = dtypes.float32
X, OUT = Buffer("x", F32), Buffer("out", F32)
i, J, N, M = (Var(name) for name in "ijnm")
THREADS = (1, 2, 3, 8)
FLOATING = [n for n, s in scalars.TABLE.items() if dtypes.Category.FLOAT in s.accepts and s.arity < 3]
LARGE = 70_001  # elements of a vector, and some that are left over

pytestmark = pytest.mark.skipif(pool.pool() is None, reason="no pool on this platform")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = config.current().num_threads
    yield
    config.set_default(num_threads=before)


class Native:
    """A program and its arrays, to be called again and again, from any thread."""

    def __init__(self, kernels: list[Kernel], arrays: list[np.ndarray], sizes: list[int], status: Buffer | None = None):
        buffers = list(dict.fromkeys(p for x in kernels for p in x.params if isinstance(p, Buffer) and p != status))
        scalars = list(dict.fromkeys(p for x in kernels for p in x.params if isinstance(p, Var)))
        body = tuple(Launch(x, x.params) for x in kernels)
        program = Program("many", tuple(buffers), (), tuple(scalars), body, status)
        self.text = llvm.render(program)
        self.function = native.load_object(native.compile_text(self.text), entry_symbol("many"))
        self.arrays, self.sizes = arrays, np.array(sizes or [0], np.int64)

    def __call__(self, *arrays: np.ndarray) -> int:
        pointers = np.array([a.ctypes.data for a in arrays or self.arrays], np.int64)
        return self.function(pointers.ctypes.data, self.sizes.ctypes.data, 0)


def kernel(name: str, *body: k.Stmt, scratch: tuple[Buffer, ...] = (), params: tuple[Buffer | Var, ...] = ()) -> Kernel:
    return k.verify(Kernel(name, params or (X, OUT, N), scratch, body))


def parallel(var: Var, extent: k.Expr | int, *body: k.Stmt) -> For:
    return For(var, k.as_expr(extent), body, "parallel")


def heavy(x: k.Expr) -> k.Expr:
    return k.call("tanh", k.call("exp", x * 0.5) + 1.0)


def same_on_any_number_of_threads(native_: Native, out: np.ndarray) -> np.ndarray:
    """Run with each count, more than once: the bits of ``out`` must not change."""
    results = []
    for count in THREADS:
        config.set_default(num_threads=count)
        for _ in range(3):
            out.fill(0)
            assert native_() == 0
            results.append(out.copy())
    assert all(r.tobytes() == results[0].tobytes() for r in results)
    return results[0]


def data(n: int, dtype: np.dtype | type = np.float32) -> np.ndarray:
    return np.random.default_rng(n).normal(size=n).astype(dtype)


MAP = kernel("map", parallel(i, N, Store(OUT, i, heavy(Load(X, i)))))


def test_a_map() -> None:
    x, out = data(LARGE), np.zeros(LARGE, np.float32)
    got = same_on_any_number_of_threads(Native([MAP], [x, out], [LARGE]), out)
    np.testing.assert_allclose(got, np.tanh(np.exp(x * 0.5) + 1), rtol=1e-6)


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
@pytest.mark.parametrize(
    "name", [n for n, s in scalars.TABLE.items() if dtypes.Category.FLOAT in s.accepts and s.arity < 3]
)
def test_vectors_and_what_is_left_over_have_the_same_bits(name: str, dtype: dtypes.DType) -> None:
    """The last elements of a range are not computed in a vector: there they must come out the same."""
    n = 1021
    a = Buffer("a", dtype)
    made = scalars.TABLE[name]
    value = k.call(name, *[Load(a, i), Load(a, N - 1 - i)][: made.arity])
    out = Buffer("out", value.dtype)
    one = Kernel("one", (a, out, N, M), (), (For(i, M, (Store(out, i, value),), "serial"),))
    x = data(n, dtype.numpy) * 3
    whole = np.zeros(n, value.dtype.numpy)
    run = Native([one], [x, whole], [n, n])
    assert run() == 0
    for length in range(1, n, 37):
        part = np.zeros(n, value.dtype.numpy)
        run.sizes[1] = length
        assert run(x, part) == 0
        assert part[:length].tobytes() == whole[:length].tobytes()


def test_rows_with_a_sum_each() -> None:
    acc, rows, columns = Var("acc", F32), 301, 517
    total = Assign(acc, k.call("add", acc, Load(X, i * M + J), reassociate=True))
    body = parallel(i, N, Local(acc, k.const(0.0, F32)), For(J, M, (total,)), Store(OUT, i, heavy(acc)))
    x, out = data(rows * columns), np.zeros(rows, np.float32)
    program = Native([kernel("rows", body, params=(X, OUT, N, M))], [x, out], [rows, columns])
    got = same_on_any_number_of_threads(program, out)
    np.testing.assert_allclose(got, np.tanh(np.exp(x.reshape(rows, columns).sum(1) * 0.5) + 1), rtol=1e-4)


def test_short_sums_that_llvm_may_put_into_one_vector() -> None:
    acc, n = Var("acc", F32), 50_003
    total = Assign(acc, k.call("add", acc, k.call("exp", Load(X, i * 4 + J)), reassociate=True))
    body = parallel(i, N, Local(acc, k.const(0.0, F32)), For(J, k.const(4), (total,)), Store(OUT, i, acc))
    x, out = data(4 * n), np.zeros(n, np.float32)
    got = same_on_any_number_of_threads(Native([kernel("fours", body)], [x, out], [n]), out)
    np.testing.assert_allclose(got, np.exp(x.reshape(n, 4)).sum(1), rtol=1e-5)


def nest(sizes: tuple[k.Expr, ...]) -> Kernel:
    """``out[a, b, c] = heavy(x[a, b, c])``, all loops parallel."""
    a, b, c = (Var(name) for name in "abc")
    place = (a * sizes[1] + b) * sizes[2] + c
    loop = parallel(c, sizes[2], Store(OUT, place, heavy(Load(X, place))))
    body = parallel(a, sizes[0], parallel(b, sizes[1], loop))
    return kernel("nest", body, params=(X, OUT, *(s for s in sizes if isinstance(s, Var))))


@pytest.mark.parametrize("sizes", [(1, 40, 500), (2, 3, 5000), (300, 2, 100), (0, 7, 9), (5, 0, 9), (3, 4, 0)])
@pytest.mark.parametrize("is_known", [True, False])
def test_parallel_loops_inside_of_each_other(sizes: tuple[int, int, int], is_known: bool) -> None:
    symbolic = tuple(map(k.const, sizes)) if is_known else (Var("p"), Var("q"), Var("r"))
    n = int(np.prod(sizes))
    x, out = data(n), np.zeros(max(n, 1), np.float32)
    program = Native([nest(symbolic)], [x, out], [] if is_known else list(sizes))
    got = same_on_any_number_of_threads(program, out)
    np.testing.assert_allclose(got[:n], np.tanh(np.exp(x * 0.5) + 1), rtol=1e-6)


def test_a_short_outer_loop_is_joined_to_the_next() -> None:
    region = regions.region_of(nest((k.const(1), k.const(40), k.const(500))).body[0])  # type: ignore[arg-type]
    assert [loop.var.name for loop in region.loops] == ["a", "b"]
    region = regions.region_of(nest((k.const(200), k.const(40), k.const(500))).body[0])  # type: ignore[arg-type]
    assert [loop.var.name for loop in region.loops] == ["a"]


def test_a_kernel_with_two_loops_and_a_value_before_them() -> None:
    """The second loop reads what the first one wrote; both read what was loaded before either."""
    first, scale = Var("first", F32), Var("scale", F32)
    body = (
        Let(first, Load(X, k.const(0))),
        Local(scale, first + 1.0),
        Assign(scale, scale * 2.0),
        parallel(i, N, Store(X, i, heavy(Load(X, i)) + scale)),
        parallel(i, N, Store(OUT, i, Load(X, N - 1 - i) * first)),
    )
    start = data(LARGE)
    x, out = start.copy(), np.zeros(LARGE, np.float32)
    program = Native([kernel("two", *body)], [x, out], [LARGE])
    for count in THREADS:
        config.set_default(num_threads=count)
        x[:] = start
        assert program() == 0
        want = (np.tanh(np.exp(start * 0.5) + 1) + (start[0] + 1) * 2)[::-1] * start[0]
        np.testing.assert_allclose(out, want, rtol=1e-5)


def test_each_iteration_has_its_own_scratch_memory() -> None:
    tile, size = Buffer("tile", F32, "local", 64), k.const(64)
    fill = For(J, size, (Store(tile, J, heavy(Load(X, i * 64 + J))),))
    empty = For(J, size, (Store(OUT, i * 64 + J, Load(tile, 63 - J)),))
    x, out = data(64 * 500), np.zeros(64 * 500, np.float32)
    program = Native([kernel("tiles", parallel(i, N, fill, empty), scratch=(tile,))], [x, out], [500])
    got = same_on_any_number_of_threads(program, out)
    want = np.tanh(np.exp(x * 0.5) + 1).reshape(500, 64)[:, ::-1].ravel()
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert regions.HOOK in program.text


def test_scratch_memory_that_outlives_a_loop_keeps_it_on_one_thread() -> None:
    tile = Buffer("tile", F32, "local", 4096)
    body = (
        parallel(i, 4096, Store(tile, i, heavy(heavy(Load(X, i))))),
        For(i, k.const(4096), (Store(OUT, i, Load(tile, i)),)),
    )
    x, out = data(4096), np.zeros(4096, np.float32)
    program = Native([kernel("kept", *body, scratch=(tile,), params=(X, OUT))], [x, out], [])
    assert regions.HOOK not in program.text
    same_on_any_number_of_threads(program, out)


def test_a_status_reaches_the_caller() -> None:
    status, index = Buffer("status", dtypes.int32), Buffer("index", dtypes.int64)
    place = Load(index, i)
    inside = (place >= 0) & (place < N)
    check = If(~inside, (Store(status, k.const(0), k.const(7, dtypes.int32)),))
    body = parallel(i, N, check, Store(OUT, i, heavy(Load(X, k.where(inside, place, 0)))))
    take = kernel("take", body, params=(X, index, OUT, status, N))
    x, out, places = data(LARGE), np.zeros(LARGE, np.float32), np.arange(LARGE)[::-1].copy()
    program = Native([take], [x, places, out], [LARGE], status)
    for count in THREADS:
        config.set_default(num_threads=count)
        assert program() == 0
        for wrong in (0, LARGE // 2, LARGE - 1):
            kept, places[wrong] = places[wrong], LARGE
            assert program() == 7
            places[wrong] = kept


Task = Callable[[int, int], None]
_TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_ENTER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def enter(task: Task, extent: int, grain: int, work: int = 10**10) -> None:
    """Call the pool itself, with work enough (picoseconds) that it always shares."""
    callback = _TASK(lambda _, low, high: task(low, high))
    run = _ENTER(pool.pool().enter)  # type: ignore[union-attr]
    run(ctypes.cast(callback, ctypes.c_void_p), None, extent, grain, work)


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 255, 256, 257, 4095])
@pytest.mark.parametrize(("count", "grain"), [(1, 1), (2, 1), (3, 64), (8, 1), (8, 256)])
def test_ranges_cover_everything_once(n: int, count: int, grain: int) -> None:
    config.set_default(num_threads=count)
    ranges: list[tuple[int, int]] = []
    enter(lambda low, high: ranges.append((low, high)), n, grain)
    ranges.sort()
    assert [low for low, _ in ranges] == [0, *(high for _, high in ranges)][:-1]
    assert ranges[-1][1] == n
    assert all(low % grain == 0 for low, _ in ranges)
    assert len(ranges) <= max(1, 16 * count)


def ranges_of(extent: int, microseconds: int = 60) -> int:
    ranges: list[int] = []
    enter(lambda low, _: ranges.append(low), extent, 1, microseconds * 10**6)
    return len(ranges)


@pytest.mark.parametrize(("microseconds", "count"), [(30, 8), (60, 8), (200, 10), (500, 25), (10_000, 32)])
def test_long_loops_have_more_ranges(microseconds: int, count: int) -> None:
    config.set_default(num_threads=2)
    assert ranges_of(3200, microseconds) == count


def test_an_override_holds_for_its_thread() -> None:
    config.set_default(num_threads=2)
    seen: list[int] = []
    with config.override(num_threads=5):
        other = threading.Thread(target=lambda: seen.append(ranges_of(1000)))
        other.start()
        other.join()
        seen.append(ranges_of(1000))
        with config.override(num_threads=1):
            seen.append(ranges_of(1000))
        config.set_default(num_threads=3)
        seen.append(ranges_of(1000))
    seen.append(ranges_of(1000))
    assert seen == [8, 20, 1, 20, 12]


def test_the_pool_is_not_entered_twice() -> None:
    """A loop inside of a task runs in that task, whole."""
    config.set_default(num_threads=4)
    ranges: list[tuple[int, int]] = []

    def task(low: int, high: int) -> None:
        for _ in range(low, high):
            enter(lambda inner_low, inner_high: ranges.append((inner_low, inner_high)), 100, 1)

    enter(task, 16, 1)
    assert ranges == [(0, 100)] * 16


def many_calls(workers: int, seconds: float, also: Callable[[], object] = lambda: None) -> int:
    """Python threads that call one program at once, each on its own arrays; gives the number of calls."""
    x = data(LARGE)
    want = np.zeros(LARGE, np.float32)
    program = Native([MAP, kernel("again", *MAP.body)], [x, want], [LARGE])
    assert program() == 0
    stop, wrong, calls = time.monotonic() + seconds, [], [0] * workers

    def work(number: int) -> None:
        out = np.zeros(LARGE, np.float32)
        while time.monotonic() < stop and not wrong:
            out.fill(0)
            if program(x, out) != 0 or out.tobytes() != want.tobytes():
                wrong.append(number)
            calls[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        also()
        time.sleep(0.001)
    assert not wrong
    assert all(calls)
    return sum(calls)


def test_python_threads_share_the_pool() -> None:
    config.set_default(num_threads=4)
    assert many_calls(8, 0.5) > 8


def test_the_number_of_threads_changes_while_others_compute() -> None:
    counts = iter([1, 8, 2, 5, 3, 1, 7] * 1000)
    many_calls(3, 0.5, lambda: config.set_default(num_threads=next(counts)))


def test_surplus_workers_go_home() -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("the number of threads of this process is not known here")
    x, out = data(LARGE), np.zeros(LARGE, np.float32)
    program = Native([MAP], [x, out], [LARGE])

    def settle(count: int) -> int:
        config.set_default(num_threads=count)
        for _ in range(100):
            program()
        deadline, threads = time.monotonic() + 5, -1
        while time.monotonic() < deadline:
            now = len(os.listdir("/proc/self/task"))
            if now == threads:
                break
            threads = now
            time.sleep(0.05)
        return threads

    one = settle(1)
    assert settle(6) == one + 5
    assert settle(3) == one + 2
    assert settle(1) == one


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_after_fork_has_threads_of_its_own() -> None:
    config.set_default(num_threads=4)
    x, out = data(LARGE), np.zeros(LARGE, np.float32)
    program = Native([MAP], [x, out], [LARGE])
    assert program() == 0
    want = out.copy()
    child = os.fork()
    if child == 0:
        good = all((program(), out.tobytes() == want.tobytes()) == (0, True) for _ in range(20))
        threads = len(os.listdir("/proc/self/task")) if Path("/proc/self/task").exists() else 4
        os._exit(0 if good and threads == 4 else 1)
    deadline = time.monotonic() + 20
    while (status := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.005)
    assert status[1] == 0


SCRIPT = """
import sys, threading, time
import jitorch
jitorch.set_num_threads(4)
f = jitorch.jit(lambda x: (x.exp() + 1).tanh())
x = jitorch.rand(200_000)
y = f(x)
{more}
print("end")
"""


@pytest.mark.parametrize(
    "more",
    [
        "",
        "time.sleep(0.01)",  # the workers sleep by now
        "sys.exit(0)",
        "threading.Thread(target=lambda: [f(x) for _ in range(10**6)], daemon=True).start()",
    ],
)
def test_the_process_ends(more: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(more=more))
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if "exit" in more else "end\n")


def test_small_loops_are_not_shared() -> None:
    x, out = data(100), np.zeros(100, np.float32)
    small = kernel("small", parallel(i, 100, Store(OUT, i, heavy(Load(X, i)))), params=(X, OUT))
    program = Native([small], [x, out], [])
    assert regions.HOOK not in program.text
    assert program() == 0


def test_without_a_pool_the_kernel_runs_its_loop() -> None:
    """The word is null where nobody fills it in, as in an object that is linked into a library."""
    text = llvm.render_kernel(MAP).replace(regions.HOOK, "some_other_word")
    addresses, library = native.load_symbols([native.compile_text(text)], ("map", "some_other_word"))
    assert ctypes.c_void_p.from_address(addresses["some_other_word"]).value is None
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(addresses["map"])
    x, out = data(LARGE), np.zeros(LARGE, np.float32)
    run(x.ctypes.data, out.ctypes.data, LARGE)
    np.testing.assert_allclose(out, np.tanh(np.exp(x * 0.5) + 1), rtol=1e-6)
    assert library is not None


@pytest.mark.parametrize(
    "triple",
    [
        "x86_64-unknown-linux-gnu",
        "aarch64-unknown-linux-gnu",
        "riscv64-unknown-linux-gnu",
        "x86_64-apple-darwin",
        "arm64-apple-darwin",
        "x86_64-pc-windows-msvc",
        "aarch64-pc-windows-msvc",
    ],
)
def test_code_for_other_platforms(triple: str) -> None:
    text = pool_text.pool_text(triple)
    assert text is not None
    assert native.compile_text(text, target=native.Target(triple, "", ""))


def test_what_the_pool_calls_on_windows_can_be_found() -> None:
    text = pool_text.pool_text("x86_64-pc-windows-msvc") or ""
    called = re.findall(r"^declare \S+ @(\w+)\(", text, re.MULTILINE)
    assert called
    assert set(called) <= set(native.WINDOWS_FUNCTIONS)


def test_a_platform_without_words_has_no_pool() -> None:
    assert pool_text.pool_text("wasm32-unknown-unknown") is None


def picoseconds(*body: k.Stmt) -> int:
    found = cost.cost(body, {"n"})
    assert isinstance(found, k.Const)
    return int(found.value.real)


def test_the_cost_of_a_loop() -> None:
    one = picoseconds(Store(OUT, i, Load(X, i) + 1.0))
    assert 20 < one < 100
    assert picoseconds(Store(OUT, i, k.call("exp", Load(X, i)))) > 5 * one
    assert picoseconds(For(i, k.const(1000), (Store(OUT, i, Load(X, i)),))) > 20_000


def test_what_a_vector_loop_does_not_move_is_counted_once() -> None:
    tile, v = Buffer("tile", F32, "local", 16), Var("v")

    def loop(value: k.Expr) -> int:
        return picoseconds(For(v, k.const(16), (Store(tile, v, Load(tile, v) + value),), "vector"))

    assert loop(Load(X, i)) < loop(Load(X, v))


def test_what_is_read_across_the_lanes_of_a_vector_costs_more() -> None:
    square, v = Buffer("square", F32, "local", 256), Var("v")

    def column(lane: int, number: int) -> int:
        read = Load(square, v * lane + number)
        return picoseconds(For(v, k.const(16), (Store(OUT, v, read),), "vector"))

    assert column(16, 3) > 3 * column(1, 48)
    assert column(16, 3) > 3 * column(-1, 48)


def test_an_extent_of_the_caller_stays_in_the_cost() -> None:
    found = cost.cost((For(J, N, (Store(OUT, J, Load(X, J)),)),), {"n"})
    assert {e.name for e in k.parts(found) if isinstance(e, Var)} == {"n"}
    inner = For(J, Load(Buffer("sizes", dtypes.int64), i), (Store(OUT, J, Load(X, J)),))
    assert isinstance(cost.cost((inner,), {"n"}), k.Const)


def test_a_part_of_a_range_is_taken_for_a_whole_one() -> None:
    start, length = Var("start"), Var("length")
    part = (Let(start, i * 5000), Let(length, k.call("minimum", N - start, k.const(5000))))
    assert picoseconds(*part, For(J, length, (Store(OUT, J, Load(X, J)),))) > 100_000


def test_a_shared_expression_costs_once() -> None:
    value: k.Expr = Load(X, i)
    for _ in range(60):
        value = Call("add", (value, value), F32)
    assert picoseconds(Store(OUT, i, value)) < 2000
