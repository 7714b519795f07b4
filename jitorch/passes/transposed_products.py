"""Products that are only read transposed are made so: ``(a @ b).mT`` becomes ``b.mT @ a.mT``.

The gradient of the weight of ``x @ w.mT`` is such a product. To read an operand in another layout costs a product
nothing, for it does so while it packs, or element by element; to turn its result costs a pass over memory.
"""

from __future__ import annotations

from jitorch.ir.graph import Graph, Node, Value
from jitorch.ops.linalg import matmul_batched
from jitorch.ops.structure import transpose_axes
from jitorch.passes.clean import everywhere


@everywhere
def turn_products(graph: Graph) -> bool:
    """Turn the operands of each product in place of its result, if nobody wants that as it is."""
    nodes: list[Node] = []
    for node in graph:
        product = _turned(node, graph)
        if product is None:
            nodes.append(node)
            continue
        x, y = product.operands
        turned = [_transposed(y, node), _transposed(x, node)]
        made = Node(matmul_batched, [n.output for n in turned], {}, [node.output.type], product.loc)
        graph.replace(node.output, made.output)
        nodes += [*turned, made]
    changed = len(nodes) > len(graph)
    graph.rebuild(nodes)
    return changed


def _turned(node: Node, graph: Graph) -> Node | None:
    """The product whose result ``node`` swaps the axes of, if nobody else reads that."""
    if node.op is not transpose_axes:
        return None
    result = node.operands[0]
    product, perm = result.node, node.attrs["perm"]
    swaps_last = perm == (*range(len(perm) - 2), len(perm) - 1, len(perm) - 2)
    if product is None or product.op is not matmul_batched or not swaps_last:
        return None
    return product if len(result.uses) == 1 and result not in graph.outputs else None


def _transposed(x: Value, like: Node) -> Node:
    """``x`` with the axes swapped that ``like`` swaps."""
    type_ = x.type
    perm = like.attrs["perm"]
    shape = tuple(type_.shape[i] for i in perm)  # type: ignore[union-attr]
    return Node(transpose_axes, [x], {"perm": perm}, [type_.with_shape(shape)], like.loc)  # type: ignore[union-attr]
