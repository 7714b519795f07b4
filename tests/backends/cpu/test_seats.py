"""Workers do not wake up on their caller's processor, and keep the processors that they may use."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import jitorch
from jitorch import config
from jitorch.backends.cpu import native, pool_text, seats

LINUX = sys.platform == "linux"
ALL = os.sched_getaffinity(0) if LINUX else set()
MACHINES = sorted(seats.GETTID)

needs_two = pytest.mark.skipif(len(ALL) < 2, reason="needs Linux and two processors")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = config.current().num_threads
    config.set_default(num_threads=2)
    yield
    config.set_default(num_threads=before)
    if LINUX:
        os.sched_setaffinity(0, ALL)


@jitorch.jit
def work(x: jitorch.Tensor, n: int) -> jitorch.Tensor:
    for _ in range(n):
        x = jitorch.tanh(x)
    return x


def workers() -> list[int]:
    """The numbers of this process's threads that Python did not start."""
    python = {thread.native_id for thread in threading.enumerate()}
    return [int(name) for name in os.listdir("/proc/self/task") if int(name) not in python]


def lists_while_asleep(mine: int, before: set[int]) -> list[set[int]]:
    """The processors of the threads that the pool started after ``before`` was noted, once they sleep."""
    os.sched_setaffinity(0, {mine})
    x = jitorch.ones(300_000)
    for _ in range(20):
        work(x, 8)
    time.sleep(0.02)
    return [os.sched_getaffinity(number) for number in workers() if number not in before]


@needs_two
def test_a_sleeping_worker_avoids_its_caller() -> None:
    config.set_default(num_threads=1)
    time.sleep(0.02)
    before = set(workers())
    config.set_default(num_threads=2)
    work(jitorch.ones(300_000), 8)
    for mine in sorted(ALL)[:2]:
        assert lists_while_asleep(mine, before) == [ALL - {mine}]


@needs_two
def test_a_worker_that_works_has_all_processors() -> None:
    config.set_default(num_threads=1)
    time.sleep(0.02)
    before = set(workers())
    config.set_default(num_threads=2)
    x = jitorch.ones(3_000_000)
    work(x, 8)
    time.sleep(0.02)
    ended = threading.Event()

    def repeat() -> None:
        for _ in range(10):
            work(x, 8)
        ended.set()

    thread = threading.Thread(target=repeat)
    thread.start()
    seen: list[set[int]] = []
    while not ended.is_set():
        seen += [os.sched_getaffinity(number) for number in workers() if number not in before]
    thread.join()
    assert ALL in seen


@pytest.mark.parametrize("machine", MACHINES)
def test_every_linux_has_the_functions(machine: str) -> None:
    text = pool_text.pool_text(f"{machine}-unknown-linux-gnu")
    assert text is not None
    assert f"@syscall(i64 {seats.GETTID[machine]})" in text


@pytest.mark.parametrize("triple", ["arm64-apple-macosx14.0.0", "x86_64-pc-windows-msvc"])
def test_elsewhere_nothing_is_done(triple: str) -> None:
    text = pool_text.pool_text(triple)
    assert text is not None
    assert "sched_setaffinity" not in text
    assert "@settle" in text


def test_the_module_is_valid() -> None:
    text = pool_text.pool_text(native.host().triple)
    assert text is None or native.compile_text(text)
