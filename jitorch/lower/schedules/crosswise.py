"""Tiles: maps that read along another axis than they write.

A transposed operand is read with a long stride, one element of each cache line at a time.  In small square tiles
both sides stay in the first-level cache until all of their lines are used.
"""

from __future__ import annotations

from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Const, Expr, For, Kernel, Var

SIDE = 16
"""Elements along a side: a cache line of f32 each way."""
LEAST = 4 * SIDE
"""Shorter axes are not worth tiles."""


def tile(kernel: Kernel) -> Kernel:
    """``kernel`` in tiles of its innermost axis and the one along which a load reads neighbours, if they differ."""
    loops: list[For] = []
    body = kernel.body
    while len(body) == 1 and isinstance(body[0], For):
        loops.append(body[0])
        body = body[0].body
    if len(loops) < 2 or any(isinstance(s, For) for s in k.walk(body)):
        return kernel
    inner = loops[-1]
    outer = next((x for x in loops[:-1] if _is_crosswise(body, x.var, inner.var)), None)
    if outer is None or not (_is_long(outer) and _is_long(inner)):
        return kernel
    new: tuple[k.Stmt, ...] = body
    for loop in (inner, outer):
        new = (_inside(loop, new),)
    for loop in reversed(loops):
        is_cut = loop is outer or loop is inner
        new = (_blocks(loop, new) if is_cut else replace(loop, body=new),)
    return k.verify(replace(kernel, body=new))


def _is_long(loop: For) -> bool:
    return not isinstance(loop.extent, Const) or int(loop.extent.value.real) >= LEAST


def _is_crosswise(body: tuple[k.Stmt, ...], along: Var, across: Var) -> bool:
    """Whether a load moves by one element with ``along`` and by more with ``across``."""
    return any(step(e.index, along) == 1 and step(e.index, across) not in (0, 1) for e in k.loads(body))


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


def _block_var(loop: For) -> Var:
    return Var(f"{loop.var.name}_block")


def _blocks(loop: For, body: tuple[k.Stmt, ...]) -> For:
    return For(_block_var(loop), (loop.extent + (SIDE - 1)) // SIDE, body, loop.kind)


def _inside(loop: For, body: tuple[k.Stmt, ...]) -> For:
    """One side of a tile; the last tile may be narrower."""
    first = _block_var(loop) * SIDE
    whole = isinstance(loop.extent, Const) and int(loop.extent.value.real) % SIDE == 0
    extent = k.const(SIDE) if whole else k.call("minimum", loop.extent - first, k.const(SIDE))
    offset = Var(f"{loop.var.name}_step")
    return For(offset, extent, (k.Let(loop.var, first + offset), *body))
