"""Checks of indices from data, outside of loops, so that these become ones over vectors.

`hoist_checks`: an index that picks a whole row is checked once for the row, not for each element of it.
`gather_checks`: a loop remembers whether some index was out of range, and the status is set after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Assign, Const, For, If, Kernel, Let, Load, Local, Stmt, Store, Var
from jitorch.lower.pull import STATUS
from jitorch.lower.schedules.borders import FEW_ROWS, LARGE
from jitorch.lower.schedules.loops import fresh


def hoist_checks(kernel: Kernel) -> Kernel:
    """``kernel`` with checks, and what they need, before the loops in which they do not change.

    Of loops whose extent is not known only before the innermost: threads may have to share the turns of all others.
    """
    if STATUS not in kernel.params:
        return kernel
    return k.verify(replace(kernel, body=_block(kernel.body, ())))


_KINDS = ("serial", "parallel")

CHUNK = 1024
"""Turns of a loop by itself that are done before its checks count."""


def gather_checks(kernel: Kernel) -> Kernel:
    """``kernel`` whose innermost loops do their checks at the end, unless threads share their turns."""
    if STATUS not in kernel.params:
        return kernel
    names = (fresh(kernel, f"bad{number}") for number in itertools.count(1))
    body: list[Stmt] = []
    for stmt in kernel.body:
        body += _gathered(stmt, (), names) if isinstance(stmt, For) else (stmt,)
    return k.verify(replace(kernel, body=tuple(body)))


def _gathered(loop: For, around: tuple[For, ...], names: Iterator[str]) -> tuple[Stmt, ...]:
    if not _is_innermost(loop):
        return (replace(loop, body=_gathered_inside(loop.body, (*around, loop), names)),)
    checks = [stmt for stmt in loop.body if isinstance(stmt, If) and _is_check(stmt)]
    if not checks or loop.kind not in _KINDS or any(check.then != checks[0].then for check in checks):
        return (loop,)
    if not around:
        return _in_chunks(loop, checks, names)
    return (loop,) if _shares_turns(loop, around) else _at_the_end(loop, checks, names)


def _gathered_inside(body: tuple[Stmt, ...], around: tuple[For, ...], names: Iterator[str]) -> tuple[Stmt, ...]:
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case For():
                result += _gathered(stmt, around, names)
            case If(test, then, ()):
                result.append(If(test, _gathered_inside(then, around, names)))
            case _:
                result.append(stmt)
    return tuple(result)


def _at_the_end(loop: For, checks: Sequence[If], names: Iterator[str]) -> tuple[Stmt, ...]:
    bad = Var(next(names), dtypes.int32)

    def remembered(stmt: Stmt) -> Stmt:
        if not any(stmt is check for check in checks):
            return stmt
        return Assign(bad, k.call("or", bad, k.cast(stmt.test, dtypes.int32), reassociate=True))  # type: ignore[attr-defined]

    body = tuple(map(remembered, loop.body))
    after = If(bad.ne(0), checks[0].then)
    return Local(bad, k.const(0, dtypes.int32)), For(loop.var, loop.extent, body, "serial"), after


def _in_chunks(loop: For, checks: Sequence[If], names: Iterator[str]) -> tuple[Stmt, ...]:
    """A long loop by itself: its chunks are shared among threads."""
    count, rest = loop.extent // CHUNK, loop.extent % CHUNK
    if loop.kind != "parallel" or (isinstance(count, Const) and int(count.value.real) < FEW_ROWS):
        return (loop,)
    chunk = Var(f"{loop.var.name}_chunk")

    def part(first: k.Expr, size: k.Expr) -> For:
        inner = Var(f"{loop.var.name}_in")
        place = Let(loop.var, first + inner)
        return For(inner, size, (place, *loop.body), "parallel")

    whole = For(chunk, count, _at_the_end(part(chunk * CHUNK, k.const(CHUNK)), checks, names), "parallel")
    if rest == k.const(0):
        return (whole,)
    last = For(chunk, k.const(1), _at_the_end(part(count * CHUNK, rest), checks, names), "parallel")
    return whole, last


def _block(body: tuple[Stmt, ...], around: tuple[For, ...]) -> tuple[Stmt, ...]:
    result: list[Stmt] = []
    for stmt in body:
        new = _loop(stmt, around) if isinstance(stmt, For) else (stmt,)
        # Loops that are pieces of one name the same things: the names of one of them can be used here.
        is_free = _names(new).isdisjoint(_names(result))
        result += new if is_free else (stmt,)
    return tuple(result)


def _names(body: Sequence[Stmt]) -> set[str]:
    return {stmt.var.name for stmt in body if isinstance(stmt, (Let, Local))}


def _loop(loop: For, around: tuple[For, ...]) -> tuple[Stmt, ...]:
    loop = replace(loop, body=_block(loop.body, (*around, loop)))
    is_known = isinstance(loop.extent, Const)
    if loop.kind not in _KINDS or _shares_turns(loop, around) or not (is_known or _is_innermost(loop)):
        return (loop,)
    before, inside = _split(loop)
    if not any(isinstance(stmt, If) for stmt in before):
        return (loop,)
    result = (*before, replace(loop, body=inside))
    # A loop of no turns checks nothing.
    if is_known:
        return result if int(loop.extent.value.real) > 0 else (loop,)  # type: ignore[union-attr]
    return (If(k.call("gt", loop.extent, 0), result),)


def _is_innermost(loop: For) -> bool:
    return not any(isinstance(part, For) for part in k.walk(loop.body))


def _shares_turns(loop: For, around: Sequence[For]) -> bool:
    """Whether threads share the turns of this loop, too, for there are few of those around."""
    if loop.kind != "parallel" or not isinstance(loop.extent, Const):
        return False
    sizes = [int(f.extent.value.real) if isinstance(f.extent, Const) else 1 for f in around]
    return prod(sizes) < FEW_ROWS and prod(sizes) * int(loop.extent.value.real) >= LARGE


def _split(loop: For) -> tuple[tuple[Stmt, ...], tuple[Stmt, ...]]:
    """The statements of the body that may as well stand before the loop, and the others."""
    inner = tuple(k.walk(loop.body))
    changing = {loop.var.name} | {s.var.name for s in inner if isinstance(s, (Local, Assign, For))}
    written = {s.buffer for s in inner if isinstance(s, Store)}
    before: list[Stmt] = []
    inside: list[Stmt] = []
    for stmt in loop.body:
        is_movable = isinstance(stmt, Let) or (isinstance(stmt, If) and _is_check(stmt))
        if is_movable and not _reads(stmt, changing, written):
            before.append(stmt)
            continue
        inside.append(stmt)
        if isinstance(stmt, Let):
            changing.add(stmt.var.name)
    return tuple(before), tuple(inside)


def _is_check(stmt: If) -> bool:
    return not stmt.orelse and all(isinstance(s, Store) and s.buffer == STATUS for s in stmt.then)


def _reads(stmt: Stmt, changing: set[str], written: set[k.Buffer]) -> bool:
    """Whether ``stmt`` reads a variable or memory that changes in the loop."""
    used = [part for part in k.parts(stmt) if isinstance(part, (Var, Load))]
    return any(u.buffer in written if isinstance(u, Load) else u.name in changing for u in used)
