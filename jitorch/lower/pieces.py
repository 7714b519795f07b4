"""Pieces: a loop that asks on which side of a number its variable is becomes one loop for each answer.

Padding and joining do so, element by element: each piece then reads the one operand that it shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.kernel import Call, Const, Expr, For, Kernel, Let, Stmt, Var

LEAST = 16
"""Turns of a piece: shorter ones are not worth a loop of their own."""
MOST = 8
"""Pieces of a loop."""
FEW_ROWS, LARGE = 8, 1 << 15
"""So few turns of the outer loops, of so many elements, are shared among threads together with those of the inner."""


def in_pieces(program: host.Program) -> host.Program:
    """``program`` with the loops of its kernels in pieces."""
    # By identity: comparing kernels would walk all of them.
    made: dict[int, Kernel] = {}

    def block(body: Sequence[host.Stmt]) -> tuple[host.Stmt, ...]:
        return tuple(map(statement, body))

    def statement(stmt: host.Stmt) -> host.Stmt:
        match stmt:
            case host.Launch(kernel, args):
                if id(kernel) not in made:
                    made[id(kernel)] = cut(kernel)
                return host.Launch(made[id(kernel)], args)
            case host.If(test, then, orelse):
                return host.If(test, block(then), block(orelse))
            case host.While(before, test, body):
                return host.While(block(before), test, block(body))
        return stmt

    return replace(program, body=block(program.body))


def cut(kernel: Kernel) -> Kernel:
    """``kernel`` with its innermost loop in pieces, if it is one nest and tests compare that loop's variable."""
    loops: list[For] = []
    body = kernel.body
    while len(body) == 1 and isinstance(body[0], For):
        loops.append(body[0])
        body = body[0].body
    if not loops or any(isinstance(s, For) for s in k.parts(body)):
        return kernel
    inner = loops[-1]
    if not isinstance(inner.extent, Const) or inner.kind != "parallel" or _needs_both(loops):
        return kernel
    total = int(inner.extent.value.real)
    found = {_boundary(e, inner.var) for e in k.parts(body) if isinstance(e, Call)}
    edges = [0, *sorted(p for p in found if p is not None and 0 < p < total), total]
    if not 2 < len(edges) <= MOST + 1 or any(b - a < LEAST for a, b in itertools.pairwise(edges)):
        return kernel
    nest: tuple[Stmt, ...] = tuple(_piece(inner, body, a, b) for a, b in itertools.pairwise(edges))
    for loop in reversed(loops[:-1]):
        nest = (replace(loop, body=nest),)
    return k.verify(replace(kernel, body=nest))


def _needs_both(loops: Sequence[For]) -> bool:
    """Whether threads share the turns of the innermost loop, too, for there are few of the others."""
    sizes = [int(x.extent.value.real) if isinstance(x.extent, Const) else LARGE for x in loops]
    rows, size = 1, sizes[-1]
    for outer in sizes[:-1]:
        rows *= outer
    return len(loops) > 1 and rows < FEW_ROWS and rows * size >= LARGE


def _offset(e: Expr, var: Var) -> int | None:
    """``c`` where ``e`` is ``var + c``."""
    match e:
        case Var() if e == var:
            return 0
        case Call("add", (Var() as x, Const(int(c)))) if x == var:
            return c
    return None


def _boundary(e: Call, var: Var) -> int | None:
    """The first value of ``var`` for which ``e`` gives the other answer, or the other operand."""
    if len(e.args) != 2 or not isinstance(e.args[1], Const) or not isinstance(limit := e.args[1].value, int):
        return None
    offset = _offset(e.args[0], var)
    if offset is None:
        return None
    if e.fn in ("lt", "ge", "maximum"):
        return limit - offset
    return limit - offset + 1 if e.fn in ("le", "gt", "minimum") else None


def _piece(loop: For, body: tuple[Stmt, ...], first: int, end: int) -> For:
    """The turns from ``first`` on, up to ``end``."""

    def known(e: Expr) -> Expr:
        if not isinstance(e, Call) or e.fn == "cast":
            return e
        if _boundary(e, loop.var) is not None:
            return _answer(e, first + (_offset(e.args[0], loop.var) or 0))
        if e.fn == "and" and k.const(False, dtypes.bool_) in e.args:
            return k.const(False, dtypes.bool_)
        return k.simplify(e)

    inside = _without_unused(k.transform(body, known))
    if first:
        inside = k.substitute(inside, {loop.var: loop.var + first})
    return replace(loop, extent=k.const(end - first), body=inside)


def _answer(e: Call, value: int) -> Expr:
    """What ``e`` is where its first operand is ``value``, or on the same side of the limit."""
    first, second = e.args
    limit = second.value  # type: ignore[attr-defined]
    match e.fn:
        case "minimum":
            return first if value <= limit else second
        case "maximum":
            return first if value >= limit else second
    holds = {"lt": value < limit, "le": value <= limit, "gt": value > limit, "ge": value >= limit}[e.fn]
    return k.const(holds, dtypes.bool_)


def _without_unused(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """``body`` without what is named and not used."""
    used: set[Var] = set()
    kept: list[Stmt] = []
    for stmt in reversed(body):
        if isinstance(stmt, Let) and stmt.var not in used:
            continue
        kept.append(stmt)
        used.update(e for e in k.parts(stmt) if isinstance(e, Var))
    return tuple(reversed(kept))
