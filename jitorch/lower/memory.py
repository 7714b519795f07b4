"""Memory: place temporaries in one arena.

Temporaries with known sizes get fixed offsets; memory is reused once its last reader is done.
Sizes that are symbols are placed one after the other: nothing is assumed about their order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


def plan_memory(program: host.Program) -> host.Program:
    """Turn every `Alloc` into a `Place` at an offset of the arena."""
    allocs = {s.buffer: s for s in program.body if isinstance(s, host.Alloc)}
    if not allocs:
        return replace(program, arena=k.const(0))
    first, last = lifetimes(program.body, allocs)
    places: dict[k.Buffer, host.Place] = {}
    static = [a for a in allocs.values() if isinstance(a.size, k.Const)]
    top = _place_static(static, first, last, places)
    offset: k.Expr = k.const(top)
    for alloc in allocs.values():
        if alloc.buffer in places:
            continue
        places[alloc.buffer] = host.Place(alloc.buffer, alloc.size, offset)
        size = (alloc.size * alloc.buffer.dtype.itemsize + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT
        offset = offset + size
    body = tuple(places[s.buffer] if isinstance(s, host.Alloc) else s for s in program.body)
    return replace(program, body=body, arena=offset)


def lifetimes(
    body: Sequence[host.Stmt], buffers: Collection[k.Buffer]
) -> tuple[dict[k.Buffer, int], dict[k.Buffer, int]]:
    """The numbers of the first and of the last statement that uses each of ``buffers``."""
    first: dict[k.Buffer, int] = {}
    last: dict[k.Buffer, int] = {}
    for i, statement in enumerate(body):
        used: tuple[object, ...] = ()
        match statement:
            case host.Launch(_, args):
                used = args
            case host.Copy(target, source, _):
                used = (target, source)
        for buffer in used:
            if isinstance(buffer, k.Buffer) and buffer in buffers:
                first.setdefault(buffer, i)
                last[buffer] = i
    return first, last


def _place_static(
    allocs: list[host.Alloc], first: dict[k.Buffer, int], last: dict[k.Buffer, int], places: dict[k.Buffer, host.Place]
) -> int:
    """First fit, largest first: a buffer goes below all that live at the same time and do not leave room."""
    taken: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    top = 0

    def bytes_of(alloc: host.Alloc) -> int:
        size = int(alloc.size.value.real) * alloc.buffer.dtype.itemsize  # type: ignore[attr-defined]
        return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT

    for alloc in sorted(allocs, key=bytes_of, reverse=True):
        size, buffer = bytes_of(alloc), alloc.buffer
        start, stop = first.get(buffer, 0), last.get(buffer, 0)
        offset = 0
        for other_offset, other_end, other_start, other_stop in sorted(taken):
            if other_stop < start or stop < other_start:
                continue
            if offset + size <= other_offset:
                break
            offset = max(offset, other_end)
        taken.append((offset, offset + size, start, stop))
        top = max(top, offset + size)
        places[buffer] = host.Place(buffer, alloc.size, k.const(offset))
    return top
