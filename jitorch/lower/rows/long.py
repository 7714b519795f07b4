"""Long rows: a reduction of very many elements into few results, in two steps.

Chunks of fixed size are folded at once, then their states in order; so the result does not depend on the
number of threads, and long sums lose less.
"""

from __future__ import annotations

from collections.abc import Callable

from jitorch.ir import kernel as k
from jitorch.ir.graph import Node
from jitorch.lower.fuse import Plan
from jitorch.lower.groups import Group
from jitorch.lower.nests import Buffers, Scalars, kernel_of
from jitorch.lower.pull import reduction_of
from jitorch.lower.rows.fold import fold, fold_alone
from jitorch.lower.rows.frame import ANY, Frame, frames, split_of
from jitorch.lower.rows.joined import FEW_ROWS, LONG, Probe, unstored_reductions
from jitorch.lower.rows.kernel import Temporaries, scalars
from jitorch.lower.rows.layout import Item, Layout
from jitorch.lower.rows.puller import RowPuller

CHUNK = 1 << 13
"""Elements folded in one go: a chunk of any dtype stays in the second-level cache for another pass."""


def long_layout(group: Group, plan: Plan) -> Layout | None:
    """The reductions and results of ``group``, if it folds few long rows; None if it does not."""
    nodes = {node: None for value in group.values for node in unstored_reductions(value, plan)}
    splits = {split_of(node) for node in nodes}
    split = splits.pop() if len(splits) == 1 else None
    if split is None or not isinstance(split.count, int) or not 0 < split.count < FEW_ROWS:
        return None
    if isinstance(split.length, int) and split.length <= LONG:
        return None
    if any(split.role(value) != "scalar" for value in group.values):
        return None
    frame = next((f for f in frames(split) if len(f.column_loops) == 1 and _suits(plan, f, group, nodes)), None)
    if frame is None:
        return None
    items = [Item(node.outputs[0], "reduction", node) for node in nodes]
    made = {v for item in items for v in item.outputs}
    items += [Item(value, "scalar") for value in group.values if value not in made]
    return Layout(frame, items, set(group.values))


def _suits(plan: Plan, frame: Frame, group: Group, nodes: dict[Node, None]) -> bool:
    """Whether elements are found without division, and need no other result of the group."""
    mine = {*group.values, *(v for node in nodes for v in node.outputs)}
    for node in nodes:
        reads = Probe(plan, frame).of(node.outputs[0], node)
        if reads.divides or reads.reductions or mine & reads.distance.keys():
            return False
    for value in group.values:
        node = value.node
        if node is None or node in nodes:
            continue
        reads = Probe(plan, frame).of(value)
        if any(v in mine and d == ANY for v, d in reads.distance.items()) or mine & {*group.values} & {*reads.distance}:
            return False
    return True


def long_kernels(
    name: str, layout: Layout, buffers: Buffers, numbers: Scalars
) -> tuple[tuple[k.Kernel, ...], Temporaries]:
    """A kernel that folds chunks, and one that folds their states and computes what is stored."""
    frame = layout.frame
    extent = frame.column_loops[0].extent
    # Without elements there is one chunk still: its state is the neutral one.
    count = k.call("maximum", (extent + (CHUNK - 1)) // CHUNK, k.const(1))
    parts: dict[Item, list[k.Buffer]] = {}
    temporaries: Temporaries = []
    for item in layout.items:
        if item.reduction is None:
            continue
        parts[item] = []
        for c in reduction_of(item.reduction).init:
            part = k.Buffer(f"{name}_part{len(temporaries)}", c.dtype)
            temporaries.append((part, count * _rows(frame)))
            parts[item].append(part)
    first = _fold_chunks(f"{name}_chunks", layout, buffers, numbers, parts, count)
    return (first, _fold_parts(name, layout, buffers, numbers, parts, count)), temporaries


def _rows(frame: Frame) -> k.Expr:
    total: k.Expr = k.const(1)
    for loop in frame.row_loops:
        total = total * loop.extent
    return total


def _row_number(frame: Frame) -> k.Expr:
    number: k.Expr = k.const(0)
    for loop in frame.row_loops:
        number = number * loop.extent + loop.var
    return number


def _over_rows(puller: RowPuller, frame: Frame, body: Callable[[], None]) -> None:
    def nest(n: int) -> None:
        if n == len(frame.row_loops):
            body()
        else:
            puller.loop(frame.row_loops[n].var, frame.row_loops[n].extent, lambda: nest(n + 1))

    nest(0)


def _fold_chunks(
    name: str, layout: Layout, buffers: Buffers, numbers: Scalars, parts: dict[Item, list[k.Buffer]], count: k.Expr
) -> k.Kernel:
    frame = layout.frame
    puller = RowPuller(layout, buffers, numbers)
    loop, chunk, inner = frame.column_loops[0], k.Var("chunk"), k.Var("element")

    def row() -> None:
        start = puller.let(chunk * CHUNK)
        length = puller.let(k.call("minimum", loop.extent - start, k.const(CHUNK)))

        def over(body: Callable[[], None]) -> None:
            def element() -> None:
                puller.emit(k.Let(loop.var, start + inner))
                body()

            puller.loop(inner, length, element)

        together = [i for i in parts if not i.is_alone]
        states = {i: puller.accumulators(i.reduction) for i in together if i.reduction}

        def elements() -> None:
            for item, state in states.items():
                if item.reduction is not None:
                    fold(puller, item.reduction, state, frame.whole, frame.position)

        if together:
            over(elements)
        for item in parts:
            if item.is_alone and item.reduction is not None:
                states[item] = fold_alone(puller, item.reduction, frame.whole, frame.position, over)
        for item, state in states.items():
            for part, var in zip(parts[item], state):
                puller.emit(k.Store(part, _row_number(frame) * count + chunk, var))

    puller.loop(chunk, count, lambda: _over_rows(puller, frame, row), "parallel")
    return kernel_of(name, tuple(puller.block.statements), ())


def _fold_parts(
    name: str, layout: Layout, buffers: Buffers, numbers: Scalars, parts: dict[Item, list[k.Buffer]], count: k.Expr
) -> k.Kernel:
    frame = layout.frame
    puller = RowPuller(layout, buffers, numbers)

    def row() -> None:
        for item, buffer in parts.items():
            _fold_states(puller, item, buffer, _row_number(frame) * count, count)
            for value in item.outputs:
                if value in layout.memory:
                    puller.emit(k.Store(buffers[value], frame.own(value).flat(), puller.results[value]))
        scalars(puller, layout, 0)

    _over_rows(puller, frame, row)
    return kernel_of(name, tuple(puller.block.statements), ())


def _fold_states(puller: RowPuller, item: Item, parts: list[k.Buffer], first: k.Expr, count: k.Expr) -> None:
    """Combine the states of all chunks, in their order."""
    if item.reduction is None:
        return
    reduction, chunk = reduction_of(item.reduction), k.Var(puller.fresh("chunk"))
    state = puller.accumulators(item.reduction)

    def combine() -> None:
        found = tuple(puller.let(k.Load(part, first + chunk)) for part in parts)
        new = [puller.let(e) for e in reduction.combine(tuple(state), found)]
        for var, e in zip(state, new):
            puller.emit(k.Assign(var, e))

    puller.loop(chunk, count, combine)
    puller.finish(item, state)
