"""A peer's process, seen from the parent.

Each peer has a process of its own, so that the threads of one do not disturb another; a process that is not asked
anything is stopped (SIGSTOP, where there is such a thing), so that no spinning worker takes time from another's sample.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from benchmarks.peers import ENVIRONMENTS

ROOT = Path(__file__).resolve().parents[1]
# The first two would make OpenBLAS choose another kernel than the processor's; the last makes every process
# compile the modules of a checkout, as it need not do for installed packages.
UNSET = (
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME",
    "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip


class ChildError(Exception):
    """The process ended or did not answer in time; the message says which."""


def environment(threads: int) -> dict[str, str]:
    """The environment of a peer that may use ``threads`` threads."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMBA", "VECLIB_MAXIMUM", "JITORCH", "TINYGRAD")
    counts = {f"{name}_NUM_THREADS": str(threads) for name in names}
    inherited = {name: value for name, value in os.environ.items() if name not in UNSET}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    eigen = "true" if threads > 1 else "false"
    return {
        **inherited,
        **counts,
        "PYTHONPATH": path,
        "NPROC": str(threads),  # what XLA takes for the number of processors
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
        "JAX_PLATFORMS": "cpu",
        "DEV": "CPU",  # tinygrad's
        "BENCHMARK_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
    }


def processors(threads: int) -> set[int] | None:
    """The processors that a peer is held to, as many as it may use threads; None where that is not possible."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = sorted(os.sched_getaffinity(0))
    first = os.getpid() % len(usable)  # two benchmarks at a time are not likely to take the same
    return {usable[(first + i) % len(usable)] for i in range(threads)}


class ChildProcess:
    """``ask`` sends one request and waits for its answer."""

    def __init__(self, peer: str, threads: int):
        self.peer = peer
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        allowed = processors(threads)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(threads) | ENVIRONMENTS.get(peer, {}),
            cwd=ROOT,
            preexec_fn=None if allowed is None else lambda: os.sched_setaffinity(0, allowed),
        )
        self.stopped = False
        self._buffer = b""
        ready = self._answer(120)
        if "error" in ready:
            self.close()
            raise ChildError(ready["error"])

    def ask(self, timeout: float, **request: Any) -> dict[str, Any]:
        """Raises `ChildError` if the process ends or takes longer than ``timeout`` seconds; it is closed then."""
        self._go_on()
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self._fail("ended")
        answer = self._answer(timeout)
        self._halt()
        return answer

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], timeout)
            if not ready:
                self._fail(f"no answer within {timeout:.0f} s")
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            if not part:
                self._fail("ended")
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def _fail(self, what: str) -> None:
        last = self.last_words()
        self.close()
        code = self.process.returncode
        raise ChildError(f"{self.peer}: {what} (exit status {code}){': ' + last if last else ''}")

    def last_words(self) -> str:
        """The last line that the process wrote to standard error."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def _go_on(self) -> None:
        if self.stopped:
            self.process.send_signal(signal.SIGCONT)
            self.stopped = False

    def _halt(self) -> None:
        if hasattr(signal, "SIGSTOP") and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            self.stopped = True

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # what it no longer reads
                    stream.close()
        self.errors.close()
