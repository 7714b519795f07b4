import numpy as np

from benchmarks import cores, measure
from benchmarks.measure import Bench, Settings, judged
from benchmarks.workloads import BY_NAME

ONE = [np.ones(3)]


def test_times_count_only_after_outputs_are_right():
    answer = {"note": "", "first": 0.5}
    assert judged(answer, ONE, ONE, 1e-3) == {"samples": [], "first": 0.5}
    assert judged(answer, [np.zeros(3)], ONE, 1e-3) == {"mismatch": "output 0 is off by 1, allowed 0.001"}
    assert judged({"skip": "no"}, [], ONE, 1e-3) == {"skip": "no"}
    assert judged({"error": "broke"}, [], ONE, 1e-3) == {"error": "broke"}
    assert "samples" in judged(answer, [np.zeros(3)], None, 1e-3)


def test_a_small_row_from_end_to_end():
    settings = Settings(["jitorch", "numpy"], threads=1, rounds=2, sample=0.001)
    with Bench(settings) as bench:
        row = bench.row(BY_NAME["W1.pointwise_1e3"])
        other = bench.row(BY_NAME["W9.add_10_eager"])
    assert bench.children == {}
    for result in row.values():
        assert len(result["samples"]) == 2
        assert min(result["samples"]) <= result["seconds"] <= max(result["samples"])
    assert other["jitorch"] == {"skip": "an eager row"}
    assert other["numpy"]["seconds"] > 0
    assert "jitorch" in bench.about["jitorch"]["versions"]


def shared_in(turns, monkeypatch):
    """Let the threads have one core between them when it is looked for the times in ``turns``; gives the times."""
    looks = []

    def are_shared(threads):
        looks.append(threads)
        return len(looks) - 1 in turns

    monkeypatch.setattr(cores, "are_shared", are_shared)
    monkeypatch.setattr(measure, "_PAUSE", 0.01)
    return looks


def test_rounds_on_one_core_are_measured_again(monkeypatch):
    # It is looked before and after each round: shared before the first, and after the second.
    looks = shared_in({0, 1, 5}, monkeypatch)
    with Bench(Settings(["numpy"], threads=1, rounds=3, sample=0.0005)) as bench:
        row = bench.row(BY_NAME["W9.add_10_eager"])
    assert len(row["numpy"]["samples"]) == 3
    assert bench.repeated == {"W9.add_10_eager": 1}
    assert len(looks) == 2 + 2 * (3 + 1)


def test_what_stays_on_one_core_is_measured_there(monkeypatch):
    shared_in(range(10**6), monkeypatch)
    with Bench(Settings(["numpy"], threads=1, rounds=2, sample=0.0005), patience=0.05) as bench:
        row = bench.row(BY_NAME["W9.add_10_eager"])
    assert len(row["numpy"]["samples"]) == 2
    assert bench.repeated == {}


def test_a_peer_that_does_not_start_is_reported_for_each_row():
    with Bench(Settings(["nobody"], threads=1, rounds=1)) as bench:
        results = bench.row(BY_NAME["W9.add_10_eager"])
    assert results == {"nobody": {"error": "KeyError: 'nobody'"}}
