"""The door to the exporter."""

from __future__ import annotations

import sys
import types

import pytest

import jitorch
from jitorch import onnx
from jitorch.errors import MissingExtraError


def test_without_the_plugin_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jitorch_onnx", None)
    with pytest.raises(MissingExtraError, match="jitorch_onnx") as caught:
        onnx.export(lambda x: x, (jitorch.zeros(2),))
    assert "pip install jitorch-onnx" in str(caught.value)


def test_arguments_reach_the_plugin(monkeypatch):
    calls = []
    plugin = types.ModuleType("jitorch_onnx")
    plugin.export = lambda *args, **kwargs: calls.append((args, kwargs)) or "model"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jitorch_onnx", plugin)
    assert onnx.export("model", (1,), "file", input_names=["x"], opset_version=20, verify=False) == "model"
    ((args, kwargs),) = calls
    assert args == ("model", (1,), "file")
    assert kwargs == {
        "input_names": ["x"], "output_names": None, "dynamic_axes": None, "opset_version": 20, "verify": False,
    }  # fmt: skip


def test_an_import_error_inside_of_the_plugin_is_its_own(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "jitorch_onnx":
                raise ModuleNotFoundError("No module named 'something'", name="something")

    monkeypatch.delitem(sys.modules, "jitorch_onnx", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="something"):
        onnx.export(lambda x: x, (jitorch.zeros(2),))
