"""Gradients of branches and loops: each is control flow again, so any order works.

cond        a cond over the gradients of both graphs, which compute again what they need.
scan        the scan once more, which also gives each step's *residuals* (what the gradient of a step reads), then a
            scan the other way over them.  `merge_loops` joins the first with the scan that is differentiated.
while_loop  the loop once more to count its turns; the count is bound as a size, and the rest is a scan's gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jitorch import dtypes
from jitorch.builder import GraphBuilder
from jitorch.dims import Dim
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import INT, ScalarType, TensorType
from jitorch.ops import control, dispatch
from jitorch.ops.create import constant
from jitorch.ops.linalg import matmul_batched
from jitorch.ops.math import add
from jitorch.ops.structure import broadcast_to, cast, reshape_to, transpose_axes
from jitorch.passes.clean import cse, dce
from jitorch.passes.control import CHEAP, bound_sizes, has_size, strip_checks
from jitorch.passes.decompose import decompose
from jitorch.passes.grad import vjp
from jitorch.passes.simplify import simplify


def is_float(type_: Any) -> bool:
    """Whether values of a type have gradients."""
    return isinstance(type_, TensorType) and type_.dtype.category >= dtypes.Category.FLOAT


def _zeros(type_: TensorType) -> Any:
    return broadcast_to(constant(value=0, dtype=type_.dtype), shape=type_.shape)


def _given(g: Any, node_outputs: int) -> list[Any]:
    """The cotangents as a list: a rule gets a bare one where there is one result."""
    return list(g) if isinstance(g, tuple) and node_outputs != 1 else [g]


def cond_vjp(g: Any, out: Any, pred: Any, operands: Sequence[Any], *, then: Graph, orelse: Graph) -> Any:
    """The rule of `jitorch.ops.control.cond`."""
    given = _given(g, len(then.outputs))
    known = [i for i, v in enumerate(then.outputs) if is_float(v.type) and given[i] is not None]
    wrt = [i for i, v in enumerate(then.inputs) if is_float(v.type)]
    if not known or not wrt:
        return None, [None] * len(operands)
    graphs = [vjp(graph, wrt, known) for graph in (then, orelse)]
    found = iter(control.run_cond(pred, [*operands, *(given[i] for i in known)], *graphs))
    return None, [next(found) if i in wrt else None for i in range(len(operands))]


# -- scan ------------------------------------------------------------------------------------------------------
class _Step:
    """One step of a scan, differentiated: ``forward`` gives ``residuals`` besides its results, ``backward`` reads them.

    ``floats``: the carried values, rows and constants with gradients; ``known``: the outputs with cotangents.
    """

    def __init__(self, body: Graph, carried: int, stacked: int, known: Sequence[int]):
        self.carried, self.stacked, self.known = carried, stacked, list(known)
        self.body = body.copy()
        strip_checks(self.body)
        decompose(self.body, keep=lambda node: "vjp" in node.op.rules)
        wrt = [i for i, v in enumerate(body.inputs) if is_float(v.type)]
        self.floats = [i for i in wrt if i < carried]
        self.rows = [i for i in wrt if carried <= i < carried + stacked]
        self.constants = [i for i in wrt if i >= carried + stacked]
        self._join(vjp(self.body, wrt, self.known))

    def _join(self, derivative: Graph) -> None:
        """Put the step and its gradient into one graph, and cut that between them."""
        joint = self.body.copy()
        inputs = list(joint.inputs)
        results = len(joint.outputs)
        cotangents = [joint.add_input(v.type) for v in derivative.inputs[len(inputs) :]]
        mapping = dict(zip(derivative.inputs, [*inputs, *cotangents]))
        own = {v for node in joint.nodes for v in node.outputs}
        joint.paste(derivative, mapping)
        joint.outputs += [mapping[v] for v in derivative.outputs]
        for change in (simplify, cse, dce):
            change(joint)
        # `cse` keeps the first of equal nodes, so what is left of the step's own are its values; `simplify` may
        # have put others in their place, which the step needs as well.
        own = _behind(joint.outputs[:results], inputs)
        self.joint, self.inputs, self.cotangents = joint, inputs, cotangents
        self.results, self.gradients = joint.outputs[:results], joint.outputs[results:]
        self._choose(own)

    def _choose(self, own: set[Value]) -> None:
        """What the gradient reads: residuals are the values of the step that are not cheap to make again.

        What has a size that the step binds is made again, as the rows of a stack have one size.
        """
        bound = bound_sizes(self.joint)
        self.residuals: list[Value] = []
        self.copied: set[Node] = set()
        pending = list(self.gradients)
        seen: set[Value] = set()
        while pending:
            value = pending.pop()
            if value in seen:
                continue
            seen.add(value)
            node = value.node
            is_made_again = node is not None and (
                node.op.name in CHEAP or isinstance(value.type, ScalarType) or has_size(value, bound)
            )
            if node is None or (value in own and not is_made_again):
                is_own = value in self.inputs[: self.carried] or node is not None
                if is_own:
                    self.residuals.append(value)
            elif node not in self.copied:
                self.copied.add(node)
                pending += node.operands
        self.read = seen
        order = {v: i for i, v in enumerate([*self.inputs, *(v for n in self.joint.nodes for v in n.outputs)])}
        self.residuals.sort(key=order.__getitem__)

    def products(self) -> dict[int, Product]:
        """The constants whose gradient is a sum over steps of ``a.T @ b``: one product of all steps, if that is less
        work than to add matrices each step."""
        values = dict(zip([*self.floats, *self.rows, *self.constants], self.gradients))
        found = {i: _product(values[i]) for i in self.constants}
        return {i: product for i, product in found.items() if product is not None}

    def forward(self) -> Graph:
        """``body`` with the residuals as further outputs."""
        graph, mapping = self.joint.copy_with_values(self.body.name)
        graph.outputs = [mapping[v] for v in (*self.results, *self.residuals)]
        dce(graph)
        graph.inputs = graph.inputs[: len(self.inputs)]
        return graph

    def backward(self, summed: Sequence[int], wanted: Sequence[Value]) -> tuple[Graph, list[int], list[int]]:
        """The gradient of a step, and which rows and constants of the scan it reads.

        It carries the cotangents of ``floats`` and sums of those of the constants ``summed``; its rows are residuals,
        rows, then the cotangents of the outputs of steps; it gives the cotangents of rows, then the values ``wanted``.
        """
        end = self.carried + self.stacked
        rows = [i for i in range(self.carried, end) if self.inputs[i] in self.read]
        constants = [i for i in range(end, len(self.inputs)) if self.inputs[i] in self.read]
        graph = Graph(f"{self.body.name}_vjp")
        builder = GraphBuilder(graph)
        by_output = dict(zip(self.known, self.cotangents))
        mapping: dict[Value, Value] = {}
        token = dispatch.set_grad_enabled_flag(False)
        try:
            with dispatch.interpreting(builder):
                for i in self.floats:
                    mapping[by_output[i]] = graph.add_input(self.inputs[i].type)
                sums = [graph.add_input(self.inputs[i].type) for i in summed]
                for value in self.residuals:
                    mapping[value] = _row(graph, builder, value)
                for i in rows:
                    mapping[self.inputs[i]] = graph.add_input(self.inputs[i].type)
                for i in self.known[len(self.floats) :]:
                    mapping[by_output[i]] = graph.add_input(by_output[i].type)
                for i in constants:
                    mapping[self.inputs[i]] = graph.add_input(self.inputs[i].type)
                part = Graph("part")
                part.nodes = [n for n in self.joint.nodes if n in self.copied]
                graph.paste(part, mapping)
                found = dict(zip([*self.floats, *self.rows, *self.constants], self.gradients))
                added = [
                    builder.value(add(builder.wrap(total), builder.wrap(mapping[found[i]])))
                    for i, total in zip(summed, sums)
                ]
                graph.outputs = [
                    *(mapping[found[i]] for i in self.floats), *added, *(mapping[found[i]] for i in self.rows),
                    *(mapping[v] for v in wanted),
                ]  # fmt: skip
        finally:
            dispatch.reset_grad_enabled(token)
        simplify(graph)
        dce(graph)
        return graph, rows, constants


def _behind(values: Sequence[Value], inputs: Sequence[Value]) -> set[Value]:
    """What ``values`` are computed from, they themselves included, without ``inputs``."""
    found: set[Value] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if value not in found and value.node is not None:
            found.update(value.node.outputs)
            pending += value.node.operands
    return found


def _row(graph: Graph, builder: GraphBuilder, value: Value) -> Value:
    """An input for one row of a residual; numbers are stacked as tensors."""
    if not isinstance(value.type, ScalarType):
        return graph.add_input(value.type)
    row = graph.add_input(TensorType(value.type.dtype, ()))
    found = builder.lift(control.number_of(builder.wrap(row)))
    return row if found is None else found


def scan_vjp(
    g: Any, out: Any, operands: Sequence[Any], *, body: Graph, carried: int, stacked: int, length: Dim, reverse: bool
) -> Any:
    """The rule of `jitorch.ops.control.scan`."""
    given = _given(g, len(body.outputs))
    known = [
        i for i, v in enumerate(body.outputs) if is_float(v.type) and (i < carried or given[i] is not None)
    ]  # fmt: skip
    if not known or all(x is None for x in given):
        return ([None] * len(operands),)
    step = _Step(body, carried, stacked, known)
    end = carried + stacked
    start, stacks, fixed = operands[:carried], operands[carried:end], operands[end:]
    residuals: Sequence[Any] = ()
    if step.residuals:
        results = control.run_scan(start, stacks, fixed, step.forward(), length, reverse)
        residuals = results[len(body.outputs) :]
    products = step.products()
    summed = [i for i in step.constants if i not in products]
    factors = dict.fromkeys(v for product in products.values() for v in product.factors)
    stacked_already = dict(zip(step.residuals, residuals))
    stacked_already |= {step.inputs[i]: operands[i] for i in range(carried, end)}
    wanted = [v for v in factors if v not in stacked_already]
    graph, rows, constants = step.backward(summed, wanted)
    types = [v.type for v in body.inputs]
    state = [_zeros(types[i]) if given[i] is None else given[i] for i in step.floats]  # type: ignore[arg-type]
    state += [_zeros(types[i]) for i in summed]  # type: ignore[arg-type]
    seen = [*residuals, *(operands[i] for i in rows), *(given[i] for i in known[len(step.floats) :])]
    if not seen and stacks and not isinstance(length, int):
        # The length is that of an operand, whether or not a step reads its rows.
        graph, seen = _with_row(graph, len(state), stacks[0].type), [stacks[0]]
    found = control.run_scan(state, seen, [operands[i] for i in constants], graph, length, not reverse)
    places = [*step.floats, *summed, *step.rows]
    result: list[Any] = [None] * len(operands)
    for i, cotangent in zip(places, found):
        result[i] = cotangent
    stacked_already |= zip(wanted, found[len(places) :])
    for i, product in products.items():
        result[i] = product.of_all([stacked_already[v] for v in product.factors], length)
    return (result,)


@dataclass(frozen=True)
class Product:
    """``a.T @ b`` for matrices of one step, or its transpose."""

    factors: tuple[Value, Value]
    is_transposed: bool

    def of_all(self, stacks: Sequence[Any], length: Dim) -> Any:
        """The sum over all steps: their rows below one another are the rows of two long matrices."""
        long = []
        for value, stack in zip(self.factors, stacks, strict=True):
            rows, columns = value.type.shape  # type: ignore[union-attr]
            long.append(reshape_to(stack, shape=(length * rows, columns)))
        a, b = reversed(long) if self.is_transposed else long
        return matmul_batched(transpose_axes(a, perm=(1, 0)), b)


def _product(value: Value) -> Product | None:
    node, is_transposed = value.node, False
    while node is not None and _is_transpose(node):
        node, is_transposed = node.operands[0].node, not is_transposed
    if node is None or node.op is not matmul_batched:
        return None
    left, b = node.operands
    if left.node is None or not _is_transpose(left.node) or not isinstance(b.type, TensorType) or b.type.rank != 2:
        return None
    a = left.node.operands[0]
    rows, m, n = *a.type.shape, b.type.shape[1]  # type: ignore[union-attr]
    if not all(isinstance(d, int) for d in (rows, m, n)) or m * n < rows * (m + n):
        return None
    return Product((a, b), is_transposed)


def _is_transpose(node: Node) -> bool:
    return node.op is transpose_axes and node.attrs["perm"] == (1, 0)


def _with_row(graph: Graph, position: int, type_: Any) -> Graph:
    """``graph`` with one more input, at ``position``: a row of a stack of this type."""
    new = graph.copy()
    new.insert_input(position, type_.with_shape(type_.shape[1:]))
    return new


# -- while_loop --------------------------------------------------------------------------------------------------
def while_vjp(g: Any, out: Any, operands: Sequence[Any], *, test: Graph, body: Graph, constants: int) -> Any:
    """The rule of `jitorch.ops.control.while_loop`."""
    carried = len(operands) - constants
    given = _given(g, carried)
    if all(x is None or not is_float(v.type) for x, v in zip(given, body.outputs)):
        return ([None] * len(operands),)
    turns = control.run_while(
        [*operands[:carried], 0, *operands[carried:]], _with_counter(test, carried, counts=False),
        _with_counter(body, carried, counts=True), constants,
    )[-1]  # fmt: skip
    step = body.copy()
    attrs: dict[str, Any] = {"carried": carried, "reverse": False}
    if isinstance(turns, int):
        # Eager: the number of turns is known by now.
        return scan_vjp(g, out, operands, body=step, stacked=0, length=turns, **attrs)
    steps = control.count_up(cast(turns, dtype=dtypes.int64))
    step.insert_input(carried, TensorType(dtypes.int64, ()))
    whole = [*operands[:carried], steps, *operands[carried:]]
    (result,) = scan_vjp(g, out, whole, body=step, stacked=1, length=steps.type.shape[0], **attrs)
    return ([*result[:carried], *result[carried + 1 :]],)


def _with_counter(graph: Graph, carried: int, counts: bool) -> Graph:
    """``graph`` with one more carried int; a body adds 1 to it."""
    new = graph.copy()
    strip_checks(new)
    counter = new.insert_input(carried, INT)
    if counts:
        builder = GraphBuilder(new)
        with dispatch.interpreting(builder):
            following = builder.lift(builder.wrap(counter) + 1)
        if following is not None:
            new.outputs.append(following)
    return new


# -- recomputed --------------------------------------------------------------------------------------------------
def recomputed_vjp(g: Any, out: Any, operands: Sequence[Any], *, body: Graph) -> Any:
    """The rule of `jitorch.ops.control.recomputed`: from the operands, once the cotangents are there."""
    given = _given(g, len(body.outputs))
    known = [i for i, v in enumerate(body.outputs) if is_float(v.type) and given[i] is not None]
    wrt = [i for i, v in enumerate(body.inputs) if is_float(v.type)]
    if not known or not wrt:
        return ([None] * len(operands),)
    late = [control.after(x, given[known[0]]) if isinstance(v.type, TensorType) else x
            for x, v in zip(operands, body.inputs)]  # fmt: skip
    found = iter(control.evaluate(vjp(body, wrt, known), [*late, *(given[i] for i in known)]))
    return ([next(found) if i in wrt else None for i in range(len(operands))],)


RULES = {"cond": cond_vjp, "while_loop": while_vjp, "scan": scan_vjp, "recomputed": recomputed_vjp}
"""By op; `jitorch.frontend.eager.defaults` gives them to `jitorch.ops.control`."""
