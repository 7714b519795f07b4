"""Memory: write results into the inputs they replace, and place temporaries in one arena.

Temporaries with known sizes get fixed offsets; memory is reused once its last reader is done.
Sizes that are symbols are placed one after the other: nothing is assumed about their order.
"""

from __future__ import annotations

from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


def reuse_written_inputs(program: host.Program) -> host.Program:
    """Compute a write-back right in the input's memory where every read of it is at the element written.

    ``w_new[i] = w[i] - lr * g[i]; w = w_new`` becomes ``w[i] = w[i] - lr * g[i]``.
    """
    body = list(program.body)
    # By name: a kernel's hash walks all of it.
    stores = {s.kernel.name: _stored(s.kernel) for s in body if isinstance(s, host.Launch)}
    for copy in [s for s in body if isinstance(s, host.Copy)]:
        _reuse(body, copy, stores)
    return replace(program, body=tuple(body))


def _stored(kernel: k.Kernel) -> frozenset[k.Buffer]:
    return frozenset(s.buffer for s in k.walk(kernel) if isinstance(s, k.Store))


def _reuse(body: list[host.Stmt], copy: host.Copy, stores: dict[str, frozenset[k.Buffer]]) -> None:
    source, target = copy.source, copy.target
    alloc = next((s for s in body if isinstance(s, host.Alloc) and s.buffer == source), None)
    if alloc is None:
        return
    writers = [i for i, s in enumerate(body) if isinstance(s, host.Launch) and source in stores[s.kernel.name]]
    if len(writers) != 1:
        return
    at = writers[0]
    launch = body[at]
    if not isinstance(launch, host.Launch) or not _reads_where_it_writes(launch.kernel, target, source):
        return
    for i, statement in enumerate(body):
        if statement is copy or i <= at:
            continue
        if _touches(statement, target):
            return
    if any(target in stores[s.kernel.name] for s in body if isinstance(s, host.Launch)):
        return
    body.remove(alloc)
    body.remove(copy)
    for i, statement in enumerate(body):
        renamed = _rename(statement, source, target)
        if isinstance(renamed, host.Launch) and renamed is not statement:
            stores[renamed.kernel.name] = _stored(renamed.kernel)
        body[i] = renamed


def _touches(statement: host.Stmt, buffer: k.Buffer) -> bool:
    match statement:
        case host.Launch(_, args):
            return buffer in args
        case host.Copy(target, source, _):
            return buffer in (target, source)
    return False


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
        case host.Copy(target, source, size):
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
    """Turn every `Alloc` into a `Place` at an offset of the arena."""
    allocs = {s.buffer: s for s in program.body if isinstance(s, host.Alloc)}
    if not allocs:
        return replace(program, arena=k.const(0))
    first, last = _lifetimes(program, allocs)
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


def _lifetimes(
    program: host.Program, allocs: dict[k.Buffer, host.Alloc]
) -> tuple[dict[k.Buffer, int], dict[k.Buffer, int]]:
    first: dict[k.Buffer, int] = {}
    last: dict[k.Buffer, int] = {}
    for i, statement in enumerate(program.body):
        used: tuple[object, ...] = ()
        match statement:
            case host.Launch(_, args):
                used = args
            case host.Copy(target, source, _):
                used = (target, source)
        for buffer in used:
            if isinstance(buffer, k.Buffer) and buffer in allocs:
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
