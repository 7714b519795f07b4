"""Op calls as compiled programs: one for each op, attributes, dtypes and pattern of sizes.

The call is a graph of one node, whose sizes are symbols: equal sizes are one symbol, and those below `SMALLEST` stay.
So a kernel serves all sizes that follow the same pattern, unless the op's body has asked about them: then it serves
those of which it would be told the same.  The graph is called like that of a jitted function:
where gradients are wanted, forward keeps residuals, and the gradient is a program, too.

A call that wants none, of types that were seen before, is served by a `_Plan`, which knows all sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jitorch import allocator, config, dims, dtypes
from jitorch.backends import registry
from jitorch.backends.base import Unavailable
from jitorch.backends.kernels import ProgramExecutable
from jitorch.builder import infer
from jitorch.compiler import Compiled
from jitorch.dims import Dim, Facts, Guard
from jitorch.errors import JitorchError
from jitorch.frontend.eager.differentiable import GraphFunction
from jitorch.frontend.eager.interpreter import type_of
from jitorch.frontend.eager.steps import types_of, wants_gradient
from jitorch.ir.graph import Graph, Node, Value, identity
from jitorch.ir.op import PRIMITIVE, Op
from jitorch.ir.types import TensorType
from jitorch.ops.structure import broadcast_to, copy, transpose_axes
from jitorch.passes.decompose import decompose
from jitorch.passes.jvp import is_float
from jitorch.tensor import Tensor

BACKEND = "cpu"
_LOWERINGS = frozenset({"scalar", "pull", "reduce", "scan", "scatter"})
_RECIPES = frozenset({"argsort_axis", "top_axis", "nth_axis", "search_sorted", "positions"})
"""Of what a kernel may be made; matrix products and the like are NumPy's, whose BLAS needs no sizes to be known."""

SMALLEST = 5
"""A size from which on it is a symbol: 1 broadcasts, and of 2 to 4 is what an element has, such as coordinates, and how
far apart in memory neighbours of it are."""

_kernels: dict[tuple[Any, ...], Kernel] = {}
_KERNELS_LIMIT = 4096

_asking: dict[tuple[Op, tuple[Any, ...]], int] = {}
_ASKING_LIMIT = 8
"""Kernels of one op and pattern that rely on answers about its sizes, of whatever attributes, which may be sizes that
follow from those of the operands.  What more would be needed for is left to NumPy."""


