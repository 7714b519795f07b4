"""Frames: a domain cut into rows, and the loops over it.

A `Split` says which axes of a shape number the rows; the others run within a row.  A softmax of a matrix has
the first axis as rows; the statistics of a batch norm have the channels.  Values of the whole domain are
*vectors* (a row each), values with one element a row are *scalars*.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import TensorType
from jitorch.lower.index import Index

OWN, ROW, ANY = 0, 1, 2
"""Where a value is read: at the element being computed; elsewhere in the same row; anywhere."""


def keeps_last_axis(node: Node) -> bool:
    """Whether a reduction runs over outer axes only: then rows are added up, in another loop order."""
    operand = node.operands[0].type
    axes = node.attrs["axes"]
    if not isinstance(operand, TensorType) or not axes or operand.rank - 1 in axes:
        return False
    last = operand.shape[-1]
    single = len(node.outputs) == 1 and "arg" not in node.op.name
    return single and not (isinstance(last, int) and last < 4)


SHORT = 16
"""A reduction of so many elements is written out: loops around it are the better ones for vectors."""


def is_short(node: Node) -> bool:
    """Whether a reduction has at most `SHORT` elements."""
    if node.op.lowering != "reduce" or not isinstance(operand := node.operands[0].type, TensorType):
        return False
    count = dims.prod(tuple(operand.shape[a] for a in node.attrs["axes"]))
    return isinstance(count, int) and 0 < count <= SHORT


def folds_windows(node: Node) -> bool:
    """Whether a short reduction runs over windows, whose elements lie among those of other windows."""
    source = node.operands[0].node if is_short(node) else None
    return source is not None and source.op.name in ("windows", "unwindow")


@dataclass(frozen=True)
class Split:
    """``kept``: the axes of ``shape`` that number the rows."""

    shape: tuple[Dim, ...]
    kept: tuple[int, ...]

    @property
    def reduced(self) -> tuple[int, ...]:
        return tuple(a for a in range(len(self.shape)) if a not in self.kept)

    @property
    def rows(self) -> tuple[Dim, ...]:
        """The shape of a scalar."""
        return tuple(self.shape[a] for a in self.kept)

    @property
    def count(self) -> Dim:
        """The number of rows."""
        return dims.prod(self.rows)

    @property
    def length(self) -> Dim:
        """The number of elements of a row."""
        return dims.prod(tuple(self.shape[a] for a in self.reduced))

    def role(self, value: Value) -> str | None:
        """A "vector", "scalar" or "column" (rows added up); None if it has another number of elements."""
        if not isinstance(value.type, TensorType):
            return None
        if value.node is not None and self.adds(value.node):
            return "column"
        size = value.type.size
        if size == self.count:
            return "scalar"
        return "vector" if size == dims.prod(self.shape) else None

    def reduces(self, node: Node) -> bool:
        """Whether ``node`` folds each row of this domain."""
        if node.op.lowering != "reduce":
            return False
        operand = node.operands[0].type
        axes = tuple(sorted(node.attrs["axes"]))
        return isinstance(operand, TensorType) and operand.shape == self.shape and axes == self.reduced

    def adds(self, node: Node) -> bool:
        """Whether ``node`` folds the rows into one, element by element."""
        if node.op.lowering != "reduce" or not keeps_last_axis(node):
            return False
        operand = node.operands[0].type
        axes = tuple(sorted(node.attrs["axes"]))
        return isinstance(operand, TensorType) and operand.shape == self.shape and axes == self.kept


def split_of(node: Node) -> Split | None:
    """The rows that reduction ``node`` folds."""
    operand = node.operands[0].type
    if not isinstance(operand, TensorType):
        return None
    axes = node.attrs["axes"]
    return Split(operand.shape, tuple(a for a in range(operand.rank) if a not in axes))


@dataclass(frozen=True)
class Loop:
    """A loop over the adjacent axes ``first`` to ``last - 1`` of the domain."""

    first: int
    last: int
    var: k.Var
    extent: k.Expr
    is_row: bool


class Frame:
    """Loops over a split domain, and the indices of values in terms of their variables."""

    def __init__(self, split: Split, cuts: Sequence[int]):
        """``cuts``: where a run of axes begins, in order; the first is 0."""
        self.split = split
        self.loops: list[Loop] = []
        for first, last in itertools.pairwise((*cuts, len(split.shape))):
            is_row = first in split.kept
            prefix, number = ("i", sum(x.is_row for x in self.loops)) if is_row else ("j", self._columns())
            extent = size_expr(dims.prod(split.shape[first:last]))
            self.loops.append(Loop(first, last, k.Var(f"{prefix}{number}"), extent, is_row))
        self.whole = Index(split.shape, [(x.last - x.first, x.var) for x in self.loops])
        self.row = Index(split.rows, [(x.last - x.first, x.var) for x in self.row_loops])

    def _columns(self) -> int:
        return sum(not x.is_row for x in self.loops)

    @property
    def row_loops(self) -> list[Loop]:
        return [x for x in self.loops if x.is_row]

    @property
    def column_loops(self) -> list[Loop]:
        return [x for x in self.loops if not x.is_row]

    @property
    def position(self) -> k.Expr:
        """The position within the row, in row-major order of its axes."""
        place: k.Expr = k.const(0)
        for x in self.column_loops:
            place = place * x.extent + x.var
        return place

    def own(self, value: Value) -> Index:
        """Where ``value`` has the present element, or the present row's."""
        role = self.split.role(value)
        if role == "column":
            return Index(value.type.shape, [(x.last - x.first, x.var) for x in self.column_loops])  # type: ignore[union-attr]
        index = self.row if role == "scalar" else self.whole
        shape = value.type.shape  # type: ignore[union-attr]
        return index if index.shape == shape else index.reshaped(shape)

    def inside(self, index: Index) -> Index:
        """``index`` of a vector as one of the domain's shape."""
        return index if index.shape == self.split.shape else index.reshaped(self.split.shape)

    def place_in_row(self, index: Index) -> k.Expr:
        """The position within the row that ``index`` of a vector has."""
        inside = self.inside(index)
        place: k.Expr = k.const(0)
        for a in self.split.reduced:
            place = place * size_expr(self.split.shape[a]) + inside[a]
        return place

    def distance(self, value: Value, index: Index) -> int:
        """`OWN`, `ROW` or `ANY`: how far ``index`` of ``value`` is from the present element."""
        role = self.split.role(value)
        if role in (None, "column"):
            return ANY
        own = self.own(value)
        if index.key == own.key:
            return OWN
        if role == "scalar":
            seen = index if index.shape == self.split.rows else index.reshaped(self.split.rows)
            return OWN if all(a == b for a, b in zip(seen, self.row)) else ANY
        seen = self.inside(index)
        if not all(seen[a] == self.whole[a] for a in self.split.kept):
            return ANY
        return OWN if all(seen[a] == self.whole[a] for a in self.split.reduced) else ROW

    def divides_in_row(self, body: object) -> bool:
        """Whether a position within a row is divided anywhere in ``body``: then finer loops are better."""
        columns = {x.var for x in self.column_loops}
        for e in k.walk(body):
            divides = isinstance(e, k.Call) and e.fn in ("floordiv", "mod") and e.dtype is k.INDEX
            if divides and any(part in columns for part in k.walk(e)):
                return True
        return False


def frames(split: Split) -> Iterator[Frame]:
    """Ways to loop over the domain, the fewest loops first: every change between rows and columns is a cut."""
    rank = len(split.shape)
    forced = [a for a in range(rank) if a == 0 or (a in split.kept) != (a - 1 in split.kept)]
    rows = [a for a in split.kept if a not in forced]
    columns = [a for a in split.reduced if a not in forced]
    seen: set[tuple[int, ...]] = set()
    for extra in ([], columns[:1], columns[-1:], columns, rows[-1:], rows[:1], rows, [*rows, *columns]):
        cuts = tuple(sorted({*forced, *extra}))
        if cuts not in seen:
            seen.add(cuts)
            yield Frame(split, cuts)
