"""The kernels of a group that goes row by row, from its layout.

Rows that are also added up (a bias gradient) are taken in chunks, each with sums of its own; a second kernel
adds the chunks.
"""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.nests import Buffers, Scalars, kernel_of
from jitorch.lower.rows.columns import Chunks, add_parts, added, start_columns
from jitorch.lower.rows.fold import fold, fold_alone
from jitorch.lower.rows.layout import Item, Layout
from jitorch.lower.rows.puller import RowPuller

Temporaries = list[tuple[k.Buffer, k.Expr]]
"""Buffers, each with its number of elements."""


def row_kernels(
    name: str, plan: Layout, buffers: Buffers, scalars: Scalars
) -> tuple[tuple[k.Kernel, ...], Temporaries]:
    """The kernels that compute the items of ``plan``, and the temporaries they need.

    ``buffers`` has the memory of stored values.
    """
    puller = RowPuller(plan, buffers, scalars)
    columns = [i for i in plan.items if i.kind == "column"]
    if not columns:
        _rows(puller, plan, "parallel")
        return (_kernel(name, puller),), []
    chunks = Chunks.of(plan.frame)
    temporaries: Temporaries = []
    for item in columns:
        puller.sums[item.value] = buffers[item.value]
        if chunks.is_cut:
            part = k.Buffer(f"{name}_part{len(temporaries)}", item.value.type.dtype)  # type: ignore[union-attr]
            temporaries.append((part, chunks.count * size_expr(plan.frame.split.length)))
            puller.sums[item.value] = part

    def chunk(first: k.Expr, count: k.Expr) -> None:
        start_columns(puller, columns)
        row = k.Var("row")

        def one() -> None:
            puller.emit(k.Let(plan.frame.row_loops[0].var, first + row))
            _row(puller, plan)

        puller.loop(row, count, one)

    if chunks.is_one_loop:
        chunks.each(puller, chunk)
    else:
        start_columns(puller, columns)
        _rows(puller, plan, "serial")
    kernel = _kernel(name, puller)
    if not chunks.is_cut:
        return (kernel,), []
    return (kernel, add_parts(f"{name}_columns", puller, columns, chunks.count)), temporaries


def _kernel(name: str, puller: RowPuller) -> k.Kernel:
    return kernel_of(name, tuple(puller.block.statements), tuple(puller.layout.local.values()))


def _rows(puller: RowPuller, plan: Layout, kind: str) -> None:
    loops = plan.frame.row_loops

    def nest(n: int) -> None:
        if n == len(loops):
            _row(puller, plan)
        else:
            puller.loop(loops[n].var, loops[n].extent, lambda: nest(n + 1), kind)

    nest(0)


def _row(puller: RowPuller, plan: Layout) -> None:
    scalars(puller, plan, 0)
    for stage in range(1, max(i.stage for i in plan.items) + 1):
        inside = [i for i in plan.items if i.stage == stage and i.kind != "scalar"]
        together = [i for i in inside if not i.is_alone]
        if together:
            _loop(puller, plan, together)
        for item in inside:
            if item.is_alone and item.reduction is not None:
                states = fold_alone(puller, item.reduction, plan.frame.whole, plan.frame.position, puller.over_row)
                _results(puller, plan, item, states)
        scalars(puller, plan, stage)


def scalars(puller: RowPuller, plan: Layout, stage: int) -> None:
    """What is known once the loop of ``stage`` is done."""
    for item in plan.items:
        if item.kind != "scalar" or item.stage != stage:
            continue
        e = puller.results[item.value] = puller.compute(item.value)
        if item.value in plan.memory:
            puller.emit(k.Store(puller.all_buffers[item.value], plan.frame.own(item.value).flat(), e))


def _loop(puller: RowPuller, plan: Layout, items: list[Item]) -> None:
    """One loop over the row, for reductions, vectors and columns."""
    frame = plan.frame
    folds = {i: puller.accumulators(i.reduction) for i in items if i.kind == "reduction" and i.reduction}

    def element() -> None:
        puller.present = {}
        sums: list[tuple[k.Buffer, k.Expr]] = []
        for item in items:
            if item.reduction is None:
                puller.present[item.value] = puller.compute(item.value)
            elif item.kind == "column":
                sums.append(added(puller, item))
            else:
                fold(puller, item.reduction, folds[item], frame.whole, frame.position)
        # Everything is read before anything is stored: a result may lie where an operand was.
        for value, e in puller.present.items():
            if puller.has_place(value):
                puller.emit(k.Store(*puller.place(value, frame.own(value)), e))
        for buffer, e in sums:
            puller.emit(k.Store(buffer, puller.column_place(), e))

    puller.over_row(element)
    puller.present = {}
    for item, accumulators in folds.items():
        _results(puller, plan, item, accumulators)


def _results(puller: RowPuller, plan: Layout, item: Item, states: list[k.Var]) -> None:
    puller.finish(item, states)
    for value in item.outputs:
        if value in plan.memory:
            place = plan.frame.own(value).flat()
            puller.emit(k.Store(puller.all_buffers[value], place, puller.results[value]))
