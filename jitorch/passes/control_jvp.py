"""Tangents through branches and loops: what is carried is carried with its tangent.

The number of turns of a loop is not differentiated by, so forward mode needs to record nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from jitorch.dims import Dim
from jitorch.ir.graph import Graph
from jitorch.ops import control
from jitorch.passes.jvp import Dual, Forward, is_float, jvp, zeros
from jitorch.passes.transform import Building, run

Result = tuple[tuple[Any, ...], tuple[Any, ...]]


def reached(graph: Graph, wrt: Collection[int]) -> list[int]:
    """The outputs of ``graph`` that have a tangent if the inputs ``wrt`` have."""
    with Building("reached") as building:
        inputs = [building.add(v.type) for v in graph.inputs]
        found = run(graph, Forward(), [Dual(x, x if i in wrt else None) for i, x in enumerate(inputs)])
        return [i for i, d in enumerate(found) if d.tangent is not None]


def _arranged(graph: Graph, inputs: Sequence[int], outputs: Sequence[int] | None = None) -> Graph:
    """``graph`` with its inputs, and its outputs, in another order."""
    graph.inputs = [graph.inputs[i] for i in inputs]
    graph.input_names = []
    for i, value in enumerate(graph.inputs):
        value.index = i
    if outputs is not None:
        graph.outputs = [graph.outputs[o] for o in outputs]
    return graph


def _present(tangents: Sequence[Any]) -> list[int]:
    return [i for i, t in enumerate(tangents) if t is not None]


def cond_jvp(tangents: Any, pred: Any, operands: Sequence[Any], *, then: Graph, orelse: Graph) -> Result:
    """The rule of `jitorch.ops.control.cond`."""
    given = tangents[1]
    wrt = _present(given)
    outputs = sorted({*reached(then, wrt), *reached(orelse, wrt)})
    graphs = [jvp(graph, wrt, outputs) for graph in (then, orelse)]
    results = control.run_cond(pred, [*operands, *(given[i] for i in wrt)], *graphs)
    return _paired(results, len(then.outputs), outputs)


def _paired(results: Sequence[Any], count: int, positions: Sequence[int]) -> Result:
    """The first ``count`` results, and the others as the tangents of those at ``positions``."""
    found = dict(zip(positions, results[count:]))
    return tuple(results[:count]), tuple(found.get(i) for i in range(count))


def _carried(body: Graph, carried: int, wrt: Collection[int]) -> list[int]:
    """The carried values that come to depend on the inputs ``wrt``."""
    found = {i for i in wrt if i < carried}
    while True:
        more = {i for i in reached(body, {*wrt, *found}) if i < carried} - found
        if not more:
            return sorted(i for i in found if is_float(body.inputs[i].type))
        found |= more


def while_jvp(tangents: Any, operands: Sequence[Any], *, test: Graph, body: Graph, constants: int) -> Result:
    """The rule of `jitorch.ops.control.while_loop`."""
    (given,) = tangents
    count, total = len(operands) - constants, len(operands)
    moving = _carried(body, count, _present(given))
    fixed = [i for i in _present(given) if i >= count]
    both = jvp(body, [*moving, *fixed], moving)
    order = [*range(count), *(total + n for n in range(len(moving))), *range(count, total)]
    order += [total + len(moving) + n for n in range(len(fixed))]
    longer = test.copy()
    for i in (*moving, *fixed):
        longer.add_input(body.inputs[i].type)
    results = control.run_while(
        [*operands[:count], *_filled(given, body, moving), *operands[count:], *(given[i] for i in fixed)],
        _arranged(longer, order), _arranged(both, order), constants + len(fixed),
    )  # fmt: skip
    return _paired(results, count, moving)


def _filled(tangents: Sequence[Any], body: Graph, moving: Sequence[int]) -> list[Any]:
    return [zeros(body.inputs[i].type) if tangents[i] is None else tangents[i] for i in moving]  # type: ignore[arg-type]


def scan_jvp(
    tangents: Any, operands: Sequence[Any], *, body: Graph, carried: int, stacked: int, length: Dim, reverse: bool
) -> Result:
    """The rule of `jitorch.ops.control.scan`."""
    (given,) = tangents
    end, total, results = carried + stacked, len(operands), len(body.outputs)
    moving = _carried(body, carried, _present(given))
    rows = [i for i in _present(given) if carried <= i < end]
    fixed = [i for i in _present(given) if i >= end]
    wrt = [*moving, *rows, *fixed]
    outputs = [i for i in reached(body, wrt) if i >= carried]
    both = jvp(body, wrt, [*moving, *outputs])
    place = {i: total + n for n, i in enumerate(wrt)}
    inputs = [*range(carried), *(place[i] for i in moving), *range(carried, end), *(place[i] for i in rows)]
    inputs += [*range(end, total), *(place[i] for i in fixed)]
    order = [*range(carried), *(results + n for n in range(len(moving))), *range(carried, results)]
    order += [results + len(moving) + n for n in range(len(outputs))]
    found = control.run_scan(
        [*operands[:carried], *_filled(given, body, moving)],
        [*operands[carried:end], *(given[i] for i in rows)],
        [*operands[end:], *(given[i] for i in fixed)],
        _arranged(both, inputs, order), length, reverse,
    )  # fmt: skip
    after = carried + len(moving)
    primals = [*found[:carried], *found[after : after + results - carried]]
    return _paired([*primals, *found[carried:after], *found[after + results - carried :]], results, [*moving, *outputs])


def recomputed_jvp(tangents: Any, operands: Sequence[Any], *, body: Graph) -> Result:
    """The rule of `jitorch.ops.control.recomputed`: forward mode keeps nothing."""
    (given,) = tangents
    found = run(body, Forward(), [Dual(x, t) for x, t in zip(operands, given)])
    return tuple(d.primal for d in found), tuple(d.tangent for d in found)


RULES = {"cond": cond_jvp, "while_loop": while_jvp, "scan": scan_jvp, "recomputed": recomputed_jvp}
"""By op; `jitorch.frontend.eager.defaults` gives them to `jitorch.ops.control`."""
