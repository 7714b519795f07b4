"""Tiles: maps that read along another axis than they write.

A transposed operand is read with a long stride, one element of each cache line at a time.  In small square tiles
both sides stay in the first-level cache until all of their lines are used.  What is read across a tile is transposed
into scratch memory first, in registers, so that the map itself goes through memory in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Const, Expr, For, Kernel, Let, Load, Stmt, Store, Var
from jitorch.lower.schedules.squares import Square, width_of
from jitorch.lower.target import Target

SIDE = 32
"""Elements along a side: two cache lines of f32 each way."""
LEAST = 2 * SIDE
"""Shorter axes are not worth tiles."""


def tile(kernel: Kernel, target: Target) -> Kernel:
    """``kernel`` in tiles of its innermost axis and the one along which a load reads neighbours, if they differ."""
    loops: list[For] = []
    body = kernel.body
    while len(body) == 1 and isinstance(body[0], For):
        loops.append(body[0])
        body = body[0].body
    if len(loops) < 2 or any(isinstance(s, For) for s in k.walk(body)):
        return kernel
    inner = loops[-1]
    outer = next((x for x in loops[:-1] if _crossing(body, x.var, inner.var)), None)
    if outer is None or not (_is_long(outer) and _is_long(inner)):
        return kernel
    tiles = _Tiles(loops, _Side(outer), _Side(inner), body, target)
    new = tiles.staged() 
    return k.verify(replace(kernel, body=(new,), scratch=(*kernel.scratch, *tiles.scratch)))


def _is_long(loop: For) -> bool:
    return not isinstance(loop.extent, Const) or int(loop.extent.value.real) >= LEAST


def _crossing(body: tuple[Stmt, ...], along: Var, across: Var) -> list[Load]:
    """The loads that move by one element with ``along`` and by more with ``across``."""
    return [e for e in k.loads(body) if step(e.index, along) == 1 and step(e.index, across) not in (0, 1)]


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


class _Side:
    """One axis of the tiles."""

    def __init__(self, loop: For):
        self.loop = loop
        self.block, self.step = Var(f"{loop.var.name}_block"), Var(f"{loop.var.name}_step")
        self.first = self.block * SIDE
        whole = isinstance(loop.extent, Const) and int(loop.extent.value.real) % SIDE == 0
        self.count: Expr = k.const(SIDE) if whole else k.call("minimum", loop.extent - self.first, k.const(SIDE))

    def blocks(self, body) -> For:
        return For(self.block, (self.loop.extent + (SIDE - 1)) // SIDE, body, self.loop.kind)

    def squares(self, width: int) -> Expr:
        return (self.count + (width - 1)) // width

    def origin(self, width: int) -> Expr:
        return self.first + self.count - self.squares(width) * width


class _Tiles:
    def __init__(self, loops, outer: _Side, inner: _Side, body, target):
        self.loops, self.outer, self.inner, self.body, self.target = loops, outer, inner, body, target
        self.scratch: list[Buffer] = []

    def nest(self, inside):
        new = inside
        for loop in reversed(self.loops):
            side = next((s for s in (self.outer, self.inner) if s.loop is loop), None)
            new = (replace(loop, body=new),) if side is None else (side.blocks(new),)
        return new[0]

    def staged(self) -> For:
        o, i = self.outer, self.inner
        body, before = self.body, []
        for load in dict.fromkeys(_crossing(self.body, o.loop.var, i.loop.var)):
            body = k.transform(body, self.stage(load, before))
        body = k.substitute(body, {o.loop.var: o.first + o.step, i.loop.var: i.first + i.step})
        rows = For(o.step, o.count, (For(i.step, i.count, body),))
        return self.nest((*before, rows))

    def stage(self, load, before):
        o, i = self.outer, self.inner
        W = width_of(self.target, load.dtype)
        n = len(self.scratch)
        tile = Buffer(f"tile{n}", load.dtype, "local", SIDE * SIDE)
        square = Square(load, o.loop.var, i.loop.var, Buffer(f"square{n}", load.dtype, "local", W * W), W)
        self.scratch += [tile, square.buffer]
        a, b = Var(f"square{n}_down"), Var(f"square{n}_right")
        c, v = Var(f"square{n}_column"), Var(f"square{n}_lane")
        fill = square.filled(o.origin(W) + a * W, i.origin(W) + b * W)
        put = Store(tile, (a * W + c) * SIDE + b * W + v, square.element(c, v))
        columns = For(c, k.const(W), (For(v, k.const(W), (put,), "vector"),), "unroll")
        before.append(For(b, i.squares(W), (For(a, o.squares(W), (fill, columns)),)))
        place = (o.loop.var - o.origin(W)) * SIDE + (i.loop.var - i.origin(W))
        return lambda e: Load(tile, place) if e == load else e
