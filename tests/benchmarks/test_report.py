from benchmarks import report
from tests.benchmarks.results import FOUND, ROWS


def test_lagging_rows_come_first_and_the_furthest_behind_before_the_others():
    page = report.text(FOUND)
    lag = page[page.index("## Rows that lag") : page.index("## All rows")]
    assert "| W7.lstm_128steps | no time | torch | 1 of fastest, 3 of torch-script |" in lag
    assert "| W3.matmul_512 | 0.50 | numpy | 0.9 of fastest |" in lag
    assert lag.index("W7.lstm") < lag.index("W3.matmul")
    assert "W1.pointwise" not in lag
    assert "busy" not in page
    loaded = {**FOUND, "machine": {**FOUND["machine"], "load": 3.0}}
    assert "The machine was busy (load 3.0 before the run)" in report.text(loaded)


def test_the_page_says_what_was_measured_and_what_was_not():
    page = report.text(FOUND)
    for part in (
        "4 rows: 1 reach the first target, 2 the aim.",
        "| W10.import | 100 ms | 1.5 s | yes | no |",
        "| W10.memory_mlp_step | 1.0 MB | 2.0 MB | yes | yes |",
        "nodes, jitorch: 1: 0.01 s  10: 0.1 s  100: 1 s  (exponent 1.00)",
        "* Example 1000, 2 cores used at most, sse2 avx2; 8 GB",
        "* BLAS of NumPy: openblas 0.3.31 (Haswell)",
        "* numba: no loop over scalars (1 rows)",
        "* W7.lstm_128steps: jitorch: mismatch: output 0 is off by 0.5, allowed 0.001",
        "* W7.lstm_128steps, torch: torch.nn.LSTM",
    ):
        assert part in page, part


def test_nothing_lags():
    assert report.lagging({"W1.pointwise_1e3": ROWS["W1.pointwise_1e3"]}) == "No row is below its first target."


def test_what_lags_of_start_and_memory():
    found = {"W10.import": {"jitorch": {"value": 0.2}}, "W10.memory_mlp_step": FOUND["once"]["W10.memory_mlp_step"]}
    assert report.lagging_once(found) == "Of start and memory: W10.import (200 ms)."
    assert report.lagging_once(FOUND["once"]) == ""


def test_groups():
    lines = report.groups(ROWS).splitlines()
    assert lines[2] == "| W1 | 5.00 (1) | 3.00 (1) | - | - |"


def test_rounds_that_did_not_count_are_said():
    found = {**FOUND, "repeated": {"W3.matmul_64": 3, "W5.resnet18_b1": 0, "W7.lstm_128steps": 1}}
    assert "* 4 rounds of 2 rows were measured again" in report.text(found)
    assert "were measured again" not in report.text(FOUND)
