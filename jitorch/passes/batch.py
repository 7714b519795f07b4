"""Matrix products of the steps of a scan, as one product of all steps before or behind the loop.

    for t: z[t] = x[t] @ w + f(carried)     ->  p = x @ w;  for t: z[t] = p[t] + f(carried)
    for t: y[t] = h[t] @ w                  ->  for t: h[t];  y = h @ w

One large product reads ``w`` once for many rows where a step reads all of it for its few.  The rows of all steps lie
below one another in memory, so nothing is moved for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jitorch.builder import graph_of
from jitorch.dims import Dim
from jitorch.errors import Location
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import TensorType
from jitorch.ops.linalg import matmul_batched
from jitorch.ops.structure import reshape_to, transpose_axes
from jitorch.passes.clean import dce, everywhere
from jitorch.passes.control import CHEAP
from jitorch.passes.hoist import outside


@everywhere
def batch_products(graph: Graph) -> bool:
    """Take products of rows, and products that are outputs, out of scans; see the module's docstring."""
    changed = False
    for node in graph:
        if node.op.name != "scan":
            continue
        while (after := _before(graph, node) or _behind(graph, node)) is not None:
            node, changed = after, True
    return changed


@dataclass(frozen=True)
class _Product:
    """A product of one step: ``moving @ fixed``, or ``fixed @ moving`` with a ``moving`` of one column."""

    moving: Value
    fixed: Value
    is_column: bool

    @property
    def type(self) -> TensorType:
        """The type of what moves."""
        return self.moving.type  # type: ignore[return-value]

    def of_all(self, length: Dim) -> Any:
        """The function that gives the products of all steps, of the stacked ``moving`` and of ``fixed``."""
        first, second = self.type.shape
        fixed: TensorType = self.fixed.type  # type: ignore[assignment]

        def function(stack: Any, matrix: Any) -> Any:
            if self.is_column:
                rows = matmul_batched(reshape_to(stack, shape=(length, first)), transpose_axes(matrix, perm=(1, 0)))
                return reshape_to(rows, shape=(length, fixed.shape[0], 1))
            rows = matmul_batched(reshape_to(stack, shape=(length * first, second)), matrix)
            return reshape_to(rows, shape=(length, first, fixed.shape[1]))

        return function


def _product_of(node: Node | None, fixed: set[Value]) -> _Product | None:
    if node is None or node.op is not matmul_batched or any(v.type.rank != 2 for v in node.operands):  # type: ignore[union-attr]
        return None
    left, right = node.operands
    if right in fixed and left not in fixed:
        return _Product(left, right, False)
    if left in fixed and right not in fixed and right.type.shape[1] == 1:  # type: ignore[union-attr]
        return _Product(right, left, True)
    return None


def fixed_in(node: Node) -> set[Value]:
    """What every step of a scan reads alike, and costs nothing to make."""
    body: Graph = node.attrs["body"]
    found = set(body.inputs[node.attrs["carried"] + node.attrs["stacked"] :])
    for inner in body.nodes:
        if inner.op.name in CHEAP and inner.operands and all(v in found for v in inner.operands):
            found.update(inner.outputs)
    return found


def row_behind(value: Value) -> Value:
    """What ``value`` is a reshape of."""
    while value.node is not None and value.node.op is reshape_to:
        value = value.node.operands[0]
    return value


def _append(graph: Graph, at: int, function: Any, operands: Sequence[Value], loc: Location | None) -> Value:
    """The nodes of ``function`` of ``operands``, to stand at position ``at`` of ``graph``; its result."""
    part = graph_of(function, [v.type for v in operands])
    for node in part.nodes:
        node.loc = loc
    scratch, mapping = Graph("all_steps"), dict(zip(part.inputs, operands))
    scratch.paste(part, mapping)
    graph.nodes[at:at] = scratch.nodes
    return mapping[part.outputs[0]]


def _before(graph: Graph, node: Node) -> Node | None:
    """Compute one product of rows before the loop; the scan that takes its rows, or None."""
    body: Graph = node.attrs["body"]
    end = node.attrs["carried"] + node.attrs["stacked"]
    rows, fixed = body.inputs[node.attrs["carried"] : end], fixed_in(node)
    for inner in body.nodes:
        product = _product_of(inner, fixed)
        row = None if product is None else row_behind(product.moving)
        if product is None or row not in rows:
            continue
        stack = node.inputs[body.inputs.index(row)]  # type: ignore[arg-type]
        assert stack is not None
        matrix, made = outside(node, body, product.fixed)
        at = graph.nodes.index(node)
        graph.nodes[at:at] = made
        all_rows = _append(graph, at + len(made), product.of_all(node.attrs["length"]), [stack, matrix], inner.loc)
        body.replace(inner.output, body.insert_input(end, inner.output.type))
        inputs = [*node.inputs[:end], all_rows, *node.inputs[end:]]
        return _replaced(graph, node, inputs, {"stacked": node.attrs["stacked"] + 1}, node.outputs)
    return None


def _behind(graph: Graph, node: Node) -> Node | None:
    """Compute one product that is an output behind the loop; the scan that gives its factor instead, or None."""
    body: Graph = node.attrs["body"]
    fixed, length = fixed_in(node), node.attrs["length"]
    for i in range(node.attrs["carried"], len(body.outputs)):
        value = body.outputs[i]
        product = _product_of(value.node, fixed)
        if value.node is None or product is None or value.uses or body.outputs.count(value) > 1:
            continue
        matrix, made = outside(node, body, product.fixed)
        old = node.outputs[i]
        body.outputs[i] = product.moving
        moving = Value(product.type.with_shape((length, *product.type.shape)))
        outputs = [*node.outputs[:i], moving, *node.outputs[i + 1 :]]
        new = _replaced(graph, node, node.inputs, {}, outputs, without=i)
        at = graph.nodes.index(new)
        graph.nodes[at:at] = made
        operands = [new.outputs[i], matrix]
        graph.replace(old, _append(graph, at + len(made) + 1, product.of_all(length), operands, value.node.loc))
        return new
    return None


def _replaced(
    graph: Graph,
    node: Node,
    inputs: Sequence[Value | None],
    attrs: dict[str, Any],
    outputs: Sequence[Value],
    without: int | None = None,
) -> Node:
    """A scan with these operands and results in the place of ``node``; the user of result ``without`` stays."""
    body: Graph = node.attrs["body"]
    dce(body)
    new = Node(node.op, inputs, {**node.attrs, **attrs}, [v.type for v in outputs], node.loc)
    for i, (old, value) in enumerate(zip(node.outputs, new.outputs)):
        if i != without:
            graph.replace(old, value)
    graph.nodes[graph.nodes.index(node)] = new
    node.drop()
    return new
