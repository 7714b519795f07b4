"""Every public name says what it is."""

from __future__ import annotations

import importlib
import inspect
import types
from typing import Any

import pytest

import jitorch

MODULES = [
    "jitorch", "jitorch.autograd", "jitorch.backends", "jitorch.jit", "jitorch.linalg", "jitorch.nn",
    "jitorch.nn.functional", "jitorch.nn.utils", "jitorch.optim", "jitorch.special", "jitorch.utils.data",
]  # fmt: skip
WITHOUT_ALL = ["jitorch.autograd.functional", "jitorch.compiler", "jitorch.nn.init", "jitorch.optim.lr_scheduler"]


def public(name: str) -> dict[str, Any]:
    """The names a module publishes: ``__all__``, or what it defines."""
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return {n: getattr(module, n) for n in listed}
    return {
        n: v
        for n, v in vars(module).items()
        if not n.startswith("_") and getattr(v, "__module__", None) == name and callable(v)
    }


def is_documented(value: Any) -> bool:
    if inspect.ismodule(value) or isinstance(value, types.UnionType):
        return True
    if isinstance(value, type):
        return bool(vars(value).get("__doc__"))
    if callable(value) or isinstance(value, property):
        return bool(value.__doc__) and value.__doc__ != type(value).__doc__
    return True  # a constant: a dtype, pi


@pytest.mark.parametrize("name", MODULES + WITHOUT_ALL)
def test_public_names_have_docstrings(name):
    names = public(name)
    assert len(names) > 2
    assert [n for n, value in names.items() if not is_documented(value)] == []


def test_modules_without_a_list_of_names_define_some():
    assert all(not hasattr(importlib.import_module(name), "__all__") for name in WITHOUT_ALL)


def test_members_of_tensor_have_docstrings():
    members = {n: getattr(jitorch.Tensor, n) for n in dir(jitorch.Tensor) if not n.startswith("_")}
    assert len(members) > 300
    assert [n for n, value in members.items() if not is_documented(value)] == []


def test_a_name_without_words_is_found():
    def silent():
        return None

    assert not is_documented(silent)
    assert not is_documented(property(silent))
    assert not is_documented(type("Silent", (), {}))


def test_help_shows_the_op():
    assert inspect.getdoc(jitorch.tanh) == "Hyperbolic tangent."
    assert str(inspect.signature(jitorch.softmax)).startswith("(input: 'Tensor', dim")
    assert jitorch.sum.__name__ == "sum"
    assert inspect.getdoc(jitorch.zeros).startswith("A tensor")
