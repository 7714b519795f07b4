"""An ``else`` after a ``try`` that may leave: the new statements do what the old one did, by Python itself."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

import pytest

from jitorch.frontend.python.try_statement import TryStatements

FUNCTION = """
def f(how):
    trail = []
    for turn in range(2):
        try:
            trail.append("try")
            if how == "return":
                return trail
            if how == "break":
                break
            if how == "continue":
                continue
            if how == "raise":
                raise ValueError(turn)
        except ValueError:
            trail.append("except")
        else:
            trail.append("else")
            if how == "raise in else":
                raise ValueError(turn)
        finally:
            trail.append("finally")
            everything.append(trail)
    return [*trail, "end"]
"""


def tried(function: Any, how: str) -> Any:
    try:
        return function(how)
    except ValueError as error:
        return error.args


@pytest.mark.parametrize("how", ["return", "break", "continue", "raise", "raise in else", "nothing"])
def test_as_python(how: str) -> None:
    found = []
    for tree in (ast.parse(FUNCTION), TryStatements().visit(ast.parse(FUNCTION))):
        names: dict[str, Any] = {"everything": []}
        exec(compile(tree, "try", "exec"), names)
        found.append((tried(names["f"], how), names["everything"]))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "source",
    ["try:\n    a()\nexcept E:\n    return 1\nelse:\n    b()", "try:\n    return 1\nfinally:\n    b()"],
)
def test_others_stay_as_they_are(source: str) -> None:
    tree = ast.parse(f"def f():\n{textwrap.indent(source, '    ')}")
    before = ast.dump(tree)
    assert ast.dump(TryStatements().visit(tree)) == before
