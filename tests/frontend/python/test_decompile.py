"""Functions without a file are read from their byte code, and only where that compiles to the same again."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

import jitorch
from jitorch.errors import StagingError
from jitorch.frontend.python import source

LAMBDAS = [
    "lambda x: x + 1",
    "lambda a, b: f((a, b))",
    "lambda x: f(x, 2, a=1, b=x)",
    "lambda x: (x @ x.T).sum(dim=-1, keepdim=True)",
    "lambda x: -x[1:, None].m(3).n",
    "lambda x: x[1:2:3]",
    "lambda x, /, y, *, z: x[y:z]",
    "lambda *a, **k: g(*a, **k)",
    "lambda x: g(*x, y=2)",
    "lambda x: [1, 2, 3]",
    "lambda x: [x, 2]",
    "lambda x: {1: x, 'a': 2}",
    "lambda x: {x, 2}",
    "lambda x: x is None",
    "lambda x: x not in (1, 2)",
    "lambda x: not x",
    "lambda x: ~+x",
    "lambda x: x << 2 | 1",
    "lambda x: x == 2.5",
    "lambda: None",
]


@pytest.mark.parametrize("text", LAMBDAS)
def test_lambdas(text: str) -> None:
    assert ast.unparse(source.find(eval(text).__code__).node) == text


def test_statements() -> None:
    text = "def f(x, y):\n    z = x * y\n    z.add_(1)\n    return w + z"
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    assert ast.unparse(source.find(namespace["f"].__code__).node) == text


@pytest.mark.parametrize(
    "text", ["lambda x: x if x else 1", "lambda x: [y for y in x]", "lambda x: lambda: x", "lambda x: f'{x}'"]
)
def test_what_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(source.NoSource, match=re.escape("no source file <string>, and its byte code")):
        source.find(eval(text).__code__)


def test_such_a_function_is_compiled() -> None:
    scale = jitorch.full((2,), 3.0)
    f = jitorch.jit(eval("lambda x, y=2.0: (x * scale).sum() + y", {"scale": scale}), fullgraph=True)
    assert [f(jitorch.ones(2)).item(), f(jitorch.ones(2), y=1.0).item()] == [8, 7]
    with pytest.raises(StagingError, match=r"cannot be read: no source file <string>"):
        jitorch.jit(eval("lambda x: x if x.sum() > 0 else -x"), fullgraph=True)(jitorch.ones(2))
