"""Products that are added up in a step of a loop are one product of joined operands.

    x @ a + h @ b  ->  concatenate((x, h), 1) @ concatenate((a, b), 0)

A recurrent cell adds the products of its input and of its state.  As one they are one sum in registers, and nothing of
the first is kept until the second is there.  What is joined is not copied: a product reads the parts where they lie
(`jitorch.lower.fuse.joined_operands`), and the fixed side is packed once.

Where a step has few rows, the products of all steps at once are better (`jitorch.passes.batch`): they read ``a`` once
for many rows.  So are those of matrices that do not stay in a cache from one step to the next.
"""

from __future__ import annotations

from collections.abc import Iterator

from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import TensorType
from jitorch.ops.linalg import matmul_batched
from jitorch.ops.math import add
from jitorch.ops.structure import concatenate
from jitorch.passes.batch import fixed_in, row_behind
from jitorch.passes.clean import dce, everywhere

FEWEST_ROWS, MOST_ROWS = 6, 16
"""Of a step: with fewer the registers are not full, with more a step is long."""
MOST_BYTES = 1 << 20
"""Of the joined matrix: the second-level caches of two processors."""


@everywhere
def join_products(graph: Graph) -> bool:
    """Join products with what no step changes, where a step adds them up; see the module's docstring."""
    changed = False
    for node in graph:
        if node.op.name == "scan":
            changed |= _join_in(node)
    return changed


def _join_in(scan: Node) -> bool:
    body: Graph = scan.attrs["body"]
    carried, stacked = scan.attrs["carried"], scan.attrs["stacked"]
    fixed, rows = fixed_in(scan), body.inputs[carried : carried + stacked]
    nodes: list[Node] = []
    for node in body:
        products, others = _parted(body, node, fixed)
        # What only reads rows is a product of all steps.
        if len(products) < 2 or all(row_behind(p.operands[0]) in rows for p in products):
            nodes.append(node)
            continue
        made = list(_joined(node, products, others))
        body.replace(node.output, made[-1].output)
        nodes += made
    changed = len(nodes) > len(body)
    if changed:
        body.rebuild(nodes)
        dce(body)
    return changed


def _parted(body: Graph, node: Node, fixed: set[Value]) -> tuple[list[Node], list[Value]]:
    """What the sum ``node`` is of: products that can be joined, and the rest; nothing if it is a term of a sum."""
    if node.op is not add or not _may_join(node.output.type):
        return [], []
    if _is_own(body, node.output) and node.output.users[0].op is add:
        return [], []
    products: list[Node] = []
    others: list[Value] = []
    for value in _terms(body, node):
        product = value.node
        if product is None or product.op is not matmul_batched or not _is_own(body, value):
            others.append(value)
        elif product.operands[1] in fixed and product.operands[0] not in fixed:
            products.append(product)
        else:
            others.append(value)
    if len({p.operands[0].type.dtype for p in products}) > 1 or _bytes(products) > MOST_BYTES:  # type: ignore[union-attr]
        return [], []
    return products, others


def _may_join(type_: object) -> bool:
    if not isinstance(type_, TensorType) or type_.rank != 2:
        return False
    rows, lanes = type_.shape
    return isinstance(rows, int) and isinstance(lanes, int) and FEWEST_ROWS <= rows <= MOST_ROWS


def _bytes(products: list[Node]) -> int:
    """Of the joined matrix; `MOST_BYTES` and more where that is not known."""
    types: list[TensorType] = [p.operands[1].type for p in products]  # type: ignore[misc]
    sizes = [t.size for t in types]
    if not all(isinstance(size, int) for size in sizes):
        return MOST_BYTES + 1
    return sum(size * t.dtype.itemsize for size, t in zip(sizes, types))  # type: ignore[operator,misc]


def _terms(body: Graph, node: Node) -> Iterator[Value]:
    """The terms of a sum, in their order; sums that nobody else reads are looked into."""
    for value in node.operands:
        if value.node is not None and value.node.op is add and _is_own(body, value):
            yield from _terms(body, value.node)
        else:
            yield value


def _is_own(body: Graph, value: Value) -> bool:
    return len(value.uses) == 1 and value not in body.outputs


def _joined(node: Node, products: list[Node], others: list[Value]) -> Iterator[Node]:
    """The nodes that make the same sum; the last gives it."""
    pairs = []
    for side, axis in ((0, 1), (1, 0)):
        parts = [p.operands[side] for p in products]
        first: TensorType = parts[0].type  # type: ignore[assignment]
        shape = list(first.shape)
        shape[axis] = sum(v.type.shape[axis] for v in parts)  # type: ignore[union-attr]
        joined = Node(concatenate, parts, {"axis": axis}, [first.with_shape(tuple(shape))], node.loc)
        pairs.append(joined.output)
        yield joined
    total = Node(matmul_batched, pairs, {}, [node.output.type], products[-1].loc)
    yield total
    for value in others:
        total = Node(add, [total.output, value], {}, [node.output.type], node.loc)
        yield total
