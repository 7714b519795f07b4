"""Code for a 64-bit ARM processor gives what the interpreter gives, run under qemu."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jitorch
from jitorch.compiler import lift_literals
from jitorch.ir.graph import Graph
from jitorch.lower.program import program
from jitorch.passes import pipeline
from jitorch.passes.clean import cse, dce, fold
from jitorch.passes.decompose import decompose
from jitorch.passes.simplify import simplify
from tests.backends.cpu import emulated

pytestmark = pytest.mark.emulated


def _mlp(x, w, b, v):  # type: ignore[no-untyped-def]
    return jitorch.softmax(jitorch.nn.functional.gelu(x @ w + b) @ v, -1)


def _conv(x, w):  # type: ignore[no-untyped-def]
    return jitorch.nn.functional.conv2d(x, w, padding=1).relu()


def _maths(x):  # type: ignore[no-untyped-def]
    return x.exp() + x.tanh() + x.abs().log() + x.sin() + x.erf()


CASES = {
    "mlp": (_mlp, [(13, 40), (40, 70), (70,), (70, 10)]),
    "conv": (_conv, [(2, 3, 9, 11), (8, 3, 3, 3)]),
    "maths": (_maths, [(257,)]),
    "sum": (lambda x: x.sum(0), [(33, 65)]),
}


def _lowered(function, inputs) -> Graph:  # type: ignore[no-untyped-def]
    jitted = jitorch.jit(function)
    jitted(*inputs)
    graph = jitted.graph.copy()
    assert not lift_literals(graph)
    decompose(graph)
    pipeline.run(graph, (dce, simplify, fold, cse))
    return graph


@pytest.mark.parametrize("name", CASES)
def test_neon(name: str, tmp_path: Path) -> None:
    function, shapes = CASES[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    inputs = [jitorch.from_numpy(a) for a in arrays]
    expected = function(*inputs).numpy()
    lowered = program(_lowered(function, inputs), "emulated")
    executable = emulated.build(lowered, emulated.AARCH64, "aarch64-linux-musl", tmp_path)
    *_, result = emulated.run(executable, lowered, [*arrays, np.zeros_like(expected)], tmp_path)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
