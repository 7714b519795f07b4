"""`f.explain()`: which way a trace runs, with both times and where they come from."""

from __future__ import annotations

import re

import pytest

import jitorch
from jitorch.backends.cpu import times
from jitorch.backends.cpu.times import Table
from jitorch.frontend.shown.explain import in_bytes

TEXT = """\
measured Some Processor, 2 threads, 2026-11-30
sizes 16 65536
sin f32 0.5/2 50/200
mul f32 0.25/1 25/100
scan_sum f32 1/2 1000/100
reduce_sum f32 0.25/1 25/100
"""
WHERE = "(table of Some Processor, 2 threads, 2026-11-30)"


@pytest.fixture(autouse=True)
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "table", lambda: Table(TEXT))


def explained(function, *shape: int) -> list[str]:
    compiled = jitorch.jit(function)
    compiled(jitorch.ones(*shape))
    return compiled.explain().splitlines()


def test_the_ops_of_a_trace_are_added_up() -> None:
    lines = explained(lambda x: (x * 2).sin(), 4, 4)
    assert lines[3] == f"  runs compiled: at most 750 ns; op by op: 3 us {WHERE}"
    assert lines[4].startswith("  program ")


def test_bodies_are_what_an_op_takes_that_was_not_measured() -> None:
    lines = explained(lambda x: x.square().sum(), 4, 4)
    assert lines[3] == f"  runs compiled: at most 500 ns; op by op: 2 us {WHERE}"


def test_what_was_not_measured_is_named() -> None:
    lines = explained(lambda x: x.cos() + x.exp(), 4, 4)
    assert lines[3] == "  runs compiled; the table of times does not have add, cos, exp of such sizes"


def test_what_is_left_to_numpy_says_both_times() -> None:
    text = "\n".join(explained(lambda x: (x * 2).cumsum(0) * 3, 256, 256))
    assert re.search(r"^    cpu: .*\n    reference: scan_sum\n    cpu: .*$", text, re.MULTILINE)
    assert f"    scan_sum: not run by the backend asked for: NumPy takes 100 us, its kernel 1 ms {WHERE}" in text


def test_a_view_computes_nothing() -> None:
    assert explained(lambda x: x.mT, 4, 4)[3:] == ["  nothing is computed: results are arguments, or views of them"]


def test_other_backends_have_no_table() -> None:
    compiled = jitorch.jit(lambda x: x * 2, backend="reference")
    compiled(jitorch.ones(16))
    assert "runs" not in compiled.explain()


def test_bytes() -> None:
    assert [in_bytes(n) for n in (12, 2048, 3 << 20)] == ["12 B", "2 KiB", "3 MiB"]
