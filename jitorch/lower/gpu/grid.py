"""Any kernel onto a GPU: `for_gpu` puts loops on blocks and threads.

Independent loops become one flat range of items, 256 to a block, with the tail guarded.  A kernel that
is no such nest runs in one block: its parallel loops share the threads, all else is repeated by every
thread, one of them makes the stores, and barriers stand around whatever writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Const, Expr, For, If, Kernel, Let, Load, Var
from jitorch.lower.gpu.launch import Geometry, geometry
from jitorch.lower.schedules.dependence import why_dependent
from jitorch.lower.schedules.loops import fresh

THREADS = 256
"""Threads a block: enough to hide latency on every architecture, few enough that each has 255 registers."""
WARP = 32


def for_gpu(kernel: Kernel, threads: int = THREADS) -> tuple[Kernel, Geometry]:
    """``kernel`` with its loops on blocks and threads, and the geometry to launch it with.

    ``threads`` is the most that a block gets.  A kernel that has block or thread loops already is taken as it is.
    """
    if any(isinstance(s, For) and s.kind in ("block", "thread") for s in k.walk(kernel)):
        return kernel, geometry(kernel)
    scheduled = _over_a_grid(kernel, threads)
    if scheduled is None:
        scheduled = _OneBlock(kernel, threads).run()
    return k.verify(scheduled), geometry(scheduled)


# -- many blocks ----------------------------------------------------------------------------------


def _over_a_grid(kernel: Kernel, threads: int) -> Kernel | None:
    """The kernel as one range of independent items, or None if it is not."""
    count = next((i for i, s in enumerate(kernel.body) if not isinstance(s, Let)), len(kernel.body))
    lets, rest = kernel.body[:count], kernel.body[count:]
    loop = _one_loop(rest)
    if loop is None:
        return None
    nest = _nest(loop)
    values: dict[Var, Expr] = {}
    for s in lets:
        if isinstance(s, Let):
            values[s.var] = k.substitute(s.value, values)
    extents = [k.substitute(s.extent, values) for s in nest]
    params = {p for p in kernel.params if isinstance(p, Var)}
    if any(isinstance(e, Load) or (isinstance(e, Var) and e not in params) for x in extents for e in k.walk(x)):
        return None
    total = extents[0]
    if len(nest) > 1:
        # Two negative extents must not make a positive number of items.
        total = _at_least_zero(extents[0])
        for extent in extents[1:]:
            total = total * _at_least_zero(extent)
    item = nest[0].var if len(nest) == 1 else Var(fresh(kernel, "item"))
    body = (*_coordinates(item, nest, extents), *nest[-1].body)
    if isinstance(total, Const):
        threads = min(threads, max(WARP, -(-int(total.value.real) // WARP) * WARP))
    block, thread = Var(fresh(kernel, "block")), Var(fresh(kernel, "thread"))
    guarded = (Let(item, block * threads + thread), If(item < total, body))
    grid = For(block, (total + (threads - 1)) // threads, (For(thread, k.const(threads), guarded, "thread"),), "block")
    return replace(kernel, body=(*lets, grid))


def _at_least_zero(e: Expr) -> Expr:
    return e if isinstance(e, Const) else k.call("maximum", e, 0)


def _coordinates(item: Var, nest: list[For], extents: list[Expr]) -> tuple[Let, ...]:
    """The loop variables of ``nest`` from the number of the item, last axis fastest."""
    if len(nest) == 1:
        return ()
    stride: Expr = k.const(1)
    found = []
    for loop, extent in list(zip(nest, extents, strict=True))[:0:-1]:
        found.append(Let(loop.var, item // stride % extent))
        stride = extent * stride
    return (Let(nest[0].var, item // stride), *reversed(found))


def _one_loop(body: tuple[k.Stmt, ...]) -> For | None:
    """``body`` as one loop of independent iterations: statements over one domain are joined."""
    joined: For | None = None
    for stmt in body:
        found = _independent_form(stmt)
        if found is None or (joined is not None and found.extent != joined.extent):
            return None
        if joined is None:
            joined = found
            continue
        renamed = k.substitute(found.body, {found.var: joined.var}) if found.var != joined.var else found.body
        joined = replace(joined, body=(*joined.body, *renamed))
        if why_dependent(joined) is not None:
            return None
    return joined


def _independent_form(stmt: k.Stmt) -> For | None:
    """A loop nest with an independent loop outermost; one that is inside a reduction is brought out."""
    if not isinstance(stmt, For):
        return None
    if stmt.kind == "parallel":
        return stmt
    chain = [stmt]
    while len(chain[-1].body) == 1 and isinstance(chain[-1].body[0], For):
        chain.append(chain[-1].body[0])
    variables = {s.var for s in chain}
    for i, first in enumerate(chain):
        moved = [first, *chain[:i], *chain[i + 1 :]]
        if i and any(isinstance(e, Load) or e in variables for s in moved for e in k.walk(s.extent)):
            continue
        body = chain[-1].body
        for s in reversed(moved):
            body = (replace(s, body=body),)
        candidate = body[0]
        if isinstance(candidate, For) and candidate.kind in ("serial", "unroll") and why_dependent(candidate) is None:
            return replace(candidate, kind="parallel")
    return None


def _nest(loop: For) -> list[For]:
    """``loop`` and the independent loops that are directly inside it."""
    found = [loop]
    while len(found[-1].body) == 1 and isinstance(inner := found[-1].body[0], For):
        outer = {s.var for s in found}
        if any(isinstance(e, Load) or e in outer for e in k.walk(inner.extent)):
            break
        if inner.kind != "parallel" and (inner.kind not in ("serial", "unroll") or why_dependent(inner) is not None):
            break
        found.append(inner)
    return found


# -- one block ------------------------------------------------------------------------------------


class _OneBlock:
    """The whole kernel inside one thread loop."""

    def __init__(self, kernel: Kernel, threads: int):
        self.kernel, self.threads = kernel, threads
        self.thread = Var(fresh(kernel, "thread"))
        self.turns = 0

    def run(self) -> Kernel:
        body = self.block(self.kernel.body)
        while body and isinstance(body[-1], k.Barrier):
            body = body[:-1]
        return replace(self.kernel, body=(For(self.thread, k.const(self.threads), body, "thread"),))

    def block(self, body: Iterable[k.Stmt]) -> tuple[k.Stmt, ...]:
        """Statements that all threads run alike; barriers stand around those that write."""
        lines: list[k.Stmt] = []
        for stmt in body:
            new = self.statement(stmt)
            if not _writes(stmt):
                lines += new
                continue
            if not (lines and isinstance(lines[-1], k.Barrier)):
                lines.append(k.Barrier())
            lines += [*new, k.Barrier()]
        return tuple(lines)

    def statement(self, stmt: k.Stmt) -> tuple[k.Stmt, ...]:
        if not _writes(stmt):
            return (_serial(stmt),)
        if isinstance(stmt, For) and (stmt.kind == "parallel" or why_dependent(stmt) is None):
            return self.shared(stmt)
        if isinstance(stmt, For):
            return (replace(stmt, body=self.block(stmt.body), kind="serial"),)
        if isinstance(stmt, If):
            return (replace(stmt, then=self.block(stmt.then), orelse=self.block(stmt.orelse)),)
        return (If(self.thread.eq(0), (stmt,)),)

    def shared(self, loop: For) -> tuple[k.Stmt, ...]:
        """The iterations of an independent loop, each by one thread."""
        self.turns += 1
        turn = Var(fresh(self.kernel, f"turn{self.turns}"))
        end = Var(fresh(self.kernel, f"end{self.turns}"))
        body = (
            Let(loop.var, turn * self.threads + self.thread),
            If(loop.var < end, tuple(_serial(s) for s in loop.body)),
        )
        return Let(end, loop.extent), For(turn, (end + (self.threads - 1)) // self.threads, body)


def _writes(stmt: k.Stmt) -> bool:
    """Whether a statement stores where other threads see it."""
    return any(isinstance(s, k.Store) and s.buffer.space != "local" for s in k.walk(stmt))


def _serial(stmt: k.Stmt) -> k.Stmt:
    """The same for one thread alone."""
    match stmt:
        case For(_, _, body, kind):
            inner = tuple(map(_serial, body))
            return replace(stmt, body=inner, kind="serial" if kind == "parallel" else kind)
        case If(_, then, orelse):
            return replace(stmt, then=tuple(map(_serial, then)), orelse=tuple(map(_serial, orelse)))
    return stmt
