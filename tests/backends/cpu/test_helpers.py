from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.backends.cpu import helpers, llvm, native
from jitorch.backends.cpu.host import entry_symbol
from jitorch.backends.cpu.text import Function, Module
from jitorch.ir import scalars
from jitorch.ir.kernel import Buffer, Call, For, Kernel, Load, Store, Var, call, const
from jitorch.ir.program import Launch, Program


@pytest.mark.parametrize("lanes", [1, 8])
def test_philox_is_the_published_one_bit_for_bit(lanes: int, run_kernel: Callable[..., None]) -> None:
    out, seed, offset, i, lane = Buffer("out", dtypes.int64), Var("seed"), Var("offset"), Var("i"), Var("lane")
    place = i * lanes + lane
    body = For(lane, const(lanes), (Store(out, place, call("philox", seed, offset, place)),), "vector")
    kernel = Kernel("random", (out, seed, offset), (), (For(i, const(64 // lanes), (body,)),))
    for key, start in ((0, 0), (-1, 2**63 - 3), (12345678901234567, 99)):
        got = np.empty(64, np.int64)
        run_kernel(kernel, got, key, start)
        np.testing.assert_array_equal(got, scalars.philox(key, start, np.arange(64)))


def test_philox_known_answer(run_kernel: Callable[..., None]) -> None:
    # Random123's kat_vectors: philox4x32 with 10 rounds, counter and key zero.
    out, zero = Buffer("out", dtypes.int64), const(0)
    kernel = Kernel("zero", (out,), (), (Store(out, zero, Call("philox", (zero, zero, zero), dtypes.int64)),))
    got = np.empty(1, np.int64)
    run_kernel(kernel, got)
    assert got[0] == 0x6627E8D5


def test_allocated_memory_is_aligned_to_64_bytes() -> None:
    module = Module()
    allocate, free = module.helper(*helpers.allocate()), module.helper(*helpers.free())
    probe = Function(module)
    probe.do(f"call i1 {allocate}(ptr %slot, i64 %bytes)")
    address = probe.op("load i64, ptr %slot, align 8")
    odd = probe.op(f"and i64 {address}, 63")
    probe.do(f"call void {free}(ptr %slot)")
    left = probe.op("load i64, ptr %slot, align 8")
    wrong = probe.op(f"or i64 {odd}, {left}")
    probe.do(f"ret i32 {probe.op(f'trunc i64 {wrong} to i32')}")
    module.functions["probe"] = probe.text("i32 @probe(ptr %slot, i64 %bytes, ptr %unused) #0")
    function = native.load_object(native.compile_text(module.text()), "probe")
    slot = np.zeros(1, np.int64)
    for size in (0, 1, 100, 4096, 1 << 20):
        assert function(slot.ctypes.data, size, 0) == 0


@pytest.fixture(scope="module")
def powers() -> Callable[[str, int, int], int]:
    """``x ** y`` of int64 and uint8, compiled once."""
    x, y, out = (Buffer(name, dtypes.int64) for name in ("x", "y", "out"))
    bx, by, bout = (Buffer(name, dtypes.uint8) for name in ("bx", "by", "bout"))
    zero = const(0)
    signed = Kernel("signed", (x, y, out), (), (Store(out, zero, call("pow", Load(x, zero), Load(y, zero))),))
    byte = Kernel("byte", (bx, by, bout), (), (Store(bout, zero, call("pow", Load(bx, zero), Load(by, zero))),))
    program = Program(
        "power",
        (x, y, bx, by),
        (out, bout),
        (),
        (Launch(signed, (x, y, out)), Launch(byte, (bx, by, bout))),
    )
    function = native.load_object(native.compile_text(llvm.render(program)), entry_symbol("power"))

    def power(kind: str, a: int, b: int) -> int:
        wide, narrow = np.array([a, b, 0], np.int64), np.array([a & 255, b & 255, 0], np.uint8)
        addresses = [wide.ctypes.data + 8 * i for i in range(2)] + [narrow.ctypes.data + i for i in range(2)]
        addresses += [wide.ctypes.data + 16, narrow.ctypes.data + 2]
        pointers = np.array(addresses, np.int64)
        assert function(pointers.ctypes.data, 0, 0) == 0
        return int(wide[2] if kind == "int64" else narrow[2])

    return power


@settings(deadline=None)
@given(x=st.integers(-(2**63), 2**63 - 1), y=st.integers(0, 200))
def test_powers_wrap(powers: Callable[[str, int, int], int], x: int, y: int) -> None:
    assert powers("int64", x, y) % 2**64 == pow(x, y, 2**64)
    assert powers("uint8", x & 255, y) == pow(x & 255, y, 256)


@pytest.mark.parametrize(("x", "y", "power"), [(1, -5, 1), (-1, -5, -1), (-1, -4, 1), (2, -1, 0), (0, -1, 0)])
def test_negative_powers_are_truncated(powers: Callable[[str, int, int], int], x: int, y: int, power: int) -> None:
    assert powers("int64", x, y) == power
