"""The kernels of a group that goes row by row.

Within a row, reductions and vectors become a few loops, as few as their dependences allow: what needs the
result of a reduction, or an element elsewhere in the row, waits for the next loop.
A vector that only this kernel reads is recomputed where that is cheap, else kept in a local row, else in the memory
of a result that is written later, and only where all that fails in memory of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.monoid import Reduction
from jitorch.ir.sizes import size_expr
from jitorch.lower import fuse
from jitorch.lower.frame import OWN, Frame, frames
from jitorch.lower.fuse import Plan
from jitorch.lower.groups import Group
from jitorch.lower.index import Index
from jitorch.lower.nests import Buffers, Scalars, kernel_of
from jitorch.lower.pull import Puller, reduction_of
from jitorch.lower.rows import Probe

LOCAL_BYTES = 1 << 15
"""The most that one local row takes: rows are to stay in the first-level cache, and the stack is small."""
ALL_LOCAL_BYTES = 1 << 17
CHUNK = 1 << 16
"""Elements whose rows are added up by one thread, in one go."""
MIN_CHUNK_ROWS = 16


@dataclass(eq=False)
class Item:
    """What a row computes: a reduction, a vector, a scalar, or its share of a column (rows added up).

    ``stage`` is the loop over the row that makes it; a scalar is made after that loop (0: before the first).
    """

    value: Value
    kind: str
    reduction: Node | None = None
    reads: dict[Item, int] = field(default_factory=dict)
    stage: int = 0

    @property
    def is_alone(self) -> bool:
        """Whether it gets loops to itself: a tuple of accumulators keeps the rest from being vectorised."""
        return self.reduction is not None and len(reduction_of(self.reduction).init) > 1

    @property
    def outputs(self) -> tuple[Value, ...]:
        return (self.value,) if self.reduction is None else self.reduction.outputs


@dataclass
class Layout:
    """How a group runs: its loops, its items in order, and where vectors are that nobody else reads.

    ``memory``: the values that need a buffer of the program.  ``local``: those in a local row.
    ``shared``: those in the buffer of another value of the group.
    """

    frame: Frame
    items: list[Item]
    memory: set[Value] = field(default_factory=set)
    local: dict[Value, k.Buffer] = field(default_factory=dict)
    shared: dict[Value, Value] = field(default_factory=dict)


def layout(group: Group, plan: Plan, wanted: set[Value]) -> Layout:
    """Plan the kernel of ``group``; ``wanted`` are its values that others read."""
    split = group.split
    if split is None:
        raise CompilerBug("a group without rows has no layout", ir=plan.graph)
    for frame in frames(split):
        cheap = _recomputed(group, plan, frame, wanted)
        found, divides = _items(group, plan, frame, cheap)
        if not divides:
            break
    else:
        raise CompilerBug("a row kernel has no loops without division", ir=plan.graph)
    _stage(found)
    result = Layout(frame, found, set(wanted))
    _place(result, found)
    return result


def _recomputed(group: Group, plan: Plan, frame: Frame, wanted: set[Value]) -> frozenset[Value]:
    """The vectors of ``group`` that are computed wherever they are read."""
    cost: dict[Value, int] = {}
    cheap: set[Value] = set()

    def of(value: Value) -> int:
        node = value.node
        if node is None or node.op.lowering == "reduce" or (plan.is_stored(value) and value not in cheap):
            return 0
        if value not in cost:
            cost[value] = fuse.own_cost(node) + sum(map(of, node.operands))
        return cost[value]

    for value in group.values:
        node = value.node
        if node is None or value in wanted or frame.split.role(value) != "vector" or node.op.lowering == "reduce":
            continue
        total = fuse.own_cost(node) + sum(map(of, node.operands))
        if total <= fuse.READ_COST:
            cost[value] = total
            cheap.add(value)
    return frozenset(cheap)


def _items(group: Group, plan: Plan, frame: Frame, cheap: frozenset[Value]) -> tuple[list[Item], bool]:
    """The items of the kernel, each after those it reads, and whether a position in the row is divided."""
    by_value: dict[Value, Item] = {}
    items: list[Item] = []
    members = frozenset(group.values) - cheap
    divides = False

    def visit(value: Value) -> Item:
        nonlocal divides
        if value in by_value:
            return by_value[value]
        node = value.node
        folds = node is not None and frame.split.reduces(node)
        kind = "reduction" if folds else frame.split.role(value) or ""
        item = Item(value, kind, node if folds or kind == "column" else None)
        outputs = node.outputs if folds and node is not None else (value,)
        by_value.update((v, item) for v in outputs)
        reads = Probe(plan, frame, cheap).of(value, item.reduction)
        divides = divides or reads.divides
        inner = {v for r in reads.reductions for v in r.outputs}
        for v, distance in reads.distance.items():
            if v in members or v in inner:
                read = visit(v)
                item.reads[read] = max(item.reads.get(read, OWN), distance)
        items.append(item)
        return item

    for value in group.values:
        if value in members:
            visit(value)
    return items, divides


def _stage(items: list[Item]) -> None:
    for item in items:
        stage = 0 if item.kind == "scalar" else 1
        for read, distance in item.reads.items():
            same = item.kind == "scalar" or (read.kind == "vector" and distance == OWN)
            stage = max(stage, read.stage if same else read.stage + 1)
        item.stage = stage


def _place(result: Layout, items: list[Item]) -> None:
    """Find memory for the vectors that another loop reads."""
    total = 0
    for item in items:
        value = item.value
        if item.kind != "vector" or value in result.memory:
            continue
        readers = [i for i in items if item in i.reads]
        if all(_sees_present(i, item) for i in readers):
            continue
        length, dtype = result.frame.split.length, value.type.dtype  # type: ignore[union-attr]
        size = length * dtype.itemsize if isinstance(length, int) else None
        if size is not None and size <= LOCAL_BYTES and total + size <= ALL_LOCAL_BYTES:
            total += size
            result.local[value] = k.Buffer(f"row{len(result.local)}", dtype, "local", length)  # type: ignore[arg-type]
            continue
        host = next((i for i in items if _can_host(i, item, readers, result)), None)
        if host is None:
            result.memory.add(value)
        else:
            result.shared[value] = host.value


def _sees_present(reader: Item, item: Item) -> bool:
    """Whether ``reader`` reads a vector just where the same loop has computed it."""
    together = reader.stage == item.stage and not reader.is_alone and reader.kind != "scalar"
    return together and reader.reads[item] == OWN


def _can_host(host: Item, item: Item, readers: list[Item], result: Layout) -> bool:
    """Whether ``item`` may lie in the buffer of ``host`` until that is stored."""
    if host.kind != "vector" or host.value not in result.memory or host.stage <= item.stage:
        return False
    if host.value.type.dtype is not item.value.type.dtype or host.value in result.shared.values():  # type: ignore[union-attr]
        return False
    before = all(i.stage < host.stage or (i.stage == host.stage and i.reads[item] == OWN) for i in readers)
    return before and not any(i.is_alone and i.stage == host.stage for i in readers)


class _RowPuller(Puller):
    """Pulls at the present row, and knows what the row has computed already."""

    def __init__(self, plan: Layout, buffers: Buffers, scalars: Scalars):
        own = {v: i for i in plan.items for v in i.outputs}
        super().__init__({v: b for v, b in buffers.items() if v not in own}, scalars)
        self.layout, self.own, self.all_buffers = plan, own, buffers
        self.results: dict[Value, k.Expr] = {}  # of reductions and scalars
        self.present: dict[Value, k.Expr] = {}  # of vectors, at the present element
        self.sums: dict[Value, k.Buffer] = {}  # where columns are added up
        self.chunk: k.Var | None = None  # of rows

    def compute(self, value: Value) -> k.Expr:
        """One element of a value of the group."""
        return super()._compute(value, self.layout.frame.own(value))

    def _compute(self, value: Value, index: Index) -> k.Expr:
        item = self.own.get(value)
        if item is None:
            return super()._compute(value, index)
        if item.kind != "vector":
            return self.results[value]
        if value in self.present and self.layout.frame.distance(value, index) == OWN:
            return self.present[value]
        buffer, place = self.place(value, index)
        return self.let(k.Load(buffer, place))

    def column_place(self) -> k.Expr:
        """Where the present column is added up."""
        frame = self.layout.frame
        if self.chunk is None:
            return frame.position
        return self.chunk * size_expr(frame.split.length) + frame.position

    def place(self, value: Value, index: Index) -> tuple[k.Buffer, k.Expr]:
        """Where ``index`` of a vector is stored."""
        local = self.layout.local.get(value)
        if local is not None:
            return local, self.layout.frame.place_in_row(index)
        return self.all_buffers[self.layout.shared.get(value, value)], index.flat()

    def has_place(self, value: Value) -> bool:
        return value in self.layout.local or value in self.layout.shared or value in self.layout.memory


def row_kernels(
    name: str, plan: Layout, buffers: Buffers, scalars: Scalars
) -> tuple[tuple[k.Kernel, ...], list[tuple[k.Buffer, k.Expr]]]:
    """The kernels that compute the items of ``plan``, and the temporaries they need, with their sizes.

    ``buffers`` has the memory of stored values.
    """
    puller = _RowPuller(plan, buffers, scalars)
    frame = plan.frame
    columns = [i for i in plan.items if i.kind == "column"]

    def row() -> None:
        _scalars(puller, plan, 0)
        for stage in range(1, max(i.stage for i in plan.items) + 1):
            inside = [i for i in plan.items if i.stage == stage and i.kind != "scalar"]
            together = [i for i in inside if not i.is_alone]
            for loop in ([together] if together else []) + [[i] for i in inside if i.is_alone]:
                _loop(puller, plan, loop)
            _scalars(puller, plan, stage)

    def nest(n: int) -> None:
        if n == len(frame.row_loops):
            row()
            return
        loop = frame.row_loops[n]
        kind = "serial" if columns else "parallel"
        puller.loop(loop.var, loop.extent, lambda: nest(n + 1), kind)

    temporaries: list[tuple[k.Buffer, k.Expr]] = []
    more: list[k.Kernel] = []
    if columns:
        chunks = Chunks.of(frame)
        for item in columns:
            puller.sums[item.value] = buffers[item.value]
            if chunks.is_cut:
                part = k.Buffer(f"{name}_part{len(temporaries)}", item.value.type.dtype)  # type: ignore[union-attr]
                temporaries.append((part, chunks.count * size_expr(frame.split.length)))
                puller.sums[item.value] = part
        chunks.nest(puller, lambda: _start_columns(puller, frame, columns), row, lambda: nest(0))
        if chunks.is_cut:
            more.append(_add_parts(f"{name}_columns", puller, frame, columns, chunks.count, buffers))
        else:
            for item in columns:
                puller.sums[item.value] = buffers[item.value]
    else:
        nest(0)
    kernel = kernel_of(name, tuple(puller.block.statements), tuple(plan.local.values()))
    return (kernel, *more), temporaries


@dataclass(frozen=True)
class Chunks:
    """Runs of rows that are added up on their own, so that they may run at once.

    Their number depends on the domain alone: the result is the same on any number of threads.
    """

    frame: Frame
    rows: int
    count: k.Expr

    @classmethod
    def of(cls, frame: Frame) -> Chunks:
        count, length = frame.split.count, frame.split.length
        rows = max(MIN_CHUNK_ROWS, CHUNK // length) if isinstance(length, int) else MIN_CHUNK_ROWS
        if isinstance(count, int) and count <= rows:
            return cls(frame, rows, k.const(1))
        return cls(frame, rows, (size_expr(count) + (rows - 1)) // rows)

    @property
    def is_cut(self) -> bool:
        return len(self.frame.row_loops) == 1 and self.count != k.const(1)

    def nest(
        self, puller: _RowPuller, start: Callable[[], None], row: Callable[[], None], whole: Callable[[], None]
    ) -> None:
        """``start`` and then ``row`` for each row of a chunk, for each chunk; ``whole`` runs over uncut rows."""
        if not self.is_cut:
            start()
            whole()
            return
        loop, number = self.frame.row_loops[0], k.Var("chunk")

        def one() -> None:
            puller.emit(k.Let(loop.var, number * self.rows + inner))
            row()

        inner = k.Var("row")

        def chunk() -> None:
            start()
            rest = puller.let(loop.extent - number * self.rows)
            puller.loop(inner, k.call("minimum", rest, k.const(self.rows)), one)

        puller.chunk = number
        puller.loop(number, self.count, chunk, "parallel")


def _start_columns(puller: _RowPuller, frame: Frame, columns: list[Item]) -> None:
    def element() -> None:
        for item in columns:
            init = reduction_of(item.reduction).init[0]  # type: ignore[arg-type]
            puller.emit(k.Store(puller.sums[item.value], puller.column_place(), init))

    _nest(puller, frame, element)


def _add_parts(
    name: str, puller: _RowPuller, frame: Frame, columns: list[Item], count: k.Expr, buffers: Buffers
) -> k.Kernel:
    """Combine what the chunks found, in their order: a block of columns at a time."""
    length = frame.split.length
    width = next((w for w in (64, 32, 16) if isinstance(length, int) and length % w == 0), None)
    block, chunk, lane = k.Var("block"), k.Var("chunk"), k.Var("lane")
    column = lane if width is None else block * width + lane
    extent = size_expr(length) if width is None else k.const(width)
    first: list[k.Stmt] = []
    rest: list[k.Stmt] = []
    for item in columns:
        reduction, out, part = reduction_of(item.reduction), buffers[item.value], puller.sums[item.value]  # type: ignore[arg-type]
        first.append(k.Store(out, column, k.Load(part, column)))
        later = k.Load(part, (chunk + 1) * size_expr(length) + column)
        rest.append(k.Store(out, column, reduction.combine((k.Load(out, column),), (later,))[0]))
    body: tuple[k.Stmt, ...] = (
        k.For(lane, extent, tuple(first)),
        k.For(chunk, count - 1, (k.For(lane, extent, tuple(rest)),)),
    )
    if width is not None and isinstance(length, int):
        body = (k.For(block, k.const(length // width), body, "parallel"),)
    return kernel_of(name, body, ())


def _scalars(puller: _RowPuller, plan: Layout, stage: int) -> None:
    """What is known once the loop of ``stage`` is done."""
    for item in plan.items:
        if item.kind != "scalar" or item.stage != stage:
            continue
        e = puller.results[item.value] = puller.compute(item.value)
        if item.value in plan.memory:
            puller.emit(k.Store(puller.all_buffers[item.value], plan.frame.own(item.value).flat(), e))


def _loop(puller: _RowPuller, plan: Layout, items: list[Item]) -> None:
    """One loop over the row, for reductions and vectors."""
    frame = plan.frame
    folds: dict[Item, tuple[Reduction, list[k.Var]]] = {}
    for item in items:
        if item.reduction is not None and item.kind == "reduction":
            reduction = reduction_of(item.reduction)
            accumulators = [k.Var(puller.fresh("acc"), c.dtype) for c in reduction.init]
            folds[item] = reduction, accumulators
            for var, init in zip(accumulators, reduction.init):
                puller.emit(k.Local(var, init))

    def element() -> None:
        puller.present = {}
        added: list[tuple[k.Buffer, k.Expr]] = []
        for item in items:
            if item.reduction is None:
                puller.present[item.value] = puller.compute(item.value)
            elif item.kind == "column":
                added.append(_add(puller, item))
            else:
                _fold(puller, item.reduction, *folds[item])
        # Everything is read before anything is stored: a result may lie where an operand was.
        for value, e in puller.present.items():
            if puller.has_place(value):
                puller.emit(k.Store(*puller.place(value, frame.own(value)), e))
        for buffer, e in added:
            puller.emit(k.Store(buffer, puller.column_place(), e))

    _nest(puller, frame, element)
    puller.present = {}
    for item, (reduction, accumulators) in folds.items():
        states = [puller.let(e) for e in reduction.result(tuple(accumulators))]
        for value, e in zip(item.reduction.outputs, states):  # type: ignore[union-attr]
            puller.results[value] = e
            if value in plan.memory:
                puller.emit(k.Store(puller.all_buffers[value], frame.own(value).flat(), e))


def _add(puller: _RowPuller, item: Item) -> tuple[k.Buffer, k.Expr]:
    """The sum of a column with the present element added, and where it is kept."""
    node, buffer = item.reduction, puller.sums[item.value]
    if node is None:
        raise CompilerBug("a column without a reduction")
    reduction = reduction_of(node)
    element = puller.pull(node.operands[0], puller.layout.frame.whole)
    old = k.Load(buffer, puller.column_place())
    # Reductions with one accumulator do not look at positions.
    return buffer, reduction.combine((old,), reduction.item(element, k.const(0)))[0]


def _fold(puller: _RowPuller, node: Node, reduction: Reduction, accumulators: list[k.Var]) -> None:
    element = puller.pull(node.operands[0], puller.layout.frame.whole)
    state = reduction.combine(tuple(accumulators), reduction.item(element, puller.layout.frame.position))
    named = [puller.let(e) for e in state] if len(state) > 1 else list(state)
    for var, e in zip(accumulators, named):
        puller.emit(k.Assign(var, e))


def _nest(puller: _RowPuller, frame: Frame, element: Callable[[], None]) -> None:
    def nest(n: int) -> None:
        if n == len(frame.column_loops):
            element()
            return
        loop = frame.column_loops[n]
        puller.loop(loop.var, loop.extent, lambda: nest(n + 1))

    nest(0)
