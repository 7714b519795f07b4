"""`match` as `if`: what the new statements do is what the old one did, by Python itself."""

from __future__ import annotations

import ast
import collections
import textwrap
from typing import Any

import pytest

from jitorch.frontend.python.match_statement import Asked, MatchStatements
from tests.frontend.python.test_fork import new_trace


class Point:
    __match_args__ = ("x", "y")

    def __init__(self, x: Any, y: Any):
        self.x, self.y = x, y


SUBJECTS = [
    0, 1, 1.0, True, None, "a", "ab", b"a", [], [1], [1, 2], [1, 2, 3], (1, 2), [[1, 2], 3], {"k": 1}, {"k": 1, "m": 2},
    {}, Point(1, 2), Point(2, 2), Point([1, 2], {"k": 5}), {1, 2}, range(3), collections.deque([1, 2]), -1,
]  # fmt: skip
CASES = """
1 | 2
-1 | "a"
None
True | b"a"
int() | str()
int(n)
[]
[a]
[a, b]
[a, *b]
[*_, a]
[1, *a, 3]
[[a, b], 3]
{"k": a}
{"k": 1, **rest}
{}
Point()
Point(x=1)
Point(a, 2)
Point(a, y=b)
Point([a, *_], {"k": b})
[1, a] | [a]
(1 | 2) as a
[int() as a, _] if a == 1
list(a) if len(a) > 1
Point(none=_)
a if a == 1
""".strip().splitlines()


def run(source: str, subject: Any, protocol: Any = None) -> Any:
    namespace: dict[str, Any] = {"Point": Point, "_jt": protocol}
    tree = ast.parse(textwrap.dedent(source))
    if protocol is not None:
        tree = ast.fix_missing_locations(Calls().visit(MatchStatements().visit(tree)))
    exec(compile(tree, "match", "exec"), namespace)
    found = namespace["f"](subject)
    return {name.partition(".")[0]: value for name, value in found.items() if "." not in name and name != "s"}


class Calls(ast.NodeTransformer):
    def visit_Asked(self, node: Asked) -> ast.expr:
        function = ast.Attribute(ast.Name("_jt", ast.Load()), node.method, ast.Load())
        return ast.Call(function, [self.visit(a) for a in node.arguments], [])


@pytest.mark.parametrize("case", CASES)
def test_as_python(case: str) -> None:
    source = f"""
    def f(s):
        match s:
            case {case}:
                found = "first"
            case 3:
                found = "second"
            case [_, *_] | {{"k": _}}:
                found = "third"
        return locals()
    """
    trace = new_trace()
    for subject in SUBJECTS:
        assert run(source, subject, trace) == run(source, subject)


def test_names_are_bound_when_the_whole_pattern_matched() -> None:
    source = """
    def f(s):
        a = b = 0
        match s:
            case [a, 5] | [5, a]:
                pass
            case [_, b] if b > 100:
                pass
        return locals()
    """
    trace = new_trace()
    for subject in ([1, 2], [1, 5], [5, 1], [1, 200]):
        assert run(source, subject, trace) == run(source, subject)


def test_new_statements_have_the_place_of_their_pattern() -> None:
    tree = ast.parse("match s:\n  case [a, {'k': b}]:\n    f(a)\n  case 2:\n    g()\n")
    new = MatchStatements().visit(tree)
    for node in ast.walk(new):
        if isinstance(node, ast.stmt):
            assert 1 <= node.lineno <= 5
    assert not any(isinstance(node, ast.Match) for node in ast.walk(new))
