"""How often a while loop turns at most, where its test says so: ``while n < limit and ...`` with a counter ``n``.

A carried int that each turn adds a constant to is ``first + step * t`` before turn ``t``.  A comparison of such
numbers that must hold for the loop to go on bounds ``t``; so does one that must have held a turn before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import BOOL, INT, TensorType

Line = tuple[int, int]
"""``first, step``: a number that is ``first + step * t`` in turn ``t``."""
NEVER = -1
_DEPTH = 20
_COMPARISONS = frozenset(("lt", "le", "gt", "ge"))


def most_turns(test: Graph, body: Graph, firsts: Sequence[int | None]) -> int | None:
    """The most turns of ``while test(state): state = body(state)``, or None if that is not known.

    ``firsts`` are the values that are carried into the loop, where they are known ints; the results of ``body`` begin
    with what is carried on.
    """
    lines = [_line_of(body, i, first) for i, first in enumerate(firsts)]
    inside = _Scope(_known(body, lines))
    inside.previous = {v: (inside, o) for v, o in zip(body.inputs[: len(firsts)], body.outputs)}
    scope = _Scope(_known(test, lines))
    scope.previous = {v: (inside, o) for v, o in zip(test.inputs[: len(firsts)], body.outputs)}
    last = _last(scope, test.outputs[0], True, _DEPTH)
    return None if last is None else last + 1


def _known(graph: Graph, lines: Sequence[Line | None]) -> dict[Value, Line]:
    return {v: line for v, line in zip(graph.inputs, lines) if line is not None}


def _line_of(body: Graph, i: int, first: int | None) -> Line | None:
    """The course of carried value ``i``, if each turn adds a constant to it."""
    if first is None:
        return None
    before, after = body.inputs[i], body.outputs[i]
    found = _line(_Scope({before: (0, 1)}), after)
    return (first, found[0]) if found is not None and found[1] == 1 else None


@dataclass
class _Scope:
    """What is known in one graph.  ``outer``: the values around that the inputs of a branch stand for; ``previous``:
    what the inputs of a loop's graph were a turn before; ``assumed``: what the branch that is taken says of bools."""

    lines: dict[Value, Line] = field(default_factory=dict)
    outer: dict[Value, tuple[_Scope, Value]] = field(default_factory=dict)
    previous: dict[Value, tuple[_Scope, Value]] = field(default_factory=dict)
    assumed: dict[Value, bool] = field(default_factory=dict)


def _line(scope: _Scope, value: Value) -> Line | None:
    if value in scope.lines:
        return scope.lines[value]
    if value in scope.outer:
        return _line(*scope.outer[value])
    node = value.node
    if node is None:
        return None
    match node.op.name:
        case "number" | "constant" if type(node.attrs["value"]) is int:
            return node.attrs["value"], 0
        case "cast" | "number_of" if _is_int(value) and _is_int(node.operands[0]):
            return _line(scope, node.operands[0])
        case "add" | "sub" if _is_int(value):
            a, b = (_line(scope, v) for v in node.operands)
            if a is None or b is None:
                return None
            sign = 1 if node.op.name == "add" else -1
            return a[0] + sign * b[0], a[1] + sign * b[1]
    return None


def _is_int(value: Value) -> bool:
    return value.type in (INT, TensorType(INT.dtype, ()))


def _is_bool(value: Value) -> bool:
    return value.type in (BOOL, TensorType(BOOL.dtype, ()))


def _last(scope: _Scope, value: Value, truth: bool, depth: int) -> int | None:
    """The last turn in which ``value`` can be ``truth``; `NEVER`; or None if that is not known."""
    if value in scope.assumed:
        return NEVER if scope.assumed[value] is not truth else None
    if value in scope.outer:
        around, outside = scope.outer[value]
        return _last(around, outside, truth, depth)
    if depth == 0:
        return None
    if value in scope.previous:
        before = _last(*scope.previous[value], truth, depth - 1)
        # Turn 0 has what was carried in.
        return None if before is None else before + 1
    node = value.node
    if node is None:
        return None
    match node.op.name:
        case "number" | "constant":
            return NEVER if bool(node.attrs["value"]) is not truth else None
        case "logical_not":
            return _last(scope, node.operands[0], not truth, depth - 1)
        case "number_of" | "cast" if _is_bool(node.operands[0]):
            return _last(scope, node.operands[0], truth, depth - 1)
        case "logical_and" | "logical_or" if truth is (node.op.name == "logical_and"):
            return _least([_last(scope, v, truth, depth - 1) for v in node.operands])
        case "cond":
            return _last_of_branch(scope, node, value.index, truth, depth - 1)
        case name if name in _COMPARISONS and all(map(_is_int, node.operands)):
            return _last_compared(scope, node, truth)
    return None


def _least(known: Sequence[int | None]) -> int | None:
    return min((x for x in known if x is not None), default=None)


def _last_of_branch(scope: _Scope, node: Node, result: int, truth: bool, depth: int) -> int | None:
    """A result of a branch: it comes from one side, or from the other."""
    predicate, *operands = node.operands
    found: list[int] = []
    for name, taken in (("then", True), ("orelse", False)):
        graph: Graph = node.attrs[name]
        around = _Scope(scope.lines, scope.outer, scope.previous, {**scope.assumed, predicate: taken})
        side = _Scope(outer={v: (around, x) for v, x in zip(graph.inputs, operands)})
        last = _least([_last(scope, predicate, taken, depth), _last(side, graph.outputs[result], truth, depth)])
        if last is None:
            return None
        found.append(last)
    return max(found)


def _last_compared(scope: _Scope, node: Node, truth: bool) -> int | None:
    """``a < b`` and its like, for numbers of which one grows towards the other."""
    a, b = (_line(scope, v) for v in node.operands)
    if a is None or b is None:
        return None
    name = node.op.name
    if name in ("gt", "ge"):
        a, b = b, a
    is_strict = name in ("lt", "gt")
    if not truth:
        # not a < b  <=>  b <= a
        a, b, is_strict = b, a, not is_strict
    first, step = a[0] - b[0], a[1] - b[1]
    limit = -1 if is_strict else 0  # first + step * t <= limit
    if step > 0:
        return max((limit - first) // step, NEVER)
    return NEVER if step == 0 and first > limit else None
