from __future__ import annotations

import ast
import functools
import importlib.util
import linecache
import textwrap
from pathlib import Path
from typing import Any

import pytest

from jitorch.frontend.python import source
from jitorch.frontend.python.source import NoSource

PAIR = (lambda x: x + 1, lambda x: x + 2)
SAME = [lambda x: x, lambda x: x]


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(function: Any) -> str:
    found = source.find(function.__code__).node
    return ast.unparse(found)


def test_lambdas_on_one_line_are_told_apart() -> None:
    assert text(PAIR[0]) == "lambda x: x + 1"
    assert text(PAIR[1]) == "lambda x: x + 2"
    assert {text(f) for f in SAME} == {"lambda x: x"}


def test_decorated_methods_and_closures() -> None:
    captured = 3

    class Holder:
        __private = 1

        @functools.lru_cache  # noqa: B019
        def method(self, a: int = 2, *rest: Any, key: Any = None, **more: Any) -> Any:
            return self.__private, a, captured, Holder, math_like(a), super().__init__

    function = Holder.method.__wrapped__
    found = source.find(function.__code__)
    assert found.class_name == "Holder"
    assert text(function).startswith("@functools.lru_cache\ndef method(")


def math_like(x: Any) -> Any:
    assert x is not None, "rewritten by pytest before it is compiled"
    return x.real


def test_asserts_that_pytest_rewrote() -> None:
    assert text(math_like).startswith("def math_like")


def test_recursion_and_imported_names() -> None:
    def fact(n: int) -> int:
        return 1 if n == 0 else n * fact(n - 1) + len(textwrap.dedent(""))

    assert fact(3) == 6
    assert text(fact).startswith("def fact")


def test_drift_is_detected(tmp_path: Path) -> None:
    file = tmp_path / "drifting.py"
    file.write_text("def f(x):\n    return x * 2\n\ndef g(x):\n    return x\n")
    module = load(file)
    assert text(module.f) == "def f(x):\n    return x * 2"
    file.write_text("def f(x):\n    return x * 3\n\ndef g(x):\n    return x\n")
    linecache.checkcache(str(file))
    with pytest.raises(NoSource, match="not what was compiled"):
        source.find(module.f.__code__)
    assert text(module.g) == "def g(x):\n    return x"
    assert text(load(file).f) == "def f(x):\n    return x * 3"


def test_a_file_that_is_no_python_any_more(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("def f(x):\n    return x * 2\n")
    module = load(file)
    file.write_text("def f(x:\n")
    with pytest.raises(NoSource, match="no longer valid"):
        source.find(module.f.__code__)


def test_no_file() -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def f(x):\n    while x: x = g(x)", "<nowhere>", "exec"), namespace)
    with pytest.raises(NoSource, match="no source file"):
        source.find(namespace["f"].__code__)


def test_the_standard_library_is_found() -> None:
    for module in (textwrap, functools, ast):
        functions = [f for f in vars(module).values() if getattr(f, "__module__", "") == module.__name__]
        for function in functions:
            code = getattr(function, "__code__", None)
            if code is not None and code.co_filename == module.__file__:
                assert source.find(code).node is not None
