import os

import pytest

from benchmarks import cores


def test_one_thread_needs_no_second_core(monkeypatch):
    monkeypatch.setattr(cores, "slowdown", lambda: 2.0)
    assert not cores.are_shared(1)
    assert cores.are_shared(2)
    monkeypatch.setattr(cores, "slowdown", lambda: 1.1)
    assert not cores.are_shared(2)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a system that does not bind threads to processors")
def test_two_threads_on_one_processor_take_twice_as_long():
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        # Other processes may have the processor in one of the times: the nearest of a few.
        assert min(abs(cores.slowdown() - 2) for _ in range(5)) < 0.5
    finally:
        os.sched_setaffinity(0, processors)
