"""Scatters: kernels that combine elements with those of a result at places that are data.

What no index names, a row or a column of slices, belongs to one task, which goes through the indices in their order.
Where indices name all, and combining has a neutral element, the indices are cut into parts that depend on the sizes
alone; each is combined in memory of its own, and then the parts in their order.  So the result does not depend on the
number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.alike import Kernels
from jitorch.lower.index import Index
from jitorch.lower.nests import Buffers, Scalars, divides, finish
from jitorch.lower.pull import Operand, Puller

Segments = Sequence[tuple[int, k.Expr]]
"""Runs of axes of the source, each with its flat position."""

COLUMNS = 64
"""Neighbouring elements of slices that one task goes through the indices for: a few cache lines."""
MOST_PARTS = 8
PART = 4
"""How many times as many elements as the result a part has: it must be filled, and added up, as well."""
SMALLEST_PART = 1 << 13


def fill_kernel(name: str, value: Value, node: Node, buffers: Buffers, scalars: Scalars) -> k.Kernel:
    """Puts the base of ``put`` and its like, where it is not in memory, into the result."""
    base = node.operands[0]
    fill = Puller({v: b for v, b in buffers.items() if v is not value}, scalars)
    shape = base.type.shape  # type: ignore[union-attr]
    flat = k.Var("i0")
    whole = Index(shape, [(len(shape), flat)]) if shape else Index((), ())

    def copy() -> None:
        fill.emit(k.Store(buffers[value], whole.flat(), fill.pull(base, whole)))

    fill.loop(flat, size_expr(dims.prod(shape)), copy, "parallel")
    return finish(f"{name}_fill", fill)


def index_kernel(name: str, node: Node, buffers: Buffers, scalars: Scalars) -> k.Kernel:
    """Checks the index of ``put`` and its like, so that nothing is changed if it is out of range."""
    index, axis = node.operands[1], node.attrs["axis"]
    shape = index.type.shape  # type: ignore[union-attr]
    puller, place = Puller(buffers, scalars), k.Var("i0")

    def check() -> None:
        position = puller.pull(index, Index(shape, [(len(shape), place)] if shape else ()))
        Operand(puller, node.output).checked(position, axis)

    puller.loop(place, size_expr(dims.prod(shape)), check, "parallel")
    return finish(name, puller)


def neutral_part(node: Node) -> k.Const | None:
    """What parts of the indices are combined with first; None where they are not cut into parts."""
    rest = (*_before(node), *_behind(node))
    if "neutral" not in node.op.rules or not all(isinstance(d, int) and d == 1 for d in rest):
        return None
    return node.op.rules["neutral"](node.output.type.dtype, **node.attrs)  # type: ignore[union-attr]


def _before(node: Node) -> tuple[Dim, ...]:
    """The sizes of the source before those that indices name places for."""
    return node.operands[2].type.shape[: node.attrs["axis"]]  # type: ignore[union-attr]


def _behind(node: Node) -> tuple[Dim, ...]:
    """The sizes of the source behind those that indices name places for."""
    indexed = node.operands[1].type.rank if node.op.name == "put" else 1  # type: ignore[union-attr]
    return node.operands[2].type.shape[node.attrs["axis"] + indexed :]  # type: ignore[union-attr]


def scatter_kernels(
    name: str, value: Value, node: Node, buffers: Buffers, scalars: Scalars, is_cpu: bool, checks: bool
) -> Kernels:
    """``put`` and its like, into a result that holds the base; ``checks``: no `index_kernel` has run before."""
    scatter = Scatter(name, value, node, buffers, scalars, checks)
    if not is_cpu:
        return Kernels((scatter.in_order(),))
    neutral = neutral_part(node)
    return Kernels((scatter.in_columns(),)) if neutral is None else scatter.in_parts(neutral)


class Scatter:
    """A scatter: ``before``, and as many axes behind those that are indexed, are the same in source and result."""

    def __init__(self, name: str, value: Value, node: Node, buffers: Buffers, scalars: Scalars, checks: bool):
        self.name, self.value, self.node, self.scalars, self.checks = name, value, node, scalars, checks
        self.base, self.index, self.source = node.operands
        self.out = buffers[value]
        self.own = {v: b for v, b in buffers.items() if v is not value}
        self.before: int = node.attrs["axis"]
        self.shape: tuple[Dim, ...] = self.base.type.shape  # type: ignore[union-attr]
        self.sizes: tuple[Dim, ...] = self.source.type.shape  # type: ignore[union-attr]
        self.has_slices = node.op.name == "put"
        self.behind = len(_behind(node))
        self.indexed = len(self.sizes) - self.before - self.behind

    @property
    def count(self) -> Dim:
        """How many indices name the places of one slice."""
        return dims.prod(self.sizes[self.before : self.before + self.indexed])

    def in_order(self) -> k.Kernel:
        """Element by element."""
        puller = self._puller()
        variables = [k.Var(f"i{j}") for j in range(len(self.sizes))]

        def nest(j: int) -> None:
            if j == len(variables):
                self._combine(puller, [(1, v) for v in variables], self.out, k.const(0))
            else:
                puller.loop(variables[j], size_expr(self.sizes[j]), lambda: nest(j + 1))

        nest(0)
        return finish(self.name, puller)

    def in_columns(self) -> k.Kernel:
        """Rows, and columns of the slices, at once; in each the elements in the order of their indices."""
        puller = self._in_columns(self.has_slices and self.behind > 1)
        return finish(self.name, self._in_columns(False) if divides(puller) else puller)

    def _in_columns(self, is_flat: bool) -> Puller:
        """``is_flat``: the axes behind those that are indexed are one."""
        puller = self._puller()
        rows = [k.Var(f"i{j}") for j in range(self.before)]
        named = [k.Var(f"n{j}") for j in range(self.indexed)]
        behind = self.sizes[len(self.sizes) - self.behind :]
        runs: list[Dim] = [dims.prod(behind)] if is_flat else list(behind)
        columns = [k.Var(f"c{j}") for j in range(len(runs))]
        last = (self.behind if is_flat else 1, columns[-1]) if runs else None
        segments = [(1, v) for v in (*rows, *named, *columns[:-1])] + ([last] if last else [])

        def combine(inner: k.Expr | None = None) -> None:
            self._combine(puller, segments, self.out, k.const(0), inner)

        def over_named(body: Callable[[], None], j: int = 0) -> None:
            if j == self.indexed:
                body()
            else:
                size = size_expr(self.sizes[self.before + j])
                puller.loop(named[j], size, lambda: over_named(body, j + 1))

        def over_columns() -> None:
            if not runs:
                over_named(combine)
                return
            extent, block, lane = size_expr(runs[-1]), k.Var("block"), k.Var("lane")

            def over_lanes(lanes: k.Expr) -> None:
                # The index of a slice is looked at once for all of it.
                inner = self._inner(puller, segments) if self.has_slices else None

                def column() -> None:
                    puller.emit(k.Let(columns[-1], block * COLUMNS + lane))
                    combine(inner)

                puller.loop(lane, lanes, column)

            def blocks() -> None:
                lanes = puller.let(k.call("minimum", extent - block * COLUMNS, k.const(COLUMNS)))
                over_named(lambda: over_lanes(lanes))

            puller.loop(block, (extent + (COLUMNS - 1)) // COLUMNS, blocks, "parallel")

        around = [(v, self.sizes[j]) for j, v in enumerate(rows)] + list(zip(columns[:-1], runs[:-1], strict=True))

        def nest(j: int) -> None:
            if j == len(around):
                over_columns()
            else:
                puller.loop(around[j][0], size_expr(around[j][1]), lambda: nest(j + 1), "parallel")

        nest(0)
        return puller

    def in_parts(self, neutral: k.Const) -> Kernels:
        """Parts of the indices at once where they are many times as many as there are results, else in their order."""
        total, size = size_expr(self.count), size_expr(dims.prod(self.shape))
        least = k.call("maximum", size * PART, k.const(SMALLEST_PART))
        parts = k.call("minimum", total // least, k.const(MOST_PARTS))
        if parts == k.const(0):
            return Kernels((self.in_order(),))
        buffer = k.Buffer(f"{self.name}_part", self.out.dtype)
        length = (total + (parts - 1)) // k.call("maximum", parts, k.const(1))
        first = self._parts_kernel(buffer, neutral, parts, length, total, size)
        return Kernels((first, self._sum_kernel(buffer, parts, total, size)), [(buffer, parts * size)])

    def _parts_kernel(
        self, buffer: k.Buffer, neutral: k.Const, parts: k.Expr, length: k.Expr, total: k.Expr, size: k.Expr
    ) -> k.Kernel:
        puller, part, place, number = self._puller(), k.Var("part"), k.Var("place"), k.Var("number")

        def one() -> None:
            begin, start = puller.let(part * length), puller.let(part * size)
            count = puller.let(k.call("minimum", length, total - begin))
            puller.loop(place, size, lambda: puller.emit(k.Store(buffer, start + place, neutral)))
            puller.loop(number, count, lambda: self._named(puller, begin + number, buffer, start))

        puller.loop(part, parts, one, "parallel")
        return finish(f"{self.name}_parts", puller)

    def _sum_kernel(self, buffer: k.Buffer, parts: k.Expr, total: k.Expr, size: k.Expr) -> k.Kernel:
        """Combines the result with all parts; where there are none, with the elements."""
        puller, state = self._puller(), k.Var("state", self.out.dtype)
        part, place, number = k.Var("part"), k.Var("place"), k.Var("number")

        def combine() -> None:
            new = self._combined(state, k.Load(buffer, part * size + place))
            puller.emit(k.Assign(state, new))

        def one() -> None:
            puller.emit(k.Local(state, k.Load(self.out, place)))
            puller.loop(part, parts, combine)
            puller.emit(k.Store(self.out, place, state))

        has_parts = k.call("minimum", parts, k.const(1))
        puller.loop(place, size * has_parts, one, "parallel")
        in_order = total * (1 - has_parts)
        if in_order != k.const(0):
            puller.loop(number, in_order, lambda: self._named(puller, number, self.out, k.const(0)))
        return finish(self.name, puller)

    def _named(self, puller: Puller, number: k.Expr, out: k.Buffer, first: k.Expr) -> None:
        """Combine the element of an index, which is all that it names."""
        segments = [(1, k.const(0))] * self.before + [(self.indexed, number)] + [(1, k.const(0))] * self.behind
        self._combine(puller, segments, out, first)

    def _inner(self, puller: Puller, segments: Segments) -> k.Expr:
        """The place along the axis that is indexed."""
        if self.has_slices:
            named = _between(segments, self.before, self.before + self.indexed)
            where = Index(self.index.type.shape, named) if named else Index((), ())  # type: ignore[union-attr]
        else:
            where = Index(self.index.type.shape, segments)  # type: ignore[union-attr]
        target, position = Operand(puller, self.value), puller.pull(self.index, where)
        return (target.checked if self.checks else target.clamped)(position, self.before)

    def _combine(
        self, puller: Puller, segments: Segments, out: k.Buffer, first: k.Expr, inner: k.Expr | None = None
    ) -> None:
        """Combine the element of the source that ``segments`` of its axes name, in ``out`` from ``first`` on."""
        at = Index(self.sizes, segments) if segments else Index((), ())
        inner = self._inner(puller, segments) if inner is None else inner
        before = _between(segments, 0, self.before)
        kept = [*before, (1, inner), *_between(segments, self.before + self.indexed, len(self.sizes))]
        place = first + Index(self.shape, kept).flat()
        puller.emit(k.Store(out, place, self._combined(k.Load(out, place), puller.pull(self.source, at))))

    def _combined(self, old: k.Expr, new: k.Expr) -> k.Expr:
        return self.node.op.rules["combine"](old, new, **self.node.attrs)

    def _puller(self) -> Puller:
        return Puller(self.own, self.scalars)


def _between(segments: Segments, first: int, last: int) -> Segments:
    """The segments of axes ``first`` to ``last``, which begin and end with one."""
    found: list[tuple[int, k.Expr]] = []
    axis = 0
    for count, e in segments:
        if first <= axis < last:
            found.append((count, e))
        axis += count
    return found
