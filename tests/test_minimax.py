"""The tables of `jitorch.backends.cpu.mathematics` are what tools/minimax.py finds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jitorch.backends.cpu.mathematics import tables

TOOL = Path(__file__).resolve().parents[1] / "tools" / "minimax.py"


@pytest.fixture(scope="module")
def minimax() -> ModuleType:
    spec = importlib.util.spec_from_file_location("minimax", TOOL)
    assert spec is not None and spec.loader is not None
    module = sys.modules["minimax"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["EXPONENTIAL_32", "SINE_32", "LOGARITHM_64"])
def test_a_table_is_found_again(name: str, minimax: ModuleType) -> None:
    table = next(table for table in minimax.TABLES if table.name == name)
    assert tuple(float(c) for c in minimax.fit(table)) == getattr(tables, name)


def test_constants_are_sums_of_their_parts(minimax: ModuleType) -> None:
    for name, value, bits in minimax.SUMS:
        assert tuple(float(part) for part in minimax.parts(value, bits)) == getattr(tables, name)
    for name, value, grid, bits in minimax.PLACES:
        assert tuple(float(part) for part in minimax.places(value, grid, bits)) == getattr(tables, name)
