from __future__ import annotations

from typing import Any

import pytest

from jitorch.errors import CompilerBug
from jitorch.ir.graph import Graph
from jitorch.ir.verify import verify
from jitorch.ops import OPS
from jitorch.passes.rewrite import C, P, RuleSet, V, constant_of, op

x, y, p = map(V, "xyp")


def graph_of(*lines: str, result: str = "%0") -> Graph:
    return Graph.parse("\n".join(["graph @main(%x: f32[2, 2], %y: f32[2, 2]) {", *lines, f"return {result} }}"]), OPS)


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in verify(graph)]


def test_a_rule_replaces_what_it_matches_at_its_line() -> None:
    rules = RuleSet()

    @rules.rewrite(P(op("sub"), x, y))
    def add_negative(x: Any, y: Any) -> Any:
        return x + (-y)

    graph = graph_of("%0: f32[2, 2] = sub(%x, %y)  // a.py:7", "%1: f32[2, 2] = exp(%0)", result="%1")
    assert rules.apply(graph)
    assert names(graph) == ["neg", "add", "exp"]
    assert [str(node.loc) for node in graph.nodes[:2]] == ["a.py:7", "a.py:7"]
    assert not rules.apply(graph)


def test_none_declines_and_leaves_nothing_behind() -> None:
    rules = RuleSet()

    @rules.rewrite(P(op("exp"), x))
    def undecided(x: Any) -> Any:
        _ = x + x

    graph = graph_of("%0: f32[2, 2] = exp(%x)")
    before = str(graph)
    assert not rules.apply(graph)
    assert str(verify(graph)) == before


def test_the_first_rule_that_accepts_wins() -> None:
    rules = RuleSet()

    @rules.rewrite(P(op("exp"), x))
    def declines(x: Any) -> Any:
        return None

    @rules.rewrite(P(op("exp"), x))
    def accepts(x: Any) -> Any:
        return -x

    @rules.rewrite(P(op("exp"), x))
    def comes_too_late(x: Any) -> Any:
        return x

    graph = graph_of("%0: f32[2, 2] = exp(%x)")
    assert rules.apply(graph)
    assert names(graph) == ["neg"]


@pytest.mark.parametrize(("operands", "matches"), [("%x, %x", True), ("%x, %y", False)])
def test_a_variable_is_one_value(operands: str, matches: bool) -> None:
    rules = RuleSet()

    @rules.rewrite(P(op("maximum"), x, x))
    def greatest_of_one(x: Any) -> Any:
        return x

    assert rules.apply(graph_of(f"%0: f32[2, 2] = maximum({operands})")) is matches


@pytest.mark.parametrize(("perms", "matches"), [(("(1, 0)", "(1, 0)"), True), (("(1, 0)", "(0, 1)"), False)])
def test_attributes_match_by_value_and_by_variable(perms: tuple[str, str], matches: bool) -> None:
    rules = RuleSet()
    transpose = op("transpose_axes")

    @rules.rewrite(P(transpose, P(transpose, x, perm=p), perm=p))
    def twice(x: Any, p: Any) -> Any:
        return x

    inner, outer = perms
    graph = graph_of(
        f"%0: f32[2, 2] = transpose_axes(%x, perm={inner})",
        f"%1: f32[2, 2] = transpose_axes(%0, perm={outer})",
        result="%1",
    )
    assert rules.apply(graph) is matches

    by_value = RuleSet()

    @by_value.rewrite(P(transpose, x, perm=(0, 1)))
    def nothing(x: Any) -> Any:
        return x

    assert by_value.apply(graph_of("%0: f32[2, 2] = transpose_axes(%x, perm=(0, 1))"))
    assert not by_value.apply(graph_of("%0: f32[2, 2] = transpose_axes(%x, perm=(1, 0))"))


def test_a_constant_is_found_behind_views_and_casts() -> None:
    graph = graph_of(
        "%0: f64[] = constant(value=3.0, dtype=f64)",
        "%1: f32[] = cast(%0, dtype=f32)",
        "%2: f32[2, 2] = broadcast_to(%1, shape=(2, 2))",
        "%3: f32[2, 2] = mul(%x, %2)",
        result="%3",
    )
    assert constant_of(graph.nodes[2].output) == 3.0
    assert constant_of(graph.inputs[0]) is None
    rules = RuleSet()

    @rules.rewrite(P(op("mul"), x, C(3)))
    def thrice(x: Any) -> Any:
        return x + x + x

    assert rules.apply(graph)
    assert [node.op.name for node in graph.nodes[-2:]] == ["add", "add"]


def test_a_rule_that_changes_the_type_is_a_bug() -> None:
    rules = RuleSet()

    @rules.rewrite(P(op("exp"), x))
    def flattened(x: Any) -> Any:
        return op("reshape_to")(x, shape=(4,))  # type: ignore[operator]

    with pytest.raises(CompilerBug, match="a rewrite of exp changed its type"):
        rules.apply(graph_of("%0: f32[2, 2] = exp(%x)"))
