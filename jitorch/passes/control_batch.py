"""Branches, loops and checks for many lanes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch.errors import UnsupportedError, VmapError
from jitorch.ir.graph import Graph
from jitorch.ir.types import INT, EffectType, TensorType
from jitorch.ops import control
from jitorch.ops.batching import move_axis
from jitorch.ops.control import has_effect
from jitorch.ops.reduce import reduce_max, reduce_min
from jitorch.ops.registry import OPS
from jitorch.passes.jvp import type_of, zeros
from jitorch.passes.lanes import Batch, Lanes, alike, batched_graph, enter, flags_of, lead, select
from jitorch.passes.transform import Building, run

Values = Sequence[Any]


def _is_token(value: Lanes) -> bool:
    return isinstance(value.type, EffectType)


def _inside(batch: Batch, *graphs: Graph) -> Batch:
    """How closed graphs are computed: a mask is a value of outside, which they do not see; only checks ask for it."""
    if batch.mask is not None and any(has_effect(node) for graph in graphs for node in graph.nodes):
        raise UnsupportedError(
            "vmap: a check inside of a loop or branch that only some lanes reach",
            hint="move what may raise out of the branch or loop whose condition differs from lane to lane",
        )
    return batch.masked(None)


def _results(outs: Sequence[Any], types: Sequence[Any], flags: Sequence[bool]) -> tuple[Lanes, ...]:
    return tuple(Lanes(x, flag and not isinstance(t, EffectType), t) for x, t, flag in zip(outs, types, flags))


# -- branches ----------------------------------------------------------------------------------------------------
def cond(batch: Batch, values: Values, attrs: dict[str, Any]) -> tuple[Lanes, ...]:
    """One branch for all lanes if the predicate is one for all; else both, and each lane's own."""
    predicate, *operands = values
    then, orelse = attrs["then"], attrs["orelse"]
    types = control.output_types(then)
    if predicate.is_batched:
        return _both(batch, predicate.x, operands, then, orelse)
    inner = _inside(batch, then, orelse)
    graphs = [batched_graph(inner, graph, operands) for graph in (then, orelse)]
    results = control.run_cond(predicate.x, [v.x for v in operands], *graphs)
    return _results(results, types, [True] * len(types))


def _both(batch: Batch, mask: Any, operands: Sequence[Lanes], then: Graph, orelse: Graph) -> tuple[Lanes, ...]:
    taken = run(then, batch.masked(mask), operands)
    tokens = [v for v in taken if _is_token(v)]
    # Checks stay in order: those of the other side follow.
    following = [tokens[0] if tokens and _is_token(v) else v for v in operands]
    other = run(orelse, batch.masked(~mask), following)
    return tuple(
        b if _is_token(b) else Lanes(select(mask, lead(batch.size, a), lead(batch.size, b)), True, a.type)
        for a, b in zip(taken, other)
    )


# -- loops -------------------------------------------------------------------------------------------------------
def while_loop(batch: Batch, values: Values, attrs: dict[str, Any]) -> tuple[Lanes, ...]:
    """As long as the test holds for any lane; a lane for which it does not keeps its values."""
    test, body, constants = attrs["test"], attrs["body"], attrs["constants"]
    count = len(values) - constants
    state, fixed = list(values[:count]), list(values[count:])
    outer, batch = batch.mask, _inside(batch, test, body)
    while True:
        differs = flags_of(batch, test, [*state, *fixed])[0]
        outs = flags_of(batch, body, [*state, *fixed])
        wider = [_widened(batch, v, differs or flag) for v, flag in zip(state, outs)]
        if [v.is_batched for v in wider] == [v.is_batched for v in state]:
            break
        state = wider
    flags, types = [v.is_batched for v in state], [v.type for v in state]
    if differs:
        return _results(_until_all_are_done(batch, outer, state, fixed, test, body), types, flags)
    new_test = batched_graph(batch, test, [*state, *fixed], [False])
    new_body = batched_graph(batch, body, [*state, *fixed], flags)
    results = control.run_while([v.x for v in (*state, *fixed)], new_test, new_body, constants)
    return _results(results, types, flags)


