"""The re-exports in the package are what the op registry publishes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import jitorch
from jitorch.ops import PUBLIC

TOOL = Path(__file__).resolve().parent.parent / "tools" / "public_names.py"


def tool():
    spec = importlib.util.spec_from_file_location("public_names", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_blocks_are_up_to_date():
    names = tool()
    for prefix, target in names.TARGETS.items():
        old, new = names.updated(names.ROOT / target, prefix)
        assert old == new, f"run python tools/public_names.py --write ({target})"


@pytest.mark.parametrize("name", sorted(n for n in PUBLIC if "." not in n))
def test_published_functions_are_names_of_the_package(name):
    assert getattr(jitorch, name) is PUBLIC[name]


def test_all_names_exist_once():
    assert len(set(jitorch.__all__)) == len(jitorch.__all__)
    assert [n for n in jitorch.__all__ if not hasattr(jitorch, n)] == []


def test_submodules_load_when_asked_for():
    assert jitorch.linalg.__name__ == "jitorch.linalg"
    assert jitorch.autograd.grad is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        jitorch.no_such_name


def test_importing_the_package_stays_light():
    code = (
        "import sys, jitorch; "
        "print([m for m in ('llvmlite', 'lark', 'torch', 'jitorch.compiler', 'jitorch.nn') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
