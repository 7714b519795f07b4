"""The collector of cycles stands still in a block, and is as it was behind it."""

from __future__ import annotations

import gc
import threading

import pytest

import jitorch
from jitorch import collector
from jitorch.passes import pipeline


def test_no_collection_in_the_block() -> None:
    with collector.stopped():
        assert not gc.isenabled()
        with collector.stopped():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_stopped_it_before_finds_it_stopped() -> None:
    gc.disable()
    try:
        with collector.stopped():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_runs_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), collector.stopped():
        raise ValueError("inside")
    assert gc.isenabled()


def test_the_last_of_several_threads_starts_it_again() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with collector.stopped():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with collector.stopped():
        thread.start()
        inside.wait()
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_graphs_are_compiled_without_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    run = pipeline.run

    def watched(*args: object) -> object:
        seen.append(gc.isenabled())
        return run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "run", watched)
    with jitorch.config.override(cache=False):
        jitorch.jit(lambda x: x * 3 - 1)(jitorch.ones(7, 5))
    assert seen and not any(seen)
    assert gc.isenabled()
