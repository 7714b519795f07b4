"""Meetings: whether a kernel reads each element of one buffer only where it stores that element of another.

Then the two may be one memory: ``w_new[i] = f(w[i], ...)`` becomes ``w[i] = f(w[i], ...)``.  A result may be stored in
several places of the text, the pieces of a row, say, or a tile that is whole and one that is not.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from jitorch.ir import kernel as k
from jitorch.lower.schedules.dependence import Polynomial, polynomial

_DISTINCT = frozenset(("add", "sub", "mul", "floordiv", "mod"))
"""What indices are made of that do not meet."""


@dataclass(frozen=True)
class _Site:
    """A store, the block it stands in and where there, and the loops and branches around that, from the outside."""

    store: k.Store
    block: tuple[k.Stmt, ...]
    place: int
    loops: tuple[k.For, ...]
    branches: tuple[tuple[k.If, bool], ...]


class Accesses:
    """Where a kernel loads and stores its buffers: looked up once, for a kernel may have many of them."""

    def __init__(self, kernel: k.Kernel):
        self._loads = Counter(e.buffer for e in k.loads(kernel))
        self._named = _named(kernel)
        self._sites: dict[k.Buffer, list[_Site]] = {}
        for site in _sites(kernel.body, (), ()):
            self._sites.setdefault(site.store.buffer, []).append(site)
        self._blocks: dict[int, dict[k.Buffer, list[tuple[int, k.Expr]]]] = {}  # by identity: see `_loads_of`

    def meet(self, read: k.Buffer, written: k.Buffer) -> bool:
        """Whether the kernel loads ``read`` only where it stores the element of ``written``, and before that."""
        sites = self._sites.get(written, [])
        # A store must come after every load of its element: its block holds all of them, and none behind the store.
        ahead = 0
        for site in sites:
            mine = [index for place, index in self._loads_of(site.block).get(read, ()) if place <= site.place]
            if any(index != site.store.index for index in mine) or any(isinstance(s, k.For) for s in site.block):
                return False
            ahead += len(mine)
        if not sites or ahead != self._loads[read]:
            return False
        return all(_is_stored_once(site, self._named) for site in sites) and all(
            itertools.starmap(_are_apart, itertools.combinations(sites, 2))
        )

    def _loads_of(self, block: tuple[k.Stmt, ...]) -> dict[k.Buffer, list[tuple[int, k.Expr]]]:
        """Where in a block of the kernel each buffer is loaded: the place of the statement, and the index."""
        found = self._blocks.get(id(block))
        if found is None:
            found = self._blocks[id(block)] = {}
            for place, statement in enumerate(block):
                for load in k.loads(statement):
                    found.setdefault(load.buffer, []).append((place, load.index))
        return found


def _sites(
    body: tuple[k.Stmt, ...], loops: tuple[k.For, ...], branches: tuple[tuple[k.If, bool], ...]
) -> Iterator[_Site]:
    for place, statement in enumerate(body):
        match statement:
            case k.Store(buffer) if buffer.space == "global":
                yield _Site(statement, body, place, loops, branches)
            case k.For(_, _, inner):
                yield from _sites(inner, (*loops, statement), branches)
            case k.If(_, then, orelse):
                yield from _sites(then, loops, (*branches, (statement, True)))
                yield from _sites(orelse, loops, (*branches, (statement, False)))


def _named(kernel: k.Kernel) -> dict[k.Var, list[k.Expr]]:
    named: dict[k.Var, list[k.Expr]] = {}
    for s in k.parts(kernel):
        if isinstance(s, k.Let):
            named.setdefault(s.var, []).append(s.value)
    return named


def _is_stored_once(site: _Site, named: dict[k.Var, list[k.Expr]]) -> bool:
    """Whether each turn of the loops around stores another element: a second turn would read the result."""
    pending: list[k.Expr] = [site.store.index]
    seen: set[k.Expr] = set()
    while pending:
        for part in k.parts(pending.pop()):
            if isinstance(part, k.Load) or (isinstance(part, k.Call) and part.fn not in _DISTINCT):
                return False
            if isinstance(part, k.Var) and part not in seen:
                seen.add(part)
                pending += named.get(part, [])
    return all(loop.var in seen or loop.extent == k.const(1) or _is_last_turn(loop, site) for loop in site.loops)


def _is_last_turn(loop: k.For, site: _Site) -> bool:
    """Whether the store is made in the last turn of ``loop`` alone."""
    return any(not then and branch.test == (loop.var < loop.extent - 1) for branch, then in site.branches)


def _are_apart(a: _Site, b: _Site) -> bool:
    """Whether two stores, whose indices differ by a number at most, never store one element.

    Each is made once for every turn of the loops that both are in.
    """
    one, other = _run(a), _run(b)
    if one is None or other is None or one[0] != other[0]:
        return False
    exclusive = any(x is y and then != also for x, then in a.branches for y, also in b.branches)
    return exclusive or one[2] <= other[1] or other[2] <= one[1]


def _run(site: _Site) -> tuple[Polynomial, int, int] | None:
    """The elements that the innermost loop stores: from where, without a number; the number, and where they end."""
    loop = site.loops[-1] if site.loops else None
    if loop is None or not isinstance(loop.extent, k.Const):
        return None
    index = polynomial(site.store.index)
    if index.pop((loop.var,), 0) != 1 or any(part == loop.var for atoms in index for e in atoms for part in k.parts(e)):
        return None
    first = index.pop((), 0)
    return index, first, first + int(loop.extent.value.real)
