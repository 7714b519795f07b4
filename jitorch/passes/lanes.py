"""Lanes: the values of `jitorch.passes.vmap`, and running graphs on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jitorch.dims import Dim
from jitorch.ir.graph import Graph
from jitorch.ir.op import Op
from jitorch.ir.types import EffectType, ScalarType, Type
from jitorch.ops.registry import OPS
from jitorch.ops.structure import broadcast_to, cast, reshape_to
from jitorch.passes.jvp import type_of
from jitorch.passes.transform import Building, run


@dataclass(frozen=True, slots=True)
class Lanes:
    """A value of ``type`` for each lane: ``x`` has them along its first axis; or one for all, not ``is_batched``.

    A number that differs from lane to lane is a tensor of one axis.
    """

    x: Any
    is_batched: bool
    type: Type


class Batch(Protocol):
    """What rules for control flow ask of `jitorch.passes.vmap.Batching`."""

    size: Dim
    mask: Any
    ragged: dict[Dim, Any]

    def apply(self, op: Op, values: Sequence[Any], attrs: dict[str, Any]) -> tuple[Lanes, ...]: ...

    def masked(self, mask: Any) -> Batch: ...


def alike(x: Any) -> Lanes:
    """One value for all lanes."""
    return Lanes(x, False, type_of(x))


def lead(size: Dim, value: Lanes) -> Any:
    """The tensor of all lanes, repeated where it is one for all; a token stays as it is."""
    if value.is_batched or isinstance(value.type, EffectType):
        return value.x
    x = cast(value.x, dtype=value.type.dtype) if isinstance(value.type, ScalarType) else value.x
    return broadcast_to(x, shape=(size, *x.shape))


def select(mask: Any, x: Any, y: Any) -> Any:
    """The lanes of ``x`` where ``mask``, a bool a lane, holds, else those of ``y``."""
    if mask.type.shape != x.type.shape:
        column = reshape_to(mask, shape=(mask.shape[0], *(1,) * (x.ndim - 1)))
        mask = broadcast_to(column, shape=tuple(x.shape))
    return OPS["where"](mask, x, y)


def enter(building: Building, value: Lanes, is_batched: bool) -> Lanes:
    """An input of a graph under construction for ``value``, with or without the batch axis."""
    return Lanes(building.add(type_of(value.x)), is_batched, value.type)


def flags_of(batch: Batch, graph: Graph, values: Sequence[Lanes]) -> list[bool]:
    """Which outputs of ``graph`` differ from lane to lane."""
    with Building("flags") as building:
        inputs = [enter(building, v, v.is_batched) for v in values]
        return [v.is_batched for v in run(graph, batch, inputs)]


def batched_graph(batch: Batch, graph: Graph, values: Sequence[Lanes], wanted: Sequence[bool] | None = None) -> Graph:
    """``graph`` for all lanes at once; the outputs ``wanted`` (default: all but tokens) have the batch axis."""
    with Building(graph.name) as building:
        outs = run(graph, batch, [enter(building, v, v.is_batched) for v in values])
        flags = [True] * len(outs) if wanted is None else wanted
        return building.finish([lead(batch.size, v) if flag else v.x for v, flag in zip(outs, flags)])
