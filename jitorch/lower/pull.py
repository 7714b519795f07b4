"""Pull: ask a value for one element; the statements that compute it are appended to a block.

Elementwise ops combine scalars, views change the index, reductions open a loop.  A stored value is a
load.  Results are kept per (value, index) in the block that computed them, so nothing is computed
twice within reach.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import Category
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.monoid import Reduction, State
from jitorch.ir.sizes import size_expr
from jitorch.ir.types import ScalarType
from jitorch.lower.index import Index
from jitorch.lower.ranges import Known, range_of
from jitorch.lower.rows.frame import is_short

OUT_OF_RANGE = 1
"""The status that says: an index was out of range."""

STATUS = k.Buffer("status", dtypes.int32)


class Block:
    """Statements under construction, and what they already computed."""

    def __init__(self, parent: Block | None = None):
        self.parent = parent
        self.statements: list[k.Stmt] = []
        self.memo: dict[Any, Any] = {}

    def find(self, key: Any) -> Any:
        block: Block | None = self
        while block is not None:
            if key in block.memo:
                return block.memo[key]
            block = block.parent
        return None


class Puller:
    """Builds the body of one kernel.  ``buffers`` maps stored values to their memory."""

    def __init__(self, buffers: dict[Value, k.Buffer], scalars: dict[Value, k.Var]):
        self.buffers, self.scalars = buffers, scalars
        self.block = Block()
        self.ranges: Known = {}
        self._count = 0

    # -- names and statements --------------------------------------------------------------------
    def fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def emit(self, statement: k.Stmt) -> None:
        self.block.statements.append(statement)

    def let(self, e: k.Expr) -> k.Expr:
        """Name ``e`` unless it is a name or a literal already."""
        if isinstance(e, (k.Const, k.Var)):
            return e
        var = k.Var(self.fresh("t"), e.dtype)
        self.emit(k.Let(var, e))
        return var

    def nested(self, body: Callable[[], Any]) -> tuple[tuple[k.Stmt, ...], Any]:
        """Run ``body`` into a block of its own; returns its statements and result."""
        self.block = Block(self.block)
        try:
            result = body()
            return tuple(self.block.statements), result
        finally:
            if self.block.parent is None:
                raise CompilerBug("a block was left twice")
            self.block = self.block.parent

    def loop(self, var: k.Var, extent: k.Expr, body: Callable[[], Any], kind: str = "serial") -> None:
        statements, _ = self.nested(body)
        self.emit(k.For(var, extent, statements, kind))

    # -- values ----------------------------------------------------------------------------------
    def pull(self, value: Value, index: Index) -> k.Expr:
        """Element ``index`` of ``value``."""
        key = (value, index.key)
        found = self.block.find(key)
        if found is None:
            found = self.block.memo[key] = self._compute(value, index)
        return found

    def load(self, value: Value, index: Index) -> k.Expr:
        """The load itself, not named: for recipes that look at its address."""
        if value in self.buffers:
            return k.Load(self.buffers[value], index.flat())
        node = value.node
        if node is None:
            raise CompilerBug("a value without a buffer cannot be loaded")
        operand = node.operands[0]
        view = _Loader(self, operand)
        return node.op.rules["pull"](index, view, **node.attrs)

    def _compute(self, value: Value, index: Index) -> k.Expr:
        if value in self.scalars:
            return self.scalars[value]
        if value in self.buffers:
            return self.let(k.Load(self.buffers[value], index.flat()))
        node = value.node
        if node is None:
            raise CompilerBug(f"an input of type {value.type} has no buffer")
        kind = node.op.lowering
        if kind == "scalar":
            operands = [self.pull(v, index) for v in node.operands]
            return self.let(k.call(node.op.scalar or "", *operands))
        if "pull" in node.op.rules:
            grouped = node.op.group([Operand(self, v) for v in node.operands])
            return self.let(node.op.rules["pull"](index, *grouped, **node.attrs))
        if kind == "reduce":
            return self.reduce(node, index)[value.index]
        raise CompilerBug(f"{node.op.name} must be stored before it is read", ir=node)

    # -- reductions ------------------------------------------------------------------------------
    def reduce(self, node: Node, index: Index) -> State:
        """The results of a reduction at ``index`` of the axes it keeps."""
        reduction = reduction_of(node)
        if is_short(node):
            return self._reduce_short(node, index, reduction)
        accumulators = [k.Var(self.fresh("acc"), c.dtype) for c in reduction.init]
        for var, init in zip(accumulators, reduction.init):
            self.emit(k.Local(var, init))
        self._reduce_loops(node, index, reduction, accumulators)
        return tuple(self.let(e) for e in reduction.result(tuple(accumulators)))

    def _reduce_short(self, node: Node, index: Index, reduction: Reduction) -> State:
        """The same without loops, element after element."""
        operand, axes = node.operands[0], sorted(node.attrs["axes"])
        shape = operand.type.shape  # type: ignore[union-attr]
        kept = iter(index)
        around = [k.const(0) if a in axes else next(kept) for a in range(len(shape))]
        state: State = reduction.init
        for position, place in enumerate(itertools.product(*(range(int(shape[a])) for a in axes))):
            coordinates = list(around)
            for a, c in zip(axes, place, strict=True):
                coordinates[a] = k.const(c)
            element = self.pull(operand, Index.of(shape, coordinates))
            combined = reduction.combine(state, reduction.item(element, k.const(position)))
            state = tuple(self.let(e) for e in combined)
        return tuple(self.let(e) for e in reduction.result(state))

    def _reduce_loops(self, node: Node, index: Index, reduction: Reduction, accumulators: list[k.Var]) -> None:
        operand = node.operands[0]
        shape, axes = operand.type.shape, node.attrs["axes"]  # type: ignore[union-attr]
        groups = _runs(axes)
        variables = [k.Var(self.fresh("r")) for _ in groups]
        extents = [size_expr(dims.prod(shape[a:b])) for a, b in groups]
        kept = iter(index)
        segments: list[tuple[int, k.Expr]] = []
        position: k.Expr = k.const(0)
        axis = 0
        while axis < len(shape):
            group = next((i for i, (a, _) in enumerate(groups) if a == axis), None)
            if group is None:
                segments.append((1, next(kept)))
                axis += 1
                continue
            first, last = groups[group]
            segments.append((last - first, variables[group]))
            position = position * extents[group] + variables[group]
            axis = last
        inner = Index(shape, segments)

        def innermost() -> None:
            element = self.pull(operand, inner)
            state = reduction.combine(tuple(accumulators), reduction.item(element, position))
            named = [self.let(e) if len(state) > 1 else e for e in state]
            for var, e in zip(accumulators, named):
                self.emit(k.Assign(var, e))

        def nest(i: int) -> None:
            if i == len(groups):
                innermost()
            else:
                self.loop(variables[i], extents[i], lambda: nest(i + 1))

        nest(0)


def reduction_of(node: Node) -> Reduction:
    return node.op.rules["reduce"](node.operands[0].type, **node.attrs)


def _runs(axes: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of adjacent axes as (first, one past last): each is one loop."""
    runs: list[tuple[int, int]] = []
    for axis in sorted(axes):
        if runs and runs[-1][1] == axis:
            runs[-1] = (runs[-1][0], axis + 1)
        else:
            runs.append((axis, axis + 1))
    return runs


