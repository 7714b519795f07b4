from __future__ import annotations

import pytest

from jitorch import config
from jitorch.errors import AutogradError, CompilerBug
from jitorch.ir.graph import Graph
from jitorch.ops import OPS
from jitorch.passes.clean import cse, dce
from jitorch.passes.pipeline import Report, run

TEXT = """\
graph @main(%x: f32[2]) {
  %0: f32[2] = exp(%x)
  %1: f32[2] = exp(%x)
  %2: f32[2] = add(%0, %1)
  return %2
}"""


@pytest.fixture
def graph() -> Graph:
    return Graph.parse(TEXT, OPS)


def reverse(graph: Graph) -> bool:
    graph.nodes.reverse()
    return True


def crash(graph: Graph) -> bool:
    raise KeyError("lost")


def refuse(graph: Graph) -> bool:
    raise AutogradError("no gradient")


def test_passes_run_in_order_and_are_reported(graph: Graph) -> None:
    report = Report()
    assert run(graph, (dce, cse, dce), report) is graph
    assert len(graph) == 2
    assert report.changed == ["cse"]
    assert set(report.seconds) == {"dce", "cse"}
    assert all(seconds >= 0 for seconds in report.seconds.values())


def test_a_pass_that_breaks_the_graph_is_named(graph: Graph) -> None:
    with config.override(verify=True), pytest.raises(CompilerBug) as caught:
        run(graph, (cse, reverse))
    assert caught.value.what.startswith("pass reverse broke the graph: add: operand 0 is not defined")


def test_a_broken_graph_is_refused_before_any_pass(graph: Graph) -> None:
    graph.nodes.reverse()
    with config.override(verify=True), pytest.raises(CompilerBug, match="operand 0 is not defined"):
        run(graph, (crash,))


def test_checks_can_be_off(graph: Graph) -> None:
    with config.override(verify=False):
        run(graph, (reverse,))
    assert graph.nodes[0].op is OPS["add"]


def test_a_pass_that_crashes_is_named_with_the_graph(graph: Graph) -> None:
    with pytest.raises(CompilerBug, match="pass crash failed") as caught:
        run(graph, (crash,))
    assert TEXT in str(caught.value)


def test_a_users_error_is_passed_on(graph: Graph) -> None:
    with pytest.raises(AutogradError, match="no gradient"):
        run(graph, (refuse,))
