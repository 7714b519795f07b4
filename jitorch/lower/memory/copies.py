"""Copies: their order where one overwrites what another reads; those of much memory as kernels, whose loops are shared
among threads."""

from __future__ import annotations

from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.lower.nests import kernel_of

LARGE = 1 << 20
"""Bytes from which on a copy is a kernel."""


def share_copies(program: host.Program) -> host.Program:
    """Make launches of the copies in the body of ``program`` that are large, or may be."""
    return replace(program, body=tuple(map(_shared, program.body)))


def _shared(statement: host.Stmt) -> host.Stmt:
    match statement:
        case host.Copy(_, _, k.Const(int(size))) if size * statement.target.dtype.itemsize < LARGE:
            return statement
        case host.Copy():
            return copy_kernel(statement)
    return statement


def copy_kernel(copy: host.Copy) -> host.Launch:
    """The launch of a kernel that does what ``copy`` does."""
    i = k.Var("i0")
    loop = k.For(i, copy.size, (k.Store(copy.target, i, k.Load(copy.source, i)),), "parallel")
    kernel = kernel_of(f"copy_to_{copy.target.name}", (loop,), ())
    return host.Launch(kernel, kernel.params)


def order_copies(copies: list[host.Stmt]) -> list[host.Stmt]:
    """Copies that read a buffer come before the copy that overwrites it; a circle of them is cut by one more copy."""
    ordered: list[host.Stmt] = []
    pending = list(copies)
    while pending:
        free = next((s for s in pending if not _overwrites_a_source(s, pending)), None)
        if free is None:
            free, pending = _cut(pending, ordered)
        ordered.append(free)
        pending.remove(free)
    return ordered


def _overwrites_a_source(statement: host.Stmt, pending: list[host.Stmt]) -> bool:
    if not isinstance(statement, host.Copy):
        return False
    return any(s is not statement and isinstance(s, host.Copy) and s.source == statement.target for s in pending)


def _cut(pending: list[host.Stmt], ordered: list[host.Stmt]) -> tuple[host.Copy, list[host.Stmt]]:
    """Save what the first copy overwrites, for those that read it."""
    first = next(s for s in pending if isinstance(s, host.Copy))
    saved = k.Buffer(f"old_{first.target.name}", first.target.dtype)
    ordered += [host.Alloc(saved, first.size), host.Copy(saved, first.target, first.size)]
    rest = [
        host.Copy(s.target, saved, s.size) if isinstance(s, host.Copy) and s.source == first.target else s
        for s in pending
    ]
    return first, rest
