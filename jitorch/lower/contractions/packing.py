"""Packing: an operand copied into panels, ``[*batch, panels, K, tile]``, by a kernel of its own."""

from __future__ import annotations

from dataclasses import dataclass

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.contractions.panels import Batch, Element, Side, ceil_div
from jitorch.lower.fuse import cost_of
from jitorch.lower.nests import kernel_of
from jitorch.lower.schedules.squares import Square, over_columns, width_of
from jitorch.lower.schedules.steps import crossing
from jitorch.lower.target import Target

MOST_COST = 16
"""Simple operations an element, up to which it is worth the code to repeat them for each column of a square."""


@dataclass(frozen=True)
class Packing:
    """Panels of ``tile`` places along an axis of ``size`` in ``buffer``, for a ``k`` of size ``inner``.

    They may be parts of panels for a longer ``k`` of size ``whole``, which begin at ``first``.
    Where neighbours in memory are neighbours along ``k``, not along the panel, they are transposed in registers.
    """

    name: str
    batch: tuple[Dim, ...]
    size: Dim
    inner: Dim
    tile: int
    buffer: k.Buffer
    element: Element
    target: Target
    first: int = 0
    whole: Dim | None = None

    @property
    def length(self) -> Dim:
        """The size of ``k`` in ``buffer``."""
        return self.inner if self.whole is None else self.whole

    @property
    def panels(self) -> Dim:
        return ceil_div(self.size, self.tile)

    @property
    def total(self) -> Dim:
        """Elements of ``buffer``."""
        return dims.prod((*self.batch, self.panels, self.length, self.tile))

    @property
    def side(self) -> Side:
        """What reads the panels."""
        return Side(self.size, self.tile, self._load, padded=True)

    def _load(self, at: Batch, first: k.Expr, kk: k.Expr, lane: k.Expr) -> k.Expr:
        base = first * size_expr(self.length)
        if at:
            panels = size_expr(self.panels) * size_expr(self.length)
            base = _flat(self.batch, at) * (panels * self.tile) + base
        return k.Load(self.buffer, base + kk * self.tile + lane)

    def kernel(self) -> k.Kernel:
        """One parallel loop over all panels of all batches."""
        panel, first, base = k.Var("panel"), k.Var("first"), k.Var("base")
        coordinates, statements = self._split(panel)
        in_batch = panel % size_expr(self.panels) if self.batch else panel
        statements += [
            k.Let(first, in_batch * self.tile),
            k.Let(base, panel * (size_expr(self.length) * self.tile) + self.first * self.tile),
        ]
        body = _Panel(self, coordinates, first, base)
        count = size_expr(dims.prod((*self.batch, self.panels)))
        loop = k.For(panel, count, (*statements, *body.statements()), "parallel")
        return kernel_of(self.name, (loop,), tuple(body.scratch))

    def _split(self, panel: k.Expr) -> tuple[Batch, list[k.Stmt]]:
        """The coordinates along the batch axes of a panel, and the statements that name them."""
        names = tuple(k.Var(f"b{axis}") for axis in range(len(self.batch)))
        statements: list[k.Stmt] = []
        rest = panel // size_expr(self.panels) if self.batch else panel
        for axis in reversed(range(len(self.batch))):
            size = size_expr(self.batch[axis])
            statements.append(k.Let(names[axis], rest if axis == 0 else rest % size))
            rest = rest // size
        return names, statements


def _flat(batch: tuple[Dim, ...], at: Batch) -> k.Expr:
    flat: k.Expr = k.const(0)
    for d, c in zip(batch, at, strict=True):
        flat = flat * size_expr(d) + c
    return flat


