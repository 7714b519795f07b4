"""Runs a program compiled for another processor: linked with a small C driver, under an emulator of user programs.

The driver reads the arguments from a file, calls the program's exported function and writes them back.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jitorch.backends.cpu import llvm, native
from jitorch.backends.cpu.host import entry_symbol
from jitorch.ir.kernel import Const
from jitorch.ir.program import Program

AARCH64 = native.Target("aarch64-unknown-linux-gnu", "generic", "+neon")
"""NEON without anything newer: what every 64-bit ARM processor runs."""

EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")

_DRIVER = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int32_t ENTRY(void **args, const int64_t *scalars, void *arena);

int main(int argc, char **argv) {
    FILE *file = fopen(argv[1], "rb");
    int64_t counts[2], sizes[64];
    void *args[64];
    if (argc != 3 || !file || fread(counts, 8, 2, file) != 2) return 100;
    for (int64_t i = 0; i < counts[0]; i++) {
        if (fread(&sizes[i], 8, 1, file) != 1) return 101;
        args[i] = aligned_alloc(64, (sizes[i] + 127) / 64 * 64);
        if (fread(args[i], 1, sizes[i], file) != (size_t)sizes[i]) return 102;
    }
    void *arena = aligned_alloc(64, (counts[1] + 127) / 64 * 64);
    int32_t status = ENTRY(args, 0, arena);
    if (status) return 103;
    file = fopen(argv[2], "wb");
    for (int64_t i = 0; i < counts[0]; i++)
        if (fwrite(args[i], 1, sizes[i], file) != (size_t)sizes[i]) return 104;
    return fclose(file);
}
"""


def build(program: Program, target: native.Target, zig_target: str, folder: Path) -> Path:
    """An executable for ``target`` that runs ``program``; ``zig_target`` is its name at the C compiler."""
    (folder / "program.o").write_bytes(native.compile_text(llvm.render(program), target=target))
    (folder / "driver.c").write_text(_DRIVER.replace("ENTRY", entry_symbol(program.name)))
    command = [sys.executable, "-m", "ziglang", "cc", "-target", zig_target, "-static", "-O1", "driver.c", "program.o"]
    done = subprocess.run([*command, "-o", "program", "-lm"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "program"


def run(executable: Path, program: Program, arrays: Sequence[np.ndarray], folder: Path) -> list[np.ndarray]:
    """The arrays after a run of ``executable`` under the emulator; inputs come first, then outputs."""
    assert EMULATOR is not None, "qemu-aarch64 is missing: install Debian's package qemu-user"
    arena = program.arena.value if isinstance(program.arena, Const) else 0
    head = np.array([len(arrays), arena], np.int64).tobytes()
    parts = [np.int64(a.nbytes).tobytes() + np.ascontiguousarray(a).tobytes() for a in arrays]
    (folder / "in").write_bytes(head + b"".join(parts))
    done = subprocess.run([EMULATOR, str(executable), "in", "out"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.returncode} {done.stderr}"
    data, results = (folder / "out").read_bytes(), []
    for array in arrays:
        results.append(np.frombuffer(data[: array.nbytes], array.dtype).reshape(array.shape))
        data = data[array.nbytes :]
    return results
