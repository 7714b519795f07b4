"""Forward-mode differentiation: values are pairs of a primal and a tangent.

An op's tangents come, in this order, from its ``jvp`` rule; from its ``vjp`` rule, which is linear in the cotangent, so
that its own vjp with regard to the cotangent is the jvp (transposed twice, the product with the Jacobian is itself);
or from its body.  A tangent that is None is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jitorch import dtypes
from jitorch.builder import body_graph
from jitorch.errors import AutogradError
from jitorch.ir.graph import Graph, identity
from jitorch.ir.op import Op
from jitorch.ir.types import EFFECT, PYTHON_TYPES, TensorType, Token, Type
from jitorch.ops.control import evaluate
from jitorch.ops.create import constant
from jitorch.ops.structure import broadcast_to
from jitorch.passes import grad
from jitorch.passes.clean import cse, dce
from jitorch.passes.simplify import simplify
from jitorch.passes.transform import Building, apply, run


@dataclass(frozen=True, slots=True)
class Dual:
    """A value and its tangent, which has its type; None where it does not depend on what is differentiated by."""

    primal: Any
    tangent: Any = None

    @property
    def type(self) -> Type:
        """The type of the primal."""
        return type_of(self.primal)


def type_of(operand: Any) -> Any:
    """The type of a tensor, a number of run time, a Python number or a token."""
    if isinstance(operand, Token):
        return EFFECT
    found = PYTHON_TYPES.get(type(operand))
    return operand.type if found is None else found


def is_float(type_: Any) -> bool:
    """Whether values of a type have tangents."""
    return isinstance(type_, TensorType) and type_.dtype.category >= dtypes.Category.FLOAT


def zeros(type_: TensorType) -> Any:
    """A tensor of zeros of this type."""
    return broadcast_to(constant(value=0, dtype=type_.dtype), shape=type_.shape)


class Forward:
    """The transform `jitorch.passes.transform.run` runs a graph by."""

    def constant(self, x: Any) -> Dual:
        """A value that does not depend on what is differentiated by."""
        return Dual(x)

    def apply(self, op: Op, values: Sequence[Dual | None], attrs: dict[str, Any]) -> tuple[Dual, ...]:
        primals = [None if v is None else v.primal for v in values]
        tangents = [None if v is None else v.tangent for v in values]
        if all(t is None for t in tangents) or op.name == "detach":
            return tuple(map(Dual, apply(op, primals, attrs)))
        rule = op.rules.get("jvp")
        if rule is not None:
            outs, found = rule(tuple(op.group(tangents)), *op.group(primals), **attrs)
            return tuple(map(Dual, _tuple(outs), _tuple(found)))
        types = tuple(None if v is None else v.type for v in values)
        if "vjp" not in op.rules and op.body is not None:
            body = body_graph(op, types, tuple(attrs.items()))
            return tuple(run(body, self, [v for v in values if v is not None]))
        outs = apply(op, primals, attrs)
        if not any(is_float(type_of(o)) for o in outs):
            return tuple(map(Dual, outs))
        active = tuple(i for i, t in enumerate(tangents) if t is not None)
        found = _pushed(op, types, tuple(type_of(o) for o in outs), attrs, active)
        if found is None:
            return tuple(map(Dual, outs))
        operands = [*(p for p in primals if p is not None), *outs, *(tangents[i] for i in found.reached)]
        results = dict(zip(found.outputs, evaluate(found.graph, operands)))
        return tuple(Dual(o, results.get(i)) for i, o in enumerate(outs))


def _tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


# -- from the vjp rule -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Pushforward:
    """``graph``: ``(*operands, *outs, *tangents of the operands reached) -> tangents of the outputs``, by position."""

    graph: Graph
    reached: list[int]
    outputs: list[int]


_derived: dict[Any, Pushforward | None] = {}
_DERIVED_LIMIT = 4096


def _pushed(
    op: Op, types: tuple[Any, ...], outs: tuple[Any, ...], attrs: dict[str, Any], active: tuple[int, ...]
) -> Pushforward | None:
    """How tangents of the operands ``active`` reach the outputs; None if they do not."""
    values = tuple((name, identity(value)) for name, value in attrs.items())
    key = op, types, outs, active, values, dtypes.get_default()
    if key not in _derived:
        if len(_derived) >= _DERIVED_LIMIT:
            _derived.clear()
        _derived[key] = _transposed_twice(op, types, outs, attrs, active)
    return _derived[key]


def _transposed_twice(
    op: Op, types: tuple[Any, ...], outs: tuple[Any, ...], attrs: dict[str, Any], active: tuple[int, ...]
) -> Pushforward | None:
    pullback, floats, reached = _pullback(op, types, outs, attrs, active)
    if not reached:
        return None
    known = len(pullback.inputs) - len(floats)
    transposed = grad.vjp(pullback, range(known, len(pullback.inputs)), range(len(reached)))
    with Building(f"{op.name}_jvp") as building:
        inputs = [building.add(v.type) for v in transposed.inputs[:known]]
        # The vjp is linear in the cotangents: its derivative is the same wherever it is taken.
        cotangents = [zeros(outs[i]) for i in floats]
        tangents = [building.add(v.type) for v in transposed.inputs[known + len(floats) :]]
        graph = building.finish(evaluate(transposed, [*inputs, *cotangents, *tangents]))
    for change in (simplify, cse, dce):
        change(graph)
    return Pushforward(graph, reached, floats)


def _pullback(
    op: Op, types: tuple[Any, ...], outs: tuple[Any, ...], attrs: dict[str, Any], active: tuple[int, ...]
) -> tuple[Graph, list[int], list[int]]:
    """``(*operands, *outs, *cotangents) -> cotangents`` of the operands reached; and which outputs are floats."""
    rule = op.rules.get("vjp")
    if rule is None:
        raise AutogradError(f"{op.name} has no gradient", hint="detach() its operand if none is needed")
    floats = [i for i, t in enumerate(outs) if is_float(t)]
    with Building(f"{op.name}_vjp") as building:
        operands = [None if t is None else building.add(t) for t in types]
        results = [building.add(t) for t in outs]
        given = {i: building.add(outs[i]) for i in floats}
        g: Any = tuple(given.get(i) for i in range(len(outs)))
        out: Any = tuple(results)
        single = len(outs) == 1
        result = rule(g[0] if single else g, out[0] if single else out, *op.group(operands), **attrs)
        flat = op.cotangents(result, [i in active for i in range(len(types))])
        reached = [i for i in active if flat[i] is not None]
        return building.finish([flat[i] for i in reached]), floats, reached


# -- graphs ------------------------------------------------------------------------------------------------------
def jvp(graph: Graph, wrt: Sequence[int], outputs: Sequence[int]) -> Graph:
    """``(*inputs, *tangents of the inputs wrt) -> (*outputs, *tangents of outputs)``; both arguments are positions.

    An output that depends on none of ``wrt`` gets zeros; only tensors of floating-point or complex numbers have
    tangents.
    """
    with graph.assumed(), Building(f"{graph.name}_jvp") as building:
        names = [*graph.input_names, *[""] * (len(graph.inputs) - len(graph.input_names))]
        primals = [building.add(v.type, name) for v, name in zip(graph.inputs, names)]
        tangents = {i: building.add(graph.inputs[i].type) for i in wrt}
        found = run(graph, Forward(), [Dual(p, tangents.get(i)) for i, p in enumerate(primals)])
        pushed = [zeros(found[o].type) if found[o].tangent is None else found[o].tangent for o in outputs]
        result = building.finish([*(d.primal for d in found), *pushed])
    dce(result)
    result.take_facts(graph)
    return result
