"""Strands: loops of the host of which each thread runs all turns, for a part of the memory that it alone changes.

In a loop over time, a step often needs of the state only what stands in its own rows: the rows of a batch know
nothing of each other, nor do the elements of a map.  Cut into *strands*, such a loop needs no meeting of threads at the
end of each launch, and what one thread writes is never fetched by another, which takes longer than to compute it where
processors are far apart:

    loop { while step < n  launch @cell(...)  ... }
    for strand in parallel(2) { loop { while step < n  launch @cell_strand(..., strand)  ... } }

A launch falls into as many parts as there are strands, runs of its parallel loop.  They may go their own ways if each
touches only its own part of all that the loop changes, in any turn: strand ``s`` of ``p`` has elements ``s * size / p``
up to ``(s + 1) * size / p`` of each buffer, and views are whole rows of that size.  Interval arithmetic says where it
reads and writes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.lower.intervals import Interval, Known, accesses, interval
from jitorch.lower.memory.copies import copy_kernel
from jitorch.lower.names import Origins
from jitorch.lower.pull import STATUS
from jitorch.lower.schedules.dependence import polynomial

MOST = 64
"""Strands: as many threads can take part."""
LEAST_OPERATIONS = 10_000
"""Of a strand in a turn, below which going through the loop once more costs more than it saves."""
MOST_OPERATIONS = 20_000_000
"""Of a turn, above which it takes so long that it does not matter what a meeting takes."""
LINE_BYTES = 64
"""What two threads should not both write to."""
WHOLE_TURNS = 128
"""Elements of a map that go side by side, as vectors.  A rest goes one by one, which takes longer: none is left where a
loop has nothing but maps."""


def cut_into_strands(program: host.Program, origins: Origins) -> host.Program:
    """``program`` with its loops cut into strands where they can be; ``origins`` takes the lines of new kernels."""
    cutter = _Cutter(program, origins)
    return replace(program, body=tuple(cutter.block(program.body)))


@dataclass(frozen=True)
class _Loop:
    """A loop in pieces: what it allocates, its turns with launches in place of copies, and the names it starts with."""

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
        tasks = [_tasks(launch.kernel) for launch in loop.launches]
        if not tasks or 0 in tasks or _STRAND.name in self.names:
            return 1
        if all(_is_map(launch.kernel) for launch in loop.launches):
            tasks = [count // WHOLE_TURNS if count % WHOLE_TURNS == 0 else 1 for count in tasks]
        written = self.written(loop)
        if written is None:
            return 1
        operations = sum(_operations(launch.kernel.body, {}) for launch in loop.launches)
        parts = math.gcd(*tasks, *written.values())
        if operations > MOST_OPERATIONS:
            return 1
        counts = [n for n in range(2, min(parts, MOST, operations // LEAST_OPERATIONS) + 1) if parts % n == 0]
        # As many as fall evenly to two, four or eight threads.
        counts.sort(key=lambda n: (math.gcd(n, 8), n), reverse=True)
        return next((n for n in counts if self.are_apart(loop, written, n)), 1)

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
            loop = _loop_of(kernel)
            length = _tasks(kernel) // count
            own = k.Var(f"{loop.var.name}_own")
            inner = (k.Let(loop.var, _STRAND * length + own), *loop.body)
            name, number = f"{kernel.name}_strand", 1
            while name in self.taken:
                number += 1
                name = f"{kernel.name}_strand{number}"
            self.taken.add(name)
            body = (k.For(own, k.const(length), inner, "serial"),)
            made = k.verify(replace(kernel, name=name, params=(*kernel.params, _STRAND), body=body))
            self.made[kernel, count] = made
            self.origins.setdefault(name, {}).update(self.origins.get(kernel.name, {}))
        return made


_STRAND = k.Var("strand")


def _pieces(loop: host.While, before: Sequence[host.Stmt]) -> _Loop | None:
    """A loop whose turns are launches that cannot fail, and names that do not depend on what they compute.

    What it names and reads from the turn before is named right in front of it, as the last of ``before``.
    """
    if loop.before or any(_loads(s) for s in (loop, *loop.body)):
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
            case host.View() | host.Scalar():
                turn.append(s)
            case _:
                return None
    start = list(itertools.takewhile(lambda s: _name(s) is not None, reversed(before)))[::-1]
    named = {_name(s) for s in start}
    if not _carried(loop.test, turn) <= named:
        return None
    return _Loop(loop.test, tuple(allocs), tuple(turn), tuple(start))


def _loads(statement: host.Stmt) -> bool:
    """Whether the host reads memory to run a statement."""
    return any(isinstance(e, k.Load) for e in k.parts(host.expressions(statement)))


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


def _tasks(kernel: k.Kernel) -> int:
    """The number of tasks of a kernel that is one parallel loop; 0 for any other kernel."""
    match kernel.body:
        case (k.For(var, k.Const(extent), _, "parallel"),) if var.dtype is k.INDEX:
            return int(extent.real)
    return 0


def _is_map(kernel: k.Kernel) -> bool:
    """Whether the tasks of a kernel are elements."""
    return not any(isinstance(s, k.For) for s in k.parts(_loop_of(kernel).body))


def _loop_of(kernel: k.Kernel) -> k.For:
    """The loop that `_tasks` counts."""
    (loop,) = kernel.body
    if not isinstance(loop, k.For):
        raise CompilerBug(f"kernel {kernel.name} is no loop", ir=kernel)
    return loop


def _stored(launch: host.Launch) -> list[k.Buffer]:
    """What a launch changes."""
    stored = {s.buffer for s in k.parts(launch.kernel) if isinstance(s, k.Store)}
    pairs = zip(launch.kernel.params, launch.args, strict=True)
    return [a for p, a in pairs if p in stored and isinstance(a, k.Buffer)]


def _operations(body: Iterable[k.Stmt], around: Mapping[k.Var, Interval]) -> int:
    """How many values ``body`` computes, at most; what runs an unknown number of times counts once."""
    known, total = dict(around), 0
    for s in body:
        match s:
            case k.For(var, extent, inner):
                _, turns = interval(extent, known) or (1, 1)
                total += max(0, turns) * _operations(inner, {**known, var: (0, turns - 1)})
            case k.If(_, then, orelse):
                total += _operations(then, known) + _operations(orelse, known)
            case k.Let(_, value) | k.Local(_, value) | k.Assign(_, value) | k.Store(_, _, value):
                total += sum(isinstance(e, k.Call) for e in k.parts(value))
                if isinstance(s, k.Let) and (bounds := interval(value, known)) is not None:
                    known[s.var] = bounds
    return total


def _keeps_to_itself(kernel: k.Kernel, parts: Mapping[k.Buffer, int], count: int, strand: int) -> bool:
    """Whether the tasks of ``strand`` touch only that part of each buffer, of so many elements as ``parts`` says."""
    loop = _loop_of(kernel)
    length = _tasks(kernel) // count
    bounds = {loop.var: (strand * length, (strand + 1) * length - 1)}
    return all(
        index is not None and part * strand <= index[0] and index[1] < part * (strand + 1)
        for buffer, index in accesses(loop.body, Known(bounds, {}))
        if (part := parts.get(buffer)) is not None
    )
