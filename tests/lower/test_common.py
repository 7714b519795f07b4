"""Common kernels: what differs in sizes only is one kernel with parameters; what differs in more is not."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.kernel_text import parse_kernel
from jitorch.ir.program import Program
from jitorch.lower.common import common_kernels
from jitorch.lower.names import Origins
from tests.lower.graphs import assert_lowers

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def launched(lowered: Program) -> list[host.Launch]:
    return [s for s in lowered.body if isinstance(s, host.Launch)]


def kernel(name: str, text: str) -> k.Kernel:
    """A kernel ``y[...] = x[...]`` with the loops and places of ``text``."""
    return parse_kernel(f"kernel @{name}(x_{name}: f32*, y_{name}: f32*) {{\n{text}\n}}")


def joined(*kernels: k.Kernel) -> Program:
    body = tuple(host.Launch(kernel, kernel.params) for kernel in kernels)
    buffers = tuple(b for kernel in kernels for b in kernel.buffers)
    return common_kernels(host.Program("main", buffers, (), (), body), {})


def copy(count: int, step: int = 1, offset: int = 0) -> str:
    return f"for i in parallel({count}) {{\n y_NAME[i] = x_NAME[i * {step} + {offset}]\n }}"


def two(first: str, second: str) -> Program:
    return joined(kernel("a", first.replace("NAME", "a")), kernel("b", second.replace("NAME", "b")))


def test_updates_of_parameters_of_other_sizes_are_one_kernel() -> None:
    text = """graph @main(%p: f32[24, 40], %g: f32[24, 40], %b: f32[50], %h: f32[50]) {
      %0: f32[24, 40] = mul(%g, %g)
      %1: f32[24, 40] = sub(%p, %0)
      %2: f32[50] = mul(%h, %h)
      %3: f32[50] = sub(%b, %2)
      return %1, %3
    }"""
    lowered = assert_lowers(text, floats(24, 40), floats(24, 40), floats(50), floats(50))
    first, second = launched(lowered)
    assert first.kernel is second.kernel
    assert (first.args[-1], second.args[-1]) == (k.const(960), k.const(50))


def test_sums_are_made_for_their_sizes() -> None:
    text = """graph @main(%x: f32[30, 20], %y: f32[30, 70]) {
      %0: f32[30] = reduce_sum(%x, axes=(1,))
      %1: f32[30] = reduce_sum(%y, axes=(1,))
      return %0, %1
    }"""
    lowered = assert_lowers(text, floats(30, 20), floats(30, 70))
    assert len(lowered.kernels) == len(launched(lowered)) == 2


def test_transposes_are_made_for_their_sizes() -> None:
    text = """graph @main(%x: f32[32, 48], %y: f32[64, 16]) {
      %0: f32[48, 32] = transpose_axes(%x, perm=(1, 0))
      %1: f32[16, 64] = transpose_axes(%y, perm=(1, 0))
      return %0, %1
    }"""
    lowered = assert_lowers(text, floats(32, 48), floats(64, 16))
    assert len(lowered.kernels) == len(launched(lowered)) == 2


def test_sizes_that_go_together_are_one_parameter() -> None:
    text = "for i in parallel(COUNT) {\n for j in serial(9) {\n y_NAME[i * COUNT + j] = x_NAME[i * COUNT + 7]\n }\n }"
    lowered = two(text.replace("COUNT", "20"), text.replace("COUNT", "30"))
    (common,) = lowered.kernels
    assert [p.name for p in common.params if isinstance(p, k.Var)] == ["size0"]
    assert "serial(9)" in str(common)
    assert "+ 7]" in str(common)


def test_parameters_have_names_of_their_own() -> None:
    text = "for size0 in parallel(COUNT) {\n y_NAME[size0] = x_NAME[size0]\n }"
    (common,) = two(text.replace("COUNT", "10"), text.replace("COUNT", "20")).kernels
    assert [p.name for p in common.params if isinstance(p, k.Var)] == ["size1"]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (copy(10, 2), copy(20, 3), "steps between elements say how they are loaded"),
        (copy(10, 1, 1), copy(20, 1, 2), "small offsets are neighbours"),
        (copy(10), copy(20).replace("parallel", "serial"), "another kind of loop"),
        (copy(10), copy(20, 1, 7), "another expression"),
        (copy(10).replace("[i]", "[i // 8]"), copy(20).replace("[i]", "[i // 9]"), "divisors"),
        (copy(8).replace("parallel", "vector"), copy(16).replace("parallel", "vector"), "vectors"),
    ],
    ids=lambda text: text.replace(" ", "_") if "[" not in text else "",
)
def test_what_differs_in_more_than_sizes_stays_apart(first: str, second: str, reason: str) -> None:
    assert len(two(first, second).kernels) == 2, reason


def test_inside_of_branches_and_loops() -> None:
    a, b = kernel("a", copy(10).replace("NAME", "a")), kernel("b", copy(20).replace("NAME", "b"))
    launches = host.Launch(a, a.params), host.Launch(b, b.params)
    test = k.Var("n") < 3
    for statement in (
        host.If(test, (launches[0],), (launches[1],)),
        host.While((launches[0],), test, (launches[1],)),
    ):
        made = common_kernels(host.Program("main", (*a.buffers, *b.buffers), (), (k.Var("n"),), (statement,)), {})
        assert len(made.kernels) == 1
        assert [s.args[-1] for s in host.walk(made.body) if isinstance(s, host.Launch)] == [k.const(10), k.const(20)]


def test_origins_are_those_of_all() -> None:
    a, b = kernel("a", copy(10).replace("NAME", "a")), kernel("b", copy(20).replace("NAME", "b"))
    lines: Origins = {"a": {("one", 1): None}, "b": {("two", 2): None}}  # type: ignore[dict-item]
    launches = host.Launch(a, a.params), host.Launch(b, b.params)
    common_kernels(host.Program("main", (*a.buffers, *b.buffers), (), (), launches), lines)
    assert list(lines["a"]) == [("one", 1), ("two", 2)]


def test_transpositions_of_several_sizes_are_one_kernel() -> None:
    shapes = [(160, 192), (192, 160)]
    inputs = ", ".join(f"%x{i}: f32[{n}, {m}]" for i, (n, m) in enumerate(shapes))
    results = " ".join(f"%{i}: f32[{m}, {n}] = transpose_axes(%x{i}, perm=(1, 0))" for i, (n, m) in enumerate(shapes))
    lowered = assert_lowers(f"graph @main({inputs}) {{ {results} return %0, %1 }}", *(floats(*s) for s in shapes))
    assert len(lowered.kernels) == 1
