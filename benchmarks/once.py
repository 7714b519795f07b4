"""Rows that a process can show only once: import, the first call with an empty and with a kept cache, peak memory.

Each number comes from a process of its own; `benchmarks.fresh` is what runs there.
"""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.process import ROOT, environment


@dataclass(frozen=True)
class Once:
    """``kind`` is ``import``, ``first`` or ``memory``; values are seconds or bytes.

    ``reach`` and ``aim`` are what jitorch's value should not exceed: seconds, or for memory a share of PyTorch's.
    """

    name: str
    kind: str
    row: str
    peers: tuple[str, ...]
    reach: float
    aim: float
    warm: bool = False


_SAMPLES = 3
_LONG = 10.0  # seconds of a first call that is measured once
_FIRST = ("jitorch", "torch", "torch-compile", "jax")
_IMPORT = ("jitorch", "torch", "jax", "onnxruntime", "tinygrad", "numba")
_STEPS = {"mlp_step": "W8.train_mlp_sgd", "resnet18": "W5.resnet18_b1", "gpt_step": "W8.train_gpt_adam"}
_COLD = {"mlp_step": (0.5, 0.1), "resnet18": (2.0, 0.5), "gpt_step": (3.0, 0.5)}
_MEMORY = {"mlp_step": "W8.train_mlp_adam", "cnn_step": "W8.train_cnn_adam", "gpt_step": "W8.train_gpt_adam"}

ONCE = [
    Once("W10.import", "import", "", _IMPORT, 0.15, 0.08),
    *[Once(f"W10.first_cold_{name}", "first", row, _FIRST, *_COLD[name]) for name, row in _STEPS.items()],
    *[Once(f"W10.first_warm_{name}", "first", row, _FIRST, 0.1, 0.01, True) for name, row in _STEPS.items()],
    *[Once(f"W10.memory_{name}", "memory", row, ("jitorch", "torch"), 1.0, 0.7) for name, row in _MEMORY.items()],
]


def select_once(only: str) -> list[Once]:
    """The rows whose name starts with one of the comma-separated prefixes; all of them for an empty string."""
    prefixes = [prefix for prefix in only.split(",") if prefix]
    return [row for row in ONCE if not prefixes or any(row.name.startswith(prefix) for prefix in prefixes)]


def caches(folder: str) -> dict[str, str]:
    """Settings that keep what every peer compiles in ``folder``."""
    return {
        "JITORCH_CACHE_DIR": f"{folder}/jitorch",
        "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor",
        "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def fresh(kind: str, peer: str, row: str, threads: int, folder: str, limit: float) -> float:
    """The value from one new process; raises RuntimeError with its last words."""
    command = [sys.executable, "-m", "benchmarks.fresh", kind, peer, row]
    settings = environment(threads) | caches(folder)
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(lines[-1][:300] if lines else f"exit status {done.returncode}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def measure(row: Once, peers: list[str], threads: int, limit: float, say: Callable[[str], None]) -> dict[str, Any]:
    """``{peer: {"value": number} or {"error": text}}``."""
    results: dict[str, Any] = {}
    # As pip does for what it installs.
    compileall.compile_dir(ROOT / "jitorch", quiet=1)
    for peer in row.peers:
        if peer not in peers:
            continue
        say(f"{row.name}: {peer}")
        try:
            results[peer] = {"value": _value(row, peer, threads, limit)}
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            results[peer] = {"error": str(error)}
    return results


def _value(row: Once, peer: str, threads: int, limit: float) -> float:
    with tempfile.TemporaryDirectory() as folder:
        if row.kind == "import":
            return median(fresh("import", peer, "-", threads, folder, limit) for _ in range(5))
        first = fresh(row.kind, peer, row.row, threads, folder, limit)
        if row.kind != "first" or row.warm:
            # With the cache that the first process left.
            return median(fresh(row.kind, peer, row.row, threads, folder, limit) for _ in range(_SAMPLES))
    return first if first > _LONG else median([first, *_cold(row, peer, threads, limit)])


def _cold(row: Once, peer: str, threads: int, limit: float) -> Iterator[float]:
    """More first calls, each with empty caches."""
    for _ in range(_SAMPLES - 1):
        with tempfile.TemporaryDirectory() as folder:
            yield fresh(row.kind, peer, row.row, threads, folder, limit)


def judge_once(row: Once, results: dict[str, Any]) -> tuple[bool | None, bool | None]:
    """Whether jitorch reaches the first target, and the aim; None where that cannot be said."""
    ours = results.get("jitorch")
    if ours is None:
        return None, None
    if "value" not in ours:
        return False, False
    if row.kind != "memory":
        return ours["value"] <= row.reach, ours["value"] <= row.aim
    theirs = results.get("torch", {}).get("value")
    if theirs is None:
        return None, None
    return ours["value"] <= row.reach * theirs, ours["value"] <= row.aim * theirs
