"""Reverse-mode differentiation as a graph transform.

The same vjp rules as the tape's; a composite without one is differentiated through its body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch import dtypes
from jitorch.builder import GraphBuilder
from jitorch.errors import AutogradError
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.ops.create import constant
from jitorch.ops.structure import broadcast_to
from jitorch.passes.clean import dce
from jitorch.passes.control import is_control, strip_checks
from jitorch.passes.decompose import decompose


def _zeros(type_: TensorType) -> Any:
    return broadcast_to(constant(value=0, dtype=type_.dtype), shape=type_.shape)


def vjp(graph: Graph, wrt: Sequence[int], outputs: Sequence[int]) -> Graph:
    """``(*inputs, *cotangents of outputs) -> cotangents of the inputs wrt``.

    ``wrt`` and ``outputs`` are positions; an input that no output depends on gets zeros.
    """
    with graph.assumed():
        result = _vjp(graph, wrt, outputs)
    dce(result)
    result.take_facts(graph)
    return result


def _vjp(graph: Graph, wrt: Sequence[int], outputs: Sequence[int]) -> Graph:
    source, _ = graph.copy_with_values()
    source.outputs = [source.outputs[o] for o in outputs]
    source.writes = ()
    strip_checks(source)
    decompose(source, keep=lambda node: "vjp" in node.op.rules)
    dce(source)
    result = Graph(f"{graph.name}_vjp")
    builder = GraphBuilder(result)
    mapping: dict[Value, Value] = {}
    for value, name in zip(source.inputs, source.input_names + [""] * len(source.inputs)):
        mapping[value] = result.add_input(value.type, name)
    result.paste(source, mapping)
    cotangents: dict[Value, Any] = {}
    token = dispatch.set_grad_enabled_flag(False)
    try:
        with dispatch.interpreting(builder):
            for value in source.outputs:
                g = builder.wrap(result.add_input(value.type))
                cotangents[value] = cotangents[value] + g if value in cotangents else g
            active = _active(source, wrt)
            for node in reversed(source.nodes):
                _propagate(node, mapping, cotangents, active, builder)
            inputs = [source.inputs[i] for i in wrt]
            found = [cotangents.get(v) for v in inputs]
            result.outputs = [
                builder.value(_zeros(v.type) if g is None else g)  # type: ignore[arg-type]
                for v, g in zip(inputs, found)
            ]
    finally:
        dispatch.reset_grad_enabled(token)
    return result


def _active(graph: Graph, wrt: Sequence[int]) -> set[Value]:
    """The values that depend on the inputs ``wrt``."""
    active = {graph.inputs[i] for i in wrt}
    for node in graph.nodes:
        if any(v in active for v in node.operands):
            active.update(node.outputs)
    return active


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.category >= dtypes.Category.FLOAT


def _propagate(
    node: Node, mapping: dict[Value, Value], cotangents: dict[Value, Any], active: set[Value], builder: GraphBuilder
) -> None:
    given = [cotangents.get(v) for v in node.outputs]
    if all(g is None for g in given) or not any(v in active and _is_float(v) for v in node.operands):
        return
    rule = node.op.rules.get("vjp")
    if rule is None:
        raise AutogradError(f"{node.op.name} has no gradient", hint="detach() its operand if none is needed")
    outs = tuple(builder.wrap(mapping[v]) for v in node.outputs)
    grads = tuple(
        _zeros(v.type) if g is None and _is_float(v) and not is_control(node) else g  # type: ignore[arg-type]
        for v, g in zip(node.outputs, given)
    )
    operands = [None if v is None else builder.wrap(mapping[v]) for v in node.inputs]
    single = len(node.outputs) == 1
    result = rule(grads[0] if single else grads, outs[0] if single else outs, *node.op.group(operands), **node.attrs)
    wanted = [value is not None and value in active and _is_float(value) for value in node.inputs]
    for value, g in zip(node.inputs, node.op.cotangents(result, wanted)):
        if g is None or value is None:
            continue
        cotangents[value] = cotangents[value] + g if value in cotangents else g
