"""Loop nests: from stored values to kernels.

One kernel fills the buffers of one or more values over one domain.  The widest loops are tried
first (all axes as one, then fewer), so that no index needs a division.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.index import Index
from jitorch.lower.pull import STATUS, Puller, reduction_of

Buffers = dict[Value, k.Buffer]
Scalars = dict[Value, k.Var]


def map_kernel(
    name: str, values: Sequence[Value], buffers: Buffers, scalars: Scalars, hidden: Collection[Value] = ()
) -> k.Kernel:
    """A kernel that computes ``values``, which have one shape, element by element; ``hidden`` ones are not stored."""
    shape = values[0].type.shape  # type: ignore[union-attr]
    best: Puller | None = None
    for grouping in _groupings(shape):
        puller = _map_nest(values, shape, grouping, buffers, scalars, hidden)
        best = puller
        if not divides(puller):
            break
    return finish(name, best)  # type: ignore[arg-type]


def _groupings(shape: Sequence[Dim]) -> list[list[int]]:
    """Ways to cut the axes into runs, coarsest first: all in one, then the last axes in one, ..., each alone."""
    n = len(shape)
    if n == 0:
        return [[]]
    result = [[n]]
    for lead in range(1, n):
        result.append([1] * lead + [n - lead])
        if lead >= 2:
            result.append([lead, n - lead])
    unique: list[list[int]] = []
    for grouping in result:
        if grouping not in unique:
            unique.append(grouping)
    return sorted(unique, key=len)


def _map_nest(
    values: Sequence[Value], shape: Sequence[Dim], grouping: Sequence[int], buffers: Buffers, scalars: Scalars,
    hidden: Collection[Value],
) -> Puller:  # fmt: skip
    own = {v: b for v, b in buffers.items() if v not in values}
    puller = Puller(own, scalars)
    variables = [k.Var(f"i{j}") for j in range(len(grouping))]
    bounds = [sum(grouping[:j]) for j in range(len(grouping) + 1)]
    extents = [size_expr(dims.prod(shape[a:b])) for a, b in itertools.pairwise(bounds)]
    index = Index(shape, list(zip(grouping, variables)))

    def innermost() -> None:
        # Everything is read before anything is stored: a result may later take the place of an input.
        elements = [puller.pull(value, index) for value in values]
        for value, e in zip(values, elements):
            if value not in hidden:
                puller.emit(k.Store(buffers[value], index.flat(), e))

    def nest(j: int) -> None:
        if j == len(grouping):
            innermost()
        else:
            puller.loop(variables[j], extents[j], lambda: nest(j + 1), "parallel")

    nest(0)
    return puller


def divides(puller: Puller) -> bool:
    """Whether a loop variable is divided anywhere: then a finer nest is better."""
    parts = list(k.walk(tuple(puller.block.statements)))
    varying = {s.var for s in parts if isinstance(s, (k.For, k.Let, k.Local))}
    quotients = [e for e in parts if isinstance(e, k.Call) and e.fn in ("floordiv", "mod") and e.dtype is k.INDEX]
    return any(part in varying for e in quotients for part in k.walk(e))  # sizes are divided once, before the loops


def row_reduction_kernel(name: str, value: Value, node: Node, buffers: Buffers, scalars: Scalars) -> k.Kernel:
    """A reduction over outer axes: rows are folded into the result, so memory is read in order.

    The accumulators are the result's own elements.
    """
    reduction = reduction_of(node)
    own = {v: b for v, b in buffers.items() if v is not value}
    puller = Puller(own, scalars)
    out = buffers[value]
    operand = node.operands[0]
    shape, axes = operand.type.shape, node.attrs["axes"]  # type: ignore[union-attr]
    last = len(shape) - 1
    kept = [a for a in range(last) if a not in axes]
    row = size_expr(shape[last])
    outer = [k.Var(f"i{j}") for j in range(len(kept))]
    inner = [k.Var(f"r{j}") for j in range(len(axes))]
    column = k.Var("c")
    base: k.Expr = k.const(0)
    for a, var in zip(kept, outer):
        base = base * size_expr(shape[a]) + var
    position: k.Expr = k.const(0)
    coordinates: list[k.Expr] = [column] * len(shape)
    for a, var in zip(kept, outer):
        coordinates[a] = var
    for a, var in zip(sorted(axes), inner):
        coordinates[a] = var
        position = position * size_expr(shape[a]) + var
    place = base * row + column

    def start() -> None:
        puller.emit(k.Store(out, place, reduction.init[0]))

    def fold() -> None:
        element = puller.pull(operand, Index.of(shape, coordinates))
        state = reduction.combine((k.Load(out, place),), reduction.item(element, position))
        puller.emit(k.Store(out, place, state[0]))

    def rows(j: int) -> None:
        if j == len(inner):
            puller.loop(column, row, fold)
        else:
            puller.loop(inner[j], size_expr(shape[sorted(axes)[j]]), lambda: rows(j + 1))

    def blocks(j: int) -> None:
        if j == len(outer):
            puller.loop(column, row, start)
            rows(0)
        else:
            puller.loop(outer[j], size_expr(shape[kept[j]]), lambda: blocks(j + 1), "parallel")

    blocks(0)
    return finish(name, puller)


def finish(name: str, puller: Puller) -> k.Kernel:
    """The kernel of what ``puller`` built: its parameters are what it uses."""
    return kernel_of(name, tuple(puller.block.statements), ())


def kernel_of(name: str, body: tuple[k.Stmt, ...], scratch: tuple[k.Buffer, ...]) -> k.Kernel:
    """A kernel whose parameters are the free buffers and variables of ``body``, in order of use."""
    buffers: dict[k.Buffer, None] = {}
    bound: set[str] = set()
    free: dict[k.Var, None] = {}
    for part in k.walk(body):
        match part:
            case k.Store(buffer) | k.Load(buffer) | k.Prefetch(buffer):
                buffers[buffer] = None
            case k.Let(var, _) | k.Local(var, _):
                bound.add(var.name)
            case k.For(var, _, _, _):
                bound.add(var.name)
            case k.Var():
                free[part] = None
    params = [b for b in buffers if b.space == "global" and b is not STATUS]
    if STATUS in buffers:
        params.append(STATUS)
    variables = [v for v in free if v.name not in bound]
    return k.verify(k.Kernel(name, (*params, *variables), scratch, body))
