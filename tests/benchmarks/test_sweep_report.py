"""What is said of a sweep, and the table that is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import sweep_report
from benchmarks.sweep import ELEMENTS, Point
from jitorch.backends.cpu.times import Table, Times


def row(compiled: float | None, op_by_op: float, torch: float) -> dict[str, Any]:
    ours = {"error": "StagingError: no"} if compiled is None else {"seconds": compiled}
    return {"jitorch": ours, "jitorch-op-by-op": {"seconds": op_by_op}, "torch": {"seconds": torch}}


ROWS = {
    "S.cumsum/float32/16": row(4e-7, 1e-6, 2e-6),
    "S.cumsum/float32/4096": row(3e-5, 1e-5, 2e-5),
    "S.cumsum/float32/4096/t": row(9e-5, 1e-5, 1e-4),
    "S.cumsum/int64/4096": row(1.05e-5, 1e-5, 1e-5),
    "S.softmax/float32/16": row(1e-6, 1e-5, 1e-5),
    "S.transpose/float32/16": row(2e-5, 1e-5, 1e-6),
    "S.nonzero/float32/16": row(None, 1e-5, 1e-5),
    "S.exp/float32/65536": {},
}


def test_what_loses_is_named_the_worst_first() -> None:
    assert sweep_report.slower(ROWS, "jitorch-op-by-op") == [
        (pytest.approx(9), "S.cumsum/float32/4096/t"),
        (pytest.approx(3), "S.cumsum/float32/4096"),
        (pytest.approx(2), "S.transpose/float32/16"),
    ]
    lines = sweep_report.text(ROWS, most=1).splitlines()
    assert lines[0] == "6 of 8 rows compiled"
    assert lines[1] == "slower than jitorch-op-by-op by more than 10%: 3 rows"
    assert lines[2].split() == ["9.00", "S.cumsum/float32/4096/t", "90", "us", "10", "us"]
    assert lines[3:5] == [
        "slower than jitorch-eager by more than 10%: 0 rows",
        "slower than torch by more than 10%: 2 rows",
    ]


def test_the_table_has_what_was_measured_of_single_ops() -> None:
    text = sweep_report.table(ROWS, "A Processor, 2 threads, 2026-11-30")
    table = Table(text)
    assert table.sizes == list(ELEMENTS)
    assert table.origin == "A Processor, 2 threads, 2026-11-30"
    assert table.find("scan_sum", "f32", 4096) == pytest.approx(Times(3e-5, 1e-5))
    assert table.find("scan_sum", "int", 4096) == pytest.approx(Times(1.05e-5, 1e-5))
    lines = [" ".join(line.split()[:2]) for line in text.splitlines()[4:]]
    assert lines == ["cumsum f32", "cumsum int", "scan_sum f32", "scan_sum int", "softmax f32"]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("cumsum", [("cumsum", "f32"), ("scan_sum", "f32")]),
        ("nn.functional.gelu", [("gelu", "f32")]),
        ("bitwise_and", [("bitwise_and", "int")]),
        ("transpose", []),
        ("nonzero", []),
    ],
)
def test_the_one_op_of_a_row(op: str, expected: list[tuple[str, str]]) -> None:
    assert sweep_report.ops_of(Point(op, "float32", 16)) == expected
