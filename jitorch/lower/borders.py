"""Borders: loops cut where a comparison of their variable with a constant changes.

What is read through a padding or a concatenation asks for every element whether it is inside.  Loops over the inside
and over each border need not ask, so that the inside is read in vectors.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Call, Const, Expr, For, Kernel, Var
from jitorch.lower.crosswise import step

MOST_PIECES = 3
"""A loop with more pieces stays whole: each piece is code of its own."""


def cut_borders(kernel: Kernel) -> Kernel:
    """``kernel`` with the loops of its nest in pieces inside of which no such comparison changes."""
    body = _block(kernel.body)
    return kernel if body is kernel.body else k.verify(replace(kernel, body=body))


def _block(body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
    """A nest of loops, each the only statement of the one around it; what is inside of it stays as it is."""
    if len(body) != 1 or not isinstance(body[0], For) or body[0].kind not in ("serial", "parallel"):
        return body
    loop = body[0]
    places = _changes(loop)
    if not 2 < len(places) <= MOST_PIECES + 1:
        inner = _block(loop.body)
        return body if inner is loop.body else (replace(loop, body=inner),)
    return tuple(
        For(loop.var, k.const(end - first), _block(_piece(loop, first, end)), loop.kind)
        for first, end in itertools.pairwise(places)
    )


def _changes(loop: For) -> list[int]:
    """Where pieces of the loop begin, and its end; empty if that is not known."""
    if not isinstance(loop.extent, Const):
        return []
    extent = int(loop.extent.value.real)
    found = {_change(e, loop.var) for e in k.walk(loop.body)} - {None}
    return sorted({0, extent, *(place for place in found if place is not None and 0 < place < extent)})


def _change(e: object, var: Var) -> int | None:
    """From which value of ``var`` on the comparison ``e`` has its other result."""
    match e:
        case Call("ge" | "lt", (x, Const(int(limit)))) if step(x, var) == 1:
            return limit - _offset(x) if _is_alone(x, var) else None
    return None


def _is_alone(e: Expr, var: Var) -> bool:
    """Whether ``e`` is ``var``, maybe with a constant added."""
    return e == var or (isinstance(e, Call) and e.fn == "add" and e.args[0] == var and isinstance(e.args[1], Const))


def _offset(e: Expr) -> int:
    return int(e.args[1].value.real) if isinstance(e, Call) else 0  # type: ignore[attr-defined]


def _piece(loop: For, first: int, end: int) -> tuple[k.Stmt, ...]:
    """The loop's body from ``first`` to ``end``, with the variable counted from ``first``."""

    def decided(e: Expr) -> Expr:
        place = _change(e, loop.var)
        if place is None or first < place < end:
            return e
        return k.const((first >= place) == (e.fn == "ge"), dtypes.bool_)  # type: ignore[attr-defined]

    return k.substitute(k.transform(loop.body, decided), {loop.var: loop.var + first})
