"""In place: results in the memory of what they replace.

A write-back is computed right in its input, and a large temporary in the memory of an operand, or of a later result,
that nobody needs at the same time: where a kernel reads the one at just the element at which it writes the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.lower.memory import lifetimes

SMALLEST = 1 << 14
"""Bytes from which on a temporary is worth the search for a place."""


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


def reuse_operands(program: host.Program, once: Collection[str]) -> host.Program:
    """Compute large temporaries in the memory of operands whose last read it is, at the element written.

    A result of the program lends its memory to such an operand, too: it is there from the start.  ``once``: the names
    of kernels that store each element once, so that none is read after it was replaced.
    """
    body = list(program.body)
    sizes = {s.buffer: s.size for s in body if isinstance(s, host.Alloc)}
    temporaries = {b for b, size in sizes.items() if _is_large(b, size)}
    results = {b for b in program.outputs if _is_large(b, program.sizes[b.name])}
    sizes |= {b: program.sizes[b.name] for b in results}
    first, last = lifetimes(body, temporaries | results)
    replaced: set[k.Buffer] = set()
    for i in range(len(body)):
        statement = body[i]
        if not isinstance(statement, host.Launch) or statement.kernel.name not in once:
            continue
        used = [a for a in statement.args if isinstance(a, k.Buffer) and a in first]
        dying = [b for b in used if b in temporaries and last[b] == i > first[b]]
        for new in [b for b in used if first[b] == i]:
            alike = [b for b in dying if b.dtype is new.dtype and sizes[b] == sizes[new]]
            old = next((b for b in alike if _can_replace(body[i], b, new)), None)
            if old is None:
                continue
            dying.remove(old)
            kept, gone = (new, old) if new in results else (old, new)
            first[kept], last[kept] = first[old], last[new]
            body = [_rename(s, gone, kept) for s in body]
            replaced.add(gone)
    return replace(program, body=tuple(s for s in body if not (isinstance(s, host.Alloc) and s.buffer in replaced)))


def _can_replace(statement: host.Stmt, old: k.Buffer, new: k.Buffer) -> bool:
    return isinstance(statement, host.Launch) and _reads_where_it_writes(statement.kernel, old, new)


def _is_large(buffer: k.Buffer, size: k.Expr) -> bool:
    return isinstance(size, k.Const) and int(size.value.real) * buffer.dtype.itemsize >= SMALLEST