class _Panel:
    """The statements that fill one panel, and the scratch memory they need."""

    def __init__(self, packing: Packing, coordinates: Batch, first: k.Var, base: k.Var):
        self.packing, self.coordinates, self.first, self.base = packing, coordinates, first, base
        self.kk, self.lane = k.Var("k"), k.Var("l")
        self.scratch: list[k.Buffer] = []

    def statements(self) -> tuple[k.Stmt, ...]:
        p = self.packing
        inside = self.first + self.lane
        whole = self._one(inside)
        if isinstance(p.size, int) and p.size % p.tile == 0:
            return self._filled(whole)
        # Lanes outside repeat the last one inside; nobody stores their sums.
        clamped = self._one(k.call("minimum", inside, size_expr(p.size) - 1))
        if self._width(clamped) and len(self._crossing(clamped)) == len(set(k.loads(clamped))):
            return self._filled(clamped)
        lanes = k.For(self.lane, k.const(p.tile), clamped)
        outside = (k.For(self.kk, size_expr(p.inner), (lanes,)),)
        return (k.If(self.first + p.tile <= size_expr(p.size), self._filled(whole), outside),)

    def _one(self, place: k.Expr) -> tuple[k.Stmt, ...]:
        """Element ``lane`` of the panel, which is at ``place``, for ``kk``."""
        p = self.packing
        statements, value = p.element(self.coordinates, place, self.kk)
        to = self.base + self.kk * p.tile + self.lane
        return (*statements, k.Store(p.buffer, to, k.cast(value, p.buffer.dtype)))

    def _crossing(self, body: tuple[k.Stmt, ...]) -> tuple[k.Load, ...]:
        return crossing(body, self.kk, self.lane)

    def _width(self, body: tuple[k.Stmt, ...]) -> int:
        """The side of the squares that ``body`` is read in; 0 if it is not worth squares."""
        p, loads = self.packing, self._crossing(body)
        named = tuple(s.value for s in body if isinstance(s, (k.Let, k.Store)))
        cost = sum(cost_of(e.fn) for e in k.parts(named) if isinstance(e, k.Call) and e.dtype is not k.INDEX)
        if not loads or cost > MOST_COST:
            return 0
        width = min(width_of(p.target, dtype) for dtype in (p.buffer.dtype, *(load.dtype for load in loads)))
        while p.tile % width:
            width //= 2
        return width if width > 1 and (not isinstance(p.inner, int) or p.inner >= width) else 0

    def _filled(self, body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        """``body`` for all of a panel."""
        inner, width = self.packing.inner, self._width(body)
        if not width:
            return self._in_order(body, k.const(0), size_expr(inner))
        run = k.Var("run")
        if isinstance(inner, int):
            # The last square begins as early as it must to end inside.
            start = run * width if inner % width == 0 else k.call("minimum", run * width, inner - width)
            return self._in_squares(body, run, k.const(-(-inner // width)), start, width)
        size = size_expr(inner)
        squares = self._in_squares(body, run, size // width, run * width, width)
        return (*squares, *self._in_order(body, size // width * width, size % width))

    def _in_order(self, body: tuple[k.Stmt, ...], start: k.Expr, count: k.Expr) -> tuple[k.Stmt, ...]:
        body = k.substitute(body, {self.kk: start + self.kk})
        lanes = k.For(self.lane, k.const(self.packing.tile), body, "vector")
        return (k.For(self.kk, count, (lanes,)),)

    def _in_squares(
        self, body: tuple[k.Stmt, ...], run: k.Var, runs: k.Expr, start: k.Expr, width: int
    ) -> tuple[k.Stmt, ...]:
        """``body`` for ``runs`` of ``width`` neighbours along ``k``; each begins at ``start``.

        As many lines of the operand are read in order as a square has rows, which processors read ahead.
        """
        at, part = k.Var("first_k"), k.Var("part")
        statements: list[k.Stmt] = [k.Let(at, start)]
        squares: dict[k.Load, Square] = {}
        for load in self._crossing(body):
            square = squares[load] = Square(load, self.kk, self.lane, width, len(self.scratch))
            self.scratch.append(square.buffer)
            statements.append(square.filled(at, part * width))

        def column(number: k.Expr, lane: k.Expr) -> tuple[k.Stmt, ...]:
            columns: dict[k.Expr, k.Load] = {load: square.element(number, lane) for load, square in squares.items()}
            read = k.transform(body, lambda e: columns.get(e, e) if isinstance(e, k.Load) else e)
            return k.substitute(read, {self.kk: at + number, self.lane: part * width + lane})

        statements.append(over_columns(width, column))
        return (k.For(part, k.const(self.packing.tile // width), (k.For(run, runs, tuple(statements)),)),)
