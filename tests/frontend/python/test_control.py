"""What branches, loops and the ways out of them are rewritten to."""

from __future__ import annotations

import ast
import textwrap

import pytest

from jitorch.frontend.python.control import rebound
from tests.frontend.python.test_rewrite import rewritten

CASES = {
    "if": (
        """
        if a:
            b = 1
        else:
            b = 2
        """,
        "_jt.branch(a, _jt_body_then_1, _jt_body_else_2, None, _jt_variables)",
    ),
    "return in a branch": (
        """
        if a:
            return 1
        return 2
        """,
        "return _jt.finish(_jt.branch(a, _jt_body_then_2, None, _jt_body_rest_1, _jt_variables))",
    ),
    "while": (
        "while a:\n    a = 0",
        "_jt.while_loop(lambda: _jt.local(lambda: a, 'a'), _jt_body_loop_1, None, _jt_variables)",
    ),
    "for": ("for i in a:\n    b = i", "_jt.for_loop(a, _jt_body_loop_2, None, _jt_variables)"),
    "else of a loop": (
        """
        for i in a:
            break
        else:
            b = 1
        """,
        "_jt.for_loop(a, _jt_body_loop_3, _jt_body_else_1, _jt_variables)",
    ),
    "ternary": ("return 1 if a else 2", "return _jt.ternary(a, lambda: 1, lambda: 2)"),
    "and": ("return a and 1", "return _jt.boolean('and', a, lambda: 1)"),
    "test of and": ("if a and 1:\n    b = 1", "_jt.branch(_jt.joined_truth('and', a, lambda: 1), "),
    "assert": ("assert a", "assert _jt.holds(a)"),
    "break": ("while a:\n    break", "return _jt.signal('BREAK')"),
    "continue": ("while a:\n    continue", "return _jt.signal('CONTINUE')"),
    "return in a loop": ("while a:\n    return 3", "return _jt.returning(3)"),
    "yield stays": ("if a:\n    yield 1", "if _jt.test(a):"),
    "walrus in a test": ("while (b := a):\n    pass", "_jt.branch(_jt.unary('not_', (b := a)), "),
}


@pytest.mark.parametrize("name", CASES)
def test_rewriting(name: str) -> None:
    source, expected = CASES[name]
    body = textwrap.indent(textwrap.dedent(source), "    ")
    assert expected in rewritten(f"def f(a):\n{body}")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("x = 1", set()),
        ("if a:\n    x = 1\nelse:\n    y = 2", {"x", "y"}),
        ("for i in a:\n    x = i", {"i", "x"}),
        ("with a:\n    x = 1", set()),
        ("with a:\n    x = 1\n    return x", {"x"}),
        ("try:\n    if a:\n        x = 1\nexcept E:\n    y = 2", {"x"}),
        ("def g():\n    if a:\n        x = 1", set()),
    ],
)
def test_variables_that_need_asking(source: str, names: set[str]) -> None:
    assert rebound(ast.parse(source).body) == names
