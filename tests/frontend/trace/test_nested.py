"""Bodies: what they use from outside becomes inputs, and memory is what it was when they end."""

from __future__ import annotations

from typing import Any

import jitorch
from jitorch.frontend.trace.nested import Level, NestedBuilder, drop
from jitorch.ir.graph import Graph
from jitorch.ir.types import TensorType
from jitorch.ops import OPS, dispatch


class Builder(NestedBuilder):
    def __init__(self) -> None:
        super().__init__(Graph("main"))
        self.roots: dict[Any, Any] = {}


TYPE = TensorType(jitorch.float32, (2,))


def test_values_from_outside_become_inputs_and_constants_are_copied() -> None:
    builder = Builder()
    x = builder.wrap(builder.graph.add_input(TYPE))
    with dispatch.interpreting(builder):
        outer = x * 2
        one = OPS["constant"](value=1.0, dtype=jitorch.float32)
        level = Level(Graph("body"), builder.save())
        with builder.inside(level):
            inner = outer + OPS["broadcast_to"](one, shape=(2,))
            result = builder.lift(inner)
            builder.lift(inner * 5)  # nobody needs it
    assert result is not None
    nodes = builder.needed(level.graph, [result])
    captured = builder.free(nodes, [result], ())
    assert captured == [builder.lift(outer)]
    closed, _ = builder.close("body", nodes, [result], captured)
    drop(level.graph)
    assert [v.type for v in closed.inputs] == [TYPE]
    assert [n.op.name for n in closed.nodes] == ["constant", "broadcast_to", "add"]
    assert builder.operand(captured[0]) is outer


def test_memory_is_put_back() -> None:
    builder = Builder()
    x = builder.wrap(builder.graph.add_input(TYPE))
    with dispatch.interpreting(builder):
        y = x * 1
        before, saved = builder.lift(y), builder.save()
        level = Level(Graph("body"), saved)
        with builder.inside(level):
            assert builder.home(y) == 0
            y.add_(1)
            assert builder.home(y) == 1
            assert builder.version(y) == 1
        assert builder.lift(y) is not before
        builder.put_back(saved)
        assert builder.lift(y) is before
        assert builder.version(y) == 0


def test_checks_are_in_order() -> None:
    builder = Builder()
    x = builder.wrap(builder.graph.add_input(TYPE))
    with dispatch.interpreting(builder):
        ok = OPS["number_of"](x.sum() > 0)
        builder.check(ok)
        builder.check(OPS["logical_not"](ok))
    checks = [node for node in builder.graph.nodes if node.op.name == "check"]
    assert checks[1].inputs[1] is checks[0].output
    assert builder.token is checks[1].output
