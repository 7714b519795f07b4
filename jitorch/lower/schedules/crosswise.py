"""Tiles: maps that read along another axis than they write.

A transposed operand is read with a long stride, one element of each cache line at a time.  In small square tiles
both sides stay in the first-level cache until all of their lines are used.  What is read across a tile is transposed
in registers (`squares`): on its way to the result, if that is all the map does, else into scratch memory, which the map
then reads in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Const, Expr, For, If, Kernel, Let, Load, Stmt, Store, Var
from jitorch.lower.schedules.squares import Square, over_columns, width_of
from jitorch.lower.schedules.steps import crossing
from jitorch.lower.schedules.stream import LARGE
from jitorch.lower.target import Target

SIDES = (64, 32, 16)
"""Elements along a side of a tile.  The first is for results that are too large for the caches: long pieces of fewer
pages are faster then."""
MOST_BYTES = 64 << 10
"""Scratch memory of a tile; more would not be in the first-level cache."""
MOST_LOADS = 8
"""More loads are not transposed: so many of a tile of the shortest sides fit."""

Put = Callable[[Expr, Expr, Load], Stmt]
"""From places down and right in a tile, and the element there, to what stores it."""


def tile(kernel: Kernel, target: Target) -> Kernel:
    """``kernel`` in tiles of its innermost axis and the one along which a load reads neighbours, if they differ.

    Axes shorter than a square are not worth tiles.
    """
    loops: list[For] = []
    body = kernel.body
    while len(body) == 1 and isinstance(body[0], For):
        loops.append(body[0])
        body = body[0].body
    if len(loops) < 2 or not all(isinstance(s, (Let, Store)) for s in body):
        return kernel
    inner = loops[-1]
    outer = next((x for x in loops[:-1] if crossing(body, x.var, inner.var)), None)
    if outer is None:
        return kernel
    loads = crossing(body, outer.var, inner.var)[:MOST_LOADS]
    width = max(width_of(target, load.dtype) for load in loads)
    is_long = (k.const(width) <= outer.extent) & (k.const(width) <= inner.extent)
    if is_long == k.const(False, is_long.dtype):
        return kernel
    is_large = _bytes(loops, body) >= LARGE
    tiles = [_Tiles(_Axis(outer, side), _Axis(inner, side), loads, target) for side in SIDES[0 if is_large else 1 :]]
    chosen = next((t for t in tiles if t.bytes <= MOST_BYTES), tiles[-1])
    # Large results are stored past the caches, which whole rows of tiles can be.
    nest = chosen.nest(loops, (not is_large and chosen.copied(body)) or chosen.staged(body))
    whole = nest if isinstance(is_long, Const) else (If(is_long, nest, kernel.body),)
    return k.verify(replace(kernel, body=whole, scratch=(*kernel.scratch, *chosen.scratch)))


def _bytes(loops: Sequence[For], body: tuple[Stmt, ...]) -> int:
    """The size of what the loops store, as far as it is known."""
    extents = [int(loop.extent.value.real) if isinstance(loop.extent, Const) else 1 for loop in loops]
    return prod(extents) * max(s.buffer.dtype.itemsize for s in body if isinstance(s, Store))


@dataclass(frozen=True)
class _Axis:
    """An axis in tiles of ``side``.  The last one has what is left over, too: no two tiles store the same element."""

    loop: For
    side: int

    @property
    def block(self) -> Var:
        return Var(f"{self.loop.var.name}_block")

    @property
    def step(self) -> Var:
        return Var(f"{self.loop.var.name}_step")

    @property
    def first(self) -> Expr:
        return self.block * self.side

    @property
    def is_even(self) -> bool:
        """Whether all tiles are alike."""
        return isinstance(self.loop.extent, Const) and int(self.loop.extent.value.real) % self.side == 0

    @property
    def most(self) -> int:
        """The length of the longest tile."""
        return self.side if self.is_even else 2 * self.side

    @property
    def count(self) -> Expr:
        """The length of a tile."""
        if self.is_even:
            return k.const(self.side)
        left = self.loop.extent - self.first
        return k.where(left < 2 * self.side, left, k.const(self.side))

    def blocks(self, body: tuple[Stmt, ...]) -> For:
        return For(self.block, k.call("maximum", self.loop.extent // self.side, 1), body, self.loop.kind)

    def squares(self, width: int) -> Expr:
        """How many squares of a tile lie along this axis."""
        return (self.count + (width - 1)) // width

    def start(self, square: Expr, width: int) -> Expr:
        """Where in a tile a square begins: the last one as early as it must to end inside."""
        if self.is_even:
            return square * width
        return k.call("minimum", square * width, self.loop.extent - self.first - width)


@dataclass(frozen=True)
class _Tiles:
    """Tiles of axes ``down`` and ``right``; neighbours in memory are neighbours along ``down`` for ``loads``."""

    down: _Axis
    right: _Axis
    loads: tuple[Load, ...]
    target: Target
    scratch: list[Buffer] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Scratch memory of a tile of all loads."""
        return self.down.most * self.right.most * sum(load.dtype.itemsize for load in self.loads)

    def nest(self, loops: Sequence[For], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """``body`` for each tile."""
        for loop in reversed(loops):
            axis = next((a for a in (self.down, self.right) if a.loop is loop), None)
            body = (replace(loop, body=body) if axis is None else axis.blocks(body),)
        return body

    def copied(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """A tile of a map that stores what it reads across and does nothing else; nothing for other maps."""
        match body:
            case (Let(var, Load() as load), Store(buffer, index, value)) if value == var and load in self.loads:
                pass
            case (Store(buffer, index, Load() as load),) if load in self.loads:
                pass
            case _:
                return ()

        def put(at: Expr, to: Expr, element: Load) -> Stmt:
            return Store(buffer, k.substitute(index, self._places(at, to)), element)

        return self._transposed(load, put)

    def staged(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """A tile of a map that reads scratch memory in place of ``loads``."""
        before: list[Stmt] = []
        found: dict[Load, Load] = {}
        length = self.right.most
        for load in self.loads:
            buffer = Buffer(f"tile{len(found)}", load.dtype, "local", self.down.most * length)
            self.scratch.append(buffer)
            before += self._transposed(load, lambda at, to, e, buffer=buffer: Store(buffer, at * length + to, e))
            found[load] = Load(buffer, self.down.step * length + self.right.step)
        body = k.transform(body, lambda e: found.get(e, e) if isinstance(e, Load) else e)
        body = k.substitute(body, self._places(self.down.step, self.right.step))
        return (*before, For(self.down.step, self.down.count, (For(self.right.step, self.right.count, body),)))

    def _places(self, at: Expr, to: Expr) -> dict[Var, Expr]:
        return {self.down.loop.var: self.down.first + at, self.right.loop.var: self.right.first + to}

    def _transposed(self, load: Load, put: Put) -> tuple[Stmt, ...]:
        """``put`` of each element of a tile of ``load``, square by square."""
        down, right = self.down, self.right
        width = width_of(self.target, load.dtype)
        square = Square(load, down.loop.var, right.loop.var, width, len(self.scratch))
        self.scratch.append(square.buffer)
        i, j = (Var(f"{axis.loop.var.name}_square") for axis in (down, right))
        at, to = (Var(f"{axis.loop.var.name}_at") for axis in (down, right))
        body = (
            Let(at, down.start(i, width)),
            Let(to, right.start(j, width)),
            square.filled(down.first + at, right.first + to),
            over_columns(width, lambda column, lane: (put(at + column, to + lane, square.element(column, lane)),)),
        )
        return (For(i, down.squares(width), (For(j, right.squares(width), body),)),)
