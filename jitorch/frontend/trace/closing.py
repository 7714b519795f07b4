"""A transform of what a traced function does: the part is traced as a graph of its own, which is then transformed.

So branches and loops in it are staged as everywhere, and it is the graph with its `cond` and `while_loop` nodes that is
differentiated or vectorised, whatever Python said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch.builder import TracedToken
from jitorch.frontend.eager import levels
from jitorch.frontend.python.flow import Poison
from jitorch.frontend.python.fork import Snapshot
from jitorch.frontend.python.journal import MISSING
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.trace.loops import placeholder_node
from jitorch.frontend.trace.nested import Level, drop
from jitorch.frontend.trace.staging import State
from jitorch.frontend.trace.tracer import TraceBuilder
from jitorch.ir.graph import Graph, Value
from jitorch.ops import dispatch
from jitorch.passes.transform import run
from jitorch.tensor import Storage, Tensor


@dataclass(eq=False)
class Part:
    """What a function computes, as a graph over its arguments and ``operands``, which are values of the trace.

    After ``count`` results the graph gives the new contents of ``memory`` (with their versions) and, if it checks
    something, the effect token.
    """

    graph: Graph
    operands: list[Any]
    count: int
    memory: list[tuple[Storage, int]]


def tracing() -> TraceBuilder | None:
    """The builder of the trace that records ops here, if one does."""
    inner = getattr(dispatch.entered(), "inner", None)
    return inner if isinstance(inner, TraceBuilder) else None


def traced_part(
    builder: TraceBuilder, function: Callable[[list[Tensor]], Sequence[Tensor]], types: Sequence[Any],
    recorded: Sequence[bool],
) -> Part:  # fmt: skip
    """Trace ``function`` for arguments of these types; afterwards everything is as before.

    ``recorded``: which arguments stand for values with a history.
    """
    stager = builder.trace.recorder.stager
    entry = State(stager, None)
    level = Level(Graph("part"), entry.cells)
    inputs = [Value(t) for t in types]
    watched, builder.watched = builder.watched, None
    with builder.inside(level):
        results = function([_argument(builder, v, flag) for v, flag in zip(inputs, recorded)])
        outputs: list[Any] = [builder.lift(t) for t in results]
    found, builder.watched = builder.watched, watched
    if found is not None:
        entry.restore()
        raise Refuse(
            "outside-tensor",
            "a hook, an autograd.Function, retain_grad() or requires_grad_() in a function that is differentiated, "
            "vectorised or computed again", found,
        )  # fmt: skip
    end = State(stager, None, entry)
    entry.restore()
    changed = _changed(entry.python, end.python)
    if changed is not None:
        raise Refuse(
            "side-effect",
            f"a function that is differentiated or vectorised changes {changed}",
            hint="let it return what it computes",
        )
    written = _written(builder, entry, end)
    outputs += [end.cells[storage][0] for storage, _ in written]
    if end.token is not entry.token:
        outputs.append(end.token)
    nodes = builder.needed(level.graph, outputs)
    captured = builder.free(nodes, outputs, inputs)
    graph, _ = builder.close("part", nodes, outputs, [*inputs, *captured])
    drop(level.graph)
    overwritten = {storage for storage, _ in written}
    return Part(graph, [_operand(builder, v, overwritten) for v in captured], len(results), written)


def _operand(builder: TraceBuilder, value: Value, overwritten: set[Storage]) -> Any:
    """What stands for a value of outside: its tensor, or one of its own where memory is about to hold another."""
    found = builder.operand(value)
    if isinstance(found, Tensor) and found._storage in overwritten and not found.requires_grad:
        return builder.adopt(builder.wrap(value))
    return found


def _changed(entry: Snapshot, end: Snapshot) -> str | None:
    """The first variable or part of an object that is not as it was; the state must be that of ``entry``."""
    for number, place in end.places.items():
        if number > 0 and number not in entry.places:
            continue  # made inside
        before, after = entry.contents.get(number, {}), end.contents[number]
        for key in {**before, **after}:
            was, is_now = (place.outside(key) if (x := c.get(key, MISSING)) is MISSING else x for c in (before, after))
            if was is not is_now and type(was) is not Poison:
                return place.name(key)
    return None


def _argument(builder: TraceBuilder, value: Value, has_history: bool) -> Tensor:
    made: Tensor = builder.adopt(builder.wrap(value))
    if has_history:
        made._node = placeholder_node()
    return made


def _written(builder: TraceBuilder, entry: State, end: State) -> list[tuple[Storage, int]]:
    """The memory from before that has new contents, and its new version."""
    found = []
    for storage, (value, version, _) in end.cells.items():
        if storage in entry.cells:
            before = entry.cells[storage][0]
        elif storage in builder.roots:
            before = builder.stored_value(storage)
        else:
            continue
        if value is not before:
            found.append((storage, version))
    return found


def through(
    builder: TraceBuilder, level: levels.Level, function: Callable[[list[Tensor]], Sequence[Tensor]],
    values: Sequence[Any],
) -> list[Any]:  # fmt: skip
    """What ``function`` makes of the ``values`` of the level's transform."""
    transform = level.transform
    part = traced_part(builder, function, [v.type for v in values], [level.requires_grad(v) for v in values])
    everything = [*values, *map(transform.constant, part.operands)]
    results = run(part.graph, transform, everything, builder.stopped)
    rest = [level.plain(v) for v in results[part.count :]]
    if any(new is None for new in rest):
        raise Refuse(
            "outside-tensor",
            "a tensor from outside of a function that is differentiated or vectorised is overwritten by one that "
            "differs from lane to lane or has a tangent", hint="let the function return the new value",
        )  # fmt: skip
    put_back(builder, part, rest)
    return results[: part.count]


def put_back(builder: TraceBuilder, part: Part, rest: Sequence[Any]) -> None:
    """Let memory hold what the part left there, and the effect token be its last."""
    for (storage, version), new in zip(part.memory, rest):
        cell = builder.cells[storage]
        cell.set(builder.lift(new))
        cell.version = version
    if len(rest) > len(part.memory):
        token: TracedToken = rest[-1]
        builder.token = token._value
