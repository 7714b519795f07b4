"""What runs in a new process: ``python -m benchmarks.fresh import|first|memory PEER ROW`` prints one number."""

from __future__ import annotations

import gc
import importlib
import json
import sys
from pathlib import Path
from time import perf_counter

import ml_dtypes  # noqa: F401  (its import and NumPy's are not counted)
import numpy as np  # noqa: F401

from benchmarks import peers
from benchmarks.workloads import BY_NAME

STATUS = Path("/proc/self/status")
WARM_ROW = "W4.mlp_b1"  # makes each package load its libraries before memory is counted


def import_seconds(package: str) -> float:
    """To import it, NumPy being there."""
    start = perf_counter()
    importlib.import_module(package)
    return perf_counter() - start


def first_call(peer: str, row: str) -> float:
    """Seconds of the first call; package, model and data are in memory before."""
    case = peers.make(peer).build(BY_NAME[row])
    start = perf_counter()
    case.run()
    return perf_counter() - start


def resident(key: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (the most so far) in bytes."""
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def step_memory(peer: str, row: str) -> float:
    """Bytes that three training steps add at their peak to a process that holds the libraries, model and data.

    Linux only: the high-water mark is set back before the first step.
    """
    builder = peers.make(peer)
    builder.build(BY_NAME[WARM_ROW]).run()
    case = builder.build(BY_NAME[row])
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = resident("VmRSS")
    for _ in range(3):
        case.run()
    return resident("VmHWM") - before


def main(kind: str, peer: str, row: str) -> None:
    """Print the number as the last line."""
    if kind == "import":
        value = import_seconds(peer)
    else:
        value = first_call(peer, row) if kind == "first" else step_memory(peer, row)
    print(json.dumps(value))


if __name__ == "__main__":
    main(*sys.argv[1:])
