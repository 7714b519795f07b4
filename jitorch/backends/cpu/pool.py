"""The thread pool that compiled programs run their parallel loops on.

The pool is one object of native code (`pool_text`), compiled once and kept in the object cache.  It is loaded when
the first program with parallel work is, and threads start with the first loop that is worth them.  Programs find it
through a word of their own, `HOOK`, which `native.load_symbols` fills in: an object that is linked elsewhere, or on a
platform where there is no pool, has null there and runs its loops itself.

One pool serves the process.  A program that finds it busy (another Python thread's program is in a parallel loop)
runs its loop itself.  `jitorch.set_num_threads` may be called at any time; `config.override` of ``num_threads`` holds
for the loops of the thread that says so.  After ``fork`` the child starts threads
of its own.  The threads end with the process; nothing waits for them.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

from jitorch import config
from jitorch.backends.cpu import codegen, native
from jitorch.backends.cpu.pool_text import ENTER, FORGET, MAX_THREADS, OWN, PAUSES, RESIZE, SYMBOLS, TUNE, pool_text

HOOK = "jitorch_parallel_loop"
"""The word of a program's object that holds the address of `ENTER`, or null."""

SPIN_SECONDS = 80e-6
"""How long a worker without work keeps its processor before it sleeps: waking it takes about as long."""
_PAUSES_TIMED = 200


@dataclass(frozen=True)
class Pool:
    """The loaded pool: the address that programs call, and what Python asks of it."""

    enter: int
    resize: Any
    own: Any
    forget: Any
    library: Any  # what keeps the code loaded

    def set_threads(self, count: int) -> None:
        """Let a loop have ``count`` threads from now on, its caller's among them."""
        self.resize(min(count, MAX_THREADS))

    def set_own_threads(self, count: int | None) -> None:
        """The same for loops that the calling thread starts; None: as many as everybody's."""
        self.own(0 if count is None else min(count, MAX_THREADS))


_lock = threading.Lock()
_pools: list[Pool | None] = []  # at most one, once it was asked for


def pool() -> Pool | None:
    """The pool of this process, loaded when first asked for; None where the platform has none."""
    with _lock:
        if not _pools:
            _pools.append(_load())
        return _pools[0]


def _address() -> int:
    found = pool()
    return 0 if found is None else found.enter


native.fill_in(HOOK, _address)


def _load() -> Pool | None:
    text = pool_text(native.host().triple)
    if text is None:
        return None
    addresses, library = native.load_symbols([native.cached_object(codegen.SIMPLE + text)], SYMBOLS)
    # Threads run this code until the process ends, later than Python's objects live.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)
    resize, own = call(addresses[RESIZE]), call(addresses[OWN])
    found = Pool(addresses[ENTER], resize, own, ctypes.CFUNCTYPE(ctypes.c_int32)(addresses[FORGET]), library)
    call(addresses[TUNE])(_pauses(call(addresses[PAUSES])))

    told: list[int] = []
    order = threading.Lock()

    def react(everybody: int, here: int | None) -> None:
        with order:
            if told != [everybody]:
                told[:] = [everybody]
                found.set_threads(everybody)
        found.set_own_threads(here)

    config.watch_threads(react)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=found.forget)
    return found


def _pauses(pause: Any) -> int:
    """How many pauses make `SPIN_SECONDS`: a pause takes from 3 to 150 nanoseconds, by processor."""
    best = SPIN_SECONDS
    for _ in range(5):
        start = time.perf_counter()
        pause(_PAUSES_TIMED)
        best = min(best, time.perf_counter() - start)
    return int(SPIN_SECONDS / max(best, 1e-9) * _PAUSES_TIMED)
