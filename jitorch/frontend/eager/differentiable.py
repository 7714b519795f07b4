"""A graph as a differentiable function of tensors.

Called with gradients wanted, it runs a forward program that also gives the residuals, and its
gradient is a second program over residuals and cotangents.  Under ``create_graph`` the gradient is
the graph ``vjp(f)(inputs, g)``, called in this same way: so any order works.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from jitorch.compiler import Compiled, compile_graph
from jitorch.dims import SymDim
from jitorch.errors import AutogradError
from jitorch.frontend.eager.interpreter import stale_error
from jitorch.frontend.eager.levels import Level, current_level
from jitorch.frontend.eager.tape import GradNode
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.sizes import carriers
from jitorch.ir.types import EFFECT, EffectType, ScalarType, TensorType
from jitorch.ops import OPS, dispatch
from jitorch.ops.control import has_effect
from jitorch.ops.registry import Op
from jitorch.passes import grad
from jitorch.passes.clean import cse, dce
from jitorch.passes.control import bound_sizes, has_size
from jitorch.passes.decompose import decompose
from jitorch.passes.jvp import is_float
from jitorch.passes.merge_loops import merge_loops
from jitorch.passes.pipeline import run as run_passes
from jitorch.passes.simplify import simplify
from jitorch.tensor import Tensor


def _jitted(tensors: Sequence[Tensor]) -> Any:
    """A call of a compiled function."""


JITTED = Op("jitted", "primitive", _jitted, None)


@dataclass(frozen=True)
class Pair:
    """Forward and backward compiled apart.  ``residuals`` is how many extra outputs forward has;
    each entry of ``sources`` is an input of backward: ("input", i), ("size", i) (an input that only its sizes are
    asked of), ("residual", i) or ("grad", i)."""

    forward: Compiled
    backward: Compiled
    sources: list[tuple[str, int]]
    wrt: list[int]


class Programs(Protocol):
    """Programs that another process compiled for one graph."""

    def graph(self) -> Graph:
        """The graph itself, with its nodes."""
        ...

    def plain(self) -> Compiled | None:
        """The program without gradients, if it is there."""
        ...

    def pair(self, wrt: tuple[int, ...]) -> Pair | None:
        """The programs with gradients for these inputs, if they are there."""
        ...


class GraphFunction:
    """A graph as a function; ``differentiable`` are the outputs that have a gradient.

    ``signature`` is the graph, or has its types alone where ``kept`` knows the rest.  ``name`` is what
    the history of a result calls it.  ``constants``: frozen tensors that are these inputs in every call.
    """

    def __init__(
        self,
        signature: Graph,
        differentiable: Sequence[int],
        backend: str | None = None,
        kept: Programs | None = None,
        name: str | None = None,
        constants: Mapping[int, Tensor] | None = None,
    ):
        self.signature, self.backend, self.kept = signature, backend, kept
        self.constants = constants or {}
        self._op = JITTED if name is None else Op(name, "primitive", _jitted, None)
        self.differentiable = list(differentiable)
        self._pairs: dict[tuple[int, ...], Pair] = {}
        self._derivatives: dict[tuple[int, ...], GraphFunction] = {}
        self._transformed: dict[Any, GraphFunction] = {}
        self._types = _fixed_types(signature)
        self._runs_natively: tuple[int, bool] = (0, True)

    @cached_property
    def graph(self) -> Graph:
        """The graph with its nodes."""
        return self.signature if self.kept is None else self.kept.graph()

    @cached_property
    def plain(self) -> Compiled:
        """The program without gradients."""
        kept = None if self.kept is None else self.kept.plain()
        if kept is not None:
            return kept
        arrays = {i: x._array for i, x in self.constants.items() if x._array is not None}
        return compile_graph(self.graph, self.backend, constants=arrays)

    @property
    def compiled(self) -> list[Compiled]:
        """The programs made so far."""
        found = [self.__dict__["plain"]] if "plain" in self.__dict__ else []
        for pair in self._pairs.values():
            found += [pair.forward, pair.backward]
        return found

    @property
    def is_native(self) -> bool:
        """Whether all of it runs as compiled code: no region is left to the NumPy interpreter."""
        made = len(self._pairs) + ("plain" in self.__dict__)
        if self._runs_natively[0] != made:
            programs = self.compiled
            native = all(s.artifact.backend != "reference" for c in programs for s in c.steps)
            self._runs_natively = made, native
        return self._runs_natively[1]

    # -- running ---------------------------------------------------------------------------------
    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """Run on tensors and numbers; gives tensors and numbers for the outputs that are no write-back."""
        wrt = tuple(self.wanted(inputs))
        level = current_level()
        if level is not None:
            outputs = self._by_level(level, inputs)
            if wrt:
                self._record(wrt, [x for x in inputs if isinstance(x, Tensor)], inputs, outputs)
            return outputs
        if not wrt:
            return self._wrap(run_arrays(self.plain, inputs))
        pair = self._pair(wrt)
        results = run_arrays(pair.forward, inputs)
        count = len(self.signature.outputs) - len(self.signature.writes)
        outputs, residuals = self._wrap(results[:count]), results[count:]

        def backward(cotangents: Sequence[Any]) -> list[Any]:
            given = {"input": inputs, "size": inputs, "residual": residuals, "grad": cotangents}
            values = [given[kind][i] for kind, i in pair.sources]
            return [Tensor._from_array(r) for r in run_arrays(pair.backward, values)]

        needed = [inputs[i] for kind, i in pair.sources if kind == "input" and isinstance(inputs[i], Tensor)]
        self._record(wrt, needed, inputs, outputs, backward)
        return outputs

    def on_arrays(self, wrt: tuple[int, ...]) -> Callable[[Sequence[Any]], object]:
        """What a call with gradients for the inputs ``wrt`` runs, backward with ones included, on arrays.

        Compiles it; nothing is recorded.
        """
        if not wrt:
            plain = self.plain
            return lambda arrays: run_arrays(plain, arrays)
        pair = self._pair(wrt)
        count = len(self.signature.outputs) - len(self.signature.writes)

        def run(arrays: Sequence[Any]) -> None:
            results = run_arrays(pair.forward, arrays)
            ones = [np.ones_like(results[o]) for o in self.differentiable]
            given = {"input": arrays, "size": arrays, "residual": results[count:], "grad": ones}
            run_arrays(pair.backward, [given[kind][i] for kind, i in pair.sources])

        return run

    def _by_level(self, level: Level, inputs: Sequence[Any]) -> list[Any]:
        """Run the graph as the level transforms it."""
        values = [level.lift(x) for x in inputs]
        key, transformed = level.transformed(self.graph, values)
        found = self._transformed.get(key)
        if found is None:
            graph = transformed()
            graph.writes = ()
            differentiable = [i for i, v in enumerate(graph.outputs) if is_float(v.type)]
            found = self._transformed[key] = GraphFunction(graph, differentiable, self.backend)
        results = level.call_transformed(found, values, [v.type for v in self.graph.outputs])
        for i, o in self.graph.writes:
            inputs[i]._replace(results[o])
        written = {o for _, o in self.graph.writes}
        return [r for o, r in enumerate(results) if o not in written]

    def wanted(self, inputs: Sequence[Any]) -> list[int]:
        """The inputs whose gradients a call with these must be able to give."""
        if not self.differentiable or not dispatch.is_grad_enabled():
            return []
        return [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]

    def _wrap(self, results: Sequence[Any]) -> list[Any]:
        if self._types is None:
            return [Tensor._from_array(r) if isinstance(r, np.ndarray) else r for r in results]
        return [r if t is None else Tensor._of(r, t) for r, t in zip(results, self._types)]

    def _record(
        self, wrt: tuple[int, ...], needed: Sequence[Tensor], inputs: Sequence[Any], outputs: Sequence[Any],
        backward: Callable[[Sequence[Any]], list[Any]] | None = None,
    ) -> None:  # fmt: skip
        """Record a call.  ``backward`` gives cotangents where nothing is recorded, by what is ``needed`` unchanged."""
        tape: Any = dispatch.current()
        tensors = [inputs[i] for i in wrt]
        made = [outputs[o] for o in self.differentiable]
        versions = [tape.version(t) for t in needed]

        def vjp(g: Any, out: Any, operands: list[Tensor]) -> Any:
            for t, version in zip(needed, versions):
                if dispatch.current().version(t) != version:
                    raise stale_error(t)
            cotangents = g if isinstance(g, tuple) else (g,)
            if backward is None or dispatch.is_grad_enabled() or current_level() is not None:
                return (self._derivative(wrt)([*inputs, *cotangents]),)
            return (backward(cotangents),)

        node = GradNode(self._op, tensors, {}, vjp, tape.inner)
        node.finish(made, tape.version)

    # -- derivatives -----------------------------------------------------------------------------
    def _derivative(self, wrt: tuple[int, ...]) -> GraphFunction:
        """``(inputs, cotangents) -> cotangents of wrt``, itself differentiable."""
        found = self._derivatives.get(wrt)
        if found is None:
            graph = grad.vjp(self.graph, wrt, self.differentiable)
            found = self._derivatives[wrt] = GraphFunction(graph, range(len(graph.outputs)), self.backend)
        return found

    def _pair(self, wrt: tuple[int, ...]) -> Pair:
        found = self._pairs.get(wrt)
        if found is None:
            kept = None if self.kept is None else self.kept.pair(wrt)
            found = split(self.graph, wrt, self.differentiable, self.backend) if kept is None else kept
            self._pairs[wrt] = found
        return found

    @property
    def pairs(self) -> list[Pair]:
        """The pairs of programs made so far."""
        return list(self._pairs.values())


def run_arrays(compiled: Compiled, inputs: Sequence[Any]) -> list[Any]:
    """Run on tensors, arrays and numbers; what a program writes reaches tensors that are not contiguous, too."""
    entered = dispatch.entered()
    arrays: list[Any] = []
    strided: list[int] = []
    for x in inputs:
        if isinstance(x, Tensor):
            # A trace refuses; without one the elements are just there.
            x = x._array if entered is None and x._array is not None else _elements(x)
        if isinstance(x, np.ndarray) and not x.flags.c_contiguous:
            strided.append(len(arrays))
        arrays.append(x)
    writes = compiled.graph.writes
    originals = [(i, arrays[i]) for i in strided if any(target == i for target, _ in writes)]
    for i in strided:
        arrays[i] = np.ascontiguousarray(arrays[i])
    results = compiled.run(arrays)
    for i, original in originals:
        np.copyto(original, arrays[i])
    for i, _ in writes:
        if isinstance(inputs[i], Tensor):
            inputs[i]._storage.version += 1
    return results


def _elements(tensor: Tensor) -> np.ndarray[Any, Any]:
    return dispatch.current().concretize(tensor, "the input of a compiled function")


def _fixed_types(graph: Graph) -> list[TensorType | None] | None:
    """The types of what ``graph`` returns, None for a number; None instead of a list if a size is a symbol."""
    written = {o for _, o in graph.writes}
    types = [v.type for o, v in enumerate(graph.outputs) if o not in written]
    if any(isinstance(d, SymDim) for t in types for d in getattr(t, "shape", ())):
        return None
    return [t if isinstance(t, TensorType) else None for t in types]


def split(graph: Graph, wrt: Sequence[int], outputs: Sequence[int], backend: str | None) -> Pair:
    """Forward with residuals, and backward from residuals: cut the joint graph where the cotangents enter."""
    joint = graph.copy()
    joint.writes = ()
    derivative = grad.vjp(graph, wrt, outputs)
    count = len(graph.inputs)
    cotangents = [joint.add_input(v.type) for v in derivative.inputs[count:]]
    inner: dict[Value, Value] = dict(zip(derivative.inputs, [*joint.inputs[:count], *cotangents]))
    joint.paste(derivative, inner)
    kept = len(joint.outputs)
    joint.outputs += [inner[v] for v in derivative.outputs]
    for held in joint.subgraphs():
        decompose(held, keep=lambda node: "vjp" in node.op.rules)
    run_passes(joint, (simplify, cse, merge_loops, dce))
    late: set[Value] = set(cotangents)
    for node in joint.nodes:
        if any(v in late for v in node.operands):
            late.update(node.outputs)
    _begin_again(joint, late)
    crossing: dict[Value, None] = {}
    for node in joint.nodes:
        if any(v in late for v in node.outputs):
            crossing.update((v, None) for v in node.operands if v not in late)
    for v in joint.outputs[kept:]:
        if v not in late:
            crossing[v] = None
    crossing = _stored(joint, crossing)
    overwritten = {joint.inputs[i] for i, _ in graph.writes}
    residuals = [v for v in crossing if v.node is not None or v in overwritten]
    # What fails, fails in forward: backward is not reached then.
    checks = {node for node in joint.nodes if has_effect(node) and not any(v in late for v in node.outputs)}
    forward = _part(joint, joint.inputs[:count], [*joint.outputs[:kept], *residuals], f"{graph.name}_forward", checks)
    # Write-backs come last among a graph's outputs; the residuals go before them.
    written = [o for _, o in graph.writes]
    order = [o for o in range(kept) if o not in written]
    forward.outputs = [
        *(forward.outputs[o] for o in order), *forward.outputs[kept:], *(forward.outputs[o] for o in written)
    ]  # fmt: skip
    first = len(order) + len(residuals)
    forward.writes = tuple((i, first + n) for n, (i, _) in enumerate(graph.writes))
    needed = [v for v in joint.inputs[:count] if v in crossing and v not in overwritten]
    sources = (
        [("input", joint.inputs.index(v)) for v in needed]
        + [("residual", i) for i in range(len(residuals))]
        + [("grad", i) for i in range(len(cotangents))]
    )
    entries = [*needed, *residuals, *cotangents]
    backward = _part(joint, entries, joint.outputs[kept:], f"{graph.name}_backward")
    for v in carriers(backward.nodes, backward.inputs, joint.inputs[:count]):
        backward.add_input(v.type)
        sources.append(("size", joint.inputs.index(v)))
    if any(isinstance(v.type, ScalarType) for v in residuals):
        raise AutogradError("a Python number computed in a compiled function is needed for its gradient")
    return Pair(compile_graph(forward, backend), compile_graph(backward, backend), sources, list(wrt))


def _begin_again(joint: Graph, late: set[Value]) -> None:
    """Let the late nodes order their checks among themselves: those of forward have passed when they run."""
    used = [
        (node, i) for node in joint.nodes if any(v in late for v in node.outputs)
        for i, v in enumerate(node.inputs) if v is not None and isinstance(v.type, EffectType) and v not in late
    ]  # fmt: skip
    if not used:
        return
    token = joint.append(OPS["begin"], (), {}, (EFFECT,)).output
    joint.nodes.insert(0, joint.nodes.pop())
    late.add(token)
    for node, i in used:
        node.set_input(i, token)


def _stored(joint: Graph, crossing: Iterable[Value]) -> dict[Value, None]:
    """What is kept for backward to compute ``crossing``: nothing that is cheap or has a size bound on the way.

    In the place of a transpose what it shows is kept, and in that of a view of an input the input, which costs nothing.
    """
    bound = bound_sizes(joint)
    kept: dict[Value, None] = {}
    pending, seen = list(crossing)[::-1], set(crossing)
    while pending:
        value = pending.pop()
        is_made_again = value.node is not None and (_is_cheap(value) or _shows_input(value) or _is_transpose(value))
        if value.node is None or not (is_made_again or has_size(value, bound)):
            kept[value] = None
            continue
        pending += [v for v in value.node.operands if v not in seen]
        seen.update(value.node.operands)
    return kept


def _is_transpose(value: Value) -> bool:
    return value.node is not None and value.node.op.name == "transpose_axes"


def _is_cheap(value: Value) -> bool:
    """Constants are made again rather than kept; numbers and tokens cannot be kept."""
    node = value.node
    if node is None:
        return False
    return isinstance(value.type, (ScalarType, EffectType)) or (
        node.op.name in ("constant", "number", "iota", "literal", "broadcast_to", "reshape_to")
        and all(_is_cheap(v) for v in node.operands)
    )


def _shows_input(value: Value) -> bool:
    """Whether a value is all of an input, in another shape."""
    node = value.node
    if node is None or node.op.name not in ("broadcast_to", "reshape_to", "transpose_axes"):
        return node is None
    return _shows_input(node.operands[0])


def _part(
    joint: Graph, inputs: Sequence[Value], outputs: Sequence[Value], name: str, also: Collection[Node] = ()
) -> Graph:
    """The nodes between ``inputs`` and ``outputs``, and some ``also``, as a graph of their own."""
    part = Graph(name, (v.type for v in inputs))
    mapping: dict[Value, Value] = dict(zip(inputs, part.inputs))
    wanted: set[Value] = set(outputs)
    nodes = []
    for node in reversed(joint.nodes):
        if node in also or any(v in wanted and v not in mapping for v in node.outputs):
            nodes.append(node)
            wanted.update(node.operands)
    whole = Graph("part")
    whole.nodes = nodes[::-1]
    part.paste(whole, mapping)
    part.outputs = [mapping[v] for v in outputs]
    return part
