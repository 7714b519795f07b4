"""What LLVM makes of a kernel for other processors: its inner loops."""

from __future__ import annotations

import re

from jitorch.backends.cpu import llvm, native
from jitorch.ir.kernel import Kernel
from jitorch.lower.target import Target

MACHINES = {
    "avx512": (Target("cpu", 64, 32), native.Target("x86_64-unknown-linux-gnu", "skylake-avx512", "")),
    "avx2": (Target("cpu", 32, 16), native.Target("x86_64-unknown-linux-gnu", "haswell", "")),
    "sse2": (Target("cpu", 16, 16, False), native.Target("x86_64-unknown-linux-gnu", "x86-64", "")),
    "neon": (Target("cpu", 16, 32), native.Target("aarch64-unknown-linux-gnu", "generic", "")),
}
"""What recipes are told of a processor, and what LLVM is."""

_LABEL = re.compile(r"^(\.L\w+):")
_JUMP = re.compile(r"^\s+(?:j\w+|b(?:\.\w+)?|cbn?z\s+\w+,|tbn?z.*,)\s+(\.L\w+)")
_MULTIPLY = re.compile(r"^\s+(?:v?mulp[sd]|vfmadd\w+p[sd]|fmla|fmul)\s")
_STACK = re.compile(r"\(%r[sb]p\)|\[sp[],]")


def inner_loops(kernel: Kernel, machine: native.Target) -> list[list[str]]:
    """The loops without another loop inside, as lines of assembly."""
    lines = native.assembly(llvm.render_kernel(kernel), target=machine).splitlines()
    labels: dict[str, int] = {}
    loops: list[tuple[int, int]] = []
    for number, line in enumerate(lines):
        if found := _LABEL.match(line):
            labels[found[1]] = number
        jump = _JUMP.match(line)
        if jump and jump[1] in labels:
            loops.append((labels[jump[1]], number))
    inner = [(a, b) for a, b in loops if not any((a, b) != (c, d) and a <= c and d <= b for c, d in loops)]
    return [lines[a : b + 1] for a, b in inner]


def multiplications(loop: list[str]) -> int:
    """Vector instructions that multiply."""
    return sum(bool(_MULTIPLY.match(line)) for line in loop)


def stack_accesses(loop: list[str]) -> list[str]:
    """Instructions that read or write the stack."""
    return [line for line in loop if _STACK.search(line)]
