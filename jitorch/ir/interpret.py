"""The NumPy interpreter: what a graph means.

Every node is run by its op's ``numpy`` rule; a composite without one is run through its body's
graph, which the caller supplies by ``expand``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitorch.errors import CompilerBug
from jitorch.ir.graph import Graph, Node
from jitorch.ir.types import ScalarType, TensorType, Type

Expand = Callable[[Node], Graph]


def interpret(graph: Graph, inputs: Sequence[Any], expand: Expand | None = None) -> list[Any]:
    """Run ``graph`` on arrays (Python numbers for scalar types); returns its outputs."""
    if len(inputs) != len(graph.inputs):
        raise CompilerBug(f"graph {graph.name} takes {len(graph.inputs)} inputs, got {len(inputs)}")
    environment: dict[Any, Any] = dict(zip(graph.inputs, inputs))
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            operands = [None if v is None else environment[v] for v in node.inputs]
            environment.update(zip(node.outputs, run_node(node, operands, expand)))
    return [environment[v] for v in graph.outputs]


def run_node(node: Node, operands: list[Any], expand: Expand | None) -> Sequence[Any]:
    """The outputs of one node for these operands."""
    rule = node.op.rules.get("numpy")
    if rule is None:
        if expand is None:
            raise CompilerBug(f"op {node.op.name} has no numpy rule", ir=node)
        return interpret(expand(node), [v for v in operands if v is not None], expand)
    result = rule(*node.op.group(operands), **node.attrs)
    results = result if isinstance(result, tuple) else (result,)
    return [as_type(r, v.type) for r, v in zip(results, node.outputs, strict=True)]


def as_type(result: Any, type: Type) -> Any:
    """An array of exactly ``type``'s dtype, or a Python number."""
    if isinstance(type, TensorType):
        return np.asarray(result, type.dtype.numpy)
    if isinstance(type, ScalarType) and result is not None and not isinstance(result, str):
        return np.asarray(result, type.dtype.numpy).item()
    return result
