"""Branches as nodes: one `cond` of what differs, a check where one side raises, nothing where nothing differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jitorch
from jitorch.frontend.python.flow import BREAK, NEXT, Left, Mixed
from jitorch.frontend.python.recorder import Refuse
from jitorch.frontend.trace.staging import kind_text, selector_of
from jitorch.frontend.trace.tracer import Traced, trace


def ops(traced: Traced) -> list[str]:
    return [node.op.name for node in traced.graph.nodes]


def of(function: Callable[..., Any], *args: Any) -> Traced:
    traced = trace(function, args or (jitorch.ones(2),), {})
    assert traced.staged.refused is None
    return traced


def two_results(x):
    y, n = x, 0
    if x[0] > 0:
        y, n = x * 2, 1
    return y * n


def nothing_differs(x):
    if x[0] > 0:
        pass
    return x * 2


def one_side_raises(x):
    if x[0] > 0:
        raise ValueError
    return x * 2


def the_rest_belongs_to_one_side(x):
    if x[0] > 0:
        return x * 3
    return (x * 2).exp()


def test_nodes_of_branches() -> None:
    (branch,) = [n for n in of(two_results).graph.nodes if n.op.name == "cond"]
    assert {str(v.type) for v in branch.outputs} == {"f32[2]", "int"}
    assert "cond" not in ops(of(nothing_differs))
    assert "check" in ops(of(one_side_raises))
    assert "cond" not in ops(of(one_side_raises))
    (branch,) = [n for n in of(the_rest_belongs_to_one_side).graph.nodes if n.op.name == "cond"]
    assert [n.op.name for n in branch.attrs["orelse"].nodes][-1] == "exp"


def test_notes_say_what_was_staged_and_where() -> None:
    (note,) = of(two_results).notes
    assert str(note).startswith("a branch of the program: test_staging.py:")
    assert str(note).endswith("if x[0] > 0:")


@pytest.mark.parametrize(
    ("signal", "selector"),
    [(None, NEXT), (Left(BREAK), BREAK), (Mixed("at run time", frozenset((NEXT, BREAK))), "at run time")],
)
def test_selectors(signal: Any, selector: Any) -> None:
    assert selector_of(signal) == selector


def test_what_must_agree() -> None:
    assert str(kind_text(jitorch.ones(2, 3))) == "f32[2, 3]"
    assert kind_text("text") is None


def raises_on_both_sides(x):
    if x[0] > 0:
        raise ValueError
    else:  # noqa: RET506
        raise KeyError


def test_a_branch_that_always_raises_is_left_to_python() -> None:
    refused = trace(raises_on_both_sides, (jitorch.ones(2),), {}).staged.refused
    assert isinstance(refused, Refuse)
    assert "every path of a branch raises" in refused.why
