"""The rows of the benchmark give the same bits on one thread and on more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import jitorch
from benchmarks.peers.base import Skip
from benchmarks.peers.jitorch_peer import Jit
from benchmarks.workloads import WORKLOADS, Workload

LONG_TO_COMPILE = ("W5.resnet18", "W6.", "W7.lstm", "W7.greedy", "W8.train_cnn", "W8.train_gpt")
CALLS = [w for w in WORKLOADS if w.group not in ("W9", "W10")]


def row(workload: Workload) -> object:
    marks = [pytest.mark.long] if workload.name.startswith(LONG_TO_COMPILE) else []
    return pytest.param(workload, id=workload.name, marks=marks)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Rows set the number of threads and the gradient mode for their whole process."""
    threads, enabled = jitorch.get_num_threads(), jitorch.is_grad_enabled()
    yield
    jitorch.set_num_threads(threads)
    jitorch.set_grad_enabled(enabled)


def outputs(workload: Workload, threads: int) -> list[np.ndarray]:
    """What the row computes, built anew: a training step starts from its first weights."""
    jitorch.set_num_threads(threads)
    try:
        return Jit().build(workload).outputs()
    except Skip as skip:
        pytest.fail(f"{workload.name}: {skip}")


@pytest.mark.parametrize("workload", [row(w) for w in CALLS])
def test_the_number_of_threads_changes_no_bit(workload: Workload) -> None:
    single = outputs(workload, 1)
    for threads in (2, 3):
        several = outputs(workload, threads)
        assert [a.tobytes() for a in several] == [a.tobytes() for a in single]
