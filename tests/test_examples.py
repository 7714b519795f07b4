"""The examples that need no data run as tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from jitorch import config
from jitorch.backends import unregister_backend

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_twenty_ops_run_the_digits_model(capsys: pytest.CaptureFixture[str]) -> None:
    example = load("backend_20_ops")
    try:
        with config.override(cache=False):
            regions = example.main()
    finally:
        unregister_backend("twenty")
    assert len(example.TWENTY) == 20
    assert regions["twenty"] > 1 and regions["cpu"] > 1
    assert "convolution: not run by the backend asked for: not one of the twenty" in capsys.readouterr().out
