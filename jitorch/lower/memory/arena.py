"""Memory: place temporaries in one arena.

Temporaries with known sizes get fixed offsets; memory is reused once its last reader is done.
Sizes that are symbols are placed one after the other: nothing is assumed about their order.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


def plan_memory(program: host.Program) -> host.Program:
    """Turn every `Alloc` whose size is known at entry into a `Place` at an offset of the arena; free the others."""
    known = set(program.scalars)
    every = [s for s in host.walk(program.body) if isinstance(s, host.Alloc)]
    allocs = {s.buffer: s for s in every if all(v in known for v in k.walk(s.size) if isinstance(v, k.Var))}
    if not every:
        return replace(program, arena=k.const(0))
    first, last = Lifetimes(allocs).of(program.body)
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
    return replace(program, body=_placed(program.body, places), arena=offset)


def _placed(body: Iterable[host.Stmt], places: dict[k.Buffer, host.Place]) -> tuple[host.Stmt, ...]:
    """``body`` with places for the allocations that have one; the others are freed where their block ends."""
    result: list[host.Stmt] = []
    freed: list[host.Stmt] = []
    for statement in body:
        match statement:
            case host.Alloc(buffer):
                if buffer not in places:
                    freed.append(host.Free(buffer))
                statement = places.get(buffer, statement)
            case _:
                statement = host.with_blocks(statement, lambda block: _placed(block, places))
        result.append(statement)
    return (*result, *freed)


class Lifetimes:
    """The first and the last use of buffers, as positions in the text of a program.

    A buffer from outside of a loop lives for all of the loop; one from inside lives within a turn.  A parallel
    statement is such a loop.
    """

    def __init__(self, allocs: Iterable[k.Buffer]):
        self.allocs = frozenset(allocs)
        self.first: dict[k.Buffer, int] = {}
        self.last: dict[k.Buffer, int] = {}
        self.sources: dict[k.Buffer, dict[k.Buffer, None]] = {}
        self.position = 0

    def of(self, body: Iterable[host.Stmt]) -> tuple[dict[k.Buffer, int], dict[k.Buffer, int]]:
        """The lifetimes in the whole program ``body``."""
        self._visit(body)
        return self.first, self.last

    def _visit(self, body: Iterable[host.Stmt]) -> None:
        for statement in body:
            self.position += 1
            if isinstance(statement, host.View):
                self.sources.setdefault(statement.buffer, {})[statement.source] = None
            if isinstance(statement, (host.While, host.Parallel)):
                self._loop(statement)
                continue
            self._use_now(statement)
            for block in host.inner(statement):
                self._visit(block)

    def _use_now(self, statement: host.Stmt) -> None:
        for buffer in host.used(statement):
            self._use(buffer, self.position, self.position)

    def _use(self, buffer: k.Buffer, start: int, stop: int) -> None:
        for part in self._behind(buffer):
            if part in self.allocs:
                self.first[part] = min(self.first.get(part, start), start)
                self.last[part] = max(self.last.get(part, stop), stop)

    def _behind(self, buffer: k.Buffer) -> Iterator[k.Buffer]:
        """The memory that a buffer may be: its own, or that of all that it is ever made a view of."""
        if buffer not in self.sources:
            yield buffer
        for source in self.sources.get(buffer, ()):
            yield from self._behind(source)

    def _loop(self, loop: host.While | host.Parallel) -> None:
        start = self.position
        if isinstance(loop, host.While):
            self._visit(loop.before)
            self.position += 1
            self._use_now(loop)  # its test
        self._visit(loop.body)
        self.position += 1
        own = {s.buffer for s in host.walk([loop]) if isinstance(s, host.Alloc)}
        for statement in host.walk([loop]):
            for buffer in host.used(statement):
                for part in self._behind(buffer):
                    if part not in own:
                        self._use(part, start, self.position)


def _place_static(
    allocs: list[host.Alloc], first: dict[k.Buffer, int], last: dict[k.Buffer, int], places: dict[k.Buffer, host.Place]
) -> int:
    """First fit, largest first: a buffer goes below all that live at the same time and do not leave room."""
    taken: list[tuple[int, int, int, int]] = []  # offset, end, first, last; sorted
    top = 0

    def bytes_of(alloc: host.Alloc) -> int:
        size = int(alloc.size.value.real) * alloc.buffer.dtype.itemsize  # type: ignore[attr-defined]
        return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT

    for alloc in sorted(allocs, key=bytes_of, reverse=True):
        size, buffer = bytes_of(alloc), alloc.buffer
        start, stop = first.get(buffer, 0), last.get(buffer, 0)
        offset = 0
        for other_offset, other_end, other_start, other_stop in taken:
            if other_stop < start or stop < other_start:
                continue
            if offset + size <= other_offset:
                break
            offset = max(offset, other_end)
        bisect.insort(taken, (offset, offset + size, start, stop))
        top = max(top, offset + size)
        places[buffer] = host.Place(buffer, alloc.size, k.const(offset))
    return top
