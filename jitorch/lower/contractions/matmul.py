"""The recipe for matrix products: which operand's axis runs along vectors, and what is packed.

The operand that vectors run along is packed, unless it lies right already and is small; the other is
read in place, an element of each row at a time, in any layout.  The smaller one is packed: copying costs
about as much as multiplying by eight rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from jitorch import dims
from jitorch.dims import Dim
from jitorch.dtypes import Category, DType
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.lower.contractions.contraction import Axis, Contraction, load, scalar_kernel
from jitorch.lower.contractions.dots import dots_kernel, thin_tile
from jitorch.lower.contractions.packing import Packing
from jitorch.lower.contractions.panels import Batch, Element, Product, Side, product_kernel
from jitorch.lower.contractions.tiles import (
    LONG,
    MAX_ROWS,
    SHORT,
    USUAL_ROWS,
    Blocking,
    Tile,
    choose_blocking,
    choose_tile,
)
from jitorch.lower.epilogue import Columns
from jitorch.lower.fuse import VIEWS, joined_operands
from jitorch.lower.groups import Group
from jitorch.lower.index import Index
from jitorch.lower.nests import map_kernel
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made

IN_PLACE_BYTES = 320 * 1024
"""An operand up to this size stays in the second-level cache without being packed."""
COLLIDING = 2048
"""Bytes: lines whose distance is a multiple of this have two sets of a usual first-level cache for all of them."""
STRAND_ROWS, MOST_STRAND_ROWS, STRAND_BYTES = range(4, 9), 64, 512 * 1024
"""A loop's product of up to so many rows has tasks of a few rows each, which may become strands
(`jitorch.lower.strands`): each reads all of the other operand, of so many bytes at most."""
FEW_ROWS = 16
"""So many rows do not pay for packing the other operand."""


@dataclass(frozen=True)
class _Operand:
    """``x`` or ``y``: its value, the size of the axis that the other lacks, and where that and ``k`` stand."""

    value: Value
    size: Dim
    axis: int
    k_axis: int

    @property
    def terms(self) -> int:
        """The size along ``k`` of a part of joined operands, which is known."""
        return int(self.value.type.shape[self.k_axis])  # type: ignore[union-attr,arg-type]

    def at(self, batch: Batch, place: k.Expr, kk: k.Expr) -> Index:
        rank = len(batch) + 2
        coordinates = [*batch, kk, kk]
        coordinates[self.axis + rank] = place
        return Index.of(self.value.type.shape, coordinates)  # type: ignore[union-attr]

    def is_unit(self, puller: Puller, inner: bool = False) -> bool:
        """Whether neighbours along the operand's own axis, or else along ``k``, are neighbours in memory.

        What is computed when it is packed lies in the order of its elements.
        """
        if not _is_in_memory(self.value, puller):
            return (_turned(self.value) is None) == (self.axis == (-2 if inner else -1))
        shape = self.value.type.shape  # type: ignore[union-attr]
        size = shape[self.k_axis if inner else self.axis]
        steps = (0, 1, size - 1, size // 2) if isinstance(size, int) else (0, 1)
        zero, batch = k.const(0), (k.const(0),) * (len(shape) - 2)
        places = []
        for step in steps:
            own, kk = (zero, k.const(step)) if inner else (k.const(step), zero)
            loaded = puller.load(self.value, self.at(batch, own, kk))
            index = loaded.index if isinstance(loaded, k.Load) else None
            if not isinstance(index, k.Const):
                return False
            places.append(int(index.value.real))
        return all(place - places[0] == step for place, step in zip(places, steps, strict=True))

    def collides(self, puller: Puller) -> bool:
        """Whether neighbours along the operand's own axis are so far apart that few of them fit a first-level cache."""
        if not _is_in_memory(self.value, puller):
            return False
        shape = self.value.type.shape  # type: ignore[union-attr]
        if not isinstance(self.size, int) or self.size < 2:
            return False
        zero, batch = k.const(0), (k.const(0),) * (len(shape) - 2)
        loaded = [puller.load(self.value, self.at(batch, k.const(step), zero)) for step in (0, 1)]
        places = [e.index.value for e in loaded if isinstance(e, k.Load) and isinstance(e.index, k.Const)]
        if len(places) < 2:
            return False
        distance = int(places[1].real) - int(places[0].real)
        return distance * self.value.type.dtype.itemsize % COLLIDING == 0  # type: ignore[union-attr]


