"""Tests derived from the registry: one case for each op and each of its samples.

Gradients are checked along one random direction: the derivative of ``<w, f(x + t v)>`` at ``t = 0``
by differences against ``<vjp(w), v>``, and once more for the gradient itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from jitorch import dims
from jitorch.builder import GraphBuilder, body_graph
from jitorch.dims import Facts
from jitorch.frontend.eager.tape import run_backward
from jitorch.ir.graph import Graph, Node
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.ir.verify import verify
from jitorch.ops import OPS, dispatch
from jitorch.ops.registry import Op, Sample, _canonical
from jitorch.ops.structure import reduce_sum
from jitorch.passes.grad import vjp
from jitorch.tensor import Tensor

ONCE = {"ctc_losses": "its gradient is a routine of its own, without one"}
"""Ops that can be differentiated once only, and why."""

H = 1e-5
"""The step of difference quotients, in double precision."""


def samples_of(op: Any) -> Iterator[Sample]:
    rule = op.rules.get("samples")
    return iter(()) if rule is None else rule(np.random.default_rng(0))


def cases(wanted: Callable[[Op, Sample], bool]) -> list[Any]:
    return [
        pytest.param(op, sample, id=f"{name}-{i}")
        for name, op in OPS.items()
        for i, sample in enumerate(samples_of(op))
        if wanted(op, sample)
    ]


def is_differentiated(op: Op, sample: Sample) -> bool:
    return sample.grad and bool(smooth(bound(op, sample)[0]))


# ---- samples as calls -------------------------------------------------------------------------------------
def tensors(value: Any) -> Any:
    """A sample's argument with arrays as tensors."""
    if isinstance(value, np.ndarray):
        return Tensor._from_array(value.copy())
    if isinstance(value, list):
        return [tensors(v) for v in value]
    return value


def bound(op: Op, sample: Sample) -> tuple[list[Any], dict[str, Any]]:
    """The sample's flat operands, as tensors and numbers, and its attributes."""
    kwargs = _canonical(op._known, {name: tensors(v) for name, v in sample.kwargs.items()})
    operands, attrs = op.bind(tuple(tensors(v) for v in sample.args), kwargs)
    return list(operands), attrs


