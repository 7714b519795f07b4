"""Scans: kernels of running reductions along an axis.

Lines go along together, as far as there are many: side by side in vectors where neighbouring lines are neighbours in
memory, else as many as a vector has lanes, so that no step waits for the one before.  Few long lines are cut into
chunks of fixed size, which go along together in the same way: first each is folded, then the states are carried from
chunk to chunk, and each chunk is scanned from the state before it.  So the result does not depend on the number of
threads.

Blelloch, "Prefix sums and their applications", 1990, section 1.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jitorch import dims
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.monoid import Reduction, State
from jitorch.ir.sizes import size_expr
from jitorch.lower.alike import Kernels
from jitorch.lower.index import Index
from jitorch.lower.nests import Buffers, Scalars, finish
from jitorch.lower.pull import Puller, reduction_of
from jitorch.lower.rows.abreast import abreast
from jitorch.lower.rows.together import together
from jitorch.lower.target import Target

CHUNK = (1 << 12) + 16
"""Elements of a chunk: no power of two, so that those of neighbours lie in other places of the caches."""
LONG = 1 << 15
"""Elements from which on few lines are cut."""
FEW_LINES = 8


def scan_kernels(name: str, values: Sequence[Value], buffers: Buffers, scalars: Scalars, target: Target) -> Kernels:
    """The kernels of scans along the same lines."""
    scan = Scan(name, values, buffers, scalars)
    if not target.is_cpu:
        return Kernels((scan.lines(),))
    return scan.in_chunks(target) if scan.is_long else Kernels((side_by_side(scan.lines(), target),))


def side_by_side(kernel: k.Kernel, target: Target) -> k.Kernel:
    """``kernel`` with lines that go along together."""
    across = abreast(kernel)
    return together(kernel, target) if across is kernel else across


@dataclass
class Run:
    """A state that is carried along a line, and how each of the values is read from it."""

    reduction: Reduction
    results: list[tuple[Value, Reduction]]

    def is_that_of(self, other: Reduction, dtype: DType) -> bool:
        """Whether ``other`` carries the same state."""
        mine = self.reduction
        if mine.init != other.init:
            return False
        a = tuple(k.Var(f"a{i}", c.dtype) for i, c in enumerate(mine.init))
        b = tuple(k.Var(f"b{i}", c.dtype) for i, c in enumerate(mine.init))
        element, place = k.Var("element", dtype), k.Var("place")
        return mine.combine(a, b) == other.combine(a, b) and mine.item(element, place) == other.item(element, place)


class Scan:
    """Scans of one operand along one axis."""

    def __init__(self, name: str, values: Sequence[Value], buffers: Buffers, scalars: Scalars):
        nodes: list[Node] = [v.node for v in values if v.node is not None]
        self.name, self.values, self.buffers, self.scalars = name, values, buffers, scalars
        self.operand, self.axis = nodes[0].operands[0], nodes[0].attrs["axis"]
        self.shape: tuple[Dim, ...] = self.operand.type.shape  # type: ignore[union-attr]
        self.others = [a for a in range(len(self.shape)) if a != self.axis]
        self.variables = [k.Var(f"i{a}") for a in range(len(self.shape))]
        self.runs: list[Run] = []
        for value, node in zip(values, nodes, strict=True):
            reduction = reduction_of(node)
            dtype = self.operand.type.dtype  # type: ignore[union-attr]
            run = next((r for r in self.runs if r.is_that_of(reduction, dtype)), None)
            if run is None:
                self.runs.append(run := Run(reduction, []))
            run.results.append((value, reduction))

    @property
    def length(self) -> k.Expr:
        return size_expr(self.shape[self.axis])

    @property
    def is_long(self) -> bool:
        """Whether there are few lines, which are long as far as is known."""
        length, count = self.shape[self.axis], dims.prod(tuple(self.shape[a] for a in self.others))
        return isinstance(count, int) and count < FEW_LINES and not (isinstance(length, int) and length < LONG)

    def lines(self) -> k.Kernel:
        """A line after the other, or at once."""
        puller = self._puller()

        def line() -> None:
            states = self._start(puller, lambda run, i: run.reduction.init[i])
            puller.loop(
                self.variables[self.axis],
                self.length,
                lambda: self._step(puller, self.variables[self.axis], states, True),
            )

        self._over_lines(puller, line)
        return finish(self.name, puller)

    def in_chunks(self, target: Target) -> Kernels:
        """What folds chunks, carries states from one to the next, and scans chunks, and what is left of the line."""
        length, count = self.shape[self.axis], dims.prod(tuple(self.shape[a] for a in self.others))
        whole, room = dims.floordiv(length, CHUNK), (dims.floordiv(length, CHUNK) + 1) * count
        inits = [c for run in self.runs for c in run.reduction.init]
        parts = [k.Buffer(f"{self.name}_part{i}", c.dtype) for i, c in enumerate(inits)]
        chunks = Chunks(self, parts, size_expr(whole))
        kernels = (
            side_by_side(chunks.fold(), target),
            chunks.carry(),
            side_by_side(chunks.scan(), target),
            chunks.rest(),
        )
        return Kernels(kernels, [(part, size_expr(room)) for part in parts])

    def _puller(self) -> Puller:
        return Puller({v: b for v, b in self.buffers.items() if v not in self.values}, self.scalars)

    def _over_lines(self, puller: Puller, body: Callable[[], None]) -> None:
        def nest(j: int) -> None:
            if j == len(self.others):
                body()
            else:
                axis = self.others[j]
                puller.loop(self.variables[axis], size_expr(self.shape[axis]), lambda: nest(j + 1), "parallel")

        nest(0)

    def _start(self, puller: Puller, first: Callable[[Run, int], k.Expr]) -> list[State]:
        """Variables of each state, at ``first`` of a run and the number of its variable."""
        states: list[State] = []
        for run in self.runs:
            state = tuple(k.Var(puller.fresh("acc"), c.dtype) for c in run.reduction.init)
            for i, var in enumerate(state):
                puller.emit(k.Local(var, first(run, i)))
            states.append(state)
        return states

    def _step(self, puller: Puller, along: k.Expr, states: list[State], stores: bool) -> None:
        """Bring element ``along`` of the line into the states."""
        index = Index.of(self.shape, [along if a == self.axis else v for a, v in enumerate(self.variables)])
        element = puller.pull(self.operand, index)
        for run, state in zip(self.runs, states, strict=True):
            item = run.reduction.item(element, along)
            new = self._assign(puller, state, run.reduction.combine(state, item))
            if stores:
                for value, reduction in run.results:
                    puller.emit(k.Store(self.buffers[value], index.flat(), reduction.result(new)[0]))

    def _assign(self, puller: Puller, state: State, new: State) -> State:
        named = tuple(puller.let(e) for e in new)
        for var, e in zip(state, named, strict=True):
            if isinstance(var, k.Var):
                puller.emit(k.Assign(var, e))
        return named


class Chunks:
    """The kernels of a scan in ``whole`` chunks and a rest; ``parts`` hold a state for each and one behind the last."""

    def __init__(self, scan: Scan, parts: list[k.Buffer], whole: k.Expr):
        self.scan_of, self.parts, self.whole = scan, parts, whole
        self.chunk, self.inner = k.Var("chunk"), k.Var("inner")

    def _parts(self, run: Run) -> list[k.Buffer]:
        """Where the states of ``run`` are."""
        scan = self.scan_of
        first = sum(len(r.reduction.init) for r in scan.runs[: scan.runs.index(run)])
        return self.parts[first : first + len(run.reduction.init)]

    def _place(self, chunk: k.Expr) -> k.Expr:
        """The place of the state of a chunk of the present line."""
        line: k.Expr = k.const(0)
        for a in self.scan_of.others:
            line = line * size_expr(self.scan_of.shape[a]) + self.scan_of.variables[a]
        return line * (self.whole + 1) + chunk

    def fold(self) -> k.Kernel:
        scan, puller = self.scan_of, self.scan_of._puller()

        def chunk() -> None:
            states = scan._start(puller, lambda run, i: run.reduction.init[i])
            self._elements(puller, k.const(CHUNK), states, stores=False)
            for run, state in zip(scan.runs, states, strict=True):
                for part, var in zip(self._parts(run), state, strict=True):
                    puller.emit(k.Store(part, self._place(self.chunk), var))

        scan._over_lines(puller, lambda: puller.loop(self.chunk, self.whole, chunk, "parallel"))
        return finish(f"{scan.name}_folds", puller)

    def carry(self) -> k.Kernel:
        """From the state of each chunk to that before it."""
        scan, puller = self.scan_of, self.scan_of._puller()

        def line() -> None:
            states = scan._start(puller, lambda run, i: run.reduction.init[i])

            def chunk() -> None:
                for run, state in zip(scan.runs, states, strict=True):
                    places = [(part, self._place(self.chunk)) for part in self._parts(run)]
                    found = tuple(puller.let(k.Load(*place)) for place in places)
                    for place, var in zip(places, state, strict=True):
                        puller.emit(k.Store(*place, var))
                    scan._assign(puller, state, run.reduction.combine(state, found))

            puller.loop(self.chunk, self.whole, chunk)
            for run, state in zip(scan.runs, states, strict=True):
                for part, var in zip(self._parts(run), state, strict=True):
                    puller.emit(k.Store(part, self._place(self.whole), var))

        scan._over_lines(puller, line)
        return finish(f"{scan.name}_carries", puller)

    def scan(self) -> k.Kernel:
        scan, puller = self.scan_of, self.scan_of._puller()

        def chunk() -> None:
            states = self._carried(puller, self.chunk)
            self._elements(puller, k.const(CHUNK), states, stores=True)

        scan._over_lines(puller, lambda: puller.loop(self.chunk, self.whole, chunk, "parallel"))
        return finish(scan.name, puller)

    def rest(self) -> k.Kernel:
        """What is behind the last chunk."""
        scan, puller = self.scan_of, self.scan_of._puller()

        def line() -> None:
            states = self._carried(puller, self.whole)
            puller.emit(k.Let(self.chunk, self.whole))
            self._elements(puller, scan.length - self.whole * CHUNK, states, stores=True)

        scan._over_lines(puller, line)
        return finish(f"{scan.name}_rest", puller)

    def _carried(self, puller: Puller, chunk: k.Expr) -> list[State]:
        return self.scan_of._start(puller, lambda run, i: k.Load(self._parts(run)[i], self._place(chunk)))

    def _elements(self, puller: Puller, count: k.Expr, states: list[State], stores: bool) -> None:
        along = self.chunk * CHUNK + self.inner
        puller.loop(self.inner, count, lambda: self.scan_of._step(puller, along, states, stores))
