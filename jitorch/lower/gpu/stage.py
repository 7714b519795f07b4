"""Staging: a tile of a global buffer is kept in shared memory while a loop reads it."""

from __future__ import annotations

from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Const, Expr, For, If, Kernel, Let, Load, Var
from jitorch.lower.schedules.dependence import Polynomial, add, polynomial
from jitorch.lower.schedules.loops import find, fresh, put, refuse


def stage(
    kernel: Kernel,
    buffer: str,
    loop: str,
    origin: Expr,
    shape: tuple[int, ...],
    strides: tuple[Expr, ...],
    limits: tuple[Expr, ...] | None = None,
) -> Kernel:
    """Copy a tile of a global buffer into shared memory at the start of each iteration of ``loop``.

    The tile has the elements ``origin + sum(c[d] * strides[d])`` for ``0 <= c[d] < shape[d]``; where ``limits``
    are given, those with ``c[d] >= limits[d]`` are not there and read as 0.  The caller vouches that
    the others exist.  Every load of ``buffer`` in the loop must be inside the tile: its index is ``origin`` plus,
    for each axis, ``strides[d]`` times one loop variable of extent ``shape[d]`` or less.

    All threads of the block copy together, with barriers before and after the tile is read, so the serial
    ``loop`` must be inside all thread loops, and nothing between may part the threads.
    """
    return _Staging(kernel, buffer, loop, origin, shape, strides, limits).run()