@dataclass
class Kernel:
    """What runs the calls of one pattern, of sizes of which ``facts`` are true: ``function``, or NumPy if that is None.

    Where there are facts, ``others`` are for other sizes, and ``chosen`` holds what was found for some.
    """

    function: GraphFunction | None
    facts: tuple[Guard, ...] = ()
    others: list[Kernel] = field(default_factory=list)
    chosen: dict[tuple[int, ...], GraphFunction | None] = field(default_factory=dict)

    def serves(self, sizes: Sequence[int]) -> bool:
        """Whether it is for ``sizes``, those of each symbol in order."""
        named = {f"s{number}": size for number, size in enumerate(sizes)}
        return all(fact.holds(named) for fact in self.facts)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What runs a call of types that are known: the program, its sizes, and the types of its results."""

    program: ProgramExecutable
    sizes: Mapping[str, int]
    results: tuple[TensorType, ...]

    def run(self, operands: Sequence[Any]) -> Any:
        values = [x._array if isinstance(x, Tensor) else x for x in operands if x is not None]
        outputs = [allocator.empty(t.shape, t.dtype.numpy) for t in self.results]  # type: ignore[arg-type]
        self.program.run(values, outputs, self.sizes)
        made = tuple(map(Tensor._of, outputs, self.results))
        return made[0] if len(made) == 1 else made


_plans: dict[tuple[Any, ...], _Plan] = {}


def call(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """The result of ``op`` by its kernel, or NotImplemented where it has none."""
    if not config.current().native:
        return NotImplemented
    attributes = dtypes.get_default(), *[(name, identity(value)) for name, value in attrs.items()]
    types = None if wants_gradient(operands) else types_of(operands)
    if types is not None:
        plan = _plans.get((op, types, attributes))
        if plan is not None:
            return plan.run(operands)
    pattern = _pattern(operands)
    if pattern is None:
        return NotImplemented
    key = op, pattern, attributes
    try:
        kernel = _kernels[key]
    except KeyError:
        if len(_kernels) >= _KERNELS_LIMIT:
            _kernels.clear()
            _asking.clear()
        kernel = _kernels[key] = _made(op, pattern, operands, attrs)
    function = _chosen(kernel, op, pattern, operands, attrs) if kernel.facts else kernel.function
    if function is None:
        return NotImplemented
    inputs = [_as_stored(x) for x in operands if x is not None]
    results = function(inputs)
    if types is not None:
        _plan((op, types, attributes), function.plain, inputs)
    return results[0] if len(results) == 1 else tuple(results)


def _plan(key: tuple[Any, ...], compiled: Compiled, inputs: Sequence[Any]) -> None:
    """Keep what later calls of these types need, if the program is one that takes its inputs and nothing else."""
    program = compiled.executable
    types = [v.type for v in compiled.returned]
    is_plain = isinstance(program, ProgramExecutable) and not compiled.constants and not compiled.graph.writes
    if not is_plain or not all(isinstance(t, TensorType) for t in types):
        return
    sizes = compiled.sizes([x._array if isinstance(x, Tensor) else x for x in inputs])
    results = tuple(t.with_shape(tuple(dims.evaluate(d, sizes) for d in t.shape)) for t in types)  # type: ignore[union-attr]
    if len(_plans) >= _KERNELS_LIMIT:
        _plans.clear()
    _plans[key] = _Plan(program.for_sizes(sizes), sizes, results)  # type: ignore[union-attr]


def _chosen(
    first: Kernel, op: Op, pattern: tuple[Any, ...], operands: Sequence[Any], attrs: dict[str, Any]
) -> GraphFunction | None:
    """What runs a call of a pattern whose sizes were asked about; made if these are answered in a new way.

    Nothing where there is a gradient, whose body may ask more: each part of the op has one of its own.
    """
    if wants_gradient(operands):
        return None
    sizes = tuple(dict.fromkeys(n for x in operands if isinstance(x, Tensor) for n in x._array.shape if n >= SMALLEST))  # type: ignore[union-attr]
    if sizes in first.chosen:
        return first.chosen[sizes]
    found = next((kernel for kernel in (first, *first.others) if kernel.serves(sizes)), None)
    if found is None:
        found = _made(op, pattern, operands, attrs)
        first.others.append(found)
    if len(first.chosen) >= _KERNELS_LIMIT:
        first.chosen.clear()
    first.chosen[sizes] = found.function
    return found.function


def _pattern(operands: Sequence[Any]) -> tuple[Any, ...] | None:
    """What a kernel depends on: the types, with the number of its first appearance in the place of each size.

    None if a tensor has gaps, or no data.  One that is not laid out row by row, for its elements are repeated along
    axes or its axes lie in another order, has the sizes and the order of what lies in memory, too, unless there is a
    gradient: a later change must be found out.
    """
    numbers: dict[int, int] = {}
    is_recorded = wants_gradient(operands)
    pattern: list[Any] = []
    for x in operands:
        if not isinstance(x, Tensor):
            pattern.append(type(x))
            continue
        array = x._array
        if type(array) is not np.ndarray or not array.flags.aligned:
            return None
        sizes = tuple([n if n < SMALLEST else -numbers.setdefault(n, len(numbers) + 1) for n in array.shape])
        if array.flags.c_contiguous:
            pattern.append((x._type.dtype, sizes))
            continue
        stored, order = _stored(array)
        if is_recorded or not stored.flags.c_contiguous:
            return None
        pattern.append((x._type.dtype, sizes, tuple([n if n < SMALLEST else -numbers[n] for n in stored.shape]), order))
    return tuple(pattern)


def _made(op: Op, pattern: tuple[Any, ...], operands: Sequence[Any], attrs: dict[str, Any]) -> Kernel:
    """The kernel of a call; one without a function if it is better run by NumPy."""
    if op.is_view or isinstance(registry.get(BACKEND).probe(), Unavailable):
        return Kernel(None)
    if op.kind == PRIMITIVE and not _is_loop(op):
        return Kernel(None)
    graph = Graph(op.name)
    symbols: dict[int, Dim] = {}
    inputs: list[Value | None] = []
    is_turned = False
    for x in operands:
        type_ = type_of(x)
        if not isinstance(type_, TensorType):
            inputs.append(None if type_ is None else graph.add_input(type_))
            continue
        sizes = tuple(_size(n, symbols) for n in type_.shape)
        stored, order = _stored(x._array)
        value = graph.add_input(type_.with_shape(tuple(_size(n, symbols) for n in stored.shape)))
        if order != tuple(range(len(order))):
            is_turned = True
            value = _append(graph, transpose_axes, value, {"perm": tuple(map(order.index, range(len(order))))})
        if value.type.shape != sizes:  # type: ignore[union-attr]
            value = _append(graph, broadcast_to, value, {"shape": sizes})
        inputs.append(value)
    if not _binds_sizes(graph):
        return Kernel(None)
    with Facts() as facts:
        try:
            types = infer(op, [None if v is None else v.type for v in inputs], attrs)
            graph.outputs = list(graph.append(op, inputs, attrs, types).outputs)
            whole = graph.copy()
            decompose(whole)
        except JitorchError:
            return Kernel(None, facts.guards)  # NumPy's way says what is wrong, in the sizes at hand.
    if not _is_kernel(whole) or (is_turned and not all(map(_may_be_turned, whole.nodes))):
        return Kernel(None, facts.guards)
    if facts.guards:
        count = _asking[op, pattern] = _asking.get((op, pattern), 0) + 1
        if count > _ASKING_LIMIT:
            return Kernel(None)
    graph.facts = facts.guards
    differentiable = [i for i, v in enumerate(graph.outputs) if is_float(v.type)]
    return Kernel(GraphFunction(graph, differentiable, BACKEND, name=op.name), facts.guards)


def _stored(array: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], tuple[int, ...]]:
    """What lies in memory: one of the elements that are repeated along each axis, and the axes in their order there.

    The order has the number of the axis of ``array`` for each axis of the first.
    """
    if array.flags.c_contiguous:
        return array, tuple(range(array.ndim))
    once = array[
        tuple(slice(0, 1) if n > 1 and step == 0 else slice(None) for n, step in zip(array.shape, array.strides))
    ]
    wide = [axis for axis in range(once.ndim) if once.shape[axis] > 1]
    order = list(range(once.ndim))
    for place, axis in zip(wide, sorted(wide, key=lambda axis: -once.strides[axis])):
        order[place] = axis
    return once.transpose(order), tuple(order)


def _as_stored(x: Any) -> Any:
    """An operand as it lies in memory, of no history."""
    if not isinstance(x, Tensor) or x._array is None or x._array.flags.c_contiguous:
        return x
    return Tensor._from_array(_stored(x._array)[0])


def _append(graph: Graph, op: Op, value: Value, attrs: dict[str, Any]) -> Value:
    return graph.append(op, [value], attrs, infer(op, [value.type], attrs)).outputs[0]


def _binds_sizes(graph: Graph) -> bool:
    """Whether each size is one of an input: not where all operands are repeated."""
    bound = {s for v in graph.inputs if isinstance(v.type, TensorType) for d in v.type.shape for s in dims.symbols(d)}
    spread = {s for node in graph.nodes for d in node.attrs.get("shape", ()) for s in dims.symbols(d)}
    return spread <= bound


def _size(n: Dim, symbols: dict[int, Dim]) -> Dim:
    if not isinstance(n, int) or n < SMALLEST:
        return n
    return symbols.setdefault(n, dims.symbol(f"s{len(symbols)}", SMALLEST, None, n))


def _is_loop(op: Op) -> bool:
    """Whether a primitive compiles to loops that are as good for sizes that are symbols."""
    return op.lowering in _LOWERINGS or op.name in _RECIPES


def _is_kernel(graph: Graph) -> bool:
    """Whether primitives that compile to loops are all there is, and no result is a view of an operand."""
    if not all(_is_loop(node.op) for node in graph.nodes):
        return False
    return all(isinstance(v.type, TensorType) and not _is_view(v) for v in graph.outputs)


def _may_be_turned(node: Node) -> bool:
    """Whether operands whose axes lie in another order than theirs may be read: it copies them, or folds an axis.

    Other results keep that order, as NumPy's and PyTorch's do, while kernels write row by row.
    """
    return node.op.is_view or node.op.lowering == "reduce" or node.op is copy


def _is_view(value: Value) -> bool:
    while value.node is not None and value.node.op.is_view:
        value = value.node.operands[0]
    return value.node is None
