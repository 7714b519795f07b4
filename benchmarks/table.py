"""The table of results as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.judgement import Judgement, judge
from benchmarks.peers import OURS
from benchmarks.targets import target
from benchmarks.workloads import BY_NAME

MARKS = {True: "yes", False: "no", None: "?"}


def duration(seconds: float | None) -> str:
    """Three significant digits with a unit: ``12.9 us``."""
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


OURS_SHORT = {"jitorch": "jit", "jitorch-frozen": "frozen", "jitorch-eager": "eager"}


def judged_rows(rows: dict[str, Any]) -> dict[str, Judgement]:
    """The judgement of each row, by name."""
    return {name: judge(results, BY_NAME[name].subject, target(name)) for name, results in rows.items()}


def peers_in(rows: dict[str, Any]) -> list[str]:
    """All peers with a result, ours not among them, in the order in which they first appear."""
    return list(dict.fromkeys(peer for results in rows.values() for peer in results if peer not in OURS))


def cells(rows: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The heading and the lines: ours in seconds, each peer as a multiple of ours, the marks."""
    peers = peers_in(rows)
    heading = ["row", *(OURS_SHORT[peer] for peer in OURS), *peers, "fastest", "ratio", "first", "aim"]
    lines = []
    for name, verdict in judged_rows(rows).items():
        times = [duration(rows[name].get(peer, {}).get("seconds")) for peer in OURS]
        ratios = [f"{verdict.ratios[peer]:.2f}" if peer in verdict.ratios else "-" for peer in peers]
        ratio = "-" if verdict.ratio is None else f"{verdict.ratio:.2f}"
        lines.append([name, *times, *ratios, verdict.fastest or "-", ratio, MARKS[verdict.reach], MARKS[verdict.aim]])
    return heading, lines


def problems(rows: dict[str, Any]) -> list[str]:
    """What went wrong, a line each: wrong outputs and errors."""
    return [
        f"{name}: {peer}: {kind}: {result[kind]}"
        for name, results in rows.items()
        for peer, result in results.items()
        for kind in ("mismatch", "error")
        if kind in result
    ]


def aligned(heading: list[str], lines: list[list[str]]) -> str:
    """Columns of equal width, the first to the left."""
    widths = [max(map(len, column)) for column in zip(heading, *lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(line, widths)))
        for line in [heading, *lines]
    )


def text(rows: dict[str, Any]) -> str:
    """The whole table, and the problems below it."""
    return "\n".join(_parts(rows))


def _parts(rows: dict[str, Any]) -> Iterable[str]:
    yield aligned(*cells(rows))
    verdicts = judged_rows(rows).values()
    reach, aim = (sum(getattr(v, kind) is True for v in verdicts) for kind in ("reach", "aim"))
    yield f"\n{len(rows)} rows, {reach} reach the first target, {aim} the aim"
    found = problems(rows)
    if found:
        yield "\nwithout a time:"
        yield from found
