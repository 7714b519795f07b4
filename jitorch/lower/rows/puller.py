"""The puller of a row kernel: pulls at the present row, and knows what the row has computed already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.index import Index
from jitorch.lower.nests import Buffers, Scalars
from jitorch.lower.pull import Puller, reduction_of
from jitorch.lower.rows.frame import OWN
from jitorch.lower.rows.layout import Item, Layout


class RowPuller(Puller):
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

    def accumulators(self, node: Node) -> list[k.Var]:
        """Variables for the state of a reduction, at its neutral element."""
        init = reduction_of(node).init
        variables = [k.Var(self.fresh("acc"), c.dtype) for c in init]
        for var, c in zip(variables, init):
            self.emit(k.Local(var, c))
        return variables

    def finish(self, item: Item, states: Sequence[k.Expr]) -> None:
        """Note the results of a reduction whose state is complete."""
        if item.reduction is None:
            raise CompilerBug("only a reduction has a state")
        for value, e in zip(item.outputs, reduction_of(item.reduction).result(tuple(states))):
            self.results[value] = self.let(e)

    def over_row(self, element: Callable[[], None]) -> None:
        """``element`` in the loops over a row."""
        loops = self.layout.frame.column_loops

        def nest(n: int) -> None:
            if n == len(loops):
                element()
            else:
                self.loop(loops[n].var, loops[n].extent, lambda: nest(n + 1))

        nest(0)
