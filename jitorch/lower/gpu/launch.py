"""Where the iterations of a kernel run on a GPU: the grid of blocks and the threads of each.

A kernel for a GPU is one nest of ``block`` loops (at most three) around thread nests of one depth (at most
three).  The innermost loop of each runs along x, the next along y, the outermost along z.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import NoReturn

from jitorch.errors import ValueRangeError
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Const, Expr, For, Kernel, Load, Var

MAX_THREADS = 1024
MAX_AXES = 3


@dataclass(frozen=True, slots=True)
class Geometry:
    """``grid``: extents of the block loops from x on, over the kernel's scalar parameters (a launch with a 0 among
    them is to be skipped); ``block``: threads along x, y, z; ``shared``: bytes of shared memory a block."""

    grid: tuple[Expr, ...]
    block: tuple[int, ...]
    shared: int

    @property
    def threads(self) -> int:
        return prod(self.block)


def geometry(kernel: Kernel) -> Geometry:
    """Read the geometry off the loops; `ValueRangeError` if they cannot be mapped onto a GPU."""
    blocks, threads = nests(kernel.body, "block"), nests(kernel.body, "thread")
    if len(blocks) > 1:
        _refuse(kernel, "block loops must be one nest", f"{len(blocks)} nests")
    grid = tuple(loop.extent for loop in reversed(blocks[0])) if blocks else ()
    scalars = {p for p in kernel.params if isinstance(p, Var)}
    for extent in grid:
        if any(isinstance(e, Load) or (isinstance(e, Var) and e not in scalars) for e in k.walk(extent)):
            _refuse(kernel, "the number of blocks must follow from the scalar parameters", extent)
    if len({len(nest) for nest in threads}) > 1:
        _refuse(kernel, "thread nests must have one depth", ", ".join(str(len(nest)) for nest in threads))
    if len(grid) > MAX_AXES or any(len(nest) > MAX_AXES for nest in threads):
        _refuse(kernel, f"blocks and threads nest at most {MAX_AXES} deep", max(len(grid), *map(len, threads)))
    block = _block(kernel, threads)
    _check_placement(kernel, kernel.body, (), bool(threads))
    shared = sum((b.size or 0) * b.dtype.itemsize for b in kernel.scratch if b.space == "shared")
    return Geometry(grid, block, shared)


def _block(kernel: Kernel, threads: list[tuple[For, ...]]) -> tuple[int, ...]:
    sizes: list[int] = []
    for nest in threads:
        for axis, loop in enumerate(reversed(nest)):
            sizes += [0] * (axis + 1 - len(sizes))
            sizes[axis] = max(sizes[axis], _constant(kernel, loop.extent))
    if prod(sizes) > MAX_THREADS:
        _refuse(kernel, f"a block has at most {MAX_THREADS} threads", prod(sizes))
    return tuple(sizes)


def _constant(kernel: Kernel, extent: Expr) -> int:
    if isinstance(extent, Const):
        return int(extent.value.real)
    return _refuse(kernel, "the number of threads must be constant", extent)


def nests(body: Iterable[k.Stmt], kind: str) -> list[tuple[For, ...]]:
    """Every path of loops of ``kind`` from the outermost to an innermost one."""
    found: list[tuple[For, ...]] = []
    for stmt in body:
        inner = [nest for part in _bodies(stmt) for nest in nests(part, kind)]
        if isinstance(stmt, For) and stmt.kind == kind:
            found += [(stmt, *nest) for nest in inner] or [(stmt,)]
        else:
            found += inner
    return found


def _bodies(stmt: k.Stmt) -> tuple[tuple[k.Stmt, ...], ...]:
    match stmt:
        case For(_, _, body):
            return (body,)
        case k.If(_, then, orelse):
            return then, orelse
    return ()


def _check_placement(kernel: Kernel, body: Iterable[k.Stmt], around: tuple[str, ...], has_threads: bool) -> None:
    """Block loops outermost, then serial code that every thread repeats, then threads; stores only by threads."""
    for stmt in body:
        match stmt:
            case For(var, _, _, "block") if any(kind != "block" for kind in around):
                _refuse(kernel, "a block loop stands inside other loops or tests", var)
            case k.Store(buffer) if has_threads and "thread" not in around:
                _refuse(kernel, "a store outside of the thread loops would be made by every thread", buffer.name)
        kind = stmt.kind if isinstance(stmt, For) else "if"
        for part in _bodies(stmt):
            _check_placement(kernel, part, (*around, kind), has_threads)


def _refuse(kernel: Kernel, what: str, actual: object) -> NoReturn:
    raise ValueRangeError(f"kernel {kernel.name} cannot run on a GPU: {what}", actual=actual)
