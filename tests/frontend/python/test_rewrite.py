from __future__ import annotations

import ast
import inspect
import textwrap
import types
from typing import Any

import pytest

from jitorch.frontend.python import rewrite as rewriting
from jitorch.frontend.python.expressions import Unsupported
from jitorch.frontend.python.rewrite import MAKER, rewrite
from jitorch.frontend.python.scopes import clone


def rewritten(source: str, free: tuple[str, ...] = (), class_name: str | None = None) -> str:
    node = ast.parse(textwrap.dedent(source)).body[0]
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    _, module = rewrite(node, class_name, free)
    compile(module, "<test>", "exec")
    maker = module.body[0]
    assert isinstance(maker, ast.FunctionDef) and maker.name == MAKER
    return ast.unparse(maker.body[0])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("return x", "return _jt.load_global('x')"),
        ("return a", "return a"),
        ("return c", "return _jt.cell('c')"),
        (
            "a.b.c = a[1:2, 3]",
            "_jt.set_attribute(value=_jt.item(a, (_jt.slice(1, 2, None), 3)), target=_jt.attribute(a, 'b'), name='c')",
        ),
        ("a(1, *a, k=2, **a)", "_jt.call(a, 1, *_jt.iterate(a), k=2, **_jt.mapping(a))"),
        ("return a + -a", "return _jt.binary('add', a, _jt.unary('neg', a))"),
        ("return a < 1 < a", "return _jt.chain(('lt', 'lt'), a, lambda: 1, lambda: a)"),
        ("return a and a or 1", "return _jt.boolean('or', _jt.boolean('and', a, lambda: a), lambda: 1)"),
        ("return a if a else 1", "return _jt.ternary(a, lambda: a, lambda: 1)"),
        ("return [a, *a]", "return _jt.adopt([a, *_jt.iterate(a)])"),
        ("assert a, 'm'", "assert _jt.holds(a), 'm'"),
        ("a += 1", "a = _jt.inplace('add', a, 1)"),
        ("del a[0]", "_jt.delete_item(a, 0)"),
        ("return f'{a:>3}'", "return _jt.join(_jt.format(a, _jt.join('>3'), -1))"),
        ("return [i for i in a if i]", "return _jt.adopt([i for i in _jt.iterate(a) if _jt.test(i)])"),
        ("global g; g = 1", "_jt.set_global('g', 1)"),
        ("nonlocal c; c = 1", "_jt_variables = _jt.variables(lambda: (a,), True)\n_jt.set_cell('c', 1)"),
        ("return super().f", "return _jt.attribute(_jt.super(__class__, a), 'f')"),
        ("from m import n", "n = _jt.load_from('m', 0, 'n')"),
        ("return locals()", "return _jt.refuse('locals()')"),
        ("x: int = 1", "x = 1"),
    ],
)
def test_statements(source: str, expected: str) -> None:
    body = rewritten(f"def f(a):\n    {source}", free=("c",))
    # Python 3.12 prints the quotes of f-strings in another way.
    assert ast.unparse(ast.parse(textwrap.dedent(body.partition("\n")[2]))) == ast.unparse(ast.parse(expected))


def test_annotations_decorators_and_defaults_are_gone() -> None:
    source = "@d\ndef f(a: int, b: str = g(), *, c=h()) -> int: return a"
    assert rewritten(source) == "def f(a, b=None, *, c=None):\n    return a"


def test_inner_functions_share_variables() -> None:
    source = """
    def f(a):
        n = 0
        def g():
            nonlocal n
            n += a
            return n
        return g
    """
    text = rewritten(source)
    assert "nonlocal n" in text
    assert "n = _jt.inplace('add', n, a)" in text


def test_what_is_refused_keeps_its_names_local() -> None:
    text = rewritten("def f(a):\n    class K: pass\n    async def g(): pass\n    return K, g")
    assert text.count("_jt.refuse(") == 2
    assert "return (K, g)" in text


@pytest.mark.parametrize("source", ["async def f(): pass", "def f(a):\n    return [1 for a.x in a]"])
def test_unsupported(source: str) -> None:
    with pytest.raises(Unsupported):
        rewritten(source)


def test_every_node_has_the_place_of_what_it_replaces() -> None:
    source = inspect.getsource(rewriting)
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        _, module = rewrite(clone(node), None, ())
        last = node.end_lineno or 0
        for new in ast.walk(module):
            line: Any = getattr(new, "lineno", None)
            assert line is None or node.lineno <= line <= last
        code = next(c for c in compile(module, "<test>", "exec").co_consts if isinstance(c, types.CodeType))
        assert {line for _, _, line in code.co_lines() if line} <= set(range(node.lineno, last + 1))


def control(source: str) -> str:
    return rewritten("def f(a):\n" + textwrap.indent(source, "    ")).partition("\n")[2]


def test_bodies_are_functions() -> None:
    text = control("if a: b = 1\nelse: b = 2\nwhile a: a = 0\nfor a in b: pass")
    assert "def _jt_body_then_1():\n        nonlocal b\n        b = 1" in text
    test = "_jt.local(lambda: a, 'a')"
    assert "_jt.branch(a, _jt_body_then_1, _jt_body_else_2, None, _jt_variables)" in text.replace(test, "a")
    assert "_jt.while_loop(lambda: " in text
    assert "_jt.for_loop(_jt.local(lambda: b, 'b'), " in text


def test_what_follows_a_statement_that_leaves_is_a_function() -> None:
    text = control("if a: return 1\na += 1\nreturn a")
    assert "return _jt.returning(1)" in text
    assert "return _jt.finish(_jt.branch(a, _jt_body_then_2, None, _jt_body_rest_1, _jt_variables))" in text


@pytest.mark.parametrize("word", ["break", "continue"])
def test_ways_out_of_a_loop_are_signals(word: str) -> None:
    assert f"return _jt.signal('{word.upper()}')" in control(f"while a:\n    if a: {word}\n    a = 1")


def test_statements_with_a_yield_stay_as_they_are() -> None:
    text = control("for i in a:\n    if i: yield i\n    if a: return\n    if i: continue\n    yield a")
    assert "for i in _jt.iterate(a):" in text
    assert text.count("if _jt.test(") == 3
    assert "continue" in text
    assert "_jt_body" not in text
