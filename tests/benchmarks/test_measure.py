import numpy as np

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


def test_a_peer_that_does_not_start_is_reported_for_each_row():
    with Bench(Settings(["nobody"], threads=1, rounds=1)) as bench:
        results = bench.row(BY_NAME["W9.add_10_eager"])
    assert results == {"nobody": {"error": "KeyError: 'nobody'"}}
