"""One compiled function under load: Python threads that share it and the pool, processes that share a cache.

    JITORCH_LOAD_SECONDS=60 python -m pytest tests/backends/cpu/load

The default is two seconds each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import jitorch
from jitorch import config

SECONDS = float(os.environ.get("JITORCH_LOAD_SECONDS", "2"))
THREADS, PROCESSES = 8, 4
GROWTH = 64 << 20
"""Bytes by which a process may grow after its first calls: allocators keep some, a leak would be gigabytes."""


def step(x: jitorch.Tensor, w: jitorch.Tensor) -> jitorch.Tensor:
    """A map, a sum along rows and a matrix product: the three kinds of parallel loops."""
    h = (x.exp() + 1).tanh()
    h = h / h.sum(1, keepdim=True)
    return h @ w + (h * h).sum(0).mean()


def example() -> tuple[jitorch.Tensor, jitorch.Tensor]:
    rng = np.random.default_rng(0)
    shapes = ((300, 257), (257, 96))
    return tuple(jitorch.tensor(rng.normal(size=s).astype(np.float32)) for s in shapes)  # type: ignore[return-value]


def resident() -> int:
    """Bytes of memory that this process has now, 0 where that is not known."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0


def hammer(seconds: float, threads: int) -> int:
    """Call one jitted function from ``threads`` threads, changing the size of the pool; gives the number of calls."""
    function = jitorch.jit(step)
    x, w = example()
    config.set_default(num_threads=1)
    want = function(x, w).numpy().tobytes()
    wrong: list[int] = []
    calls = [0] * threads
    stop = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < stop and not wrong:
            if function(x, w).numpy().tobytes() != want:
                wrong.append(number)
            calls[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    settled, turn = 0, 0
    while any(worker.is_alive() for worker in workers):
        turn += 1
        config.set_default(num_threads=1 + turn * 5 % 7)
        time.sleep(0.01)
        if not settled and time.monotonic() > stop - seconds * 0.75:
            settled = resident()
    assert not wrong
    assert all(calls)
    assert resident() - settled < GROWTH
    return sum(calls)


@pytest.fixture(autouse=True)
def _threads() -> object:
    before = config.current().num_threads
    yield
    config.set_default(num_threads=before)


def test_threads_that_share_a_function() -> None:
    assert hammer(SECONDS, THREADS) > THREADS


def test_processes_that_share_a_cache(tmp_path: Path) -> None:
    """Each compiles or finds the same code, and runs two threads on it."""
    environment = os.environ | {
        "JITORCH_CACHE": "1",
        "JITORCH_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    command = [sys.executable, __file__, str(SECONDS)]
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    for process in running:
        _, errors = process.communicate(timeout=60 + 10 * SECONDS)
        assert (process.returncode, errors) == (0, "")


if __name__ == "__main__":
    hammer(float(sys.argv[1]), 2)
