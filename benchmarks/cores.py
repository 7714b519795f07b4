"""Whether two threads compute on cores of their own.

Two processors of a virtual machine may be two threads of one core for some seconds, and the machine does not say so.
Then they share its units and its way to memory, and two threads are no faster than one: not what rows for two threads
are to show.  It is looked where threads can be bound to processors: else the system may put both on one.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from time import perf_counter
from typing import Any

from jitorch.backends.cpu import native

SHARED = 1.4
"""How much longer two threads take on one core, at least: twice as long, where those with a core each take 1 to 1.1."""
_CHAINS, _ADDITIONS, _REPEATS = 12, 600_000, 5


def slowdown() -> float:
    """How much longer additions take in each of two threads at once than in one: the least of some times."""
    return min(_seconds(2) for _ in range(_REPEATS)) / min(_seconds(1) for _ in range(_REPEATS))


def are_shared(threads: int) -> bool:
    """Whether ``threads`` threads, if they are several, find fewer cores than two now."""
    return threads > 1 and hasattr(os, "sched_setaffinity") and slowdown() >= SHARED


@cache
def _additions() -> Any:
    """A function that adds so often in vectors that do not wait for each other, and leaves Python to other threads."""
    chains = range(_CHAINS)
    sums = "\n".join(f"  %s{n} = phi <8 x float> [ zeroinitializer, %entry ], [ %t{n}, %loop ]" for n in chains)
    steps = "\n".join(f"  %t{n} = fadd <8 x float> %s{n}, %one" for n in chains)
    stores = "\n".join(f"  store volatile <8 x float> %t{n}, ptr %to, align 4" for n in chains)
    text = f"""
define void @additions(i64 %count, float %number, ptr %to) {{
entry:
  %first = insertelement <8 x float> poison, float %number, i64 0
  %one = shufflevector <8 x float> %first, <8 x float> poison, <8 x i32> zeroinitializer
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{sums}
{steps}
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %done
done:
{stores}
  ret void
}}
"""
    addresses, library = native.load_symbols([native.compile_text(text)], ("additions",))
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_float, ctypes.c_void_p)(addresses["additions"])
    function.library = library  # type: ignore[attr-defined]  # what keeps its code loaded
    return function


def _seconds(threads: int) -> float:
    """What ``threads`` threads that start together, each on the next processor, take until the last is done."""
    function, start = _additions(), threading.Barrier(threads)
    processors = sorted(os.sched_getaffinity(0))
    times: list[float] = []

    def work(number: int) -> None:
        os.sched_setaffinity(0, {processors[number % len(processors)]})  # of this thread
        room = ctypes.create_string_buffer(32)
        start.wait()
        begun = perf_counter()
        function(_ADDITIONS, 1.0, room)
        times.extend((begun, perf_counter()))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(times) - min(times)
