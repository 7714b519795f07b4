import pytest

from benchmarks import once
from benchmarks.once import ONCE, fresh, judge_once, select_once
from benchmarks.workloads import BY_NAME

ROWS = {row.name: row for row in ONCE}


def test_rows_exist():
    assert all(row.row in BY_NAME for row in ONCE if row.kind != "import")
    assert [row.name for row in select_once("W10.import")] == ["W10.import"]


def test_seconds_are_judged_by_limits():
    row = ROWS["W10.import"]
    assert judge_once(row, {"jitorch": {"value": 0.07}}) == (True, True)
    assert judge_once(row, {"jitorch": {"value": 0.1}}) == (True, False)
    assert judge_once(row, {"jitorch": {"error": "no"}}) == (False, False)
    assert judge_once(row, {"torch": {"value": 1.0}}) == (None, None)


def test_memory_is_judged_by_pytorch():
    row = ROWS["W10.memory_mlp_step"]
    assert judge_once(row, {"jitorch": {"value": 8}, "torch": {"value": 10}}) == (True, False)
    assert judge_once(row, {"jitorch": {"value": 8}}) == (None, None)


def test_a_fresh_process_measures(tmp_path):
    assert 0 < fresh("import", "jitorch", "-", 1, str(tmp_path), 60) < 30
    assert 0 < fresh("first", "jitorch", "W9.tiny_compiled_call", 1, str(tmp_path), 60) < 30
    assert list((tmp_path / "jitorch").iterdir())


@pytest.mark.parametrize(("seconds", "value"), [([3, 9, 4], 4), ([11, 1, 1], 11)])
def test_a_cold_call_is_the_median_of_three_unless_it_takes_long(monkeypatch, seconds, value):
    folders = set()

    def measured(kind, peer, row, threads, folder, limit):
        folders.add(folder)
        return seconds[len(folders) - 1]

    monkeypatch.setattr(once, "fresh", measured)
    found = once.measure(ROWS["W10.first_cold_mlp_step"], ["jitorch"], 2, 60, lambda line: None)
    assert found == {"jitorch": {"value": value}}
    assert len(folders) == (1 if value > 10 else 3)
