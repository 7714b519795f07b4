"""Long chains of operations: several turns of a loop run side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch.backends.cpu.chains import COPIES, copies
from jitorch.compiler import compile_graph
from jitorch.ir.kernel import For
from jitorch.ir.kernel_text import parse_kernel


def loop(*lines: str, extent: str = "100") -> For:
    body = "\n".join(lines)
    head = f"kernel @k(in0: f32*, out0: f32*, n: i64) {{\n  for i in parallel({extent}) {{\n    let t0: f32 = in0[i]"
    text = f"{head}\n{body}\n  }}\n}}"
    (found,) = parse_kernel(text).body
    assert isinstance(found, For)
    return found


def chain(turns: int, step: str = "t{} * 0.5 + 1.0") -> list[str]:
    return [f"let t{n + 1}: f32 = {step.format(n)}" for n in range(turns)]


def test_a_long_chain_is_run_side_by_side() -> None:
    assert copies(loop(*chain(40), "out0[i] = t40")) == COPIES


@pytest.mark.parametrize(
    "lines",
    [
        [*chain(10), "out0[i] = t10"],  # the processor sees the next turns by itself
        [*chain(40, "t0 * 0.5 + 1.0"), "out0[i] = t40"],  # nothing waits
        [*chain(70, "exp(t{}) * 0.5 + 1.0"), "out0[i] = t70"],  # long code
        ["let t1: f32 = sin(exp(t0))", "out0[i] = t1"],  # vectors are calls
        ["for j in serial(3) {", *chain(40), "out0[i] = t40", "}"],
    ],
    ids=["short", "wide", "many functions", "a function beyond", "a loop inside"],
)
def test_what_is_left_to_the_compiler(lines: list[str]) -> None:
    assert copies(loop(*lines)) == 1


@pytest.mark.parametrize(
    ("extent", "functions", "found"),
    [
        ("100", 1, 2),  # 36 elements would be left of turns of 64
        ("64", 6, 4),
        ("127", 1, 1),
        ("32", 5, 2),
        ("31", 1, 1),
        ("1000", 1, 4),
        ("1000", 16, 4),
        ("1000", 17, 2),
        ("1000", 65, 1),
        ("n", 1, 2),
    ],
)
def test_functions_of_mathematics_run_side_by_side(extent: str, functions: int, found: int) -> None:
    made = loop(*chain(functions, "exp(t{})"), f"out0[i] = t{functions}", extent=extent)
    assert copies(made) == found


def test_registers_on_the_stack_do_not_lie_across_cache_lines() -> None:
    jitted = jitorch.jit(lambda x: x.sin() * x.cos())
    jitted(jitorch.linspace(0.0, 1.0, 64))
    text = jitted.sources()["llvm"]
    groups = {line.split("=")[0].split()[1] for line in text.splitlines() if '"stackrealign"' in line}
    kernels = [line for line in text.splitlines() if line.startswith("define") and "@kernel." in line]
    assert kernels
    assert all(line.split()[-2] in groups for line in kernels)


def straight(x: Any) -> Any:
    for _ in jitorch.jit.unroll(range(40)):
        x = x * 0.9 + 0.1 * x * x
    return x


@pytest.mark.parametrize("size", [1, 7, 8, 63, 64, 65, 127, 1000, 100_003])
def test_results_of_all_sizes(size: int) -> None:
    x = jitorch.linspace(0.0, 0.4, size)
    jitted = jitorch.jit(straight, dynamic=False)
    found = jitted(x).numpy()
    assert size == 1 or "llvm.loop.interleave.count" in jitted.sources()["llvm"]
    (meant,) = compile_graph(jitted.graph, "reference").run([x.numpy()])
    np.testing.assert_allclose(found, meant, rtol=1e-5)
    np.testing.assert_array_equal(found[: size // 2], jitted(x[: size // 2].clone()).numpy())
