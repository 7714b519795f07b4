"""The graph builder: writes through views become values, aliases see them, histories are marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import dtypes, errors
from jitorch.builder import GraphBuilder, body_graph, infer
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import FLOAT, INT, TensorType
from jitorch.ir.verify import verify
from jitorch.ops import OPS, dispatch
from jitorch.ops.control import count_up
from jitorch.passes.decompose import expand
from jitorch.passes.grad import vjp
from tests.samples import trace

MATRIX = np.arange(6.0).reshape(2, 3)


def run(function: Callable[..., Any], *arrays: np.ndarray) -> list[Any]:
    """The results of ``function`` by way of a graph."""
    return interpret(verify(trace(function, list(arrays))), list(arrays), expand)


def write_row(x: Any) -> Any:
    y = x.clone()
    y[1].mul_(10)
    return y


def write_transposed(x: Any) -> Any:
    y = x.clone()
    y.t()[2].zero_()
    return y, y.t(), y[0]


def write_then_read_views(x: Any) -> Any:
    y = x.clone()
    row, column = y[0], y[:, 0]
    y.add_(1)
    row.mul_(2)
    column.neg_()
    return y, row, column


def write_diagonal(x: Any) -> Any:
    y = x.clone()
    y.diagonal().fill_(9)
    return y


def write_flat(x: Any) -> Any:
    y = x.clone()
    y.view(-1)[1::2] = 0
    return y


def write_detached(x: Any) -> Any:
    y = x.clone()
    y.detach()[0] = 5
    return y


@pytest.mark.parametrize(
    "function", [write_row, write_transposed, write_then_read_views, write_diagonal, write_flat, write_detached]
)
def test_writes_through_views_are_those_of_eager(function: Callable[..., Any]) -> None:
    eager = function(jitorch.from_numpy(MATRIX.copy()))
    wanted = eager if isinstance(eager, tuple) else (eager,)
    for got, want in zip(run(function, MATRIX), wanted, strict=True):
        np.testing.assert_array_equal(got, want.numpy())


def test_an_input_that_is_written_stays_as_it_is() -> None:
    array = MATRIX.copy()
    (result,) = run(lambda x: x.add_(1), array)
    np.testing.assert_array_equal(result, MATRIX + 1)
    np.testing.assert_array_equal(array, MATRIX)


def test_the_same_view_is_made_once_until_it_is_written() -> None:
    graph = trace(lambda x: (x[0] + x[0], x[0]), [MATRIX])
    views = [n for n in graph.nodes if n.op.name == "reshape_to"]
    assert len({v.inputs for v in views}) <= len(views)
    builder = GraphBuilder(Graph("g"))
    x = builder.wrap(builder.graph.add_input(TensorType(dtypes.float32, (2, 3))))
    with dispatch.interpreting(builder):
        row = x[0]
        before = builder.value(row)
        assert builder.value(row) is before
        assert builder.version(row) == 0
        x.add_(1)
        assert builder.value(row) is not before
        assert builder.version(row) == 1


def test_strides_are_known_without_data() -> None:
    builder = GraphBuilder(Graph("g"))
    x = builder.wrap(builder.graph.add_input(TensorType(dtypes.float32, (2, 3, 4))))
    eager = jitorch.zeros(2, 3, 4)
    with dispatch.interpreting(builder):
        views = [f(x).stride() for f in VIEWS]
    assert views == [f(eager).stride() for f in VIEWS]


VIEWS: list[Callable[[Any], Any]] = [
    lambda x: x.transpose(0, 2),
    lambda x: x[1:, ::2],
    lambda x: x[:, :1].expand(2, 5, 4),
    lambda x: x.view(6, 4),
    lambda x: x.diagonal(),
    lambda x: x.detach().t() if x.ndim == 2 else x.detach(),
]


def test_gradients_stop_at_detached_reads_and_survive_detached_writes() -> None:
    def function(x: Any) -> Any:
        y = x * 2
        y.detach().add_(1)
        return (y * y.detach()).sum()

    graph = vjp(trace(function, [MATRIX]), [0], [0])
    (gradient,) = interpret(graph, [MATRIX, np.array(1.0)], expand)
    np.testing.assert_array_equal(gradient, 2 * (2 * MATRIX + 1))


def test_detach_in_place_marks_the_tensor_and_not_its_aliases() -> None:
    def function(x: Any) -> Any:
        y = x * 2
        alias = y[:]
        y.requires_grad_()
        y.detach_()
        return (y * alias).sum()

    graph = vjp(trace(function, [MATRIX]), [0], [0])
    (gradient,) = interpret(graph, [MATRIX, np.array(1.0)], expand)
    np.testing.assert_array_equal(gradient, 2 * 2 * MATRIX)


def test_data_is_refused_while_a_graph_is_built() -> None:
    for use in (lambda x: x.tolist(), lambda x: x.sum().item(), lambda x: bool(x.any())):
        with pytest.raises(errors.StagingError, match="not known while a graph is built"):
            trace(use, [MATRIX])


def test_a_body_uses_its_operands_only() -> None:
    other = jitorch.ones(2, 3)
    with pytest.raises(errors.CompilerBug, match="not its operand"):
        trace(lambda x: x + other, [MATRIX])


def test_types_come_from_rules_or_bodies() -> None:
    matrix = TensorType(dtypes.float32, (2, 3))
    assert infer(OPS["transpose_axes"], [matrix], {"perm": (1, 0)}) == (TensorType(dtypes.float32, (3, 2)),)
    assert infer(OPS["relu"], [matrix], {}) == (matrix,)
    assert infer(OPS["add"], [FLOAT, FLOAT], {}) == (FLOAT,)


def test_bodies_are_graphs_made_once() -> None:
    types = (TensorType(dtypes.float32, (2, 3)),)
    assert body_graph(OPS["relu"], types, ()) is body_graph(OPS["relu"], types, ())
    with pytest.raises(errors.CompilerBug, match="no body"):
        body_graph(OPS["add"], (INT, INT), ())


# -- sizes that a graph binds ----------------------------------------------------------------------------------
def from_a_count(function: Callable[..., Any]) -> Graph:
    """``function(mask, size)`` of the number of true elements of a mask."""

    def counted(mask: Any) -> Any:
        count = OPS["reduce_sum"](OPS["cast"](mask, dtype=dtypes.int64), axes=(0,))
        return function(mask, count_up(count).shape[0])

    return trace(counted, [np.zeros(5, bool)])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda mask, n: OPS["iota"](size=n), [0, 1, 2]),
        (lambda mask, n: OPS["iota"](size=2 * n + 1), [0, 1, 2, 3, 4, 5, 6]),
        (lambda mask, n: jitorch.zeros(n, 2).sum() + n // 2, 1),
        (lambda mask, n: OPS["cast"](OPS["size_of"](size=(n + 1) % 3 + n), dtype=dtypes.int64), 4),
        (lambda mask, n: jitorch.arange(5)[:n], [0, 1, 2]),
        (lambda mask, n: jitorch.arange(5)[n:], [3, 4]),
    ],
)
def test_what_has_a_bound_size_depends_on_what_binds_it(function: Callable[..., Any], expected: Any) -> None:
    graph = verify(from_a_count(function))
    (binder,) = [node for node in graph.nodes if node.op.name == "steps"]
    behind: set[Any] = set(graph.outputs)
    for node in reversed(graph.nodes):
        if any(v in behind for v in node.outputs):
            behind.update(node.operands)
    assert binder.output in behind or binder.operands[0] in behind
    (found,) = interpret(graph, [np.array([True, False, True, True, False])], expand)
    np.testing.assert_array_equal(found, expected)
