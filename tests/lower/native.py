"""Compiles C and loads it: with the system's compiler, else with the one in the package ``ziglang``."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jitorch.ir.kernel import Kernel, Var

FLAGS = ("-std=c99", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
UNUSED = (
    "-Wno-unused-variable",
    "-Wno-unused-parameter",
    "-Wno-unused-but-set-variable",
    "-Wno-tautological-compare",
    "-Wno-type-limits",
)
"""What random kernels may do: read nothing, compare a value with itself."""


def load(text: str, folder: Path) -> ctypes.CDLL:
    """Compile ``text`` with all warnings as errors and load it."""
    source, library = folder / "kernels.c", folder / "kernels.so"
    source.write_text(text)
    cc = [found] if (found := shutil.which("cc")) else [sys.executable, "-m", "ziglang", "cc"]
    done = subprocess.run(
        [*cc, *FLAGS, *UNUSED, "-shared", "-fPIC", str(source), "-o", str(library), "-lm"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + text
    return ctypes.CDLL(str(library))


_C = {
    np.dtype(t): np.ctypeslib.as_ctypes_type(t)
    for t in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
}


def call(library: ctypes.CDLL, kernel: Kernel, args: Sequence[np.ndarray | int]) -> None:
    """Call a kernel; arguments as for `jitorch.ir.kernel_interpret.run`."""
    given = [
        _C[p.dtype.numpy](a) if isinstance(p, Var) else ctypes.c_void_p(a.ctypes.data)  # type: ignore[union-attr]
        for p, a in zip(kernel.params, args, strict=True)
    ]
    function = getattr(library, kernel.name)
    function.restype = None
    function(*given)


def call_program(
    library: ctypes.CDLL, name: str, arrays: Sequence[np.ndarray], scalars: Sequence[int | float], arena: int = 0
) -> int:
    """Call a program's function: inputs then outputs, one slot a scalar, an arena of so many bytes."""
    pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
    slots = np.zeros(len(scalars), np.int64)
    for i, value in enumerate(scalars):
        slots[i : i + 1].view(np.float64 if isinstance(value, float) else np.int64)[0] = value
    memory = np.zeros(arena, np.uint8)
    function = getattr(library, name)
    function.restype = ctypes.c_int32
    return function(pointers, ctypes.c_void_p(slots.ctypes.data), ctypes.c_void_p(memory.ctypes.data))
