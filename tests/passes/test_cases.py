"""Every pass on the texts below ``cases/``, a folder a pass; see `tests.filecheck`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jitorch.ir.graph import Graph, Value
from jitorch.ir.interpret import interpret
from jitorch.ir.types import ScalarType, TensorType
from jitorch.lower.fuse import plan
from jitorch.passes.clean import cse, dce, fold
from jitorch.passes.decompose import decompose, expand
from jitorch.passes.grad import vjp
from jitorch.passes.partition import partition
from jitorch.passes.simplify import simplify
from tests import filecheck

FOLDER = Path(__file__).parent / "cases"


def gradients(graph: Graph) -> Graph:
    """The gradients of the first output by every input."""
    return vjp(graph, range(len(graph.inputs)), [0])


def regions(graph: Graph) -> str:
    """The regions when matrix products have a backend of their own."""
    parts = partition(graph, lambda node: "blas" if node.op.name.startswith("matmul") else "cpu")
    return "\n".join(f"// {part.backend}\n{part.graph}" for part in parts)


def stored(graph: Graph) -> str:
    """The values that get a buffer."""
    values = [v for node in graph.nodes for v in node.outputs]
    names = (f"%{i}" for i, value in enumerate(values) if value in plan(graph).stored)
    return f"stored: {', '.join(names)}"


PRESERVING: dict[str, Callable[[Graph], bool]] = {
    "simplify": simplify,
    "fold": fold,
    "cse": cse,
    "dce": dce,
    "decompose": decompose,
}
"""Passes whose result computes what their operand computes."""

TRANSFORMS: dict[str, Callable[[Graph], Graph | str]] = {
    **{name: filecheck.in_place(change) for name, change in PRESERVING.items()},
    "grad": gradients,
    "partition": regions,
    "fuse": stored,
}


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", filecheck.cases(FOLDER), ids=_name)
def test_case(path: Path, update_golden: bool) -> None:
    filecheck.check(path, TRANSFORMS[path.parent.name], update_golden)


@pytest.mark.parametrize("path", [p for p in filecheck.cases(FOLDER) if p.parent.name in PRESERVING], ids=_name)
def test_result_computes_the_same(path: Path) -> None:
    graph = filecheck.check(path, TRANSFORMS[path.parent.name])
    changed = graph.copy()
    PRESERVING[path.parent.name](changed)
    if not graph.is_static:
        pytest.fail("a case of a preserving pass has static sizes, so that it can be run")
    inputs = [_random(value) for value in graph.inputs]
    for expected, actual in zip(interpret(graph, inputs, expand), interpret(changed, inputs, expand), strict=True):
        # A pass may regroup roundings, so each element agrees within a few units in the last place.
        np.testing.assert_allclose(actual, expected, rtol=4 * np.finfo(np.float32).eps)


def _random(value: Value) -> object:
    rng = np.random.default_rng(value.index)
    if isinstance(value.type, ScalarType):
        return value.type.dtype.numpy.type(3).item()
    assert isinstance(value.type, TensorType)
    shape = tuple(d for d in value.type.shape if isinstance(d, int))
    return (4 * rng.random(shape) + 1).astype(value.type.dtype.numpy)


def test_every_pass_has_cases() -> None:
    folders = {path.parent.name for path in filecheck.cases(FOLDER)}
    assert folders == set(TRANSFORMS)
