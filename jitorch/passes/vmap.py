"""Vectorisation: a function of one value computes many at once, along one more axis in front.

An op on lanes is computed by its ``batch`` rule; elementwise ops by aligning the axes of their operands; composites by
their body.  Where there is no rule, a `scan` over the lanes is always right.

A branch whose predicate differs from lane to lane computes both sides and selects; such a loop runs until it is over
for all lanes, and those that are done keep their values (see `jitorch.passes.control_batch`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from jitorch.builder import body_graph, graph_of, infer
from jitorch.dims import Dim
from jitorch.errors import VmapError
from jitorch.ir.graph import Graph, Node
from jitorch.ir.op import COMPOSITE, ELEMENTWISE, Op
from jitorch.ir.types import EffectType, ScalarType, TensorType, Type
from jitorch.ops import control
from jitorch.passes.clean import dce
from jitorch.passes.control_batch import RULES
from jitorch.passes.jvp import type_of
from jitorch.passes.lanes import Lanes, alike, batched_graph, flags_of, lead
from jitorch.passes.transform import apply, run


class Batching:
    """The transform `jitorch.passes.transform.run` runs a graph by.

    ``randomness``: random ops are an ``"error"``, give the ``"same"`` values in all lanes or ``"different"`` ones.
    ``mask``: the lanes that take part, where a branch or loop of some lanes only is computed for all; None: all.
    """

    def __init__(self, size: Dim, randomness: str = "error", mask: Any = None):
        self.size, self.randomness, self.mask = size, randomness, mask
        self.ragged: dict[Dim, Any] = {}  # sizes that differ from lane to lane, see `jitorch.passes.control_batch`

    def masked(self, mask: Any) -> Batching:
        """The same, for fewer lanes; with None for all."""
        both = mask if mask is None or self.mask is None else mask & self.mask
        fewer = Batching(self.size, self.randomness, both)
        fewer.ragged = self.ragged
        return fewer

    def constant(self, x: Any) -> Lanes:
        """A value that is one for all lanes."""
        return alike(x)

    def apply(self, op: Op, values: Sequence[Lanes | None], attrs: dict[str, Any]) -> tuple[Lanes, ...]:
        differs = any(v is not None and v.is_batched for v in values)
        rule = RULES.get(op.name)
        if rule is not None and (differs or self.mask is not None or attrs.get("length") in self.ragged):
            return rule(self, values, attrs)
        draw = op.rules.get("draw")
        if draw is not None and self.randomness != "same" and not differs:
            return self._draw(op, draw, values, attrs)
        if not differs:
            return tuple(map(alike, apply(op, [None if v is None else v.x for v in values], attrs)))
        types = tuple(None if v is None else v.type for v in values)
        outs = infer(op, types, attrs)
        results = self._compute(op, types, values, attrs)
        return tuple(r if isinstance(r, Lanes) else Lanes(r, True, t) for r, t in zip(results, outs, strict=True))

    def _compute(
        self, op: Op, types: tuple[Type | None, ...], values: Sequence[Lanes | None], attrs: dict[str, Any]
    ) -> tuple[Any, ...]:
        if op.kind == ELEMENTWISE:
            return apply(op, [None if v is None else lead(self.size, v) for v in values], attrs)
        varies = any(v is not None and v.is_batched and isinstance(v.type, ScalarType) for v in values)
        rule = op.rules.get("batch")
        if rule is not None and not varies:
            flags = op.group([v is not None and v.is_batched for v in values])
            result = rule(self.size, tuple(flags), *op.group([None if v is None else v.x for v in values]), **attrs)
            return result if isinstance(result, tuple) else (result,)
        if "vjp" in op.rules and not varies and self._is_pointwise(op, types, attrs):
            spread = [v if v is None or isinstance(v.type, ScalarType) else lead(self.size, v) for v in values]
            return apply(op, [x.x if isinstance(x, Lanes) else x for x in spread], attrs)
        if op.body is not None:
            body = body_graph(op, types, tuple(attrs.items()))
            return tuple(run(body, self, [v for v in values if v is not None]))
        return self._by_rows(op, types, values, attrs)

    def _is_pointwise(self, op: Op, types: tuple[Type | None, ...], attrs: dict[str, Any]) -> bool:
        """Whether a composite computes each element of all lanes from those at its place only."""
        shapes = {t.shape for t in types if isinstance(t, TensorType)}
        if op.body is None or len(shapes) != 1:
            return False
        whole = tuple(_batched_type(t, self.size) if isinstance(t, TensorType) else t for t in types)
        return is_pointwise(op, whole, tuple(attrs.items()))

    def _by_rows(
        self, op: Op, types: tuple[Type | None, ...], values: Sequence[Lanes | None], attrs: dict[str, Any]
    ) -> tuple[Any, ...]:
        """One lane after the other."""
        present = [v for v in values if v is not None]
        order = sorted(range(len(present)), key=lambda i: not present[i].is_batched)

        def step(*operands: Any) -> Any:
            given = iter([operands[order.index(i)] for i in range(len(order))])
            flat = [None if t is None else next(given) for t in types]
            numbers = [_as_number(x, t) for x, t in zip(flat, types)]
            return apply(op, numbers, attrs)

        rows = [present[i] for i in order if present[i].is_batched]
        fixed = [present[i].x for i in order if not present[i].is_batched]
        row_types = [TensorType(v.type.dtype, getattr(v.type, "shape", ())) for v in rows]  # type: ignore[union-attr]
        body = graph_of(step, [*row_types, *(alike(x).type for x in fixed)], op.name)
        return control.run_scan([], [v.x for v in rows], fixed, body, self.size)

    def _draw(self, op: Op, draw: Any, values: Sequence[Lanes | None], attrs: dict[str, Any]) -> tuple[Lanes, ...]:
        if self.randomness == "error":
            raise VmapError(
                f"vmap: {op.name} draws random values",
                hint='say whether lanes draw for themselves: vmap(..., randomness="different") or "same"',
            )
        types = tuple(None if v is None else v.type for v in values)
        (out,) = infer(op, types, attrs)
        x, is_batched = draw(self.size, *op.group([None if v is None else v.x for v in values]), **attrs)
        return (Lanes(x, is_batched, out),)


def _as_number(x: Any, type_: Type | None) -> Any:
    """A row that is a number, as one."""
    return control.number_of(x) if isinstance(type_, ScalarType) and isinstance(type_of(x), TensorType) else x


# -- composites that are pointwise -------------------------------------------------------------------------------
@lru_cache(maxsize=4096)
def is_pointwise(op: Op, types: tuple[Type | None, ...], attrs: tuple[tuple[str, Any], ...]) -> bool:
    """Whether element i of each result of a composite depends on element i of its operands only."""
    graph = body_graph(op, types, attrs)
    shape = next(t.shape for t in types if isinstance(t, TensorType))
    if any(not isinstance(v.type, TensorType) or v.type.shape != shape for v in graph.outputs):
        return False
    return all(_keeps_places(node) for node in graph.nodes)


def _keeps_places(node: Node) -> bool:
    op = node.op
    if op.kind == ELEMENTWISE or op.name in ("cast", "copy", "constant", "number"):
        return True
    if op.name == "broadcast_to":
        return node.operands[0].type.shape == ()  # type: ignore[union-attr]
    if op.kind != COMPOSITE:
        return False
    types = tuple(None if v is None else v.type for v in node.inputs)
    shapes = {t.shape for t in types if isinstance(t, TensorType)}
    return len(shapes) == 1 and is_pointwise(op, types, tuple(node.attrs.items()))


# -- graphs ------------------------------------------------------------------------------------------------------
def vmap(
    graph: Graph, batched: Sequence[bool], size: Dim, randomness: str = "error", shared: Collection[int] = ()
) -> Graph:
    """``graph`` over operands of which those ``batched`` have one more axis of ``size`` in front; its outputs all do.

    A number that is batched becomes a tensor of ``size`` elements.  Of the outputs ``shared`` only those have the axis
    that differ from lane to lane.
    """
    values = [
        Lanes(_Typed(_batched_type(v.type, size) if flag else v.type), flag, v.type)
        for v, flag in zip(graph.inputs, batched, strict=True)
    ]
    batch = Batching(size, randomness)
    with graph.assumed():
        flags = flags_of(batch, graph, values) if shared else []
        wanted = [flags[o] if o in shared else True for o in range(len(graph.outputs))]
        tokens = [isinstance(v.type, EffectType) for v in graph.outputs]
        result = batched_graph(batch, graph, values, [w and not t for w, t in zip(wanted, tokens)])
    dce(result)
    result.take_facts(graph)
    return result


class _Typed:
    """What stands for a value of which only the type is known."""

    def __init__(self, type_: Type):
        self.type = type_


def _batched_type(type_: Type, size: Dim) -> TensorType:
    return TensorType(type_.dtype, (size, *getattr(type_, "shape", ())))  # type: ignore[union-attr]
