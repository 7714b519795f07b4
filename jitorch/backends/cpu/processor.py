"""What tells this processor and this LLVM from others, without asking LLVM."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from pathlib import Path

_FILE = Path("/proc/cpuinfo")
_FIELDS = frozenset(
    "vendor_id|cpu family|model|model name|stepping|flags|"  # x86
    "CPU implementer|CPU architecture|CPU variant|CPU part|CPU revision|Features|"  # arm
    "isa|uarch|hart isa".split("|")  # riscv
)
_V3 = "+sse4.2,+popcnt,+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"
LEVELS = {
    "x86-64": "+sse2",
    "x86-64-v2": "+sse4.2,+popcnt",
    "x86-64-v3": _V3,
    "x86-64-v4": _V3 + ",+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl",
}
"""LLVM's names of the levels of x86-64 (System V ABI, AMD64 supplement, 3.1.1), and the features that code may use."""
_SLOW_GATHERS = "znver"
"""How LLVM calls processors that load lanes faster one by one than by the instruction that gathers them.

On Zen 4 a ``gather`` along rows takes 0.75 of the time, bicubic resizing 0.8, points of a grid 0.87.
"""
_FEATURES = frozenset({"flags", "Features", "isa"})


def identity() -> tuple[str, ...] | None:
    """Texts that are equal in two processes only if LLVM would say the same of their machines.

    None where there is no such thing: no list of the processor's features, or no llvmlite in files of its own.
    """
    found = _processor()
    library = _library()
    return None if found is None or library is None else (found, library, sys.platform, os.uname().machine)


def tuned(cpu: str, features: str) -> str:
    """``features`` with what LLVM does not know of the speed of ``cpu``."""
    return f"{features},+prefer-no-gather" if cpu.startswith(_SLOW_GATHERS) else features


def name() -> str:
    """The processor's name, as its maker or the system has it."""
    return _fields().get("model name") or platform.processor() or platform.machine()


def _processor() -> str | None:
    """The fields of the first processor that say what it can do."""
    fields = _fields()
    return str(sorted(fields.items())) if _FEATURES & fields.keys() else None


def _fields() -> dict[str, str]:
    """What the system says of the first processor, as far as it matters; empty where it says nothing."""
    try:
        with _FILE.open("rb", buffering=0) as file:
            text = file.read(16384).decode(errors="replace")
    except OSError:
        return {}
    fields: dict[str, str] = {}
    for line in text.split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        if name.strip() in _FIELDS:
            fields[name.strip()] = value.strip()
    return fields


def _library() -> str | None:
    """Where llvmlite is, and of what time: another version has other files."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    try:
        files = [folder / "_version.py", *sorted((folder / "binding").glob("*llvmlite*"))]
        return " ".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)
    except OSError:
        return None
