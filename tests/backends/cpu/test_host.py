"""Programs: memory, control flow, scalars and status codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.backends.cpu import llvm
from jitorch.backends.cpu.host import OUT_OF_MEMORY, entry_symbol
from jitorch.errors import CompilerBug, UnsupportedError
from jitorch.ir.kernel import INDEX, Buffer, Call, For, If, Kernel, Load, Store, Var, cast, const, where
from jitorch.ir.program import Alloc, Copy, Free, Launch, Place, Program, Return, Scalar, While
from jitorch.ir.program import If as HostIf

F32 = dtypes.float32
X, Y, OUT, T, U = (Buffer(name, F32) for name in ("x", "y", "out", "t", "u"))
i, N = Var("i"), Var("n")
Run = Callable[..., int]

# y[i] = x[i] + step
STEP = Var("step", F32)
ADD = Kernel("add", (X, Y, N, STEP), (), (For(i, N, (Store(Y, i, Load(X, i) + STEP),), "parallel"),))
ONE = const(1.0, F32)


def add(source: Buffer, target: Buffer, step: float = 1.0) -> Launch:
    return Launch(ADD, (source, target, N, const(step, F32)))


def test_alloc_and_free(run_program: Run) -> None:
    body = (Alloc(T, N), add(X, T), Alloc(U, N * 2), add(T, U), Free(T), add(U, OUT), Free(U))
    x, out = np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
    assert run_program(Program("chain", (X,), (OUT,), (N,), body), [x], [out], [5]) == 0
    assert out.tolist() == [3, 4, 5, 6, 7]


def test_allocations_hold_what_is_copied_to_them(run_program: Run) -> None:
    names = [Buffer(f"t{i}", dtypes.uint8) for i in range(5)]
    source, target = Buffer("source", dtypes.uint8), Buffer("target", dtypes.uint8)
    body = []
    for size, buffer in enumerate(names):
        body += [Alloc(buffer, const(size * 13 + 100)), Copy(buffer, names[size - 1] if size else source, const(100))]
    body.append(Copy(target, names[-1], const(100)))
    data, out = np.arange(100, dtype=np.uint8), np.zeros(100, np.uint8)
    assert run_program(Program("copies", (source,), (target,), (), tuple(body)), [data], [out]) == 0
    np.testing.assert_array_equal(out, data)


def test_place_uses_the_arena(run_program: Run) -> None:
    offset = Var("offset")
    body = (
        Scalar(offset, N * 4 + 60),
        Place(T, N, const(0)),
        Place(U, N, offset),
        add(X, T),
        add(T, U),
        Free(T),
        add(U, OUT),
    )
    x, out = np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
    assert run_program(Program("placed", (X,), (OUT,), (N,), body), [x], [out], [5], arena=120) == 0
    assert out.tolist() == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(("taken", "want"), [(True, 2.0), (False, 5.0)])
def test_if(taken: bool, want: float, run_program: Run) -> None:
    flag = Var("flag", dtypes.bool_)
    body = (HostIf(flag, (add(X, OUT, 2.0),), (add(X, OUT, 5.0),)),)
    x, out = np.zeros(3, np.float32), np.zeros(3, np.float32)
    assert run_program(Program("choose", (X,), (OUT,), (N, flag), body), [x], [out], [3, taken]) == 0
    assert (out == want).all()


def test_while_on_data_and_on_a_scalar(run_program: Run) -> None:
    """Double buffering until the first element passes a limit, counting rounds."""
    count, limit, rounds = Var("count"), Var("limit", F32), Buffer("rounds", dtypes.int64)
    keep = Kernel("keep", (rounds, count), (), (Store(rounds, const(0), count),))
    zero = const(0)
    body = (
        Alloc(T, N),
        Copy(T, X, N),
        Scalar(count, zero),
        While(
            (Scalar(Var("now", F32), Load(T, zero)),),
            Var("now", F32) < limit,
            (Alloc(U, N), add(T, U, 1.5), Copy(T, U, N), Free(U), Scalar(count, count + 1)),
        ),
        Copy(OUT, T, N),
        Launch(keep, (rounds, count)),
    )
    x, out, got = np.array([0.0, 1.0], np.float32), np.zeros(2, np.float32), np.zeros(1, np.int64)
    program = Program("loop", (X,), (OUT, rounds), (N, limit), body)
    assert run_program(program, [x], [out, got], [2, 10.0]) == 0
    assert out.tolist() == [10.5, 11.5]
    assert got[0] == 7
    assert run_program(program, [x], [out, got], [2, -1.0]) == 0
    assert out.tolist() == [0, 1]
    assert got[0] == 0


def test_return_leaves_early(run_program: Run) -> None:
    body = (Alloc(T, N), add(X, OUT), HostIf(N > 2, (Return(),)), add(X, OUT, 9.0))
    x, out = np.zeros(3, np.float32), np.zeros(3, np.float32)
    program = Program("early", (X,), (OUT,), (N,), body)
    assert run_program(program, [x], [out], [3]) == 0
    assert (out == 1).all()
    assert run_program(program, [x], [out], [2]) == 0
    assert out.tolist() == [9, 9, 1]


def test_an_allocation_in_a_loop_replaces_the_one_before(run_program: Run) -> None:
    """A thousand times 64 MiB: kept, they would not fit."""
    count = Var("count")
    body = (
        Scalar(count, const(0)),
        While((), count < 1000, (Alloc(T, const(1 << 24)), Scalar(count, count + 1))),
        add(X, OUT),
    )
    x, out = np.zeros(3, np.float32), np.zeros(3, np.float32)
    assert run_program(Program("again", (X,), (OUT,), (N,), body), [x], [out], [3]) == 0
    assert (out == 1).all()


def test_no_memory_is_a_status_code(run_program: Run) -> None:
    body = (Alloc(T, N), Alloc(U, const(1 << 58)), add(X, OUT))
    x, out = np.zeros(3, np.float32), np.zeros(3, np.float32)
    assert run_program(Program("huge", (X,), (OUT,), (N,), body), [x], [out], [3]) == OUT_OF_MEMORY
    assert not out.any()


def take_program() -> Program:
    """``out[i] = x[index[i]]``; status 7 if an index is out of range."""
    index, status = Buffer("index", dtypes.int64), Buffer("status", dtypes.int32)
    place = Load(index, i)
    inside = (place >= 0) & (place < N)
    check = If(~inside, (Store(status, const(0), const(7, dtypes.int32)),))
    body = (check, Store(OUT, i, Load(X, where(inside, place, 0))))
    take = Kernel("take", (X, index, OUT, status, N), (), (For(i, N, body),))
    launches = (Launch(take, (X, index, OUT, status, N)), add(OUT, OUT2))
    return Program("take", (X, index), (OUT, OUT2), (N,), launches, status=status)


OUT2 = Buffer("out2", F32)


def test_status_codes_stop_the_program(run_program: Run) -> None:
    x, out, out2 = np.arange(3, dtype=np.float32), np.zeros(3, np.float32), np.zeros(3, np.float32)
    assert run_program(take_program(), [x, np.array([2, 0, 1])], [out, out2], [3]) == 0
    assert out2.tolist() == [3, 1, 2]
    out2[:] = 0
    assert run_program(take_program(), [x, np.array([2, 3, 1])], [out, out2], [3]) == 7
    assert not out2.any()


def test_host_scalars_of_each_kind(run_program: Run) -> None:
    half, flag, small = Var("half", dtypes.float16), Var("flag", dtypes.bool_), Var("small", dtypes.uint8)
    total = Var("total", F32)
    value = where(flag, cast(half, F32), 0.0) + cast(small, F32)
    body = (Scalar(total, value), Scalar(total, total * 2.0), Launch(ADD, (X, OUT, N, total)))
    x, out = np.zeros(2, np.float32), np.zeros(2, np.float32)
    program = Program("scalars", (X,), (OUT,), (N, half, flag, small), body)
    assert run_program(program, [x], [out], [2, 1.5, True, 255]) == 0
    assert (out == 513).all()


def test_a_program_may_be_called_like_a_c_function(run_program: Run) -> None:
    exp = Kernel("exp", (X, OUT), (), (Store(OUT, const(0), Call("exp", (Load(X, const(0)),), F32)),))
    x, out = np.zeros(1, np.float32), np.zeros(1, np.float32)
    program = Program("expf", (X,), (OUT,), (), (Alloc(T, const(1)), Launch(exp, (X, OUT))))
    assert run_program(program, [x], [out]) == 0
    assert out[0] == 1
    assert f"@{entry_symbol('expf')}(" in llvm.render(program)


def test_names_need_not_be_identifiers(run_program: Run) -> None:
    kernel = Kernel('<lambda> "é"', ADD.params, (), ADD.body)
    x, out = np.zeros(1, np.float32), np.zeros(1, np.float32)
    program = Program('<lambda> "é"', (X,), (OUT,), (N,), (Launch(kernel, (X, OUT, N, ONE)),))
    assert run_program(program, [x], [out], [1]) == 0
    assert out[0] == 1


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ((Launch(ADD, (X, OUT, N)),), "launch of add"),
        ((Launch(ADD, (X, N, OUT, ONE)),), "parameter y"),
        ((Launch(ADD, (X, Buffer("d", dtypes.float64), N, ONE)),), "parameter y"),
        ((add(X, T),), "t is used but neither"),
        ((Free(T),), "t is freed but was not allocated"),
        ((Alloc(T, N), Place(T, N, const(0))), "both allocated and placed"),
        ((Copy(OUT, Buffer("d", dtypes.float64), N),), "copy of float64 to float32"),
        ((Scalar(Var("m", INDEX), Var("missing")),), "missing is not defined"),
    ],
)
def test_broken_programs_are_refused(body: tuple, what: str) -> None:
    with pytest.raises(CompilerBug, match=what):
        llvm.render(Program("broken", (X,), (OUT,), (N,), body))


def test_other_broken_programs_are_refused() -> None:
    with pytest.raises(CompilerBug, match="status buffer is int64"):
        llvm.render(Program("broken", (), (), (), (), status=Buffer("s", dtypes.int64)))
    with pytest.raises(UnsupportedError, match="scalar of dtype complex64"):
        llvm.render(Program("broken", (), (), (Var("z", dtypes.complex64),), ()))
