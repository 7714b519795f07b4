"""Borders: loops cut where a comparison of their variable with a size changes.

What is read through a padding or a concatenation asks for every element whether it is inside.  Loops over the inside
and over each border need not ask, so that the inside is read in vectors.

Where a piece begins is an expression of sizes.  It is kept between where the piece before it begins and the end of the
loop: so no turn is left out and none comes twice, whatever the sizes are.  Where the order of two places depends on the
sizes, a comparison with the later one may stay in pieces before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, prod

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dims.polynomial import range_of
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Call, Expr, For, Kernel, Let, Stmt, Var
from jitorch.ir.sizes import dim_of, size_expr

MOST_PIECES = 3
"""A loop with more pieces stays whole, unless all are long: each piece is code of its own."""
LONG, MOST_LONG_PIECES = 16, 8
FEW_ROWS, LARGE = 8, 1 << 15
"""So few turns of the outer loops, of so many elements, are shared among threads together with those of the inner."""
FEW_SURE = 4
"""The same of turns of which it is sure that they are as many: two sizes are that, and mostly far more."""
EXAMPLE = 1 << 20
"""The size by which places are put in order where that depends on sizes."""

_MIRRORED = {"ge": "le", "le": "ge", "gt": "lt", "lt": "gt", "maximum": "maximum", "minimum": "minimum"}
"""Comparisons, and choices of an operand, by what they are with their operands exchanged."""


def cut_borders(kernel: Kernel, sizes: Mapping[str, Dim] | None = None) -> Kernel:
    """``kernel`` with the loops of its nest in pieces inside of which no such comparison changes.

    ``sizes``: the variables of the kernel that are sizes, by name.
    """
    body = _Cutter(sizes or {}).block(kernel.body, ())
    return kernel if body is kernel.body else k.verify(replace(kernel, body=body))


@dataclass(frozen=True)
class _Change:
    """A comparison that has one result, or a choice that gives one operand, from ``place`` on, and another before."""

    place: Dim
    behind: Expr
    before: Expr


@dataclass(frozen=True)
class _Piece:
    """The turns from ``first`` to ``end``, all of which are at each of ``reached`` or behind, and before ``ahead``."""

    first: Dim
    end: Dim
    reached: tuple[Dim, ...]
    ahead: tuple[Dim, ...]

    @property
    def length(self) -> Dim:
        return self.end - self.first

    def decided(self, change: _Change) -> Expr | None:
        """What the comparison is in this piece; None if that is not known."""
        if any(dims.decide("<=", change.place, place) for place in self.reached):
            return change.behind
        return change.before if any(dims.decide("<=", place, change.place) for place in self.ahead) else None


@dataclass(frozen=True)
class _Cutter:
    sizes: Mapping[str, Dim]

    def block(self, body: tuple[Stmt, ...], around: tuple[For, ...]) -> tuple[Stmt, ...]:
        """A nest of loops, each the only statement of the one around it; what is inside of it stays as it is."""
        if len(body) != 1 or not isinstance(body[0], For) or body[0].kind not in ("serial", "parallel"):
            return body
        loop = body[0]
        nest = (*around, loop)
        pieces = self.pieces(loop)
        if not _is_worth_it(pieces) or self.is_shared_whole(nest):
            inner = self.block(loop.body, nest)
            return body if inner is loop.body else self.around(inner, loop, nest)
        found: list[Stmt] = []
        for piece in pieces:
            part = For(loop.var, size_expr(piece.length), (), loop.kind)
            found += self.around(self.block(self.inside(loop, piece), nest), part, (*around, part))
        return tuple(found)

    def around(self, body: tuple[Stmt, ...], loop: For, nest: Sequence[For]) -> tuple[Stmt, ...]:
        """``loop`` with ``body``: with each loop of it alone where the nest has few turns: threads share theirs then.

        Where it may have many, those that write side by side stay together.
        """
        loops = [stmt for stmt in body if isinstance(stmt, For)]
        least, most = self.turns(nest)
        are_innermost = not any(isinstance(s, For) for inner in loops for s in inner.body)
        are_few = most < FEW_ROWS or (least < FEW_SURE and not are_innermost)
        is_alone = loop.kind == "parallel" and len(loops) == len(body) > 1 and are_few
        return tuple(replace(loop, body=(stmt,)) for stmt in body) if is_alone else (replace(loop, body=body),)

    def turns(self, nest: Sequence[For]) -> tuple[float, float]:
        """The least and the greatest number of turns."""
        extents = [dim_of(loop.extent, self.sizes) for loop in nest]
        ranges = [(0, inf) if extent is None else range_of(extent) for extent in extents]
        return prod(max(low, 0) for low, _ in ranges), prod(max(high, 0) for _, high in ranges)

    def is_shared_whole(self, nest: Sequence[For]) -> bool:
        """Whether threads share the turns of the innermost loop, too, for there are few of the others."""
        if nest[-1].kind != "parallel" or any(isinstance(s, For) for s in nest[-1].body):
            return False
        return len(nest) > 1 and self.turns(nest[:-1])[1] < FEW_ROWS and self.turns(nest)[0] >= LARGE

    def pieces(self, loop: For) -> list[_Piece]:
        """What ``loop`` is cut into; nothing if its length is not known."""
        end = dim_of(loop.extent, self.sizes)
        if end is None:
            return []
        found = {change.place for e in k.parts(loop.body) if (change := self.change(e, loop.var))}
        inside = [p for p in found if not dims.decide("<=", p, 0) and not dims.decide("<=", end, p)]
        places = sorted(inside, key=lambda place: (_example(place), str(place)))
        starts: list[Dim] = [0]
        for place in places:
            starts.append(dims.dim_min(dims.dim_max(place, starts[-1]), end))
        return [
            _Piece(first, last, (0, *places[:number]), (*places[number : number + 1], end))
            for number, (first, last) in enumerate(itertools.pairwise((*starts, end)))
        ]

    def change(self, e: object, var: Var) -> _Change | None:
        """``e`` as a comparison of ``var`` with a size."""
        if not isinstance(e, Call) or e.fn not in _MIRRORED:
            return None
        known = {**self.sizes, var.name: dims.symbol(var.name)}
        x, y = (dim_of(operand, known) for operand in e.args)
        if x is None or y is None:
            return None
        # The greater operand from some value of the variable on comes first.
        for fn, (a, b), limit in (
            (e.fn, e.args, y - x + known[var.name]),
            (_MIRRORED[e.fn], e.args[::-1], x - y + known[var.name]),
        ):
            if all(symbol.name != var.name for symbol in dims.symbols(limit)):
                return _changes(fn, a, b, limit)
        return None

    def inside(self, loop: For, piece: _Piece) -> tuple[Stmt, ...]:
        """The body of ``loop`` in ``piece``, with the variable counted from its first turn."""

        def decided(e: Expr) -> Expr:
            change = self.change(e, loop.var)
            return e if change is None else piece.decided(change) or e

        moved = {loop.var: loop.var + size_expr(piece.first)}
        return _without_unused(k.substitute(k.transform(loop.body, decided), moved))


def _changes(fn: str, x: Expr, y: Expr, limit: Dim) -> _Change:
    """``fn`` of ``x`` and ``y``, of which ``x`` grows with the variable and is ``y`` at ``limit``."""
    match fn:
        case "maximum":
            return _Change(limit, x, y)
        case "minimum":  # at the limit either will do: a choice of the last element changes behind it
            return _Change(limit + 1, y, x)
    yes, no = k.const(True, dtypes.bool_), k.const(False, dtypes.bool_)
    place = limit if fn in ("ge", "lt") else limit + 1
    return _Change(place, yes, no) if fn in ("ge", "gt") else _Change(place, no, yes)


def _is_worth_it(pieces: Sequence[_Piece]) -> bool:
    if len(pieces) <= MOST_PIECES:
        return len(pieces) > 1
    are_long = not any(isinstance(piece.length, int) and piece.length < LONG for piece in pieces)
    return len(pieces) <= MOST_LONG_PIECES and are_long


def _example(place: Dim) -> int:
    return dims.evaluate(place, {symbol.name: EXAMPLE for symbol in dims.symbols(place)})


def _without_unused(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """``body`` without what is named and not used."""
    used: set[Var] = set()
    kept: list[Stmt] = []
    for stmt in reversed(body):
        if isinstance(stmt, Let) and stmt.var not in used:
            continue
        if isinstance(stmt, For):
            stmt = replace(stmt, body=_without_unused(stmt.body))
        kept.append(stmt)
        used.update(e for e in k.parts(stmt) if isinstance(e, Var))
    return tuple(reversed(kept))
