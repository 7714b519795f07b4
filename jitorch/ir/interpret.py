"""The NumPy interpreter: what a graph means.

Every node is run by its op's ``numpy`` rule; a composite without one is run through its body's
graph, which the caller supplies by ``expand``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.dims import SymDim
from jitorch.errors import CompilerBug
from jitorch.ir.graph import Graph, Node, map_attribute
from jitorch.ir.types import ScalarType, TensorType, Type

Expand = Callable[[Node], Graph]


def interpret(
    graph: Graph, inputs: Sequence[Any], expand: Expand | None = None, sizes: Mapping[str, int] = MappingProxyType({})
) -> list[Any]:
    """Run ``graph`` on arrays (Python numbers for scalar types); returns its outputs.

    ``sizes`` has those of symbols that are known; those that results have, such as the ones that nodes bind, are added.
    """
    if len(inputs) != len(graph.inputs):
        raise CompilerBug(f"graph {graph.name} takes {len(graph.inputs)} inputs, got {len(inputs)}")
    environment: dict[Any, Any] = dict(zip(graph.inputs, inputs))
    known = dict(sizes)
    with np.errstate(all="ignore"), graph.assumed():
        for node in graph.nodes:
            operands = [None if v is None else environment[v] for v in node.inputs]
            results = run_node(node, operands, expand, known)
            environment.update(zip(node.outputs, results))
            for value, result in zip(node.outputs, results):
                learn(value.type, result, known)
    return [environment[v] for v in graph.outputs]


def run_node(
    node: Node, operands: list[Any], expand: Expand | None, sizes: Mapping[str, int] = MappingProxyType({})
) -> Sequence[Any]:
    """The outputs of one node for these operands."""
    rule = node.op.rules.get("numpy")
    if rule is None:
        if expand is None:
            raise CompilerBug(f"op {node.op.name} has no numpy rule", ir=node)
        return interpret(expand(node), [v for v in operands if v is not None], expand, sizes)
    attrs = {name: _with_sizes(a, sizes) for name, a in node.attrs.items()} if sizes else node.attrs
    result = rule(*node.op.group(operands), **attrs)
    results = result if isinstance(result, tuple) else (result,)
    return [as_type(r, v.type) for r, v in zip(results, node.outputs, strict=True)]


def _with_sizes(attribute: Any, sizes: Mapping[str, int]) -> Any:
    """An attribute with numbers for the sizes that are known."""
    owned = attribute.copy() if isinstance(attribute, Graph) else attribute
    return map_attribute(owned, lambda d: dims.substitute(d, sizes))


def learn(type_: Type, result: Any, sizes: dict[str, int]) -> None:
    """Note the sizes of axes whose size is one symbol."""
    for d, n in zip(type_.shape, result.shape) if isinstance(type_, TensorType) else ():
        if isinstance(d, SymDim) and dims.symbols(d)[0].dim == d:
            sizes[str(d)] = n


def as_type(result: Any, type: Type) -> Any:
    """An array of exactly ``type``'s dtype, or a Python number."""
    if isinstance(type, TensorType):
        return np.asarray(result, type.dtype.numpy)
    if isinstance(type, ScalarType) and result is not None and not isinstance(result, str):
        return np.asarray(result, type.dtype.numpy).item()
    return result
