"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def _from_proc(file: str, key: str) -> str:
    path = Path("/proc") / file
    if not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


def describe() -> dict[str, Any]:
    """Processor, its vector instructions, memory, system, Python."""
    flags = set(_from_proc("cpuinfo", "flags").split())
    names = ("sse2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd")
    memory = _from_proc("meminfo", "MemTotal").split()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _from_proc("cpuinfo", "model name") or platform.processor() or platform.machine(),
        "instructions": [name for name in names if name in flags],
        "cores": usable,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "memory_gb": round(int(memory[0]) / 2**20) if memory else None,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def versions(about: dict[str, Any]) -> dict[str, str]:
    """The packages of all peers asked so far."""
    return {name: version for answer in about.values() for name, version in answer.get("versions", {}).items()}


def blas(about: dict[str, Any]) -> list[str]:
    """The BLAS that NumPy uses and its kernel, such as ``openblas 0.3.31 (SkylakeX)``."""
    pools = [pool for pool in about.get("numpy", {}).get("blas", []) if pool.get("user_api") == "blas"]
    found = [f"{p.get('internal_api')} {p.get('version')} ({p.get('architecture', 'kernel unknown')})" for p in pools]
    return sorted(set(found))
