"""The compiler as one function: the disk cache, literals, sizes, writes, and graphs that several backends share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import jitorch
from jitorch import config, dtypes
from jitorch.backends import (
    API,
    Accept,
    Decompose,
    Options,
    Reject,
    Unavailable,
    cache,
    get,
    register_backend,
    set_default_backend,
    unregister_backend,
)
from jitorch.backends.joined import allocate, contiguous
from jitorch.backends.reference import ReferenceBackend
from jitorch.compiler import Compiled, cache_key, compile_graph, lift_literals
from jitorch.dims import symbol
from jitorch.errors import BackendError
from jitorch.ir.graph import Graph
from jitorch.ir.types import FLOAT, TensorType
from jitorch.ops import OPS
from tests.lower.graphs import parse
from tests.random_calls import calls, run
from tests.samples import trace, trace_types

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path) -> Iterator[None]:
    with config.override(verify=True, cache=True, cache_dir=tmp_path / "cache"):
        yield


class Picky(ReferenceBackend):
    """Takes the ops it is told, says ``Decompose`` to those of another list, and refuses the rest."""

    api, name = API, "picky"

    def __init__(self, *takes: str, decomposes: tuple[str, ...] = ()):
        self.takes, self.decomposes = takes, decomposes

    def verdict(self, node: Any, target: Any = None) -> Any:
        if node.op.name in self.takes:
            return Accept()
        return Decompose("by its body") if node.op.name in self.decomposes else Reject("not on the list")


@pytest.fixture
def picky() -> Iterator[Any]:
    """Registers a `Picky` backend for one test."""

    def register(*takes: str, decomposes: tuple[str, ...] = ()) -> None:
        register_backend(Picky(*takes, decomposes=decomposes), replace=True)

    yield register
    unregister_backend("picky")


def who(compiled: Compiled) -> list[str]:
    return [step.artifact.backend for step in compiled.steps]


# -- the cache -----------------------------------------------------------------------------------------


def test_equal_graphs_are_compiled_once() -> None:
    first, second = (compile_graph(trace(lambda x: OPS["exp"](x) * 2, [X])) for _ in range(2))
    assert (first.cached, second.cached) == (False, True)
    np.testing.assert_array_equal(first.run([X])[0], second.run([X])[0])


def test_what_matters_is_in_the_key() -> None:
    graph = trace(lambda x: OPS["exp"](x), [X])
    cpu, reference = get("cpu"), get("reference")
    key = cache_key(graph, cpu, Options())
    assert key == cache_key(graph.copy(), cpu, Options())
    others = [
        cache_key(trace(lambda x: OPS["sin"](x), [X]), cpu, Options()),
        cache_key(trace(lambda x: OPS["exp"](x), [X[:1]]), cpu, Options()),
        cache_key(graph, cpu, Options(opt=3)),
        cache_key(graph, reference, Options()),
        cache_key(graph, cpu, Options(), ["a pass=its package 1.0"]),
    ]
    assert len({key, *others}) == 6


def test_texts_are_kept_apart_and_read_when_asked_for() -> None:
    graph = trace(lambda x: x * 2, [np.ones(3, np.float32)])
    first, second = compile_graph(graph, "cpu"), compile_graph(graph, "cpu")
    assert second.cached
    kept = second.steps[0].artifact.sources
    assert dict(kept) == dict(first.steps[0].artifact.sources)
    assert len(kept) == 3
    empty = compile_graph(graph, "cpu")
    for entry in (config.current().cache_dir).glob("*.entry"):
        if entry.stem == cache.key_of("texts", empty.key or ""):
            entry.unlink()
    assert dict(empty.steps[0].artifact.sources) == {}
    np.testing.assert_array_equal(empty.run([np.ones(3, np.float32)])[0], [2, 2, 2])


def test_without_a_cache_everything_is_compiled() -> None:
    graph = trace(lambda x: OPS["exp"](x), [X])
    with config.override(cache=False):
        assert not compile_graph(graph).cached
        assert not compile_graph(graph).cached


def test_locations_do_not_matter() -> None:
    graph = trace(lambda x: OPS["exp"](x), [X])
    compile_graph(graph)
    for node in graph:
        node.loc = jitorch.errors.Location("elsewhere.py", 7)
    assert compile_graph(graph).cached


# -- the graph -----------------------------------------------------------------------------------------


def test_the_graph_itself_is_not_changed() -> None:
    graph = trace(lambda x: OPS["square"](x) + 0, [X])
    before = str(graph)
    compile_graph(graph)
    assert str(graph) == before


def test_constant_arrays_are_inputs_of_the_program() -> None:
    text = """graph @main(%x: f32[2]) {
      %0: f32[2] = literal(value=array<f32[2]: 1.0, 2.0>)
      %1: f32[2] = literal(value=array<f32[2]: 1.0, 2.0>)
      %2: f32[2] = add(%0, %1)
      %3: f32[2] = add(%2, %x)
      return %3
    }"""
    work = parse(text)
    (array,) = lift_literals(work)
    assert array.tolist() == [1, 2]
    assert [v.type for v in work.inputs] == [TensorType(dtypes.float32, (2,))] * 2
    compiled = compile_graph(parse(text))
    assert compiled.run([np.ones(2, np.float32)])[0].tolist() == [3, 5]
    assert who(compiled) == ["cpu"]
    other = compile_graph(parse(text.replace("1.0, 2.0", "3.0, 4.0")))
    assert other.cached  # programs do not contain data
    assert other.run([np.ones(2, np.float32)])[0].tolist() == [7, 9]


def test_symbolic_sizes_and_numbers() -> None:
    n = symbol("N")
    graph = trace_types(
        lambda x, f: (x * f, OPS["reduce_sum"](x, axes=(0,))), [TensorType(dtypes.float32, (n, 3)), FLOAT]
    )
    compiled = compile_graph(graph)
    for rows in (2, 1, 5):
        x = np.ones((rows, 3), np.float32)
        scaled, total = compiled.run([x, 0.5])
        assert scaled.shape == (rows, 3)
        assert (scaled == 0.5).all()
        assert total.tolist() == [rows] * 3
    assert compiled.sizes([np.ones((7, 3)), 0.5]) == {"N": 7}
    assert compiled.calls == 3
    assert allocate(TensorType(dtypes.float64, (n * 2, 3)), {"N": 4}).shape == (8, 3)


def test_numbers_come_back_as_numbers() -> None:
    graph = parse("graph @main(%x: float, %n: int) { %0: float = neg(%x) %1: int = neg(%n) return %0, %1 }")
    assert compile_graph(graph).run([2.5, 3]) == [-2.5, -3]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_written_inputs_change_in_place(backend: str) -> None:
    graph = trace(lambda w, g: (w - g, OPS["reduce_sum"](w, axes=(0, 1))), [X, X])
    graph.writes = ((0, 0),)
    compiled = compile_graph(graph, backend)
    w = X.copy()
    (total,) = compiled.run([w, X * 0.5])
    np.testing.assert_array_equal(w, X * 0.5)
    assert total == X.sum()


def test_arrays_are_made_contiguous_without_new_axes() -> None:
    assert contiguous(np.ones(())).shape == ()
    assert contiguous(np.ones((2, 3)).T).flags.c_contiguous
    assert contiguous(3.5) == 3.5
    x = np.ones((2, 3))
    assert contiguous(x) is x


# -- backends ------------------------------------------------------------------------------------------


def test_the_default_backend_is_used() -> None:
    graph = trace(lambda x: OPS["exp"](x), [X])
    assert who(compile_graph(graph)) == ["cpu"]
    with set_default_backend("reference"):
        assert who(compile_graph(graph)) == ["reference"]


def test_a_backend_that_cannot_run_is_an_error() -> None:
    class Absent(ReferenceBackend):
        name = "absent"

        def probe(self) -> Any:
            return Unavailable("no such device")

    register_backend(Absent())
    try:
        with pytest.raises(BackendError, match="backend 'absent' cannot run here") as caught:
            compile_graph(trace(lambda x: OPS["exp"](x), [X]), "absent")
    finally:
        unregister_backend("absent")
    assert caught.value.actual == "no such device"


def test_what_is_refused_runs_on_the_cpu(picky: Any) -> None:
    picky("exp", "add")
    compiled = compile_graph(trace(lambda x: OPS["sin"](OPS["exp"](x) + x) + 1, [X]), "picky")
    assert who(compiled) == ["picky", "cpu", "picky"]
    assert compiled.reasons["sin"] == "not on the list"
    assert "exp" not in compiled.reasons
    np.testing.assert_allclose(compiled.run([X])[0], np.sin(np.exp(X) + X) + 1, rtol=1e-5)


def test_a_composite_is_taken_whole_or_by_its_body(picky: Any) -> None:
    graph = trace(lambda x: OPS["square"](x), [X])
    picky("square")
    assert compile_graph(graph, "picky").steps[0].artifact.sources["graph"].count("square") == 1
    picky("mul", decomposes=("square",))
    with config.override(cache=False):
        compiled = compile_graph(graph, "picky")
    assert who(compiled) == ["picky"]
    assert "mul" in compiled.steps[0].artifact.sources["graph"]


def test_what_no_kernel_exists_for_runs_by_its_numpy_meaning() -> None:
    x = np.arange(400.0).reshape(2, 200)
    graph = trace(lambda x: OPS["mode_axis"](OPS["neg"](x), axis=1), [x])
    compiled = compile_graph(graph)
    assert set(who(compiled)) == {"cpu", "reference"}
    assert "mode_axis" in compiled.reasons
    assert compiled.run([x])[0].tolist() == [199, 199]


def test_joined_steps_write_in_place_after_all_reads(picky: Any) -> None:
    picky("exp")
    graph = trace(lambda w: (OPS["exp"](w) - w, OPS["neg"](w)), [X])
    graph.writes = ((0, 0),)
    w = X / 4
    (negated,) = compile_graph(graph, "picky").run([w])
    np.testing.assert_allclose(w, np.exp(X / 4) - X / 4, rtol=1e-6)
    np.testing.assert_array_equal(negated, -X / 4)


def test_joined_steps_of_symbolic_sizes(picky: Any) -> None:
    picky("exp", "sub")
    n = symbol("N")
    graph = trace_types(lambda x: OPS["sin"](OPS["exp"](x)) - x, [TensorType(dtypes.float64, (n,))])
    compiled = compile_graph(graph, "picky")
    assert len(compiled.steps) > 1
    for size in (3, 0, 1):
        x = np.linspace(0, 1, size)
        np.testing.assert_allclose(compiled.run([x])[0], np.sin(np.exp(x)) - x, rtol=1e-12)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls() | calls(symbolic=True))
def test_random_graphs_over_three_backends(case: tuple[Graph, list[np.ndarray], dict[str, int]]) -> None:
    graph, arrays, _ = case
    register_backend(Picky("add", "transpose_axes", "reduce_sum", "where", "concatenate"), replace=True)
    try:
        with config.override(cache=False):
            compiled = compile_graph(graph, "picky")
            expected = run(compile_graph(graph, "reference").run, graph, arrays)
    finally:
        unregister_backend("picky")
    for actual, want in zip(run(compiled.run, graph, arrays), expected, strict=True):
        np.testing.assert_array_equal(actual, want)


def test_one_program_serves_several_threads() -> None:
    graph = trace(lambda x: OPS["matmul_batched"](OPS["exp"](x), OPS["exp"](x)), [np.ones((64, 64))])
    compiled = compile_graph(graph)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(64, 64)) for _ in range(8)]
    results: list[Any] = [None] * 8

    def work(i: int) -> None:
        for _ in range(20):
            results[i] = compiled.run([inputs[i]])[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x, result in zip(inputs, results, strict=True):
        np.testing.assert_allclose(result, np.exp(x) @ np.exp(x), rtol=1e-12)


def test_memory_and_time_of_a_program() -> None:
    text = "graph @main(%x: f32[2, 3]) { %0: f32[2, 3] = exp(%x) %1: f32[2, 3] = sin(%x) return %0, %1 }"
    compiled = compile_graph(parse(text))
    assert compiled.memory is not None
    scratch, results = compiled.memory
    assert results == 48 and scratch >= 0
    assert compiled.seconds > 0
    graph = trace_types(lambda x: OPS["exp"](x), [TensorType(dtypes.float32, (symbol("N"),))])
    assert compile_graph(graph).memory is None