@dataclass
class _Recipe:
    job: Job
    kernels: list[k.Kernel] = field(default_factory=list)
    temporaries: list[tuple[k.Buffer, Dim]] = field(default_factory=list)
    has_columns: bool = False

    @property
    def sums(self) -> DType:
        return self.contraction.sums

    def __post_init__(self) -> None:
        job = self.job
        self.contraction = _contraction(job)
        self.puller = Puller(job.buffers, job.scalars)
        self.batch = job.out.shape[:-2]
        self.inner: Dim = job.types[0].shape[-1]
        x, y = job.node.operands
        self.x = _Operand(x, job.out.shape[-2], -2, -1)
        self.y = _Operand(y, job.out.shape[-1], -1, -2)
        self.joined = joined_operands(job.node)

    def made(self) -> Made:
        made, columns = self.product(), self.job.columns
        if columns is None or self.has_columns:
            return made
        kernel = map_kernel(f"{self.job.name}_columns", columns.values, self.job.buffers, self.job.scalars)
        return replace(made, kernels=(*made.kernels, kernel))

    def product(self) -> Made:
        # What is packed once may be read by many turns; a single row reads it as it comes just as fast.
        if not self.joined and self.is_thin() and (not self.job.fixed or 1 in (self.x.size, self.y.size)):
            return self.dots()
        across = self.runs_across()
        rows, lanes = (self.y, self.x) if across else (self.x, self.y)
        is_fixed = lanes.value in self.job.fixed
        in_place = not is_fixed and self.reads_in_place(rows, lanes)
        # What is packed once may as well have panels of any width.
        columns = self.job.columns
        is_exact = columns is not None and not across and columns.width % self.job.target.lanes(self.sums) == 0
        width = columns.width if columns is not None and is_exact else lanes.size
        most_rows = USUAL_ROWS if rows.collides(self.puller) else MAX_ROWS
        is_whole = in_place or is_fixed

        def tile_of(count: Dim) -> Tile:
            return choose_tile(self.job.target, self.sums, count, width, is_whole, most_rows, is_exact)

        tile = tile_of(rows.size)
        strand = self.strand_rows() if is_fixed and not across else 0
        if strand:
            narrow = tile_of(strand)
            strand, tile = (0, tile) if strand % narrow.rows else (strand, narrow)
        first, *others = self.parts_of(rows)
        p = Product(
            self.batch,
            self.in_place(first, tile.rows),
            self.in_place(lanes, tile.lanes) if in_place else self.packed(lanes, tile.lanes),
            self.inner,
            self.sums,
            self.store_across if across else self.store,
            tile.width,
            across,
            self.job.sink.is_plain,
            ahead=(self.ahead_across if across else self.ahead) if self.asks_ahead() else None,
            others=tuple((self.in_place(part, tile.rows), part.terms) for part in others),
            by_lanes=not is_whole and _is_given(rows.value) and bool(dims.decide("<=", rows.size, lanes.size)),
        )
        # A panel that only one row of tiles reads is read once.
        again = not (isinstance(rows.size, int) and rows.size <= tile.rows)
        blocking = choose_blocking(
            tile, self.sums, dims.prod(self.batch), rows.size, lanes.size, self.inner, again, not is_fixed,
            LONG if rows.is_unit(self.puller, inner=True) else SHORT,
        )  # fmt: skip
        if self.joined and isinstance(self.inner, int):
            blocking = replace(blocking, chunk=max(1, self.inner))
        if strand:
            blocking = replace(blocking, rows=strand // tile.rows)
        if columns is not None:
            p, blocking = self.with_columns(columns, p, blocking)
        product = product_kernel(self.job.name, p, blocking)
        packing = Made(tuple(self.kernels), tuple(self.temporaries))
        if is_fixed:
            return Made((product,), once=packing)
        return Made((*packing.kernels, product), packing.temporaries)

    def with_columns(self, columns: Columns, p: Product, blocking: Blocking) -> tuple[Product, Blocking]:
        """Let tasks have whole sets of columns, and use them, if panels fit the blocks and no rows are in two tasks."""
        is_one = isinstance(p.rows.panels, int) and p.rows.panels <= blocking.rows
        if p.across or columns.width % p.lanes.tile or (p.rows.has_rest and not is_one):
            return p, blocking

        def after(first_row: k.Expr, rows: k.Expr, first: k.Expr, count: k.Expr) -> tuple[k.Stmt, ...]:
            row, lane, column = k.Var("row_after"), k.Var("lane_after"), k.Var("column")
            body = (k.Let(column, first + lane), *columns.store(first_row + row, column))
            return (k.For(row, rows, (k.For(lane, count, body, "parallel"),)),)

        def ahead(_: Batch, row: k.Expr, lane: k.Expr) -> tuple[k.Stmt, ...]:
            return columns.ahead(self.job.out.shape, row, lane)

        self.has_columns = True
        sets = max(1, blocking.lanes // columns.count)
        p = replace(p, blocks=columns.count, after=after, ahead=ahead)
        return p, replace(blocking, lanes=sets * columns.count)

    def strand_rows(self) -> int:
        """How many rows a thread should have in all turns of a loop, as turns are short; 0 if they are not."""
        rows, lanes, inner = self.x.size, self.y.size, self.inner
        if not self.job.in_turn or not (isinstance(rows, int) and isinstance(lanes, int) and isinstance(inner, int)):
            return 0
        if rows > MOST_STRAND_ROWS or lanes * inner * self.sums.itemsize > STRAND_BYTES:
            return 0
        counts = [count for count in range(2, rows) if rows % count == 0 and rows // count in STRAND_ROWS]
        # As few as fall evenly to two threads.
        return rows // min(counts, key=lambda count: (count % 2, count)) if counts else 0

    def is_thin(self) -> bool:
        """Whether one side has fewer rows than a vector has lanes, and both operands lie along ``k``."""
        width = self.job.target.lanes(self.sums)
        sizes = [s.size for s in (self.x, self.y) if isinstance(s.size, int)]
        if not sizes or min(sizes) > width * 3 // 4 or (isinstance(self.inner, int) and self.inner < 2 * width):
            return False
        return self.x.is_unit(self.puller, True) and self.y.is_unit(self.puller, True)

    def dots(self) -> Made:
        target = self.job.target
        rows, lanes = thin_tile(target.registers, self.x.size, self.y.size)
        p = Product(
            self.batch,
            self.in_place(self.x, rows),
            self.in_place(self.y, lanes),
            self.inner,
            self.sums,
            self.store,
            target.lanes(self.sums),
        )
        return Made((dots_kernel(self.job.name, p),))

    def runs_across(self) -> bool:
        """Whether vectors run along ``x``'s rows, so that ``y``, the larger operand, is read in place."""
        x, y = self.x, self.y
        if self.joined:
            return False
        if {x.value, y.value} & self.job.fixed:
            return x.value in self.job.fixed
        if not isinstance(x.size, int):
            # The number of rows is most often the size of a batch: small.
            return isinstance(y.size, int) and y.size >= FEW_ROWS
        if not isinstance(y.size, int):
            return False
        if self.reads_in_place(x, y):
            return False
        # To pack what is read in order costs less than to compute an epilogue out of order.
        is_in_order = not self.job.sink.is_plain and y.is_unit(self.puller)
        return 4 <= x.size < y.size and not is_in_order

    def reads_in_place(self, rows: _Operand, lanes: _Operand) -> bool:
        if (
            self.joined
            or not lanes.is_unit(self.puller)
            or not isinstance(lanes.size, int)
            or lanes.size < 4
            or not isinstance(self.inner, int)
        ):
            return False
        if lanes.value.type.dtype is not self.sums:  # type: ignore[union-attr]
            return False
        few = isinstance(rows.size, int) and rows.size <= FEW_ROWS
        return few or lanes.size * self.inner * self.sums.itemsize <= IN_PLACE_BYTES

    def in_place(self, operand: _Operand, tile: int) -> Side:
        def element(batch: Batch, first: k.Expr, kk: k.Expr, place: k.Expr) -> k.Expr:
            return self.puller.load(operand.value, operand.at(batch, first + place, kk))

        return Side(operand.size, tile, element)

    def parts_of(self, operand: _Operand) -> list[_Operand]:
        """What is read where it lies: the operand, or what it is joined of."""
        if not self.joined:
            return [operand]
        return [replace(operand, value=value) for value in self.joined[0 if operand is self.x else 1]]

    def packed(self, operand: _Operand, tile: int) -> Side:
        buffer = k.Buffer(f"{self.job.name}_panels", self.sums)
        whole = Packing(
            f"{buffer.name}_pack",
            self.batch,
            operand.size,
            self.inner,
            tile,
            buffer,
            self.element_of(operand),
            self.job.target,
        )
        packings, first = [], 0
        for number, part in enumerate(self.parts_of(operand) if self.joined else ()):
            name, element = f"{whole.name}{number or ''}", self.element_of(part)
            packings.append(replace(whole, name=name, inner=part.terms, element=element, first=first, whole=self.inner))
            first += part.terms
        self.kernels += [packing.kernel() for packing in packings or [whole]]
        self.temporaries.append((buffer, whole.total))
        return whole.side

    def element_of(self, operand: _Operand) -> Element:
        """What computes an element of an operand that is packed."""

        def element(batch: Batch, place: k.Expr, kk: k.Expr) -> tuple[tuple[k.Stmt, ...], k.Expr]:
            puller = Puller(self.job.buffers, self.job.scalars)
            value = puller.pull(operand.value, operand.at(batch, place, kk))
            return tuple(puller.block.statements), value

        return element

    def store(self, batch: Batch, row: k.Expr, lane: k.Expr, total: k.Expr) -> tuple[k.Stmt, ...]:
        return self.job.sink.store([*batch, row, lane], k.cast(total, self.job.out.dtype))

    def store_across(self, batch: Batch, row: k.Expr, lane: k.Expr, total: k.Expr) -> tuple[k.Stmt, ...]:
        return self.store(batch, lane, row, total)

    def asks_ahead(self) -> bool:
        """Whether the epilogue uses memory of its own, or results do not fit a second-level cache."""
        if self.job.sink.is_plain:
            size = self.job.out.size
            return isinstance(size, int) and size * self.job.out.dtype.itemsize > self.job.target.cache_bytes
        somewhere = [k.Var(f"c{axis}") for axis in range(len(self.batch) + 2)]
        return bool(self.job.sink.ahead(somewhere))

    def ahead(self, batch: Batch, row: k.Expr, lane: k.Expr) -> tuple[k.Stmt, ...]:
        """What asks for the memory that the epilogue uses at one place."""
        return self.job.sink.ahead([*batch, row, lane])

    def ahead_across(self, batch: Batch, row: k.Expr, lane: k.Expr) -> tuple[k.Stmt, ...]:
        return self.ahead(batch, lane, row)


def stores_in_order(node: Node) -> bool:
    """Whether a recipe that has an epilogue surely stores its results in the order of memory.

    Across it, some rows at a time, an epilogue takes longer than a pass over memory, unless it is simple.
    """
    if node.op.name != "matmul_batched":
        return True
    x, y = node.operands
    rows, lanes = x.type.shape[-2], y.type.shape[-1]  # type: ignore[union-attr]
    if not isinstance(rows, int) or not isinstance(lanes, int):
        return False
    return rows >= lanes or _turned(y) is None


def packed_operand(group: Group) -> Value | None:
    """The operand of a product, the first of ``group``, that is packed, read in the order of memory; None if none is.

    It need not be in memory, for it is read once.
    """
    product = group.values[0].node
    if product is None or product.op.name != "matmul_batched":
        return None
    x, y = product.operands
    *batch, rows, inner = x.type.shape  # type: ignore[union-attr]
    lanes: Dim = y.type.shape[-1]  # type: ignore[union-attr]
    if not all(isinstance(d, int) for d in (*batch, rows, inner, lanes)) or min(rows, lanes) <= FEW_ROWS:
        return None
    if x.type.dtype.category is Category.COMPLEX:  # type: ignore[union-attr]
        return None
    turned = _turned(y)
    across = rows < lanes and (len(group.values) == 1 or turned is not None)
    size, operand = (rows, x) if across else (lanes, y)
    is_ordered = _turned(x) is not None if across else turned is None
    is_small = size * inner * operand.type.dtype.itemsize <= IN_PLACE_BYTES  # type: ignore[union-attr]
    return operand if is_ordered and not is_small else None


def _turned(value: Value) -> Value | None:
    """What ``value`` is the matrix transpose of, if it is one."""
    node = value.node
    if node is None or node.op.name != "transpose_axes":
        return None
    return node.operands[0]


def _is_in_memory(value: Value, puller: Puller) -> bool:
    while value not in puller.buffers:
        if value.node is None or value.node.op.name not in VIEWS:
            return False
        value = value.node.operands[0]
    return True


def _is_given(value: Value) -> bool:
    """Whether ``value`` is, or is a view of, what the program gets: no thread has just computed a part of it."""
    while value.node is not None:
        if value.node.op.name not in VIEWS:
            return False
        value = value.node.operands[0]
    return True


def matmul(job: Job) -> Made:
    """``[*B, M, K] @ [*B, K, N]``."""
    if not job.target.is_cpu or job.out.dtype.category is Category.COMPLEX:
        return Made((scalar_kernel(job.name, _contraction(job)),))
    return _Recipe(job).made()


def _contraction(job: Job) -> Contraction:
    """The product as plain sums."""
    x, y = job.node.operands
    shape = job.out.shape
    batch = tuple(Axis(k.Var(f"b{i}"), d) for i, d in enumerate(shape[:-2]))
    m, n, kk = Axis(k.Var("m"), shape[-2]), Axis(k.Var("n"), shape[-1]), Axis(k.Var("k"), job.types[0].shape[-1])
    puller = Puller(job.buffers, job.scalars)

    def load_x(at: dict[k.Var, k.Expr]) -> k.Expr:
        return load(puller, x, [at[a.var] for a in (*batch, m, kk)])

    def load_y(at: dict[k.Var, k.Expr]) -> k.Expr:
        return load(puller, y, [at[a.var] for a in (*batch, kk, n)])

    def store(at: dict[k.Var, k.Expr], total: k.Expr) -> tuple[k.Stmt, ...]:
        return job.sink.store([at[a.var] for a in (*batch, m, n)], total)

    return Contraction(batch, m, n, (kk,), load_x, load_y, store, job.out.dtype)
