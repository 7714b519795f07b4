"""Borders: loops cut where a comparison of their variable with a constant changes.

What is read through a padding or a concatenation asks for every element whether it is inside.  Loops over the inside
and over each border need not ask, so that the inside is read in vectors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Call, Const, Expr, For, Kernel, Let, Stmt, Var
from jitorch.lower.schedules.steps import step

MOST_PIECES = 3
"""A loop with more pieces stays whole, unless all are long: each piece is code of its own."""
LONG, MOST_LONG_PIECES = 16, 8
FEW_ROWS, LARGE = 8, 1 << 15
"""So few turns of the outer loops, of so many elements, are shared among threads together with those of the inner."""


def cut_borders(kernel: Kernel) -> Kernel:
    """``kernel`` with the loops of its nest in pieces inside of which no such comparison changes."""
    body = _block(kernel.body, ())
    return kernel if body is kernel.body else k.verify(replace(kernel, body=body))


def _block(body: tuple[Stmt, ...], around: tuple[For, ...]) -> tuple[Stmt, ...]:
    """A nest of loops, each the only statement of the one around it; what is inside of it stays as it is."""
    if len(body) != 1 or not isinstance(body[0], For) or body[0].kind not in ("serial", "parallel"):
        return body
    loop = body[0]
    nest = (*around, loop)
    places = _changes(loop)
    if not _is_worth_it(places) or _is_shared_whole(nest):
        inner = _block(loop.body, nest)
        return body if inner is loop.body else _around(inner, loop, nest)
    pieces: list[Stmt] = []
    for first, end in itertools.pairwise(places):
        piece = For(loop.var, k.const(end - first), (), loop.kind)
        pieces += _around(_block(_piece(loop, first, end), nest), piece, (*around, piece))
    return tuple(pieces)


def _around(body: tuple[Stmt, ...], loop: For, nest: Sequence[For]) -> tuple[Stmt, ...]:
    """``loop`` with ``body``: with each loop of it alone where the nest has few turns: threads share theirs then."""
    loops = [stmt for stmt in body if isinstance(stmt, For)]
    is_shared = loop.kind == "parallel" and len(loops) == len(body) > 1 and _turns(nest) < FEW_ROWS
    return tuple(replace(loop, body=(stmt,)) for stmt in body) if is_shared else (replace(loop, body=body),)


def _turns(nest: Sequence[For]) -> int:
    return prod(int(loop.extent.value.real) if isinstance(loop.extent, Const) else LARGE for loop in nest)


def _is_worth_it(places: Sequence[int]) -> bool:
    pieces = [end - first for first, end in itertools.pairwise(places)]
    return len(pieces) > 1 and (len(pieces) <= MOST_PIECES or (len(pieces) <= MOST_LONG_PIECES and min(pieces) >= LONG))


def _is_shared_whole(nest: Sequence[For]) -> bool:
    """Whether threads share the turns of the innermost loop, too, for there are few of the others."""
    if nest[-1].kind != "parallel" or any(isinstance(s, For) for s in nest[-1].body):
        return False
    rows = _turns(nest[:-1])
    return len(nest) > 1 and rows < FEW_ROWS and rows * _turns(nest[-1:]) >= LARGE


def _changes(loop: For) -> list[int]:
    """Where pieces of the loop begin, and its end; empty if that is not known."""
    if not isinstance(loop.extent, Const):
        return []
    extent = int(loop.extent.value.real)
    found = {_change(e, loop.var) for e in k.parts(loop.body)} - {None}
    return sorted({0, extent, *(place for place in found if place is not None and 0 < place < extent)})


def _change(e: object, var: Var) -> int | None:
    """From which value of ``var`` on the comparison ``e`` has its other result, or the choice its other operand."""
    match e:
        case Call("ge" | "lt" | "maximum", (x, Const(int(limit)))) if step(x, var) == 1:
            return limit - _offset(x) if _is_alone(x, var) else None
        case Call("gt" | "le" | "minimum", (x, Const(int(limit)))) if step(x, var) == 1:
            return limit - _offset(x) + 1 if _is_alone(x, var) else None
    return None


def _is_alone(e: Expr, var: Var) -> bool:
    """Whether ``e`` is ``var``, maybe with a constant added."""
    return e == var or (isinstance(e, Call) and e.fn == "add" and e.args[0] == var and isinstance(e.args[1], Const))


def _offset(e: Expr) -> int:
    return int(e.args[1].value.real) if isinstance(e, Call) else 0  # type: ignore[attr-defined]


def _piece(loop: For, first: int, end: int) -> tuple[Stmt, ...]:
    """The loop's body from ``first`` to ``end``, with the variable counted from ``first``."""

    def decided(e: Expr) -> Expr:
        place = _change(e, loop.var)
        if place is None or first < place < end:
            return e
        assert isinstance(e, Call)
        is_above = first >= place
        match e.fn:
            case "minimum" | "maximum":
                return e.args[0] if is_above == (e.fn == "maximum") else e.args[1]
        return k.const(is_above == (e.fn in ("ge", "gt")), dtypes.bool_)

    return _without_unused(k.substitute(k.transform(loop.body, decided), {loop.var: loop.var + first}))


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
