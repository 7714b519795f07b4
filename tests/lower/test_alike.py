"""Alike: groups that compute the same from other memory share a kernel; what differs in anything does not."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.program import Program
from jitorch.lower import program
from tests.lower.graphs import assert_lowers, execute, parse

RNG = np.random.default_rng(0)


def launches(lowered: Program) -> list[str]:
    return [s.kernel.name for s in lowered.body if isinstance(s, host.Launch)]


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def test_two_layers_are_one_set_of_kernels() -> None:
    text = """graph @main(%x: f32[16, 24], %v: f32[24, 24], %w: f32[24, 24]) {
      %0: f32[16, 24] = matmul_batched(%x, %v)
      %1: f32[16, 24] = tanh(%0)
      %2: f32[16, 24] = matmul_batched(%1, %w)
      %3: f32[16, 24] = tanh(%2)
      %4: f32[24] = reduce_sum(%3, axes=(0,))
      return %3, %4
    }"""
    lowered = assert_lowers(text, floats(16, 24), floats(24, 24), floats(24, 24))
    names = launches(lowered)
    assert names.count("matmul_batched_1") == 2
    assert len(lowered.kernels) == len(set(names)) < len(names)


def test_temporaries_of_each_are_its_own() -> None:
    text = """graph @main(%x: f32[24, 12], %y: f32[24, 12], %v: f32[24, 12], %w: f32[24, 12]) {
      %0: f32[12, 24] = transpose_axes(%v, perm=(1, 0))
      %1: f32[24, 24] = matmul_batched(%x, %0)
      %2: f32[12, 24] = transpose_axes(%w, perm=(1, 0))
      %3: f32[24, 24] = matmul_batched(%y, %2)
      return %1, %3
    }"""
    lowered = assert_lowers(text, *(floats(24, 12) for _ in range(4)))
    assert [kernel.name for kernel in lowered.kernels] == ["matmul_batched_1_panels_pack", "matmul_batched_1"]
    panels = [s.args[1] for s in lowered.body if isinstance(s, host.Launch) and s.kernel is lowered.kernels[0]]
    assert [p.name for p in panels if isinstance(p, k.Buffer)] == ["matmul_batched_1_panels", "matmul_batched_2_panels"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("sub(%x, %y)", "sub(%y, %x)"),  # other operands: the same kernel
        ("mul(%x, %y)", "mul(%y, %y)"),  # one operand twice
        ("sub(%x, %y)", "add(%x, %y)"),
    ],
)
def test_only_what_is_alike_in_everything_is_shared(first: str, second: str) -> None:
    text = f"""graph @main(%x: f32[8, 4], %y: f32[8, 4]) {{
      %0: f32[8, 4] = {first}
      %1: f32[8, 1] = reduce_sum(%0, axes=(1,), keepdims=True)
      %2: f32[8, 4] = {second}
      %3: f32[8, 1] = reduce_sum(%2, axes=(1,), keepdims=True)
      return %1, %3
    }}"""
    text = text.replace(", keepdims=True", "").replace("f32[8, 1]", "f32[8]")
    assert_lowers(text, floats(8, 4), floats(8, 4))


def test_attributes_tell_kernels_apart() -> None:
    text = """graph @main(%x: f32[6, 4]) {
      %0: f32[2, 4] = slice_axes(%x, starts=(0, 0), stops=(2, 4), steps=(1, 1))
      %1: f32[2] = reduce_sum(%0, axes=(1,))
      %2: f32[2, 4] = slice_axes(%x, starts=(2, 0), stops=(4, 4), steps=(1, 1))
      %3: f32[2] = reduce_sum(%2, axes=(1,))
      return %1, %3
    }"""
    lowered = assert_lowers(text, floats(6, 4))
    assert len(lowered.kernels) == len(launches(lowered))


def test_numbers_are_given_with_the_launch() -> None:
    text = """graph @main(%x: f32[4, 3], %a: float, %b: float) {
      %0: f32[] = cast(%a, dtype=f32)
      %1: f32[4, 3] = broadcast_to(%0, shape=(4, 3))
      %2: f32[4, 3] = mul(%x, %1)
      %3: f32[4] = reduce_sum(%2, axes=(1,))
      %4: f32[] = cast(%b, dtype=f32)
      %5: f32[4, 3] = broadcast_to(%4, shape=(4, 3))
      %6: f32[4, 3] = mul(%x, %5)
      %7: f32[4] = reduce_sum(%6, axes=(1,))
      return %3, %7
    }"""
    lowered = program(parse(text))
    assert len(set(launches(lowered))) == 1
    x = floats(4, 3)
    twice, thrice = execute(lowered, [x], [x[:, 0], x[:, 0]], [2.0, 3.0])
    np.testing.assert_allclose(twice, 2 * x.sum(1), rtol=1e-5)
    np.testing.assert_allclose(thrice, 3 * x.sum(1), rtol=1e-5)
