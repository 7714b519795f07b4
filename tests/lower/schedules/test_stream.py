"""Streams: which loops are cut into vectors whose stores go past the caches."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.kernel_interpret import run
from jitorch.ir.kernel_text import parse_kernel, parse_program
from jitorch.ir.program_verify import verify_program
from jitorch.lower import program
from jitorch.lower.schedules import stream
from jitorch.lower.target import Target
from tests.lower.graphs import assert_lowers, parse

TARGET = Target(vector_bytes=16)

SOFTMAX = """graph @main(%x: f32[8, 16]) {
  %0: f32[8, 16] = exp(%x)
  %1: f32[8] = reduce_sum(%0, axes=(1,))
  %2: f32[8, 1] = reshape_to(%1, shape=(8, 1))
  %3: f32[8, 16] = broadcast_to(%2, shape=(8, 16))
  %4: f32[8, 16] = div(%0, %3)
  return %4
}"""


def streamed(text: str, *results: str) -> k.Kernel:
    """The kernel of that text with what goes to the buffers ``results`` streamed."""
    kernel = k.verify(parse_kernel(text))
    return stream.stream(kernel, {b for b in kernel.buffers if b.name in results}, TARGET)


def stores(kernel: k.Kernel) -> list[tuple[str, bool]]:
    return [(s.buffer.name, s.streamed) for s in k.walk(kernel) if isinstance(s, k.Store)]


LOOP = """kernel @f(x: f32*, y: f32*, z: f32*, n: i64) {{
  for i in {kind}({extent}) {{
    {body}
  }}
}}"""


@pytest.mark.parametrize("kind", ["serial", "parallel"])
def test_a_loop_is_cut_into_vectors(kind: str) -> None:
    kernel = streamed(LOOP.format(kind=kind, extent=8, body="y[i] = x[i] * 2.0  z[i] = x[0]"), "y")
    assert kernel.name == "f_streamed"
    (outer,) = kernel.body
    assert isinstance(outer, k.For) and (outer.kind, outer.extent) == (kind, k.const(2))
    (inner,) = outer.body
    assert isinstance(inner, k.For) and (inner.kind, inner.extent) == ("vector", k.const(4))
    assert stores(kernel) == [("y", True), ("z", False)]
    x, y, z = np.arange(8, dtype=np.float32), np.zeros(8, np.float32), np.ones(8, np.float32)
    run(kernel, [x, y, z, 8])
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(z, 0)


@pytest.mark.parametrize(
    ("extent", "body", "why"),
    [
        ("6", "y[i] = x[i]", "no whole vectors"),
        ("n", "y[i] = x[i]", "an extent that is not known"),
        ("8", "y[i] = exp(x[i])", "much to compute"),
        ("8", "y[i] = x[i * 2]", "a load with a stride"),
        ("8", "let t: i64 = i * 2  y[i] = x[t]", "a load with a stride that has a name"),
        ("8", "y[i * 2] = x[i]", "a store with a stride"),
        ("8", "y[i] = x[i]  z[0] = x[i]", "iterations that meet"),
        ("8", "if x[i] < 1.0 { y[i] = x[i] }", "a branch"),
    ],
)
def test_other_loops_stay(extent: str, body: str, why: str) -> None:
    kernel = streamed(LOOP.format(kind="serial", extent=extent, body=body), "y")
    assert kernel.name == "f" and not any(flag for _, flag in stores(kernel)), why


def test_the_loops_of_one_name_are_cut_each() -> None:
    text = """kernel @f(x: f32*, y: f32*) {
      for i in parallel(4) {
        if i < 3 {
          for j in serial(8) { y[i * 8 + j] = x[j] }
        } else {
          for j in serial(8) { y[i * 8 + j] = 1.0 }
        }
      }
    }"""
    kernel = streamed(text, "y")
    assert stores(kernel) == [("y", True)] * 2
    y = np.zeros(32, np.float32)
    run(kernel, [np.arange(8, dtype=np.float32), y])
    np.testing.assert_array_equal(y, [*range(8)] * 3 + [1] * 8)


def test_large_results_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(-1, 1, 128, dtype=np.float32).reshape(8, 16)
    assert not any(flag for kernel in assert_lowers(SOFTMAX, x).kernels for _, flag in stores(kernel))
    monkeypatch.setattr(stream, "LARGE", 8 * 16 * 4)
    (kernel,) = assert_lowers(SOFTMAX, x).kernels
    assert [name for name, flag in stores(kernel) if flag] == ["out0"]


def test_not_on_a_graphics_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LARGE", 0)
    kernels = program(parse(SOFTMAX), target="gpu").kernels
    assert not any(flag for kernel in kernels for _, flag in stores(kernel))


PROGRAM = """
kernel @f(x: f32*, y: f32*) {
  for i in parallel(8) { y[i] = x[i] }
}
program @main {
  input a: f32* of 8
  output b: f32* of 8
  output c: f32* of 8
  arena 0
  launch @f(a, b)
  launch @f(BETWEEN, c)
}"""


@pytest.mark.parametrize(("between", "expected"), [("a", ["b", "c"]), ("b", ["c"])])
def test_a_result_that_the_program_reads_again_is_not(
    between: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LARGE", 32)
    made = stream.stream_results(parse_program(PROGRAM.replace("BETWEEN", between)), TARGET)
    verify_program(made)
    found = [s for s in made.body if isinstance(s, host.Launch) and s.kernel.name == "f_streamed"]
    assert [arg.name for s in found for arg in s.args[1:] if isinstance(arg, k.Buffer)] == expected


def test_a_result_in_the_place_of_an_input_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LARGE", 32)
    text = PROGRAM.replace("BETWEEN", "a").replace("y[i] = x[i]", "y[i] = y[i] + x[i]")
    made = stream.stream_results(parse_program(text), TARGET)
    assert [kernel.name for kernel in made.kernels] == ["f"]
