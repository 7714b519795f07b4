"""Tiles: maps that read along another axis than they write.

A transposed operand is read with a long stride, one element of each cache line at a time.  In small square tiles
both sides stay in the first-level cache until all of their lines are used.  What is read across a tile is transposed
in registers (`squares`): on its way to the result, if that is all the map does, else into scratch memory, which the map
then reads in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Const, Expr, For, If, Kernel, Let, Load, Stmt, Store, Var
from jitorch.lower.schedules.squares import Square, over_columns, width_of
from jitorch.lower.target import Target

Put = Callable[[Expr, Expr, Load], Stmt]
"""From places down and right in a tile, and the element there, to what stores it."""

SIDE = 32
"""Elements along a side of a tile: two cache lines of f32 each way."""


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
    loads = crossing(body, outer.var, inner.var)
    width = max(width_of(target, load.dtype) for load in loads)
    test = _is_long(outer, width) & _is_long(inner, width)
    if test == k.const(False, test.dtype):
        return kernel
    tiles = _Tiles(_Side(outer), _Side(inner), loads, target)
    whole: tuple[Stmt, ...] = (tiles.nest(loops, body),)
    if not isinstance(test, Const):
        whole = (If(test, whole, kernel.body),)
    return k.verify(replace(kernel, body=whole, scratch=(*kernel.scratch, *tiles.scratch)))


def crossing(body: Sequence[Stmt], along: Var, across: Var) -> tuple[Load, ...]:
    """The loads that move by one element with ``along`` and by more with ``across``, from what ``body`` does not write.

    Their places are known before ``body`` begins.
    """
    named = {s.var for s in body if isinstance(s, Let)}
    written = {s.buffer for s in body if isinstance(s, Store)}
    return tuple(
        dict.fromkeys(
            e
            for e in k.loads(body)
            if step(e.index, along) == 1
            and step(e.index, across) not in (0, 1)
            and e.buffer not in written
            and not any(isinstance(part, Load) or part in named for part in k.parts(e.index))
        )
    )


def step(e: Expr, var: Var) -> int | None:
    """How far ``e`` moves when ``var`` grows by one; None if that is no constant."""
    match e:
        case Var():
            return int(e == var)
        case k.Call("add", (x, y)):
            a, b = step(x, var), step(y, var)
            return None if a is None or b is None else a + b
        case k.Call("mul", (x, Const(int(factor)))):
            a = step(x, var)
            return None if a is None else a * factor
    return 0 if all(part != var for part in k.walk(e)) else None


def _is_long(loop: For, width: int) -> Expr:
    return k.const(width) <= loop.extent


@dataclass(frozen=True)
class _Side:
    """An axis in tiles.  The last one has what is left over, too, so that no two tiles write the same."""

    loop: For

    @property
    def block(self) -> Var:
        return Var(f"{self.loop.var.name}_block")

    @property
    def step(self) -> Var:
        return Var(f"{self.loop.var.name}_step")

    @property
    def first(self) -> Expr:
        return self.block * SIDE

    @property
    def is_whole(self) -> bool:
        """Whether all tiles are alike."""
        return isinstance(self.loop.extent, Const) and int(self.loop.extent.value.real) % SIDE == 0

    @property
    def most(self) -> int:
        """Elements of a tile, at most."""
        return SIDE if self.is_whole else 2 * SIDE

    @property
    def count(self) -> Expr:
        if self.is_whole:
            return k.const(SIDE)
        left = self.loop.extent - self.first
        return k.where(left < 2 * SIDE, left, k.const(SIDE))

    def blocks(self, body: tuple[Stmt, ...]) -> For:
        return For(self.block, k.call("maximum", self.loop.extent // SIDE, 1), body, self.loop.kind)

    def squares(self, width: int) -> Expr:
        """How many squares of a tile lie along this axis."""
        return (self.count + (width - 1)) // width

    def start(self, square: Expr, width: int) -> Expr:
        """Where in a tile a square begins: the last one as early as it must to end inside."""
        if self.is_whole:
            return square * width
        return k.call("minimum", square * width, self.loop.extent - self.first - width)


class _Tiles:
    """What is done with each tile of axes ``down``, of the columns of what is read across, and ``right``."""

    def __init__(self, down: _Side, right: _Side, loads: tuple[Load, ...], target: Target):
        self.down, self.right, self.loads = down, right, loads
        self.target = target
        self.scratch: list[Buffer] = []

    def nest(self, loops: Sequence[For], body: tuple[Stmt, ...]) -> For:
        new = self.copied(body) or self.staged(body)
        for loop in reversed(loops):
            side = next((s for s in (self.down, self.right) if s.loop is loop), None)
            new = (replace(loop, body=new) if side is None else side.blocks(new),)
        return new[0]  # type: ignore[return-value]

    def copied(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """A tile of a map that stores what it reads across, and does nothing else."""
        match body:
            case (Let(var, Load() as load), Store(buffer, index, value)) if value == var and load in self.loads:
                pass
            case (Store(buffer, index, Load() as load),) if load in self.loads:
                pass
            case _:
                return ()
        down, right = self.down.loop.var, self.right.loop.var

        def put(at: Expr, to: Expr, element: Expr) -> Stmt:
            place = k.substitute(index, {down: self.down.first + at, right: self.right.first + to})
            return Store(buffer, place, element)

        return (self.squares(load, put),)

    def staged(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """A tile of a map that reads scratch memory in place of ``loads``."""
        before: list[Stmt] = []
        places: dict[Load, Load] = {}
        down, right = self.down, self.right
        for number, load in enumerate(self.loads):
            buffer = Buffer(f"tile{number}", load.dtype, "local", down.most * right.most)
            self.scratch.append(buffer)
            before.append(self.squares(load, lambda at, to, e, b=buffer: Store(b, at * right.most + to, e)))  # type: ignore[misc]
            places[load] = Load(buffer, down.step * right.most + right.step)
        body = k.transform(body, lambda e: places.get(e, e) if isinstance(e, Load) else e)
        body = k.substitute(body, {down.loop.var: down.first + down.step, right.loop.var: right.first + right.step})
        return (*before, For(down.step, down.count, (For(right.step, right.count, body),)))

    def squares(self, load: Load, put: Put) -> Stmt:
        """``put`` of each element of a tile of ``load``, transposed."""
        down, right = self.down, self.right
        width = width_of(self.target, load.dtype)
        square = Square(load, down.loop.var, right.loop.var, width, len(self.scratch))
        self.scratch.append(square.buffer)
        i, j = (Var(f"{side.loop.var.name}_square") for side in (down, right))
        at, to = (Var(f"{side.loop.var.name}_at") for side in (down, right))
        body = (
            Let(at, down.start(i, width)),
            Let(to, right.start(j, width)),
            square.filled(down.first + at, right.first + to),
            over_columns(width, lambda column, lane: (put(at + column, to + lane, square.element(column, lane)),)),
        )
        return For(j, right.squares(width), (For(i, down.squares(width), body),))
