"""Strands: loops of the host of which each thread runs all turns, for a part of the memory that it alone changes.

In a loop over time, a step often needs of the state only what stands in its own rows: the rows of a batch know
nothing of each other, nor do the elements of a map.  Cut into *strands*, such a loop needs no meeting of threads at the
end of each launch, and what one thread writes is never fetched by another, which takes longer than to compute it where
processors are far apart:

    loop { while step < n  launch @cell(...)  ... }
    for strand in parallel(2) { loop { while step < n  launch @cell_strand(..., strand)  ... } }

A launch falls into as many parts as there are strands, runs of its parallel loop.  They may go their own ways if each
touches only its own part of all that the loop changes, in any turn: strand ``s`` of ``p`` has elements ``s * size / p`` up to
``(s + 1) * size / p`` of each buffer, and views are whole rows of that size.  The places are bounded by interval arithmetic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.lower.memory.copies import copy_kernel
from jitorch.lower.names import Origins
from jitorch.lower.pull import STATUS
from jitorch.lower.schedules.dependence import polynomial

MOST = 64
"""Strands: as many threads can take part."""
LEAST_STEPS = 2000
"""Innermost steps of a strand in a turn, below which going through the loop once more costs more than it saves."""
LINE_BYTES = 64
"""What two threads should not both write to."""

Interval = tuple[int, int]
"""The least and the greatest value."""


def cut_into_strands(program: host.Program, origins: Origins) -> host.Program:
    """``program`` with its loops cut into strands where that is possible; ``origins`` takes the lines of new kernels."""
    cutter = _Cutter(program, origins)
    return replace(program, body=tuple(cutter.block(program.body)))


@dataclass(frozen=True)
class _Loop:
    """A loop in pieces: what it allocates, its turns with launches in place of copies, and what names it starts with."""

    test: k.Expr
    allocs: tuple[host.Alloc, ...]
    turn: tuple[host.Stmt, ...]
    start: tuple[host.Stmt, ...]

    @property
    def launches(self) -> list[host.Launch]:
        return [s for s in self.turn if isinstance(s, host.Launch)]


class _Cutter:
    def __init__(self, program: host.Program, origins: Origins):
        self.origins = origins
        self.taken = {kernel.name for kernel in program.kernels}
        self.names = {v.name for v in program.scalars} | {
            s.var.name for s in host.walk(program.body) if isinstance(s, host.Scalar)
        }
        self.sizes = {b: program.sizes[b.name] for b in (*program.inputs, *program.outputs)}
        self.views: dict[k.Buffer, list[host.View]] = {}
        for s in host.walk(program.body):
            match s:
                case host.Alloc(buffer, size):
                    self.sizes[buffer] = size
                case host.View(buffer):
                    self.views.setdefault(buffer, []).append(s)
        self.made: dict[tuple[k.Kernel, int], k.Kernel] = {}

    def block(self, body: Sequence[host.Stmt]) -> Iterator[host.Stmt]:
        for place, statement in enumerate(body):
            found = _pieces(statement, body[:place]) if isinstance(statement, host.While) else None
            count = 1 if found is None else self.strands(found)
            if found is None or count == 1:
                yield host.with_blocks(statement, self.block)
                continue
            yield from found.allocs
            loop = host.While((), found.test, tuple(self.cut(found.turn, count)))
            yield host.Parallel(_STRAND, k.const(count), (*found.start, loop))

    # -- how many --------------------------------------------------------------------------------
    def strands(self, loop: _Loop) -> int:
        """Into how many strands ``loop`` may be cut; 1 if it stays whole."""
        extents = [_extent(launch.kernel) for launch in loop.launches]
        if not extents or None in extents or _STRAND.name in self.names:
            return 1
        written = self.written(loop)
        if written is None:
            return 1
        steps = sum(_steps(launch.kernel.body, {}) for launch in loop.launches)
        parts = math.gcd(*extents, *written.values())  # type: ignore[arg-type]
        for count in range(min(parts, MOST, steps // LEAST_STEPS), 1, -1):
            if parts % count == 0 and self.are_apart(loop, written, count):
                return count
        return 1

    def written(self, loop: _Loop) -> dict[k.Buffer, int] | None:
        """What the loop changes, by the names of its launches and with sizes; None if those are no whole rows."""
        roots = {root for launch in loop.launches for b in _stored(launch) for root in self.roots(b)}
        found: dict[k.Buffer, int] = {}
        rows: dict[k.Buffer, int] = {}
        for buffer in {arg for launch in loop.launches for arg in launch.args if isinstance(arg, k.Buffer)}:
            mine = roots & set(self.roots(buffer))
            if not mine:
                continue
            size = self.row(buffer)
            if size is None or any(rows.setdefault(root, size) != size for root in mine):
                return None
            found[buffer] = size
        return found

    def roots(self, buffer: k.Buffer) -> Iterator[k.Buffer]:
        """The memory that a buffer may be a part of."""
        if buffer not in self.views:
            yield buffer
        for view in self.views.get(buffer, ()):
            yield from self.roots(view.source)

    def row(self, buffer: k.Buffer) -> int | None:
        """The size of a buffer that is always a row of memory: as many elements, from a multiple of those on."""
        views = self.views.get(buffer)
        if views is None:
            return _number(self.sizes.get(buffer))
        sizes = {_number(view.size) for view in views}
        size = sizes.pop()
        if sizes or size is None or size <= 0:
            return None
        for view in views:
            if any(factor % size for factor in polynomial(view.offset).values()):
                return None
            if view.source in self.views and self.row(view.source) != size:
                return None
        return size

    def are_apart(self, loop: _Loop, written: Mapping[k.Buffer, int], count: int) -> bool:
        """Whether every strand of ``count`` touches only its own part of what is written."""
        if any(size // count * b.dtype.itemsize % LINE_BYTES for b, size in written.items()):
            return False
        for launch in loop.launches:
            params = {
                p: written[arg] // count
                for p, arg in zip(launch.kernel.params, launch.args, strict=True)
                if isinstance(p, k.Buffer) and isinstance(arg, k.Buffer) and arg in written
            }
            if not all(_keeps_to_itself(launch.kernel, params, count, strand) for strand in range(count)):
                return False
        return True

    # -- the cut ---------------------------------------------------------------------------------
    def cut(self, turn: Iterable[host.Stmt], count: int) -> Iterator[host.Stmt]:
        for s in turn:
            yield host.Launch(self.part(s.kernel, count), (*s.args, _STRAND)) if isinstance(s, host.Launch) else s

    def part(self, kernel: k.Kernel, count: int) -> k.Kernel:
        """The kernel that runs one part of ``count`` of ``kernel``."""
        made = self.made.get((kernel, count))
        if made is None:
            loop = kernel.body[0]
            assert isinstance(loop, k.For) and isinstance(loop.extent, k.Const)
            length = int(loop.extent.value.real) // count
            inner = k.substitute(loop.body, {loop.var: _STRAND * length + loop.var})
            name = next(n for i in range(1, 1 << 30) if (n := f"{kernel.name}_strand{i if i > 1 else ''}") not in self.taken)
            self.taken.add(name)
            body = (k.For(loop.var, k.const(length), inner, "serial"),)
            made = k.verify(replace(kernel, name=name, params=(*kernel.params, _STRAND), body=body))
            self.made[kernel, count] = made
            self.origins.setdefault(name, {}).update(self.origins.get(kernel.name, {}))
        return made


_STRAND = k.Var("strand")


def _pieces(loop: host.While, before: Sequence[host.Stmt]) -> _Loop | None:
    """A loop whose turns are launches that cannot fail, and names that do not depend on what they compute.

    What it names and reads from the turn before is named right in front of it, as the last of ``before``.
    """
    if loop.before or any(True for _ in k.loads(loop.test)):
        return None
    allocs: list[host.Alloc] = []
    turn: list[host.Stmt] = []
    for s in loop.body:
        match s:
            case host.Alloc(_, k.Const()):
                allocs.append(s)
            case host.Copy(_, _, k.Const()):
                turn.append(copy_kernel(s))
            case host.Launch(kernel) if STATUS not in kernel.params:
                turn.append(s)
            case host.View():
                turn.append(s)
            case host.Scalar(_, value) if not any(True for _ in k.loads(value)):
                turn.append(s)
            case _:
                return None
    start = list(itertools.takewhile(lambda s: _name(s) is not None, reversed(before)))[::-1]
    named = {_name(s) for s in start}
    if not _carried(loop.test, turn) <= named:
        return None
    return _Loop(loop.test, tuple(allocs), tuple(turn), tuple(start))


def _carried(test: k.Expr, turn: Sequence[host.Stmt]) -> set[str]:
    """What a turn names and reads before that."""
    pending = {name for s in turn if (name := _name(s)) is not None}
    found: set[str] = set()
    for s in (host.If(test, ()), *turn):
        read = {b.name for b in host.used(s)}
        read |= {e.name for e in k.parts(host.expressions(s)) if isinstance(e, k.Var)}
        found |= read & pending
        pending.discard(_name(s) or "")
    return found


def _name(statement: host.Stmt) -> str | None:
    """What a statement names."""
    match statement:
        case host.Scalar(var):
            return var.name
        case host.View(buffer):
            return buffer.name
    return None


def _number(e: k.Expr | None) -> int | None:
    return int(e.value.real) if isinstance(e, k.Const) else None


def _extent(kernel: k.Kernel) -> int | None:
    """The number of tasks of a kernel that is one parallel loop."""
    match kernel.body:
        case (k.For(var, k.Const(extent), _, "parallel"),) if var.dtype is k.INDEX:
            return int(extent.real)
    return None


def _stored(launch: host.Launch) -> list[k.Buffer]:
    stored = {s.buffer for s in k.parts(launch.kernel) if isinstance(s, k.Store)}
    return [a for p, a in zip(launch.kernel.params, launch.args, strict=True) if p in stored and isinstance(a, k.Buffer)]


def _steps(body: Iterable[k.Stmt], known: Mapping[k.Var, Interval]) -> int:
    """How often the innermost statements of ``body`` run, at most; unknown counts as once."""
    total = 1
    for s in body:
        match s:
            case k.For(_, extent, inner):
                bounds = _interval(extent, known)
                total += (1 if bounds is None else max(0, bounds[1])) * _steps(inner, known)
            case k.If(_, then, orelse):
                total += _steps(then, known) + _steps(orelse, known)
    return total


def _keeps_to_itself(kernel: k.Kernel, parts: Mapping[k.Buffer, int], count: int, strand: int) -> bool:
    """Whether tasks of ``strand`` touch, of each buffer in ``parts``, which has so many elements a strand, only those."""
    loop = kernel.body[0]
    assert isinstance(loop, k.For)
    length = (_extent(kernel) or 0) // count
    bounds = {loop.var: (strand * length, (strand + 1) * length - 1)}
    return all(
        index is not None and part * strand <= index[0] and index[1] < part * (strand + 1)
        for buffer, index in _accesses(loop.body, bounds)
        if (part := parts.get(buffer)) is not None
    )


def _accesses(body: Iterable[k.Stmt], around: Mapping[k.Var, Interval]) -> Iterator[tuple[k.Buffer, Interval | None]]:
    """The loads and stores of ``body``, between which places they are."""
    known = dict(around)

    def loads(*values: k.Expr) -> Iterator[tuple[k.Buffer, Interval | None]]:
        for load in k.loads(values):
            yield load.buffer, _interval(load.index, known)

    for s in body:
        match s:
            case k.Let(var, value):
                yield from loads(value)
                bounds = _interval(value, known)
                known.pop(var, None)
                if bounds is not None:
                    known[var] = bounds
            case k.Local(var, value) | k.Assign(var, value):
                yield from loads(value)
                known.pop(var, None)
            case k.Store(buffer, index, value):
                yield from loads(index, value)
                yield buffer, _interval(index, known)
            case k.For(var, extent, inner):
                yield from loads(extent)
                bounds = _interval(extent, known)
                inside = {v: i for v, i in known.items() if v != var}
                if bounds is not None:
                    if bounds[1] <= 0:
                        continue
                    inside[var] = (0, bounds[1] - 1)
                yield from _accesses(inner, inside)
            case k.If(test, then, orelse):
                yield from loads(test)
                yield from _accesses(then, known)
                yield from _accesses(orelse, known)


def _interval(e: k.Expr, known: Mapping[k.Var, Interval]) -> Interval | None:
    """Between which numbers the integer ``e`` is, if that is known."""
    match e:
        case k.Const(int(value)):
            return value, value
        case k.Var():
            return known.get(e)
        case k.Call(fn, (x, y)):
            a, b = _interval(x, known), _interval(y, known)
            if fn == "minimum" and (a is None) != (b is None):
                return None
            return None if a is None or b is None else _combined(fn, a, b)
    return None


def _combined(fn: str, a: Interval, b: Interval) -> Interval | None:
    match fn:
        case "add":
            return a[0] + b[0], a[1] + b[1]
        case "sub":
            return a[0] - b[1], a[1] - b[0]
        case "mul":
            ends = [x * y for x in a for y in b]
            return min(ends), max(ends)
        case "minimum":
            return min(a[0], b[0]), min(a[1], b[1])
        case "maximum":
            return max(a[0], b[0]), max(a[1], b[1])
        case "floordiv" if b[0] == b[1] > 0:
            return a[0] // b[0], a[1] // b[0]
        case "mod" if b[0] == b[1] > 0:
            first = a[0] // b[0] * b[0]
            return (a[0] - first, a[1] - first) if a[1] < first + b[0] else (0, b[0] - 1)
    return None
