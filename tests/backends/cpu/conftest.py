"""Running a program natively on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from jitorch.backends.cpu import llvm, native
from jitorch.backends.cpu.host import entry_symbol
from jitorch.ir.kernel import Buffer, Kernel, Var, verify
from jitorch.ir.program import Launch, Program

Run = Callable[..., int]


def _slots(scalars: Sequence[int | float | bool]) -> np.ndarray:
    slots = np.zeros(len(scalars), np.int64)
    for number, value in enumerate(scalars):
        if isinstance(value, float):
            slots[number : number + 1].view(np.float64)[0] = value
        else:
            slots[number] = value
    return slots


def run_program(
    program: Program,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    scalars: Sequence[int | float | bool] = (),
    arena: int = 0,
    opt: int = 2,
) -> int:
    """Compile and call ``program``; gives its status code."""
    for kernel in program.kernels:
        verify(kernel)
    function = native.load_object(native.compile_text(llvm.render(program), opt=opt), entry_symbol(program.name))
    pointers = np.array([a.ctypes.data for a in (*inputs, *outputs)], np.int64)
    slots = _slots(scalars)
    memory = np.empty(arena + 64, np.uint8)
    base = -(-memory.ctypes.data // 64) * 64
    return function(pointers.ctypes.data, slots.ctypes.data, base)


def run_kernel(kernel: Kernel, *args: np.ndarray | int | float | bool, opt: int = 2) -> None:
    """Call ``kernel`` alone on arrays (read or written in place) and scalars, in the order of its parameters."""
    buffers = tuple(p for p in kernel.params if isinstance(p, Buffer))
    scalars = tuple(p for p in kernel.params if isinstance(p, Var))
    program = Program(kernel.name, buffers, (), scalars, (Launch(kernel, kernel.params),))
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    assert run_program(program, arrays, (), [a for a in args if not isinstance(a, np.ndarray)], opt=opt) == 0


@pytest.fixture(name="run_program", scope="session")
def _run_program() -> Run:
    return run_program


@pytest.fixture(name="run_kernel", scope="session")
def _run_kernel() -> Callable[..., None]:
    return run_kernel