def _widened(batch: Batch, value: Lanes, is_batched: bool) -> Lanes:
    if value.is_batched or not is_batched or _is_token(value):
        return value
    return Lanes(lead(batch.size, value), True, value.type)


def _until_all_are_done(
    batch: Batch, outer: Any, state: Sequence[Lanes], fixed: Sequence[Lanes], test: Graph, body: Graph
) -> Sequence[Any]:
    first = lead(batch.size, run(test, batch, [*state, *fixed])[0])
    if outer is not None:
        first = first & outer
    with Building("test") as building:
        mask = building.add(first.type)
        for v in (*state, *fixed):
            enter(building, v, v.is_batched)
        any_left = building.finish([reduce_max(mask, axes=(0,))])
    with Building(body.name) as building:
        mask = building.add(first.type)
        before = [enter(building, v, v.is_batched) for v in state]
        constants = [enter(building, v, v.is_batched) for v in fixed]
        masked = batch.masked(mask)
        after = run(body, masked, [*before, *constants])
        kept = [
            new if _is_token(new) else Lanes(select(mask, lead(batch.size, new), old.x), True, old.type)
            for old, new in zip(before, after)
        ]
        goes_on = lead(batch.size, run(test, masked, [*kept, *constants])[0])
        turn = building.finish([mask & goes_on, *(v.x for v in kept)])
    operands = [first, *(v.x for v in (*state, *fixed))]
    return control.run_while(operands, any_left, turn, len(fixed))[1:]


def scan(batch: Batch, values: Values, attrs: dict[str, Any]) -> tuple[Lanes, ...]:
    """The same steps for all lanes; a step's rows have the batch axis in front."""
    body, carried, stacked, length = attrs["body"], attrs["carried"], attrs["stacked"], attrs["length"]
    end, ragged, batch = carried + stacked, batch.ragged.get(length), _inside(batch, body)
    state, stacks, fixed = list(values[:carried]), values[carried:end], list(values[end:])
    wholes = [Lanes(move_axis(v.x, 0, 1), True, v.type) if v.is_batched else v for v in stacks]
    rows = [Lanes(_Row(type_of(v.x)), v.is_batched, _row_type(v.type)) for v in wholes]
    while True:
        flags = [ragged is not None or flag for flag in flags_of(batch, body, [*state, *rows, *fixed])]
        wider = [_widened(batch, v, flag) for v, flag in zip(state, flags)]
        if [v.is_batched for v in wider] == [v.is_batched for v in state]:
            break
        state = wider
    flags = [*(v.is_batched for v in state), *flags[carried:]]
    if ragged is None:
        graph = batched_graph(batch, body, [*state, *rows, *fixed], flags)
    else:
        graph = _step_of_some(batch, body, state, rows, fixed)
        wholes, fixed = [*wholes, alike(ragged.index)], [*fixed, Lanes(ragged.counts, True, INT)]
    results = control.run_scan(
        [v.x for v in state], [v.x for v in wholes], [v.x for v in fixed], graph, length, attrs["reverse"]
    )
    types = control.output_types(body)
    types = (*types[:carried], *(control.stack_type(t, length) for t in types[carried:]))
    outs = [move_axis(x, 1, 0) if flag and i >= carried else x for i, (x, flag) in enumerate(zip(results, flags))]
    return _results(outs, types, flags)


