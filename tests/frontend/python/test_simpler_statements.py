"""The new statements do what the old ones did, by Python itself."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

import pytest

from jitorch.frontend.python.simpler_statements import SimplerStatements

TRIES = """
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


LOOPS = """
def f(how):
    trail, n = [], 0
    for turn in range(2):
        while (n := n + 1) < 3 or how == (m := "more") and n < 5:
            trail.append(n)
            if how == "return":
                return trail
            if how == "break":
                break
            if how == "continue":
                continue
            if how == "raise":
                raise ValueError(n)
            trail.append("body")
        else:
            trail.append("else")
            if how == "raise in else":
                raise ValueError(n)
            if how == "break in else":
                break
        everything.append(trail)
    return [*trail, n]
"""


def tried(function: Any, how: str) -> Any:
    try:
        return function(how)
    except ValueError as error:
        return error.args


HOW = "return, break, continue, raise, raise in else, break in else, more, nothing".split(", ")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("source", [TRIES, LOOPS], ids=["try", "while"])
def test_as_python(source: str, how: str) -> None:
    found = []
    for tree in (ast.parse(source), SimplerStatements().visit(ast.parse(source))):
        names: dict[str, Any] = {"everything": []}
        exec(compile(tree, "try", "exec"), names)
        found.append((tried(names["f"], how), names["everything"]))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    a()\nexcept E:\n    return 1\nelse:\n    b()",
        "try:\n    return 1\nfinally:\n    b()",
        "while n < (lambda: 3)():\n    n += 1",
    ],
)
def test_others_stay_as_they_are(source: str) -> None:
    tree = ast.parse(f"def f():\n{textwrap.indent(source, '    ')}")
    before = ast.dump(tree)
    assert ast.dump(SimplerStatements().visit(tree)) == before
