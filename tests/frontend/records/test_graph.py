from __future__ import annotations

import marshal

import numpy as np
import pytest

import jitorch
from jitorch.frontend.jitted import Jitted
from jitorch.frontend.records.data import Encoder, Roots
from jitorch.frontend.records.graph import decode_graph, decode_signature, encode_graph, encode_signature
from jitorch.frontend.records.names import Digests, Unportable
from jitorch.ir.graph import Graph
from jitorch.ir.op import Op
from jitorch.ir.types import TensorType
from tests.frontend.records.test_data import reader, root


def graph_of(function: object, *args: object, **settings: bool) -> Graph:
    jitted = Jitted(function, **settings)
    jitted(*args)
    return jitted.graph


def graphs() -> list[Graph]:
    x = jitorch.arange(6.0).reshape(2, 3)
    return [
        graph_of(lambda x: (x * 2 + 1).sum(1), x),
        graph_of(lambda x: x + jitorch.tensor([1.0, 2.0, 3.0]), x),
        graph_of(lambda x, a: x.add_(1) * a, x.clone(), 2.5),
        graph_of(lambda x: jitorch.cat([x, x]).reshape(-1)[1:], x, dynamic=True),
    ]


@pytest.mark.parametrize("number", range(4))
def test_graphs_come_back_equal_with_their_places(number: int) -> None:
    graph = graphs()[number]
    encoder = Encoder(Roots(root), Digests())
    data = marshal.loads(marshal.dumps((encode_graph(graph, encoder), encode_signature(graph, encoder))))
    decoder = reader(encoder)
    found, signature = decode_graph(data[0], decoder), decode_signature(data[1], decoder)
    assert found == graph
    assert str(found) == str(graph)
    assert [node.loc for node in found] == [node.loc for node in graph]
    assert len(signature) == 0
    for part in ("name", "writes", "input_names"):
        assert getattr(signature, part) == getattr(graph, part)
    assert [v.type for v in signature.outputs] == [v.type for v in graph.outputs]
    for a, b in zip(found.literals().values(), graph.literals().values(), strict=True):
        np.testing.assert_array_equal(a.array, b.array)


def theirs(x: jitorch.Tensor) -> jitorch.Tensor:
    """An op that a package defines."""
    return x


def test_an_op_of_somebody_else_is_unportable() -> None:
    graph = Graph("f", [TensorType(jitorch.float32, (3,))])
    graph.append(Op("theirs", "primitive", theirs, None), graph.inputs, {}, [graph.inputs[0].type])
    with pytest.raises(Unportable, match="the op theirs"):
        encode_graph(graph, Encoder(Roots(root), Digests()))
