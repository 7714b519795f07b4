"""docs/tour.py: the miniature computes, differentiates and compiles what it says, and points at files that exist."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
TOUR = ROOT / "docs" / "tour.py"
NAMES = {
    "ir/op.py": ["Op"],
    "ops/registry.py": ["op", "elementwise", "primitive"],
    "ops/dispatch.py": ["interpreting"],
    "tensor.py": ["Tensor"],
    "frontend/eager/interpreter.py": ["Eager"],
    "frontend/eager/tape.py": ["GradNode", "Tape"],
    "ir/graph.py": ["Value", "Node", "Graph"],
    "builder.py": ["GraphBuilder"],
    "passes/clean.py": ["cse", "dce"],
    "passes/grad.py": ["vjp"],
    "ir/kernel.py": ["Const", "Var", "Load", "Call", "Let", "Store", "For", "Kernel"],
    "lower/pull.py": ["Puller"],
    "backends/cpu/llvm.py": ["KernelWriter"],
    "ir/program.py": ["Program"],
    "compiler.py": ["compile_graph"],
    "errors.py": ["StagingError"],
    "frontend/python/rewrite.py": ["Rewriter", "rewrite"],
    "frontend/entry.py": ["Entry"],
    "frontend/jitted.py": ["Jitted"],
}


@pytest.fixture
def tour(monkeypatch):
    """A fresh copy of the tour as a module."""
    spec = importlib.util.spec_from_file_location("jitorch_tour", TOUR)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "jitorch_tour", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def arrays():
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape) for shape in ((3, 2), (4, 3), (4, 2))]


def expected(arrays, scale=1.0):
    w, x, y = arrays
    return np.mean((np.tanh(x @ w) * scale - y) ** 2)


def gradients(function, arrays, step=1e-6):
    """By central differences."""
    found = []
    for k, array in enumerate(arrays):
        result = np.empty_like(array)
        for index in np.ndindex(array.shape):
            above, below = ([a.copy() for a in arrays] for _ in range(2))
            above[k][index] += step
            below[k][index] -= step
            result[index] = (function(above) - function(below)) / (2 * step)
        found.append(result)
    return found


def test_it_runs(tour, capsys):
    tour.main()
    text = capsys.readouterr().out
    for part in ("graph @loss(", "kernel @reduce_sum_0(", "define void @reduce_sum_0(", "gradient of w:", "first call"):
        assert part in text


def test_eager_is_numpy_and_the_tape_gives_gradients(tour, arrays):
    tensors = [tour.Tensor(a, requires_grad=True) for a in arrays]
    out = tour.loss.function(*tensors)
    out.backward()
    np.testing.assert_allclose(out.array, expected(arrays), rtol=1e-12)
    for tensor, gradient in zip(tensors, gradients(expected, arrays), strict=True):
        np.testing.assert_allclose(tensor.grad.array, gradient, rtol=1e-6, atol=1e-8)


def test_jit_is_eager_with_its_gradients(tour, arrays):
    eager, jitted = ([tour.Tensor(a, requires_grad=True) for a in arrays] for _ in range(2))
    a, b = tour.loss.function(*eager), tour.loss(*jitted)
    a.backward()
    b.backward()
    np.testing.assert_allclose(b.array, a.array, rtol=1e-12)
    for x, y in zip(eager, jitted, strict=True):
        np.testing.assert_allclose(y.grad.array, x.grad.array, rtol=1e-12)


def test_the_graph_as_text(tour):
    graph = tour.Graph("f", [(2, 3)])
    with tour.interpreting(tour.GraphBuilder(graph)):
        x = tour.Tensor(value=graph.inputs[0])
        graph.outputs = [(tour.tanh(x) * tour.tanh(x)).value]
    tour.cse(graph)
    tour.dce(graph)
    assert str(graph).splitlines() == [
        "graph @f(%in0: f64[2, 3]) {",
        "  %0: f64[2, 3] = tanh(%in0)",
        "  %1: f64[2, 3] = mul(%0, %0)",
        "  return %1",
        "}",
    ]
    assert [str(k) for k in tour.lower(graph)[0]] == [
        "kernel @mul_0(in0, buf0) {\n"
        "  for i0 in 2 {\n"
        "    for i1 in 3 {\n"
        "      t2 = tanh(in0[add(mul(i0, 3), i1)])\n"
        "      buf0[add(mul(i0, 3), i1)] = mul(t2, t2)\n"
        "    }\n"
        "  }\n"
        "}"
    ]


def test_the_product_of_the_operands_is_not_stored(tour, arrays):
    tour.loss(*map(tour.Tensor, arrays))
    program = tour.loss.entries[0].program
    assert (4, 3, 2) in {n.output.shape for n in program.graph.nodes}
    assert (4, 3, 2) not in program.shapes.values()


def test_guards(tour, arrays):
    def call():
        return float(tour.loss(*map(tour.Tensor, arrays)).array)

    assert call() == call() == pytest.approx(expected(arrays))
    assert len(tour.loss.entries) == 1
    tour.scale = 0.5
    assert call() == pytest.approx(expected(arrays, 0.5))
    assert len(tour.loss.entries) == 2
    tour.scale = 1.0
    call()
    assert len(tour.loss.entries) == 2  # the first trace still stands
    arrays[1:] = [arrays[1][:2], arrays[2][:2]]
    assert call() == pytest.approx(expected(arrays))
    assert tour.loss.explain().splitlines() == [
        "trace 1: first call",
        "trace 2: global scale was 1.0, is 0.5",
        "trace 3: shape 1 was (4, 3), is (2, 3)",
    ]


def nonzero_or_one(x):
    if x:
        return x
    return x + 1.0


def test_what_cannot_be_traced_runs_eagerly_with_one_warning(tour):
    jitted = tour.jit(nonzero_or_one)
    with pytest.warns(RuntimeWarning, match="nonzero_or_one runs eagerly: a test of a traced tensor"):
        assert jitted(tour.Tensor(2.0)).array == 2.0
    assert jitted(tour.Tensor(0.0)).array == 1.0


def test_shapes_that_do_not_fit(tour):
    with pytest.raises(ValueError, match="shapes differ"):
        tour.Tensor([1.0]) + tour.Tensor([1.0, 2.0])


def test_every_file_it_names_exists():
    text = TOUR.read_text(encoding="utf-8")
    named = re.findall(r"\bjitorch/[\w/]*\w(?:\.py)?", text)
    assert len(named) > 20
    for name in named:
        assert (ROOT / name).exists(), name
    for folder, names in re.findall(r"\b(jitorch/[\w/]+/)(?:: | \()((?:\w+\.py(?:, )?)+)", text):
        for name in names.split(", "):
            assert (ROOT / folder / name).exists(), folder + name


@pytest.mark.parametrize("file", NAMES)
def test_names_are_those_of_jitorch(tour, file):
    text = (ROOT / "jitorch" / file).read_text(encoding="utf-8")
    for name in NAMES[file]:
        assert hasattr(tour, name)
        assert re.search(rf"^(?:class|def) {name}\b", text, re.MULTILINE), name
