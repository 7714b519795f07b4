"""Memory: write results into the inputs they replace, and place temporaries in one arena.

Temporaries with known sizes get fixed offsets; memory is reused once its last reader is done.
Sizes that are symbols are placed one after the other: nothing is assumed about their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


def reuse_written(body: Sequence[host.Stmt], inputs: frozenset[k.Buffer] = frozenset()) -> list[host.Stmt]:
    """Compute what is copied at the end of ``body`` right in its target, where every read of that comes before.

    ``w_new[i] = w[i] - lr * g[i]; w = w_new`` becomes ``w[i] = w[i] - lr * g[i]``.  ``inputs`` belong to the caller:
    they are not written before a check that may yet fail.
    """
    found = list(body)
    # By name: a kernel's hash walks all of it.
    stores = {s.kernel.name: _stored(s.kernel) for s in host.walk(found) if isinstance(s, host.Launch)}
    for i in range(sum(isinstance(s, host.Copy) for s in found), 0, -1):
        # From the first on: a reuse takes its copy away and may rename what the others copy.
        copy = [s for s in found if isinstance(s, host.Copy)][-i]
        _reuse(found, copy, stores, copy.target in inputs)
    return found


def _stored(kernel: k.Kernel) -> frozenset[k.Buffer]:
    return frozenset(s.buffer for s in k.walk(kernel) if isinstance(s, k.Store))


def _reuse(body: list[host.Stmt], copy: host.Copy, stores: dict[str, frozenset[k.Buffer]], is_guarded: bool) -> None:
    source, target = copy.source, copy.target
    alloc = next((s for s in body if isinstance(s, host.Alloc) and s.buffer == source), None)
    if alloc is None:
        return
    uses = [s for s in body if s is not alloc and s is not copy and touches(s, source)]
    if not all(isinstance(s, (host.Launch, host.Copy)) for s in uses):
        return
    writers = [i for i, s in enumerate(body) if isinstance(s, host.Launch) and source in stores[s.kernel.name]]
    if len(writers) != 1 or any(isinstance(s, host.Copy) and s.target == source for s in uses):
        return
    at = writers[0]
    launch = body[at]
    if not isinstance(launch, host.Launch) or not _may_write(launch.kernel, target, source):
        return
    if any(s is not copy and touches(s, target) for s in body[at + 1 :]):
        return
    if is_guarded and any(isinstance(s, host.Stop) for s in host.walk(body[at:])):
        return
    if any(_overwrites(s, target, stores) for s in host.walk(body) if s is not copy):
        return
    body.remove(alloc)
    body.remove(copy)
    for i, statement in enumerate(body):
        renamed = _rename(statement, source, target)
        if isinstance(renamed, host.Launch) and renamed is not statement:
            stores[renamed.kernel.name] = _stored(renamed.kernel)
        body[i] = renamed


def _overwrites(statement: host.Stmt, buffer: k.Buffer, stores: dict[str, frozenset[k.Buffer]]) -> bool:
    match statement:
        case host.Launch(kernel):
            return buffer in stores[kernel.name]
        case host.Copy(target):
            return target == buffer
        case host.View(_, source):
            return source == buffer
    return False


def touches(statement: host.Stmt, buffer: k.Buffer) -> bool:
    """Whether a statement, or one inside of it, reads or writes ``buffer``."""
    return any(buffer in used(s) for s in host.walk([statement]))


def used(statement: host.Stmt) -> tuple[k.Buffer, ...]:
    """The buffers that a statement itself reads or writes, not those of the blocks in it."""
    match statement:
        case host.Launch(_, args):
            return tuple(a for a in args if isinstance(a, k.Buffer))
        case host.Copy(target, source, _):
            return target, source
        case host.View(_, source, _, _):
            return (source,)
        case host.Scalar(_, e) | host.If(e) | host.While(_, e):
            return tuple(load.buffer for load in k.loads(e))
    return ()


def _may_write(kernel: k.Kernel, target: k.Buffer, source: k.Buffer) -> bool:
    """Whether ``kernel``, which fills ``source``, could fill ``target`` in its place."""
    return target not in kernel.params or _reads_where_it_writes(kernel, target, source)


def _reads_where_it_writes(kernel: k.Kernel, read: k.Buffer, written: k.Buffer) -> bool:
    """Whether each load of ``read`` is at the index of the one store to ``written``, in the same block."""
    stores = [s for s in k.walk(kernel) if isinstance(s, k.Store) and s.buffer == written]
    if len(stores) != 1:
        return False
    if not all(e.index == stores[0].index for e in k.loads(kernel) if e.buffer == read):
        return False
    # The store must come after every load: one block holds all of them, and none behind the store.
    block = _block_of(kernel.body, stores[0])
    before = block[: block.index(stores[0]) + 1]
    ahead = sum(1 for e in k.loads(before) if e.buffer == read)
    return ahead == sum(1 for e in k.loads(kernel) if e.buffer == read) and not any(isinstance(s, k.For) for s in block)


def _block_of(body: tuple[k.Stmt, ...], store: k.Store) -> tuple[k.Stmt, ...]:
    for statement in body:
        if statement is store:
            return body
        inner: tuple[tuple[k.Stmt, ...], ...] = ()
        match statement:
            case k.For(_, _, nested, _):
                inner = (nested,)
            case k.If(_, then, orelse):
                inner = (then, orelse)
        for nested in inner:
            found = _block_of(nested, store)
            if found:
                return found
    return ()


def _rename(statement: host.Stmt, old: k.Buffer, new: k.Buffer) -> host.Stmt:
    match statement:
        case host.Launch(kernel, args) if old in args:
            renamed = rename_buffer(kernel, old, new)
            return host.Launch(renamed, renamed.params)
        case host.Copy(target, source, size) if old in (target, source):
            return host.Copy(new if target == old else target, new if source == old else source, size)
    return statement


def rename_buffer(kernel: k.Kernel, old: k.Buffer, new: k.Buffer) -> k.Kernel:
    """``kernel`` with one buffer in place of another; if both were parameters they become one."""

    def in_expr(e: k.Expr) -> k.Expr:
        return k.Load(new, e.index) if isinstance(e, k.Load) and e.buffer == old else e

    def in_body(body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        result: list[k.Stmt] = []
        for s in k.transform(body, in_expr):
            match s:
                case k.Store(buffer, index, value) if buffer == old:
                    s = k.Store(new, index, value)
                case k.For(var, extent, inner, kind):
                    s = k.For(var, extent, in_body(inner), kind)
                case k.If(test, then, orelse):
                    s = k.If(test, in_body(then), in_body(orelse))
            result.append(s)
        return tuple(result)

    params = tuple(dict.fromkeys(new if p == old else p for p in kernel.params))
    return replace(kernel, params=params, body=in_body(kernel.body))


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
            case host.If(test, then, orelse):
                statement = host.If(test, _placed(then, places), _placed(orelse, places))
            case host.While(before, test, inner):
                statement = host.While(_placed(before, places), test, _placed(inner, places))
        result.append(statement)
    return (*result, *freed)


class Lifetimes:
    """The first and the last use of buffers, as positions in the text of a program.

    A buffer from outside of a loop lives for all of the loop; one from inside lives within a turn.
    """

    def __init__(self, allocs: Iterable[k.Buffer]):
        self.allocs = frozenset(allocs)
        self.first: dict[k.Buffer, int] = {}
        self.last: dict[k.Buffer, int] = {}
        self.source: dict[k.Buffer, k.Buffer] = {}
        self.position = 0

    def of(self, body: Iterable[host.Stmt]) -> tuple[dict[k.Buffer, int], dict[k.Buffer, int]]:
        """The lifetimes in the whole program ``body``."""
        self._visit(body)
        return self.first, self.last

    def _visit(self, body: Iterable[host.Stmt]) -> None:
        for statement in body:
            self.position += 1
            if isinstance(statement, host.View):
                self.source[statement.buffer] = statement.source
            if isinstance(statement, host.While):
                self._loop(statement)
                continue
            self._use_now(statement)
            for block in host.inner(statement):
                self._visit(block)

    def _use_now(self, statement: host.Stmt) -> None:
        for buffer in used(statement):
            self._use(buffer, self.position, self.position)

    def _use(self, buffer: k.Buffer, start: int, stop: int) -> None:
        while buffer in self.source:
            buffer = self.source[buffer]
        if buffer in self.allocs:
            self.first[buffer] = min(self.first.get(buffer, start), start)
            self.last[buffer] = max(self.last.get(buffer, stop), stop)

    def _loop(self, loop: host.While) -> None:
        start = self.position
        self._visit(loop.before)
        self.position += 1
        self._use_now(loop)  # its test
        self._visit(loop.body)
        self.position += 1
        own = {s.buffer for s in host.walk([loop]) if isinstance(s, host.Alloc)}
        for statement in host.walk([loop]):
            for buffer in used(statement):
                while buffer in self.source:
                    buffer = self.source[buffer]
                if buffer not in own:
                    self._use(buffer, start, self.position)


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
