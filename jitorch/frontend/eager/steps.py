"""Calls on small tensors as the NumPy calls that they come to.

A composite runs op by op: each op binds its arguments, promotes, infers its type and makes a tensor, which takes ten
times as long as NumPy does for some thousand elements.  Once a call was repeated with the same op, attributes and exact
types, its graph is made and decomposed, and from then on its primitives run one after the other on arrays, by the same
NumPy rules: the results are the same, bit for bit.  What NumPy broadcasts by itself is not broadcast before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from jitorch import dtypes
from jitorch.errors import JitorchError
from jitorch.frontend.eager.interpreter import quieten, restore, type_of
from jitorch.ir.graph import Graph, Node, Value, identity
from jitorch.ir.interpret import as_type
from jitorch.ir.op import Op
from jitorch.ir.types import ScalarType, TensorType
from jitorch.ops import dispatch
from jitorch.tensor import Tensor

REPEATED = 16
"""Calls after which the steps are made: to make them takes about as long as so many calls without."""

_LIMIT = 4096
_LOWERINGS = frozenset({"scalar", "pull", "reduce", "scan", "scatter", "recipe"})
"""Of primitives that give values of their operands and do nothing else."""

_CONSTANTS = frozenset({"constant", "number"})

_calls: dict[tuple[Any, ...], _Call] = {}


class _Step(NamedTuple):
    """One NumPy call: the next value is ``rule(*values[places], **attrs)``, of ``type`` and its ``dtype``."""

    rule: Callable[..., Any]
    places: tuple[int, ...]
    attrs: dict[str, Any]
    type: TensorType | ScalarType
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class _Steps:
    """A call as NumPy calls.  Values are numbered: operands, then ``constants``, then the results of the steps."""

    constants: tuple[Any, ...]
    steps: tuple[_Step, ...]
    results: tuple[int, ...]
    types: tuple[TensorType, ...]

    def run(self, operands: Sequence[Any]) -> Any:
        given = (*[x._array if isinstance(x, Tensor) else x for x in operands if x is not None], *self.constants)
        values: list[Any] = [*given]
        token = quieten()
        try:
            for rule, places, attrs, type_, dtype in self.steps:
                made = rule(*[values[i] for i in places], **attrs)
                values.append(made if type(made) is np.ndarray and made.dtype is dtype else as_type(made, type_))
        finally:
            restore(token)
        tensors = tuple([Tensor._of(_owned(values[i], given), type_) for i, type_ in zip(self.results, self.types)])
        return tensors[0] if len(tensors) == 1 else tensors


@dataclass(slots=True)
class _Call:
    """How often a call was made, and its steps, None if it has none or was not made often enough."""

    times: int = 0
    steps: _Steps | None = None


def call(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """The result of ``op``, which is not recorded here, or NotImplemented where there are no steps for it."""
    types = types_of(operands)
    if types is None:
        return NotImplemented
    key = op, types, dtypes.get_default(), *[(name, identity(value)) for name, value in attrs.items()]
    try:
        found = _calls[key]
    except KeyError:
        if len(_calls) >= _LIMIT:
            _calls.clear()
        found = _calls[key] = _Call()
    if found.steps is not None:
        return found.steps.run(operands)
    found.times += 1
    if found.times == REPEATED:
        found.steps = _made(op, operands, attrs)
    return NotImplemented


def wants_gradient(operands: Sequence[Any]) -> bool:
    """Whether a call on ``operands`` is to be recorded."""
    return dispatch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in operands)


def types_of(operands: Sequence[Any]) -> tuple[Any, ...] | None:
    """The types of a call, None if a tensor is not plain and row by row."""
    found: list[Any] = []
    for x in operands:
        if not isinstance(x, Tensor):
            found.append(type(x))
            continue
        array = x._array
        if not is_in_order(array):
            return None
        found.append((x._type.dtype, array.shape))  # type: ignore[union-attr]
    return tuple(found)


def is_in_order(array: Any) -> bool:
    """Whether a program may read ``array`` as it is: row by row."""
    return type(array) is np.ndarray and array.flags.c_contiguous and array.flags.aligned


def _owned(array: np.ndarray[Any, Any], given: Sequence[Any]) -> np.ndarray[Any, Any]:
    """A result in memory that is not that of ``given``: a rule may give its operand, or a part of it."""
    if array.flags.owndata and not any(array is x for x in given):
        return array
    return array.copy() if any(np.may_share_memory(array, x) for x in given if type(x) is np.ndarray) else array


def _made(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> _Steps | None:
    """The steps of a call; None if it is more than values made of values, or asks for data."""
    graph = _graph(op, operands, attrs)
    if graph is None or not all(map(_is_plain, graph.nodes)):
        return None
    outputs = graph.outputs
    if len(set(outputs)) < len(outputs) or not all(map(_is_new, outputs)):
        return None
    constants = [node for node in graph.nodes if node.op.name in _CONSTANTS]
    places = {v: i for i, v in enumerate((*graph.inputs, *(node.output for node in constants)))}
    steps: list[_Step] = []
    for node in graph.nodes:
        if node.op.name in _CONSTANTS:
            continue
        result = node.output
        if _is_left_out(result, outputs):
            places[result] = places[node.operands[0]]
            continue
        places[result] = len(graph.inputs) + len(constants) + len(steps)
        rule = node.op.rules["numpy"] if node.op.variadic is None else partial(_grouped, node.op)
        type_: Any = result.type
        steps.append(_Step(rule, tuple(places[v] for v in node.operands), node.attrs, type_, type_.dtype.numpy))
    values = tuple(node.op.rules["numpy"](**node.attrs) for node in constants)
    return _Steps(values, tuple(steps), tuple(places[v] for v in outputs), tuple(v.type for v in outputs))  # type: ignore[misc]


def _graph(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Graph | None:
    """The primitives of a call, or None where its body cannot be a graph."""
    # Loaded when the first call is repeated often enough: an import does not pay for it.
    builder = import_module("jitorch.builder")
    decompose = import_module("jitorch.passes.decompose").decompose
    clean = import_module("jitorch.passes.clean")
    graph = Graph(op.name)
    try:
        inputs = [None if (type_ := type_of(x)) is None else graph.add_input(type_) for x in operands]
        types = builder.infer(op, [None if v is None else v.type for v in inputs], attrs)
        graph.outputs = list(graph.append(op, inputs, attrs, types).outputs)
        decompose(graph)
    except JitorchError:
        return None
    clean.dce(graph)
    return graph


def _grouped(op: Op, *operands: Any, **attrs: Any) -> Any:
    return op.rules["numpy"](*op.group(operands), **attrs)


def _is_plain(node: Node) -> bool:
    """Whether a node is a constant, or one NumPy call for one number, or one array of known shape."""
    if node.op.name in _CONSTANTS:
        return True
    (result, *others) = node.outputs
    if others or node.op.lowering not in _LOWERINGS or "numpy" not in node.op.rules or None in node.inputs:
        return False
    if isinstance(result.type, TensorType):
        return all(type(n) is int for n in result.type.shape)
    return isinstance(result.type, ScalarType)


def _is_new(output: Value) -> bool:
    """Whether it is neither an operand nor a part of one, nor a constant, and lies row by row."""
    node = output.node
    while node is not None and node.op.name == "reshape_to":
        node = node.operands[0].node
    is_tensor = isinstance(output.type, TensorType)
    return is_tensor and node is not None and not node.op.is_view and node.op.name not in _CONSTANTS


def _is_left_out(value: Value, outputs: Sequence[Value]) -> bool:
    """Whether NumPy makes ``value`` of its operand anyway: those that read it are functions of NumPy's, with another
    operand of the whole shape.
    """
    return (
        _is_broadcast(value)
        and value not in outputs
        and all(
            isinstance(node.op.rules["numpy"], np.ufunc)
            and any(v.type.shape == value.type.shape and not _is_broadcast(v) for v in node.operands)  # type: ignore[union-attr]
            for node in value.users
        )
    )


def _is_broadcast(value: Value) -> bool:
    return value.node is not None and value.node.op.name == "broadcast_to"
