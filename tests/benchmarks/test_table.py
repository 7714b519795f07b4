from benchmarks.table import aligned, cells, duration, problems, text
from tests.benchmarks.results import ROWS


def test_duration():
    assert duration(None) == "-"
    assert duration(1.5e-7) == "150 ns"
    assert duration(1.29e-5) == "12.9 us"
    assert duration(0.25) == "250 ms"
    assert duration(12.0) == "12 s"
    assert duration(1234.5) == "1234 s"


def test_cells():
    heading, lines = cells(ROWS)
    assert heading == [
        "row",
        "jit",
        "frozen",
        "eager",
        "torch",
        "numpy",
        "jax",
        "numba",
        "fastest",
        "ratio",
        "first",
        "aim",
    ]
    assert lines[0] == [
        "W1.pointwise_1e3",
        "1 us",
        "-",
        "4 us",
        "5.00",
        "3.00",
        "-",
        "-",
        "numpy",
        "3.00",
        "yes",
        "yes",
    ]
    assert lines[2][-3:] == ["1.50", "?", "yes"]
    assert lines[3][-3:] == ["-", "no", "no"]


def test_problems_are_named():
    assert problems(ROWS) == [
        "W1.pointwise_1e3: jax: error: ValueError: no device",
        "W7.lstm_128steps: jitorch: mismatch: output 0 is off by 0.5, allowed 0.001",
    ]
    assert text(ROWS).splitlines()[6] == "4 rows, 1 reach the first target, 2 the aim"


def test_columns_are_aligned():
    assert aligned(["row", "x"], [["a", "10"], ["bcde", "7"]]) == "row    x\na     10\nbcde   7"
