"""Targets from LLVM's names."""

from __future__ import annotations

import pytest

from jitorch import dtypes
from jitorch.errors import CompilerBug
from jitorch.lower.target import CPU, GPU, Target, target_of, target_of_features


@pytest.mark.parametrize(
    ("triple", "features", "vector", "registers", "fma"),
    [
        ("x86_64-unknown-linux-gnu", "+avx,+avx2,+fma,+avx512f", 64, 32, True),
        ("x86_64-unknown-linux-gnu", "+avx,+avx2,+fma,-avx512f", 32, 16, True),
        ("x86_64-pc-windows-msvc", "+avx,-fma,-avx512f", 32, 16, False),
        ("x86_64-unknown-linux-gnu", "+sse2,-avx", 16, 16, False),
        ("aarch64-apple-darwin", "+neon", 16, 32, True),
        ("arm64-apple-darwin", "", 16, 32, True),
        ("riscv64-unknown-linux-gnu", "", 16, 16, False),
    ],
)
def test_features(triple: str, features: str, vector: int, registers: int, fma: bool) -> None:
    target = target_of_features(triple, features)
    assert (target.name, target.vector_bytes, target.registers, target.fma) == ("cpu", vector, registers, fma)


def test_names() -> None:
    assert target_of("cpu") is CPU
    assert target_of("gpu") is GPU
    assert not GPU.is_cpu
    mine = Target("cpu", 64, 32)
    assert target_of(mine) is mine
    with pytest.raises(CompilerBug, match="no such target"):
        target_of("tpu")


def test_lanes() -> None:
    assert [Target(vector_bytes=32).lanes(d) for d in (dtypes.float32, dtypes.float64, dtypes.int8)] == [8, 4, 32]
