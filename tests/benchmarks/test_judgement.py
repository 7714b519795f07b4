import pytest

from benchmarks.judgement import geometric_mean, judge
from benchmarks.targets import Mark, Target
from tests.benchmarks.results import timed

FASTEST = Target((Mark(1.0),), (Mark(2.0),))


def test_ratio_is_that_of_the_fastest_peer():
    verdict = judge({"jitorch": timed(1.0), "torch": timed(3.0), "numpy": timed(1.5)}, "jitorch", FASTEST)
    assert (verdict.fastest, verdict.ratio, verdict.ratios) == ("numpy", 1.5, {"torch": 3.0, "numpy": 1.5})
    assert (verdict.reach, verdict.aim) == (True, False)


def test_our_own_eager_is_no_peer():
    verdict = judge({"jitorch": timed(1.0), "jitorch-eager": timed(0.5), "torch": timed(2.0)}, "jitorch", FASTEST)
    assert (verdict.fastest, verdict.reach, verdict.aim) == ("torch", True, True)


def test_eager_rows_are_about_eager():
    verdict = judge({"jitorch-eager": timed(1.0), "torch": timed(2.0)}, "jitorch-eager", FASTEST)
    assert verdict.ratio == 2.0


def test_every_mark_must_be_met():
    target = Target((Mark(1.1, "torch"), Mark(0.8, "onnxruntime")), (Mark(1.1),))
    results = {"jitorch": timed(1.0), "torch": timed(1.2), "onnxruntime": timed(0.7)}
    assert judge(results, "jitorch", target).reach is False
    assert judge(results | {"onnxruntime": timed(0.8)}, "jitorch", target).reach is True


def test_a_missing_peer_leaves_it_open_unless_another_mark_fails():
    target = Target((Mark(1.1, "torch"), Mark(0.8, "onnxruntime")), (Mark(1.1),))
    assert judge({"jitorch": timed(1.0), "torch": timed(1.2)}, "jitorch", target).reach is None
    assert judge({"jitorch": timed(1.0), "torch": timed(1.0)}, "jitorch", target).reach is False


def test_without_our_time():
    failed = judge({"jitorch": {"mismatch": "off"}, "torch": timed(1.0)}, "jitorch", FASTEST)
    assert (failed.seconds, failed.ratio, failed.reach, failed.aim) == (None, None, False, False)
    assert judge({"torch": timed(1.0)}, "jitorch", FASTEST).reach is None


def test_without_any_peer():
    verdict = judge({"jitorch": timed(1.0), "torch": {"skip": "no"}}, "jitorch", FASTEST)
    assert (verdict.fastest, verdict.ratio, verdict.reach) == (None, None, None)


def test_geometric_mean():
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)
    assert geometric_mean([]) is None
