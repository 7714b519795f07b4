from __future__ import annotations

import pytest

import jitorch
from jitorch import dims
from jitorch.errors import ShapeError, TensorIndexError
from jitorch.ir.types import TensorType
from tests.ops.oracle import agree, array
from tests.samples import trace_types

X = array(4, 5, 6)

AGREE = [
    lambda lib, x: [x.narrow(1, 1, 3), x.narrow(-1, -2, 2), x.narrow(0, 4, 0), lib.narrow(x, 0, lib.tensor(1), 2)],
    lambda lib, x: [x.select(0, 1), x.select(-1, -6), lib.select(x, 1, 4)],
    lambda lib, x: [x.unbind(), x.unbind(-1)],
    lambda lib, x: [x.split(2), x.split(4, -1), x.split([1, 2, 2], 1), lib.split(x, 10, 1), x.split_with_sizes((1, 3))],
    lambda lib, x: [x.chunk(2), x.chunk(3, 1), x.chunk(7, -1), x[:0].chunk(3), x[:0].split(0)],
    lambda lib, x: [x.tensor_split(3), x.tensor_split(4, 1), x.tensor_split((1, 1, 9), 2), x.tensor_split([-2], 0)],
    lambda lib, x: [x.hsplit(5), x.vsplit((1, 2)), x.dsplit(3), x[0, 0].hsplit(2), x.tensor_split(lib.tensor([1, 3]))],
    lambda lib, x: [x.diagonal(), x.diagonal(1, 1, 2), x.diagonal(-2, -1, 0), x.diagonal(9)],
    lambda lib, x: [x.unfold(1, 2, 2), x.unfold(-1, 6, 1), x.unfold(0, 1, 3), x[0, 0, 0].unfold(0, 1, 1)],
]


@pytest.mark.parametrize("call", AGREE)
def test_agrees_with_pytorch(call):
    agree(call, X)


ERRORS = [
    (lambda x: x.narrow(0, 3, 2), ShapeError, "exceeds"),
    (lambda x: x.narrow(0, 0, -1), ShapeError, "negative"),
    (lambda x: x.narrow(0, 9, 0), TensorIndexError, "start"),
    (lambda x: x.select(0, 4), TensorIndexError, "index"),
    (lambda x: x.split([1, 2], 0), ShapeError, "sum"),
    (lambda x: x.split(-1), ShapeError, "negative"),
    (lambda x: x.split(0), ShapeError, "is 0"),
    (lambda x: x.chunk(0), ShapeError, "positive"),
    (lambda x: x.tensor_split(0), ShapeError, "positive"),
    (lambda x: x.vsplit(3), ShapeError, "divide"),
    (lambda x: x[0].dsplit(3), ShapeError, "too few"),
    (lambda x: x.sum().unbind(), TensorIndexError, "0-d"),
    (lambda x: x.diagonal(0, 1, 1), ShapeError, "same axis"),
    (lambda x: x[0, 0].diagonal(), TensorIndexError, "2 axes"),
    (lambda x: x.unfold(0, 5, 1), ShapeError, "larger"),
    (lambda x: x.unfold(0, 2, 0), ShapeError, "step"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(jitorch.from_numpy(X.copy()))


def test_a_symbolic_number_of_results_is_refused():
    rows = TensorType(jitorch.float32, (dims.symbol("B", low=2), 4))
    for call in (lambda x: x.unbind(), lambda x: x.split(2)):
        with pytest.raises(ShapeError, match="number of results"):
            trace_types(call, [rows])


def test_a_symbolic_axis_is_cut_where_it_is_known_to_divide():
    rows = TensorType(jitorch.float32, (dims.symbol("B", low=2) * 4, 3))
    graph = trace_types(lambda x: x.chunk(2), [rows])
    assert [str(v.type) for v in graph.outputs] == ["f32[2*B, 3]"] * 2
