from __future__ import annotations

import functools
import types
from typing import Any

import pytest

import jitorch
from jitorch.frontend.records.names import Changed, Digests, is_package_code, name_of, resolve


def class_of(source: str) -> Any:
    space: dict[str, Any] = {"functools": functools, "__name__": "somewhere"}
    exec(compile(source, "somewhere.py", "exec"), space)
    return space["A"]


def digest(source: str) -> str:
    return Digests().type(class_of(source))


BASE = "class A:\n    n = 1\n    def f(self):\n        return 1\n"


def test_equal_classes_have_one_digest() -> None:
    assert digest(BASE) == digest(BASE)


@pytest.mark.parametrize(
    "source",
    [
        BASE.replace("n = 1", "n = 2"), BASE.replace("return 1", "return 2"), BASE + "    def g(self): return 1\n",
        BASE.replace("class A:", "class A(dict):"), BASE.replace("self)", "self, x=1)"),
        BASE + "    __bool__ = lambda self: False\n", BASE + "    p = property(lambda self: 1)\n",
        BASE + "    c = functools.cached_property(lambda self: 1)\n", BASE + "    s = staticmethod(lambda: 1)\n",
    ],
)  # fmt: skip
def test_what_a_trace_may_depend_on_changes_the_digest(source: str) -> None:
    assert digest(source) != digest(BASE)


def test_a_documentation_string_does_not() -> None:
    assert digest(BASE + "    __doc__ = 'text'\n") == digest(BASE)


def test_classes_that_versions_cover_are_known_by_name() -> None:
    assert Digests().type(dict) == "builtins.dict"
    assert Digests().type(jitorch.nn.Linear) == f"{jitorch.nn.Linear.__module__}.Linear"


def test_nested_code_is_covered() -> None:
    def outer() -> Any:
        return lambda: 1

    digests = Digests()
    digests.code(outer.__code__)
    assert digests.of(outer().__code__) in digests.covered
    assert not is_package_code(outer.__code__)
    assert is_package_code(jitorch.nn.Linear.forward.__code__)


def test_names_lead_back_to_the_object_itself() -> None:
    for value in (dict, len, types.FunctionType, object.__setattr__, jitorch.nn.functional.relu, Digests.type):
        name = name_of(value)
        assert name is not None
        assert resolve(*name) is value
    assert name_of(class_of(BASE)) is None
    with pytest.raises(Changed, match="is not imported"):
        resolve("no_such_module", "x")
    with pytest.raises(Changed, match="has no absent"):
        resolve("types", "absent")
