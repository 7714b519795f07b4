"""The c backend on whole graphs, against the reference backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jitorch_c
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from jitorch_c.compiler import ZIG, Compiler

import jitorch
from jitorch import config, dtypes, nn, optim
from jitorch.backends import Accept, Artifact, Available, Decompose, Options, Reject, Unavailable, list_backends
from jitorch.compiler import compile_graph
from jitorch.dims import symbol
from jitorch.errors import BackendError, TensorIndexError
from jitorch.ir.graph import Graph
from jitorch.ir.types import FLOAT, TensorType
from jitorch.ops import OPS
from tests.random_calls import assert_same_results, calls
from tests.samples import assert_backend_is_the_interpreter, assert_close, trace, trace_types, with_samples

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("name", with_samples())
def test_every_sample_is_as_interpreted(name: str) -> None:
    assert_backend_is_the_interpreter(name, "c")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls() | calls(symbolic=True))
def test_random_graphs(case: tuple[Graph, list[np.ndarray], dict[str, int]]) -> None:
    graph, arrays, _ = case
    assert_same_results(graph, arrays, "c")


def symbolic() -> Graph:
    n = symbol("N")
    matrix, vector = TensorType(dtypes.float32, (n, 4)), TensorType(dtypes.float32, (4, n * 2))

    def function(x: Any, w: Any, scale: Any) -> Any:
        product = OPS["matmul_batched"](x, w)
        return product * scale, OPS["reduce_sum"](OPS["exp"](product), axes=(0,))

    return trace_types(function, [matrix, vector, FLOAT])


def test_symbolic_sizes_and_numbers() -> None:
    graph = symbolic()
    native, reference = compile_graph(graph, "c"), compile_graph(graph, "reference")
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 1):
        inputs = [rng.normal(size=(n, 4)).astype("f4"), rng.normal(size=(4, 2 * n)).astype("f4"), 0.5]
        assert_close(native.run(inputs), reference.run(inputs))


def test_a_bad_index_is_an_error() -> None:
    compiled = compile_graph(trace(lambda x, i: OPS["take"](x, i, axis=0), [X, np.array([0])]), "c")
    np.testing.assert_array_equal(compiled.run([X, np.array([-1])])[0], X[-1:])
    with pytest.raises(TensorIndexError, match="index out of range"):
        compiled.run([X, np.array([3])])


def test_an_input_is_written_in_place() -> None:
    graph = trace(lambda w, g: w - g * 0.5, [X, X])
    graph.writes = [(0, 0)]
    w = X.copy()
    assert compile_graph(graph, "c").run([w, X]) == []
    np.testing.assert_array_equal(w, X * 0.5)


def test_what_it_takes() -> None:
    backend = jitorch_c.backend
    assert backend.verdict(trace(lambda x: OPS["exp"](x), [X]).nodes[0]) == Accept()
    assert isinstance(backend.verdict(trace(lambda x: OPS["square"](x), [X]).nodes[0]), Decompose)
    half = trace_types(lambda x: OPS["exp"](x), [TensorType(dtypes.float16, (3,))])
    assert backend.verdict(half.nodes[0]) == Reject("no kernels over float16")


def test_what_it_refuses_runs_elsewhere() -> None:
    def function(x: Any) -> Any:
        return OPS["exp"](x) + OPS["cast"](OPS["exp"](OPS["cast"](x, dtype=dtypes.float16)), dtype=dtypes.float32)

    graph = trace(function, [X / 8])
    compiled = compile_graph(graph, "c")
    assert {step.artifact.backend for step in compiled.steps} == {"c", "cpu"}
    np.testing.assert_allclose(compiled.run([X / 8])[0], 2 * np.exp(X / 8), rtol=2e-3)  # float16 has 11 bits


def test_equal_graphs_give_equal_libraries() -> None:
    graph = trace(lambda x: OPS["exp"](x), [X])
    first, second = (jitorch_c.backend.compile(graph, Options()) for _ in range(2))
    assert first == second
    assert Artifact.from_bytes(first.to_bytes()) == first


def test_the_object_cache_keeps_libraries(tmp_path: Path) -> None:
    graph = trace(lambda x: OPS["exp"](x) * 3, [X])
    with config.override(cache=True, cache_dir=tmp_path / "cache"):
        assert not compile_graph(graph, "c").cached
        again = compile_graph(graph, "c")
        assert again.cached
        np.testing.assert_allclose(again.run([X])[0], np.exp(X) * 3, rtol=1e-6)
        assert [p.suffix for p in jitorch_c.write_sources(again, tmp_path / "out")] == [".c", ".h"]


def test_sources_are_kept(tmp_path: Path) -> None:
    with jitorch_c.keep(tmp_path / "kept") as folder:
        compile_graph(symbolic(), "c")
    compile_graph(symbolic(), "c")
    assert [p.name for p in sorted(folder.iterdir())] == ["main_1.c", "main_1.h"]
    written = jitorch_c.write_sources(symbolic(), tmp_path / "written")
    assert [p.read_text() for p in written] == [p.read_text() for p in sorted(folder.iterdir())]


def test_a_jitted_training_step(tmp_path: Path) -> None:
    def losses(backend: str) -> tuple[list[float], Any]:
        jitorch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(64, 3)
        )
        optimizer = optim.Adam(model.parameters(), lr=0.01)

        @jitorch.jit(backend=backend, fullgraph=True)
        def step(images, labels):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            return loss

        images, labels = jitorch.randn(8, 1, 6, 6), jitorch.randint(0, 3, (8,))
        return [step(images, labels).item() for _ in range(10)], step

    (ours, step), (theirs, _) = losses("c"), losses("cpu")
    # Sums of some hundred float32 products of order 1, in another order, ten times.
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert ours[-1] < ours[0]
    assert step.statistics.native == 10
    source, header = jitorch_c.write_sources(step, tmp_path)
    assert source.name == "step.c" and "int32_t step(" in header.read_text()


def test_the_header_says_what_each_argument_is(tmp_path: Path) -> None:
    header = jitorch_c.write_sources(symbolic(), tmp_path)[1].read_text()
    for line in (
        "args[0]     f32[N, 4]  in",
        "args[2]     f32[N, 2*N]  out",
        "scalars[0]  N: int64_t, a size",
        "scalars[1]  float, the bits of a double",
        "int32_t main_1(void **args, const int64_t *scalars, void *arena);",
    ):
        assert line in header


def test_the_sources_are_a_program_of_their_own(tmp_path: Path) -> None:
    source, header = jitorch_c.write_sources(trace(lambda x: OPS["exp"](x), [X]), tmp_path)
    caller = f'#include "{header.name}"\n{source.read_text()}'
    found = jitorch_c.find_compiler()
    assert found is not None
    (tmp_path / "both.c").write_text(caller)
    strict = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", "both.c", "-o", "both.o")
    found.run((*found.command, *strict), str(tmp_path))
    assert (tmp_path / "both.o").exists()


def test_nothing_is_written_for_what_another_backend_compiled(tmp_path: Path) -> None:
    compiled = compile_graph(trace(lambda x: OPS["exp"](x), [X]), "cpu")
    with pytest.raises(BackendError, match="no part of this was compiled by the c backend"):
        jitorch_c.write_sources(compiled, tmp_path)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = list_backends()["c"]
    assert isinstance(answer, Unavailable)
    assert "no C compiler" in answer.reason
    with pytest.raises(BackendError, match="cannot run here"):
        compile_graph(trace(lambda x: OPS["exp"](x), [X]), "c")


def test_cc_names_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "not-a-compiler -m64")
    assert jitorch_c.backend.probe() == Unavailable("the C compiler that CC names, 'not-a-compiler -m64', is not there")
    monkeypatch.setenv("CC", "python3 -m ziglang cc")
    monkeypatch.setenv("CFLAGS", "-march=native -g0")
    assert jitorch_c.backend.probe() == Available("python3 -m ziglang cc -march=native -g0")


def test_flags_are_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = jitorch_c.backend.fingerprint()
    monkeypatch.setenv("CFLAGS", "-march=native")
    assert jitorch_c.backend.fingerprint() != plain


def test_the_compilers_words_are_in_the_error() -> None:
    found = jitorch_c.find_compiler()
    assert found is not None
    with pytest.raises(BackendError, match="refused a program") as caught:
        found.shared_library("int f(void) { return nowhere; }", 2)
    assert "nowhere" in str(caught.value)
    with pytest.raises(BackendError, match="cannot be run"):
        Compiler(("not-a-compiler",)).shared_library("", 2)


def test_a_library_that_cannot_be_loaded() -> None:
    with pytest.raises(BackendError, match="cannot be loaded"):
        jitorch_c.backend.load(Artifact("c", b"no library", {"symbol": "main"}))


@pytest.mark.slow
def test_ziglang_serves_where_there_is_no_cc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    found = jitorch_c.find_compiler()
    assert found is not None and found.command == ZIG
    assert list_backends()["c"] == Available("ziglang")
    graph = trace(lambda x: OPS["exp"](x) * 2, [X])
    compiled = compile_graph(graph, "c")
    np.testing.assert_allclose(compiled.run([X])[0], np.exp(X) * 2, rtol=1e-6)
