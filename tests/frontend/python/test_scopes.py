from __future__ import annotations

import ast

import pytest

from jitorch.frontend.python.scopes import bindings, clone, contains, leaves, mangle

SOURCE = """
global g
a = b.c = 1
for d, (e, *f) in x: pass
with y as h: pass
try: pass
except E as i: pass
import j.k, l as m
from n import o as p
def q(r): s = 1
class t: u = 2
[v for w in x if (z := w)]
(lambda aa: (bb := aa))
g = 1
del cc
match x:
    case {"k": dd, **ee}: pass
    case [*ff, gg] as hh: pass
"""


def test_bindings() -> None:
    found = bindings(ast.parse(SOURCE).body)
    assert found.names == set("a d e f h i j m p q t z g cc dd ee ff gg hh".split())
    assert found.declared == {"g": "global"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("return", True),
        ("break", True),
        ("for x in y: break", False),
        ("for x in y: return", True),
        ("for x in y: pass\nelse: break", True),
        ("while x:\n  for y in z: continue", False),
        ("if x:\n  try: pass\n  except E: continue", True),
        ("def f(): return 1", False),
        ("with x:\n  match y:\n    case 1: return", True),
        ("x = 1", False),
    ],
)
def test_leaves(source: str, expected: bool) -> None:
    assert leaves(ast.parse(source).body) is expected


def test_contains_stops_at_functions() -> None:
    kinds = (ast.Yield,)
    assert contains(ast.parse("x + (yield 1)"), kinds)
    assert not contains(ast.parse("lambda: (yield 1)"), kinds)


def test_clone_is_equal_and_apart() -> None:
    tree = ast.parse(SOURCE)
    copy = clone(tree)
    assert ast.dump(copy, include_attributes=True) == ast.dump(tree, include_attributes=True)
    copy.body.clear()
    assert tree.body


def test_mangling_is_pythons_own() -> None:
    source = "def f(self, __a): __b = self.__c + __a; return __d__, __b"
    tree = ast.parse(source)
    mangle(tree, "_K")
    compiled = compile(tree, "<test>", "exec").co_consts[0]
    namespace: dict[str, type] = {}
    exec(f"class _K:\n    {source}", namespace)
    expected = namespace["_K"].f.__code__
    assert (compiled.co_varnames, compiled.co_names) == (expected.co_varnames, expected.co_names)


def test_a_class_of_underscores_mangles_nothing() -> None:
    tree = ast.parse("__a = 1")
    mangle(tree, "__")
    assert ast.unparse(tree) == "__a = 1"
