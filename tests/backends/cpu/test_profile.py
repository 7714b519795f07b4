"""Programs that time their kernels."""

from __future__ import annotations

import numpy as np
import pytest

import jitorch
from jitorch import config
from jitorch.backends.cpu import profile
from jitorch.backends.cpu.backend import CpuExecutable
from jitorch.compiler import compile_graph
from jitorch.ops import OPS
from tests.samples import trace


def compiled(timed: bool) -> CpuExecutable:
    x = np.ones((70, 80), np.float32)
    with config.override(profile=timed, cache=False):
        made = compile_graph(trace(lambda a: OPS["matmul_batched"](OPS["exp"](a), a.mT), [x]), "cpu")
    for _ in range(3):
        made.run([x])
    assert isinstance(made.executable, CpuExecutable)
    return made.executable


def test_every_launch_is_timed() -> None:
    executable = compiled(True)
    timings = executable.profile()
    assert any(t.name.startswith("matmul_batched") for t in timings)
    assert {t.runs for t in timings} == {3}
    assert all(0 <= t.seconds < 10 for t in timings)
    assert sum(t.seconds for t in timings) > 0
    executable.clear_profile()
    assert {(t.seconds, t.runs) for t in executable.profile()} == {(0.0, 0)}


def test_nothing_is_timed_unless_asked_for() -> None:
    executable = compiled(False)
    assert executable.profile() == []
    executable.clear_profile()
    assert executable.table == 0


def test_explain_tells() -> None:
    with config.override(profile=True, cache=False):
        f = jitorch.jit(lambda x: jitorch.exp(x) @ x)
        f(jitorch.ones(40, 40))
        text = f.explain()
    assert "% " in text
    assert "us  matmul_batched_1" in text


@pytest.mark.parametrize(
    ("triple", "name"),
    [("x86_64-pc-windows-msvc", "_timespec64_get"), ("arm64-apple-macosx14.0.0", "timespec_get")],
)
def test_the_clock_of_each_platform(triple: str, name: str) -> None:
    assert profile.clock_of(triple) == name
