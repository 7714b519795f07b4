import signal

import pytest

from benchmarks.process import ChildError, ChildProcess, environment


@pytest.fixture
def child():
    process = ChildProcess("numpy", 1)
    yield process
    process.close()


def test_environment_sets_threads_for_all(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    found = environment(2)
    assert "OPENBLAS_CORETYPE" not in found
    assert {found[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "NUMBA", "JITORCH")} == {"2"}


def test_builds_samples_and_drops(child, tmp_path):
    save = tmp_path / "out.npz"
    assert child.ask(30, do="build", row="W9.tiny_compiled_call", save=str(save))["note"] == ""
    assert save.exists()
    answer = child.ask(30, do="sample", seconds=0.001)
    assert answer["calls"] >= 10
    assert answer["seconds"] > 0
    assert child.ask(30, do="drop") == {}


def test_what_it_cannot_do_and_what_fails_are_answers(child, tmp_path):
    save = str(tmp_path / "out.npz")
    assert child.ask(30, do="build", row="W5.resnet18_b1", save=save) == {"skip": "no convolution in NumPy"}
    assert child.ask(30, do="build", row="no such row", save=save) == {"error": "KeyError: 'no such row'"}


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no way to make a process hang")
def test_a_process_that_hangs_is_an_error(child):
    child.process.send_signal(signal.SIGSTOP)
    with pytest.raises(ChildError, match="no answer within"):
        child.ask(0.1, do="about")
    assert child.process.poll() is not None


def test_a_process_that_ends_is_an_error(child):
    child.process.kill()
    child.process.wait()
    with pytest.raises(ChildError, match="ended"):
        child.ask(30, do="about")


def test_a_peer_that_does_not_start():
    with pytest.raises(ChildError, match="KeyError"):
        ChildProcess("no such peer", 1)