def call(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> tuple[Any, ...]:
    """The op through its public door, with operands already flat."""
    names = {p.name: v for p, v in zip(op.operands, op.group(operands))}
    result = op(**names, **attrs)
    return result if isinstance(result, tuple) else (result,)


def smooth(values: Sequence[Any]) -> list[int]:
    """Which of ``values`` are float64 tensors."""
    return [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.dtype.numpy == np.float64]


def expand(node: Node) -> Graph:
    return body_graph(node.op, tuple(None if v is None else v.type for v in node.inputs), tuple(node.attrs.items()))


def traced(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> tuple[Graph, list[np.ndarray]]:
    """The call as a graph over its tensor operands, and their arrays."""
    graph = Graph(op.name)
    builder = GraphBuilder(graph)
    arrays = [x._array for x in operands if isinstance(x, Tensor)]
    wrapped = [builder.wrap(graph.add_input(x.type)) if isinstance(x, Tensor) else x for x in operands]
    with dispatch.interpreting(builder):
        graph.outputs = [builder.lift(r) for r in call(op, wrapped, attrs)]
    verify(graph)
    return graph, arrays


CASES = cases(lambda op, sample: sample.trace)
SIZED = cases(lambda op, sample: sample.trace and op.lowering != "control")
"""Graphs in attributes have the sizes they were written for."""
DIFFERENTIATED = cases(is_differentiated)


# ---- values -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("op", "sample"), CASES)
def test_graph_means_what_eager_computes(op: Op, sample: Sample) -> None:
    operands, attrs = bound(op, sample)
    graph, arrays = traced(op, operands, attrs)
    results = interpret(graph, arrays, expand)
    eager = call(op, operands, attrs)
    assert len(results) == len(eager)
    for got, want, value in zip(results, eager, graph.outputs):
        if not isinstance(want, Tensor):
            assert got == want
            continue
        assert want.type == value.type
        np.testing.assert_allclose(got, want._array, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_composites_own_their_results(op: Op, sample: Sample) -> None:
    """A result shares no memory that can be written with an operand: only view ops and functions give views."""
    if op.is_view:
        return
    operands, attrs = bound(op, sample)
    arrays = [x._array for x in operands if isinstance(x, Tensor)]
    for result in call(op, operands, attrs):
        if isinstance(result, Tensor) and result._array.flags.writeable:
            assert not any(np.shares_memory(result._array, a) for a in arrays)


@pytest.mark.parametrize(("op", "sample"), SIZED)
def test_symbolic_sizes_give_the_static_type(op: Op, sample: Sample) -> None:
    operands, attrs = bound(op, sample)
    static = [x.type if isinstance(x, Tensor) else x for x in operands]
    types = [_symbolic(t) if isinstance(t, TensorType) else t for t in static]
    graph = Graph(op.name)
    builder = GraphBuilder(graph)
    wrapped = [builder.wrap(graph.add_input(t)) if isinstance(t, TensorType) else t for t in types]
    with Facts(), dispatch.interpreting(builder):
        graph.outputs = [builder.lift(r) for r in call(op, wrapped, attrs)]
    expected = [r.type for r in call(op, operands, attrs) if isinstance(r, Tensor)]
    assert [_sized(v.type) for v in graph.outputs if isinstance(v.type, TensorType)] == expected


def _symbolic(type_: TensorType) -> TensorType:
    """Sizes above 1 as symbols, equal sizes as one symbol."""
    return type_.with_shape(d if d < 2 else dims.symbol(f"s{d}", low=0, hint=d) for d in type_.shape)


def _sized(type_: TensorType) -> TensorType:
    sizes = {s.name: s.hint for s in dims.symbols(*type_.shape)}
    return type_.with_shape(dims.evaluate(d, sizes) for d in type_.shape)


# ---- gradients ------------------------------------------------------------------------------------------------
class Along:
    """A call as a function of its float64 operands, with random cotangents and directions."""

    def __init__(self, op: Op, sample: Sample):
        self.op = op
        self.operands, self.attrs = bound(op, sample)
        self.places = smooth(self.operands)
        self.point = [self.operands[i]._array for i in self.places]
        rng = np.random.default_rng(1)
        self.direction = [rng.normal(size=x.shape) for x in self.point]
        self.second = [rng.normal(size=x.shape) for x in self.point]
        outputs = self.run(self.leaves(0.0, grad=False))
        self.weights = {i: rng.normal(size=tuple(outputs[i].shape)) for i in smooth(outputs)}

    def leaves(self, step: float, grad: bool = True) -> list[Tensor]:
        """The point moved by ``step`` along the direction."""
        moved = [Tensor._from_array(x + step * v) for x, v in zip(self.point, self.direction)]
        return [t.requires_grad_() for t in moved] if grad else moved

    def run(self, leaves: Sequence[Tensor]) -> tuple[Any, ...]:
        operands = list(self.operands)
        for i, leaf in zip(self.places, leaves):
            operands[i] = leaf
        return call(self.op, operands, self.attrs)

    def value(self, step: float) -> float:
        outputs = self.run(self.leaves(step, grad=False))
        return sum(float((outputs[i]._array * w).sum()) for i, w in self.weights.items())

    def gradients(self, leaves: Sequence[Tensor], create_graph: bool = False) -> list[Tensor | None]:
        outputs = self.run(leaves)
        pairs = [(outputs[i], Tensor._from_array(w)) for i, w in self.weights.items() if outputs[i].requires_grad]
        return run_backward(
            [o for o, _ in pairs], [w for _, w in pairs], create_graph, create_graph, leaves, accumulate=False
        )

    def slope(self, step: float) -> float:
        """The gradient at ``step`` along the second direction."""
        return sum(
            float((g.detach()._array * u).sum())
            for g, u in zip(self.gradients(self.leaves(step)), self.second)
            if g is not None
        )


def assert_slope(value: Callable[[float], float], analytic: float) -> None:
    numeric = (value(H) - value(-H)) / (2 * H)
    scale = 1.0 + abs(numeric) + abs(value(0.0))
    assert abs(numeric - analytic) < 2e-5 * scale, (numeric, analytic)


@pytest.mark.parametrize(("op", "sample"), DIFFERENTIATED)
def test_first_order(op: Op, sample: Sample) -> None:
    along = Along(op, sample)
    grads = along.gradients(along.leaves(0.0))
    for g, x in zip(grads, along.point):
        assert g is None or (g.dtype.numpy, tuple(g.shape)) == (x.dtype, x.shape)
    analytic = sum(float((g._array * v).sum()) for g, v in zip(grads, along.direction) if g is not None)
    assert_slope(along.value, analytic)


@pytest.mark.parametrize(("op", "sample"), DIFFERENTIATED)
def test_second_order(op: Op, sample: Sample) -> None:
    if op.name in ONCE:
        return
    along = Along(op, sample)
    leaves = along.leaves(0.0)
    total: Any = None
    for g, u in zip(along.gradients(leaves, create_graph=True), along.second):
        if g is not None and g.requires_grad:
            product = reduce_sum(g * Tensor._from_array(u), axes=tuple(range(g.ndim)))
            total = product if total is None else total + product
    analytic = 0.0
    if total is not None:
        grads = run_backward([total], [None], None, False, leaves, accumulate=False)
        analytic = sum(float((g._array * v).sum()) for g, v in zip(grads, along.direction) if g is not None)
    assert_slope(along.slope, analytic)


@pytest.mark.parametrize(("op", "sample"), DIFFERENTIATED)
def test_gradient_graph_means_what_the_tape_computes(op: Op, sample: Sample) -> None:
    if not sample.trace:
        return
    along = Along(op, sample)
    graph, arrays = traced(op, along.operands, along.attrs)
    tensor_places = [i for i, x in enumerate(along.operands) if isinstance(x, Tensor)]
    wrt = [tensor_places.index(i) for i in along.places]
    gradient = vjp(graph, wrt, list(along.weights))
    verify(gradient)
    results = interpret(gradient, [*arrays, *along.weights.values()], expand)
    for got, g, x in zip(results, along.gradients(along.leaves(0.0)), along.point):
        np.testing.assert_allclose(got, np.zeros(x.shape) if g is None else g._array, rtol=1e-9, atol=1e-9)


STAGED = {"check", "number_of", "steps"}
"""Ops that only staged control flow makes; tests/ops/test_control.py and tests/frontend/control have their calls."""


# ---- completeness -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(OPS))
def test_op_is_complete(name: str) -> None:
    op = OPS[name]
    assert op.doc, "no docstring"
    if op.kind == "composite":
        assert op.body is not None
    else:
        assert {"type", "numpy"} <= op.rules.keys()
        assert op.lowering is not None
        if op.lowering in ("pull", "reduce"):
            assert op.lowering in op.rules
    if op.operands and name not in STAGED:
        assert "samples" in op.rules, "no samples"
