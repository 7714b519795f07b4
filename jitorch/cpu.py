"""The memory that results on the CPU lie in, under the names that `torch.cuda` has for a GPU's.

Results of compiled functions of 64 KiB or more lie in blocks that are used again once no tensor uses them; these
functions count those blocks, in bytes.  See `jitorch.allocator`.
"""

from __future__ import annotations

from jitorch import allocator

__all__ = [
    "empty_cache", "max_memory_allocated", "memory_allocated", "memory_reserved", "memory_stats",
    "reset_peak_memory_stats",
]  # fmt: skip


def memory_allocated() -> int:
    """Bytes of blocks that tensors use now."""
    return allocator.statistics().allocated


def memory_reserved() -> int:
    """Bytes of all blocks: those in use and those that wait for the next result."""
    return allocator.statistics().reserved


def max_memory_allocated() -> int:
    """The most bytes in use at one time, since the start or `reset_peak_memory_stats`."""
    return allocator.statistics().peak


def memory_stats() -> dict[str, int]:
    """All counts at one moment, by PyTorch's keys."""
    found = allocator.statistics()
    return {
        "allocated_bytes.all.current": found.allocated,
        "allocated_bytes.all.peak": found.peak,
        "reserved_bytes.all.current": found.reserved,
    }


def reset_peak_memory_stats() -> None:
    """Let `max_memory_allocated` start again from what is in use now."""
    allocator.reset_peak()


def empty_cache() -> None:
    """Give the memory that no tensor uses back to the system."""
    allocator.empty_cache()
