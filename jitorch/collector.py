"""Python's collector of cycles, stopped while many objects are made that stay.

A collection visits the objects that are there, again and again as they become more, and frees next to none of a
compiler's: a tenth of the time that compiling a large graph takes.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_blocks = 0  # that run now, in all threads
_resumes = False  # whether the collector ran before the first of them


@contextmanager
def stopped() -> Iterator[None]:
    """No collection of cycles in this block, in any thread; what no cycle holds is freed as always."""
    global _blocks, _resumes
    with _lock:
        if _blocks == 0:
            _resumes = gc.isenabled()
            gc.disable()
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if _blocks == 0 and _resumes:
                gc.enable()
