"""Columns: rows added up element by element, such as bias gradients.

Rows are taken in chunks that run at once, each with sums of its own in memory that stays in cache; then the
chunks are added in their order.  The number of chunks depends on the domain alone, so the result is
the same on any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node
from jitorch.ir.monoid import Reduction
from jitorch.ir.sizes import size_expr
from jitorch.lower.nests import kernel_of
from jitorch.lower.pull import reduction_of
from jitorch.lower.rows.frame import Frame
from jitorch.lower.rows.layout import Item
from jitorch.lower.rows.puller import RowPuller

CHUNK = 1 << 16
"""Elements whose rows are added up in one go."""
MIN_CHUNK_ROWS = 16


@dataclass(frozen=True)
class Chunks:
    """Runs of ``rows`` rows."""

    frame: Frame
    rows: int
    count: k.Expr

    @classmethod
    def of(cls, frame: Frame) -> Chunks:
        count, length = frame.split.count, frame.split.length
        rows = max(MIN_CHUNK_ROWS, CHUNK // length) if isinstance(length, int) else MIN_CHUNK_ROWS
        if isinstance(count, int) and count <= rows:
            return cls(frame, rows, k.const(1))
        # Without rows there is one chunk still: somebody must write the neutral element.
        return cls(frame, rows, k.call("maximum", (size_expr(count) + (rows - 1)) // rows, k.const(1)))

    @property
    def is_one_loop(self) -> bool:
        return len(self.frame.row_loops) == 1

    @property
    def is_cut(self) -> bool:
        return self.is_one_loop and self.count != k.const(1)

    def each(self, puller: RowPuller, body: Callable[[k.Expr, k.Expr], None]) -> None:
        """``body(first row, number of rows)`` for each chunk."""
        extent = self.frame.row_loops[0].extent
        if not self.is_cut:
            body(k.const(0), extent)
            return
        number = k.Var("chunk")

        def chunk() -> None:
            first = puller.let(number * self.rows)
            body(first, puller.let(k.call("minimum", extent - first, k.const(self.rows))))

        puller.chunk = number
        puller.loop(number, self.count, chunk, "parallel")


def _reduction(item: Item) -> tuple[Node, Reduction]:
    if item.reduction is None:
        raise CompilerBug("a column without a reduction")
    return item.reduction, reduction_of(item.reduction)


def start_columns(puller: RowPuller, columns: list[Item]) -> None:
    """Set the sums to the neutral element."""

    def element() -> None:
        for item in columns:
            puller.emit(k.Store(puller.sums[item.value], puller.column_place(), _reduction(item)[1].init[0]))

    puller.over_row(element)


def added(puller: RowPuller, item: Item) -> tuple[k.Buffer, k.Expr]:
    """Where a column is added up, and its sum with the present element."""
    node, reduction = _reduction(item)
    buffer = puller.sums[item.value]
    element = puller.pull(node.operands[0], puller.layout.frame.whole)
    old = k.Load(buffer, puller.column_place())
    # Reductions with one accumulator do not look at positions.
    return buffer, reduction.combine((old,), reduction.item(element, k.const(0)))[0]


def add_parts(name: str, puller: RowPuller, columns: list[Item], count: k.Expr) -> k.Kernel:
    """Combine what ``count`` chunks found, in their order: a block of columns at a time."""
    length = puller.layout.frame.split.length
    width = next((w for w in (64, 32, 16) if isinstance(length, int) and length % w == 0), None)
    block, chunk, lane = k.Var("block"), k.Var("chunk"), k.Var("lane")
    column = lane if width is None else block * width + lane
    extent = size_expr(length) if width is None else k.const(width)
    first: list[k.Stmt] = []
    rest: list[k.Stmt] = []
    for item in columns:
        out, part = puller.all_buffers[item.value], puller.sums[item.value]
        first.append(k.Store(out, column, k.Load(part, column)))
        later = k.Load(part, (chunk + 1) * size_expr(length) + column)
        rest.append(k.Store(out, column, _reduction(item)[1].combine((k.Load(out, column),), (later,))[0]))
    body: tuple[k.Stmt, ...] = (
        k.For(lane, extent, tuple(first)),
        k.For(chunk, count - 1, (k.For(lane, extent, tuple(rest)),)),
    )
    if width is not None and isinstance(length, int):
        body = (k.For(block, k.const(length // width), body, "parallel"),)
    return kernel_of(name, body, ())