def _step_of_some(
    batch: Batch, body: Graph, state: Sequence[Lanes], rows: Sequence[Lanes], fixed: Sequence[Lanes]
) -> Graph:
    """A step of the lanes that have as many; the others keep what they carry and give zeros."""
    with Building(body.name) as building:
        before = [enter(building, v, v.is_batched) for v in state]
        inputs = [enter(building, v, v.is_batched) for v in rows]
        index = building.add(TensorType(INT.dtype, ()))
        constants = [enter(building, v, v.is_batched) for v in fixed]
        mask = OPS["lt"](index, building.add(TensorType(INT.dtype, (batch.size,))))
        after = [lead(batch.size, v) for v in run(body, batch, [*before, *inputs, *constants])]
        old = [*(v.x for v in before), *(zeros(x.type) for x in after[len(before) :])]
        return building.finish([select(mask, x, y) for x, y in zip(after, old)])


class _Row:
    """Stands for a row of a stacked operand, of which only the type matters."""

    def __init__(self, whole: TensorType):
        self.type = _row_type(whole)


def _row_type(whole: Any) -> TensorType:
    return whole.with_shape(whole.shape[1:])


@dataclass(frozen=True)
class Ragged:
    """Steps of which each lane has its own number: the ``index`` of all, and the ``counts``."""

    index: Any
    counts: Any


def steps(batch: Batch, values: Values, attrs: dict[str, Any]) -> tuple[Lanes, ...]:
    """As many as the lane with the most has; a scan over them lets each lane take part in its own."""
    count, size = values[0], attrs["size"]
    if not count.is_batched:
        return (alike(control.steps(count.x, size=size)),)
    index = control.steps(reduce_max(count.x, axes=(0,)), size=size)
    if index.type.shape != (size,):
        raise VmapError(
            "vmap: the gradient of a loop whose number of turns differs from lane to lane",
            hint="compile the vmapped function with @jit",
        )
    batch.ragged[size] = Ragged(index, count.x)
    return (alike(index),)


# -- what is computed again ----------------------------------------------------------------------------------------
def recomputed(batch: Batch, values: Values, attrs: dict[str, Any]) -> tuple[Lanes, ...]:
    """The body for all lanes, which is computed again as a whole."""
    body, inner = attrs["body"], _inside(batch, attrs["body"])
    flags = flags_of(inner, body, values)
    results = control.recomputed([v.x for v in values], body=batched_graph(inner, body, values, flags))
    outs = results if isinstance(results, tuple) else (results,)
    return _results(outs, control.output_types(body), flags)


# -- checks and numbers ------------------------------------------------------------------------------------------
def check(batch: Batch, values: Values, attrs: dict[str, Any]) -> tuple[Lanes, ...]:
    """What is checked must hold in every lane that takes part."""
    ok, token = values
    if ok.is_batched or batch.mask is not None:
        held = lead(batch.size, ok)
        held = held if batch.mask is None else held | ~batch.mask
        ok = alike(reduce_min(held, axes=(0,)))
    return (alike(control.check(ok.x, token.x, **attrs)),)


def number_of(batch: Batch, values: Values, attrs: dict[str, Any]) -> tuple[Lanes, ...]:
    """A number a lane is a tensor."""
    (x,) = values
    (found,) = [control.number_of.rules["type"](x.type)]
    return (Lanes(x.x, True, found),) if x.is_batched else (alike(control.number_of(x.x)),)


def cast(batch: Batch, values: Values, attrs: dict[str, Any]) -> tuple[Lanes, ...]:
    """A number a lane stays a tensor in another dtype."""
    (x,) = values
    (found,) = [OPS["cast"].rules["type"](x.type, **attrs)]
    if x.is_batched:
        return (Lanes(OPS["cast"](x.x, dtype=attrs["dtype"]), True, found),)
    return (alike(OPS["cast"](x.x, **attrs)),)


RULES: dict[str, Callable[[Any, Values, dict[str, Any]], tuple[Lanes, ...]]] = {
    "cond": cond, "while_loop": while_loop, "scan": scan, "recomputed": recomputed, "steps": steps, "check": check,
    "number_of": number_of, "cast": cast,
}  # fmt: skip
