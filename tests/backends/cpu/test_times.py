"""The table of times: its format, what is found in it, and what follows for a node."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.backends.base import Accept, Reject
from jitorch.backends.cpu import times
from jitorch.backends.cpu.backend import backend
from jitorch.backends.cpu.times import Table, Times
from jitorch.builder import graph_of
from jitorch.compiler import compile_graph
from jitorch.dims import Dim, symbol
from jitorch.errors import CompilerBug
from jitorch.ir.graph import Graph
from jitorch.ir.types import TensorType
from jitorch.ops import OPS

TEXT = """\
# What stands behind a hash is not read.
measured Some Processor, 2 threads, 2026-11-30
sizes 16 256 4096
scan_sum f32 1/2 4/8 1000/100
scan_sum int - 1/1 -
add f32 1/1 1/1 1000/1
"""


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "table", lambda: Table(TEXT))


def cumsum(shape: tuple[Dim, ...], dtype: dtypes.DType = dtypes.float32) -> Graph:
    return graph_of(lambda x: OPS["scan_sum"](x, axis=0), [TensorType(dtype, shape)], "running")


@pytest.mark.parametrize(
    ("kind", "elements", "expected"),
    [
        ("f32", 16, Times(1e-6, 2e-6)),
        ("f32", 4096, Times(1e-3, 1e-4)),
        ("f32", 64, Times(2e-6, 4e-6)),  # the geometric mean, half way
        ("f32", 3, Times(1e-6, 2e-6)),
        ("f32", 8192, Times(2e-3, 2e-4)),
        ("int", 256, Times(1e-6, 1e-6)),
        ("int", 255, None),
        ("int", 257, None),
        ("f64", 16, None),
    ],
)
def test_find(kind: str, elements: int, expected: Times | None) -> None:
    found = Table(TEXT).find("scan_sum", kind, elements)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("text", ["", "sizes 16\n", "measured here\n"])
def test_a_table_says_its_sizes_and_where_it_was_measured(text: str) -> None:
    with pytest.raises(CompilerBug, match="does not say"):
        Table(text)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("float32", "f32"), ("float64", "f64"), ("int8", "int"), ("bool_", "int"), ("float16", None), ("complex64", None)],
)
def test_classes_of_dtypes(dtype: str, kind: str | None) -> None:
    assert times.kind_of(getattr(dtypes, dtype)) == kind


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5e-10, "0.25 ns"), (1.5e-7, "150 ns"), (1e-6, "1 us"), (0.0123, "12.3 ms"), (2, "2 s")]
)
def test_units(seconds: float, text: str) -> None:
    assert times.in_time(seconds) == text


@pytest.mark.usefixtures("small_table")
def test_a_kernel_that_loses_by_more_than_leaving_native_code_costs_is_left_to_numpy() -> None:
    verdict = backend.verdict(cumsum((64, 64)).nodes[0])
    assert verdict == Reject("NumPy takes 100 us, its kernel 1 ms (table of Some Processor, 2 threads, 2026-11-30)")
    assert backend.verdict(cumsum((16, 16)).nodes[0]) == Accept()


@pytest.mark.usefixtures("small_table")
@pytest.mark.parametrize(
    "graph",
    [
        cumsum((64, 64), dtypes.float64),
        graph_of(lambda x: (x + x).sin(), [TensorType(dtypes.float32, (64, 64))], "fusible"),
    ],
    ids=["not measured", "fusible"],
)
def test_other_nodes_stay_compiled(graph: Graph) -> None:
    assert [backend.verdict(node) for node in graph.nodes if node.op.body is None] == [Accept()] * len(graph.nodes)


@pytest.mark.usefixtures("small_table")
def test_an_op_that_could_be_fused_is_left_to_numpy_where_nothing_is_around() -> None:
    graph = graph_of(lambda x: x + x, [TensorType(dtypes.float32, (64, 64))], "alone")
    compiled = compile_graph(graph)
    assert [step.artifact.backend for step in compiled.steps] == ["reference"]
    x = np.ones((64, 64), np.float32)
    (result,) = compiled.run([x])
    np.testing.assert_array_equal(result, x + x)
    assert compiled.executable.results([x], {})[0] is not x


@pytest.mark.usefixtures("small_table")
def test_a_program_around_such_a_node_is_cut_and_says_so() -> None:
    graph = graph_of(lambda x: (OPS["scan_sum"](x * 2, axis=0) + 1).sin(), [TensorType(dtypes.float32, (64, 64))], "f")
    compiled = compile_graph(graph)
    assert [step.artifact.backend for step in compiled.steps] == ["cpu", "reference", "cpu"]
    assert compiled.reasons["scan_sum"].startswith("NumPy takes 100 us, its kernel")
    x = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    (actual,) = compiled.run([x])
    np.testing.assert_allclose(actual, np.sin(np.add.accumulate(x * 2, 0) + 1), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("small_table")
def test_symbolic_sizes_stay_compiled() -> None:
    assert backend.verdict(cumsum((symbol("N"), 4096)).nodes[0]) == Accept()


def test_the_shipped_table() -> None:
    text = times.FILE.read_text(encoding="utf-8")
    shipped = Table(text)
    assert shipped.sizes == sorted(shipped.sizes)
    assert re.fullmatch(r".+, \d+ threads, \d{4}-\d\d-\d\d", shipped.origin)
    lines = [line.split() for line in text.splitlines() if not line.startswith(("#", "sizes", "measured"))]
    assert lines == sorted(lines)
    for op, kind, *cells in lines:
        assert op in OPS and kind in ("f32", "f64", "int")
        assert len(cells) == len(shipped.sizes)
        found = [shipped.find(op, kind, size) for size in shipped.sizes]
        assert any(found)
        assert all(seconds > 0 and math.isfinite(seconds) for times_ in filter(None, found) for seconds in times_)