class Operand:
    """What a pull rule sees of an operand."""

    __slots__ = ("_puller", "value")

    def __init__(self, puller: Puller, value: Value):
        self._puller, self.value = puller, value

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.value.type.shape  # type: ignore[union-attr]

    @property
    def sizes(self) -> tuple[k.Expr, ...]:
        """The sizes as kernel expressions."""
        return tuple(map(size_expr, self.shape))

    @property
    def dtype(self) -> Any:
        return self.value.type.dtype  # type: ignore[union-attr]

    @property
    def is_number(self) -> bool:
        return isinstance(self.value.type, ScalarType)

    def at(self, index: Any) -> k.Expr:
        """The element at ``index``: an `Index`, or one expression an axis."""
        if not isinstance(index, Index) or index.shape != self.shape:
            index = Index.of(self.shape, tuple(index))
        return self._puller.pull(self.value, index)

    def picked(self, positions: Operand, index: Any, axis: int) -> k.Expr:
        """Element ``index`` of ``positions`` as an index of ``axis``: `checked`, unless it is made to be in range."""
        position = positions.at(index)
        if range_of(positions.value, self._puller.ranges).is_below(self.shape[axis]):
            return self._puller.let(k.cast(position, k.INDEX))
        return self.checked(position, axis)

    def checked(self, position: k.Expr, axis: int) -> k.Expr:
        """An index from data: counted from the end if negative; out of range it sets the status and reads element 0."""
        bad, inside = self._found(position, axis)
        self._puller.emit(k.If(bad, (k.Store(STATUS, k.const(0), k.const(OUT_OF_RANGE, dtypes.int32)),)))
        return self._puller.let(inside)

    def clamped(self, position: k.Expr, axis: int) -> k.Expr:
        """The same of an index that is known to be in range, so that nothing is reported."""
        return self._puller.let(self._found(position, axis)[1])

    def _found(self, position: k.Expr, axis: int) -> tuple[k.Expr, k.Expr]:
        """Whether ``position`` is out of range, and where it is from the start, 0 if so."""
        puller = self._puller
        size = self.sizes[axis]
        position = puller.let(k.cast(position, k.INDEX))
        wrapped = puller.let(k.where(position < 0, position + size, position))
        bad = (wrapped < 0) | (wrapped >= size)
        return bad, k.where(bad, 0, wrapped)


class _Loader(Operand):
    """An operand of a view: passes the index on, down to the load."""

    __slots__ = ()

    def at(self, index: Any) -> k.Expr:
        if not isinstance(index, Index) or index.shape != self.shape:
            index = Index.of(self.shape, tuple(index))
        return self._puller.load(self.value, index)


def is_float(value: Value) -> bool:
    return value.type.dtype.category >= Category.FLOAT  # type: ignore[union-attr]