class _Staging:
    def __init__(
        self,
        kernel: Kernel,
        buffer: str,
        loop: str,
        origin: Expr,
        shape: tuple[int, ...],
        strides: tuple[Expr, ...],
        limits: tuple[Expr, ...] | None,
    ):
        found = [b for b in kernel.buffers if b.name == buffer]
        if (
            not found
            or len(shape) != len(strides)
            or any(n < 1 for n in shape)
            or (limits and len(limits) != len(shape))
        ):
            refuse(kernel, "a buffer parameter, and as many strides and limits as axes", (buffer, shape, strides))
        self.kernel, self.buffer, self.loop = kernel, found[0], find(kernel, loop)
        self.origin, self.shape, self.strides, self.limits = origin, shape, strides, limits
        self.size = 1
        for extent in shape:
            self.size *= extent
        self.tile = Buffer(fresh(kernel, f"{buffer}_tile"), self.buffer.dtype, "shared", self.size)
        self.around = self.path(kernel.body)

    def run(self) -> Kernel:
        if any(isinstance(s, k.Store) and s.buffer == self.buffer for s in k.walk(self.loop)):
            refuse(self.kernel, f"a loop that does not write {self.buffer.name}", self.loop)
        inside = {s.var: s.extent for s in k.walk(self.loop) if isinstance(s, For)} | {
            s.var: s.extent for s in self.around if isinstance(s, For) and s.kind == "thread"
        }
        body = k.transform(self.loop.body, lambda e: self.load(e, inside))
        if not any(load.buffer == self.tile for load in k.loads(body)):
            refuse(self.kernel, f"a load of {self.buffer.name} in the loop", self.loop)
        new = replace(self.loop, body=(*self.copy(), *self.until_all_copied(body), *body, *self.until_all_read(body)))
        scheduled = replace(self.kernel, scratch=(*self.kernel.scratch, self.tile))
        return put(scheduled, self.loop, lambda _: (new,))

    def until_all_copied(self, body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        """A barrier, unless one stands in ``body`` before the tile is read (another tile's)."""
        for stmt in body:
            if isinstance(stmt, k.Barrier):
                return ()
            if any(load.buffer == self.tile for load in k.loads(stmt)):
                break
        return (k.Barrier(),)

    def until_all_read(self, body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        """A barrier before the next iteration copies again."""
        return () if isinstance(body[-1], k.Barrier) else (k.Barrier(),)

    def path(self, body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        """The statements around the loop, outermost first."""
        for stmt in body:
            if stmt is self.loop:
                return ()
            parts = (stmt.body,) if isinstance(stmt, For) else (stmt.then, stmt.orelse) if isinstance(stmt, If) else ()
            for part in parts:
                if any(s is self.loop for s in k.walk(part)):
                    return (stmt, *self.path(part))
        return ()

    def threads(self) -> list[For]:
        """The thread loops around; from them on nothing may part the threads."""
        threads = [s for s in self.around if isinstance(s, For) and s.kind == "thread"]
        inside = (*self.around[self.around.index(threads[0]) :], self.loop) if threads else ()
        # Alike for all threads: parameters, and variables of loops that are not theirs.
        alike = {p for p in self.kernel.params if isinstance(p, Var)}
        alike |= {s.var for s in (*self.around, self.loop) if isinstance(s, For) and s.kind != "thread"}
        for s in inside:
            if isinstance(s, If) or (isinstance(s, For) and not _only_of(s.extent, alike)):
                refuse(self.kernel, "no test and no differing extent between the threads and the tile", s)
            if isinstance(s, For) and s.kind not in ("thread", "serial", "unroll"):
                refuse(self.kernel, "serial loops between the threads and the tile", s.kind)
        if any(isinstance(s, For) and s.kind in ("parallel", "vector") for s in self.around):
            refuse(self.kernel, "block, thread and serial loops around the tile", "a parallel or vector loop")
        inner = [s for s in k.walk(self.loop.body) if isinstance(s, For) and s.kind == "thread"]
        if inner or self.loop.kind not in ("serial", "unroll"):
            refuse(self.kernel, "a serial loop inside all thread loops", self.loop.kind)
        return threads

    def copy(self) -> tuple[k.Stmt, ...]:
        """All threads, one element each in turn."""
        number: Expr = k.const(0)
        count = 1
        for s in self.threads():
            extent = int(s.extent.value.real) if isinstance(s.extent, Const) else 0
            number, count = number * extent + s.var, count * extent
        turn = Var(fresh(self.kernel, f"{self.tile.name}_turn"))
        place = Var(fresh(self.kernel, f"{self.tile.name}_place"))
        rest: Expr = place
        address = self.origin
        valid: Expr | None = None
        limits = self.limits or (None,) * len(self.shape)
        axes = list(zip(self.shape, self.strides, limits, strict=True))
        for i, (extent, stride, limit) in reversed(list(enumerate(axes))):
            coordinate, rest = (rest % extent if i else rest), rest // extent
            address = address + coordinate * stride
            if limit is not None:
                valid = coordinate < limit if valid is None else (coordinate < limit) & valid
        fill: tuple[k.Stmt, ...] = (k.Store(self.tile, place, Load(self.buffer, address)),)
        if valid is not None:
            fill = (If(valid, fill, (k.Store(self.tile, place, k.const(0, self.tile.dtype)),)),)
        if self.size % count:
            fill = (If(place < self.size, fill),)
        if self.size <= count:
            return Let(place, number), *fill
        return (For(turn, k.const(-(-self.size // count)), (Let(place, turn * count + number), *fill)),)

    def load(self, e: Expr, inside: dict[Var, Expr]) -> Expr:
        if not isinstance(e, Load) or e.buffer != self.buffer:
            return e
        place: Expr = k.const(0)
        for extent, coordinate in zip(self.shape, self.coordinates(e.index, inside), strict=True):
            place = place * extent + coordinate
        return Load(self.tile, place)

    def coordinates(self, index: Expr, inside: dict[Var, Expr]) -> list[Expr]:
        """Where in the tile ``index`` is: the loop variable that moves it along each axis."""
        left = polynomial(index - self.origin)
        found: list[Expr] = []
        for extent, stride in zip(self.shape, self.strides, strict=True):
            match = next(
                (
                    v
                    for v, n in inside.items()
                    if isinstance(n, Const)
                    and 0 <= int(n.value.real) <= extent
                    and _contains(left, polynomial(v * stride))
                ),
                None,
            )
            if match is not None:
                left = add(left, polynomial(match * stride), -1)
            found.append(k.const(0) if match is None else match)
        if left:
            refuse(self.kernel, f"an index of {self.buffer.name} inside the tile", index)
        return found


def _only_of(e: Expr, known: set[Var]) -> bool:
    return all(part in known for part in k.walk(e) if isinstance(part, (Var, Load)))


def _contains(whole: Polynomial, part: Polynomial) -> bool:
    return all(whole.get(m) == v for m, v in part.items())
