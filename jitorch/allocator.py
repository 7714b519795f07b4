"""Memory for large results: blocks that are used again instead of going back to the system.

A fresh piece of memory costs a page fault for every 4 KiB when it is first written, which takes longer than many
kernels do.  So a result of `SMALLEST` bytes or more lies in a block of its own, aligned to a page; when the last
array over it is gone the block waits in a free list of its size class for the next result.  Smaller results come
from NumPy's allocator.

How much waits is bounded by the most that was in use at one time, so a process holds at most twice its peak;
`empty_cache` gives all of it back.
"""

from __future__ import annotations

import mmap
import sys
import threading
from collections import deque
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

SMALLEST = 1 << 16
"""Bytes from which on a result lies in a block."""

_STEPS = 8  # size classes between a power of two and the next: at most an eighth of a block is unused
_HUGE = 4 << 20  # from here on the system is asked for huge pages


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """Bytes: ``allocated`` in blocks that arrays use now, ``reserved`` in all blocks, ``peak`` the most allocated."""

    allocated: int
    reserved: int
    peak: int


class _Lease(np.ndarray[Any, Any]):
    """What arrays over a block have as their base; it dies with the last of them and then frees the block.

    An array of its own type, because NumPy lets a view refer to the end of a chain of equal types.
    """

    _block: mmap.mmap
    _owner: BlockAllocator

    def __del__(self) -> None:
        # Only an append, which is atomic: a garbage collection may come here while the lock is held.
        self._owner.returned.append(self._block)


def is_block(array: object) -> bool:
    """Whether ``array`` is all of a block, which is free once nobody refers to this array any more."""
    return isinstance(array, _Lease)


class BlockAllocator:
    """Allocates arrays in blocks; safe to use from several threads."""

    def __init__(self) -> None:
        self.returned: deque[mmap.mmap] = deque()
        self._free: dict[int, list[mmap.mmap]] = {}
        self._lock = threading.Lock()
        self._allocated = self._waiting = self._peak = self._bound = 0

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """As ``numpy.empty``."""
        count = prod(shape) * dtype.itemsize
        if count < SMALLEST:
            return np.empty(shape, dtype)
        size = class_of(count)
        with self._lock:
            self._collect()
            block = self._take(size)
        if block is None:
            block = _map(size)
        lease = np.ndarray.__new__(_Lease, (size,), np.uint8, block)
        lease._block, lease._owner = block, self
        with self._lock:
            self._allocated += size
            self._peak = max(self._peak, self._allocated)
            self._bound = max(self._bound, self._allocated)
        return np.ndarray(shape, dtype, lease)  # type: ignore[arg-type]

    def _take(self, size: int) -> mmap.mmap | None:
        """A free block of a size class; the lock is held."""
        free = self._free.get(size)
        if free is None:
            return None
        block = free.pop()
        if not free:
            del self._free[size]
        self._waiting -= size
        return block

    def _collect(self) -> None:
        """Put blocks whose arrays are gone into the free lists, and drop what is too much; the lock is held."""
        while self.returned:
            block = self.returned.popleft()
            size = len(block)
            self._allocated -= size
            self._waiting += size
            # Taken out and put back: classes stand in the order of their last use.
            self._free[size] = [*self._free.pop(size, ()), block]
        while self._waiting > self._bound:
            self._take(next(iter(self._free)))

    def empty_cache(self) -> None:
        """Give all blocks that no array uses back to the system."""
        with self._lock:
            self._collect()
            self._free.clear()
            self._waiting, self._bound = 0, self._allocated

    def statistics(self) -> MemoryStatistics:
        with self._lock:
            self._collect()
            return MemoryStatistics(self._allocated, self._allocated + self._waiting, self._peak)

    def reset_peak(self) -> None:
        """Let the peak start again from what is allocated now."""
        with self._lock:
            self._collect()
            self._peak = self._allocated


def class_of(count: int) -> int:
    """The size of the block for ``count`` bytes: an eighth of a power of two, in whole pages."""
    step = max(mmap.PAGESIZE, (1 << (count - 1).bit_length() - 1) // _STEPS)
    return -(-count // step) * step


# Memory that a forked process gets a copy of, not a share in; Windows does not fork.
_PRIVATE = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}


def _map(size: int) -> mmap.mmap:
    try:
        block = mmap.mmap(-1, size, **_PRIVATE)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"cannot allocate {size} bytes") from error
    if size >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            block.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            return block  # a system without huge pages: the block serves as it is
    return block


def scratch(size: int) -> np.ndarray[Any, Any]:
    """Bytes for temporaries, which go back to the system, not to a list, when the array is gone."""
    return np.empty(size, np.uint8) if size < SMALLEST else np.frombuffer(_map(size), np.uint8)


_allocator = BlockAllocator()
empty = _allocator.empty
empty_cache = _allocator.empty_cache
statistics = _allocator.statistics
reset_peak = _allocator.reset_peak
