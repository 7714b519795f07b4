"""``docs/performance.md`` out of the results: the rows that lag first, then all, then what they were measured on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import growth, instructions, plot, table
from benchmarks.judgement import geometric_mean
from benchmarks.once import ONCE, judge_once
from benchmarks.process import ROOT
from benchmarks.targets import Mark, target

DOCS = ROOT / "docs"
BUSY = 0.5  # a load above it is said at the top
INTRODUCTION = """\
# Performance

Written by `python -m benchmarks --report`; do not edit. `make bench` measures it again.

Every row is the same work with the same inputs and weights in each package. Outputs are compared with a float64
reference before times count. Each package runs in a process of its own with the same number of threads, samples are
interleaved, and what is shown is the median; a round in which the threads had one core between them is measured again.
*Ratio* is the time of the fastest peer by that of jitorch: above 1, jitorch is ahead. `benchmarks/workloads.py` has the
shapes and `benchmarks/targets.py` the targets."""

INSTRUCTIONS = """\
Times of jitorch with all instructions of the processor, with AVX2 and with SSE2 alone (`JITORCH_PROCESSOR` makes code
for a lesser processor), and those of PyTorch, told to make do with the same, as multiples; its matrix products use AVX2
all the same."""


def markdown_table(heading: list[str], lines: list[list[str]]) -> str:
    """The first column to the left, the others to the right."""
    rule = [":--", *["--:"] * (len(heading) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heading, rule, *lines])


def _goal(marks: tuple[Mark, ...]) -> str:
    return ", ".join(f"{mark.ratio:g} of {mark.against}" for mark in marks)


def lagging(rows: dict[str, Any]) -> str:
    """The rows below their first target, the furthest behind first."""
    verdicts = {name: verdict for name, verdict in table.judged_rows(rows).items() if verdict.reach is False}
    if not verdicts:
        return "No row is below its first target."
    order = sorted(verdicts, key=lambda name: verdicts[name].ratio or 0)
    lines = []
    for name in order:
        verdict = verdicts[name]
        ratio = "no time" if verdict.ratio is None else f"{verdict.ratio:.2f}"
        lines.append([name, ratio, verdict.fastest or "-", _goal(target(name).reach)])
    return markdown_table(["row", "ratio", "fastest", "first target"], lines)


def lagging_once(found: dict[str, Any]) -> str:
    """The rows of start and memory that miss their first target, with what was measured."""
    missed = [r for r in ONCE if r.name in found and judge_once(r, found[r.name])[0] is False]
    parts = [f"{row.name} ({_amount(row.kind, found[row.name]['jitorch'])})" for row in missed]
    return f"Of start and memory: {', '.join(parts)}." if parts else ""


def groups(rows: dict[str, Any]) -> str:
    """The geometric mean of each peer's ratio, by group of rows."""
    verdicts = table.judged_rows(rows)
    names = list(dict.fromkeys(name.split(".")[0] for name in rows))
    peers = table.peers_in(rows)
    lines = []
    for group in names:
        cells = [group]
        for peer in peers:
            found = [
                v.ratios[peer] for name, v in verdicts.items() if name.startswith(f"{group}.") and peer in v.ratios
            ]
            mean = geometric_mean(found)
            cells.append("-" if mean is None else f"{mean:.2f} ({len(found)})")
        lines.append(cells)
    return markdown_table(["group", *peers], lines)


def _amount(kind: str, result: dict[str, Any]) -> str:
    if "value" not in result:
        return "-"
    return f"{result['value'] / 2**20:.1f} MB" if kind == "memory" else table.duration(result["value"])


def once_cells(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and lines of the rows that a process shows once."""
    peers = list(dict.fromkeys(peer for results in found.values() for peer in results))
    lines = []
    for row in ONCE:
        if row.name in found:
            results = found[row.name]
            marks = [table.MARKS[met] for met in judge_once(row, results)]
            lines.append([row.name, *(_amount(row.kind, results.get(peer, {})) for peer in peers), *marks])
    return ["row", *peers, "first", "aim"], lines


def skipped(rows: dict[str, Any]) -> list[str]:
    """Each reason with its peer and how many rows it is for."""
    counts: dict[tuple[str, str], int] = {}
    for results in rows.values():
        for peer, result in results.items():
            if "skip" in result:
                counts[peer, result["skip"]] = counts.get((peer, result["skip"]), 0) + 1
    return [f"* {peer}: {reason} ({count} rows)" for (peer, reason), count in sorted(counts.items())]


def notes(rows: dict[str, Any]) -> list[str]:
    """What a reader must know about single rows."""
    return [
        f"* {name}, {peer}: {result['note']}"
        for name, results in rows.items()
        for peer, result in results.items()
        if result.get("note") and "seconds" in result
    ]


def _measured(found: dict[str, Any]) -> Iterable[str]:
    machine = found["machine"]
    instructions = " ".join(machine["instructions"])
    yield f"* {machine['processor']}, {machine['cores']} cores used at most, {instructions}; {machine['memory_gb']} GB"
    yield f"* {machine['system']}, Python {machine['python']}, {found['threads']} threads, {found['rounds']} rounds"
    yield f"* load of the machine before the run: {machine['load']}"
    repeated = [count for count in found.get("repeated", {}).values() if count]
    if repeated:
        what = f"{sum(repeated)} rounds of {len(repeated)} rows"
        yield f"* {what} were measured again, for all: the threads had one core between them (`benchmarks/cores.py`)"
    yield "* " + ", ".join(f"{name} {version}" for name, version in sorted(found["versions"].items()))
    if found.get("blas"):
        yield f"* BLAS of NumPy: {', '.join(found['blas'])}"


def text(found: dict[str, Any]) -> str:
    """The page."""
    rows = found["rows"]
    verdicts = table.judged_rows(rows).values()
    reach, aim = (sum(getattr(v, kind) is True for v in verdicts) for kind in ("reach", "aim"))
    heading, lines = table.cells(rows)
    load = found["machine"]["load"]
    busy = f"The machine was busy (load {load} before the run): the times are not to be relied on."
    parts = [
        INTRODUCTION,
        *([busy] if load is None or load > BUSY else []),
        f"{len(rows)} rows: {reach} reach the first target, {aim} the aim.",
        "## Rows that lag",
        lagging(rows),
        *filter(None, [lagging_once(found.get("once", {}))]),
        "![ratio of each row](performance.svg)",
        "## All rows",
        "Times of jitorch; for each peer its time as a multiple of jitorch's; `-`: not run.",
        markdown_table(heading, lines),
        "Geometric mean of the multiples, with the number of rows:",
        groups(rows),
    ]
    if found.get("once"):
        shown = "Import (without NumPy's), first call (package, model and data in memory), memory that three training"
        parts += [
            "## Start and memory",
            f"{shown} steps add at their peak: medians of new processes, but for first calls of more than ten seconds.",
            markdown_table(*once_cells(found["once"])),
        ]
    if found.get("growth"):
        parts += ["## Growth", "![growth](growth.svg)", f"```text\n{growth.text(found['growth'])}\n```"]
    if found.get("instructions"):
        parts += [
            "## Instruction sets",
            INSTRUCTIONS,
            markdown_table(*instructions.cells(found["instructions"])),
        ]
    parts += ["## Measured on", "\n".join(_measured(found))]
    for title, items in (
        ("## Not run", skipped(rows)),
        ("## Without a time", [f"* {problem}" for problem in table.problems(rows)]),
        ("## Notes", notes(rows)),
    ):
        if items:
            parts += [title, "\n".join(items)]
    return "\n\n".join(parts) + "\n"


def write(found: dict[str, Any], folder: Path = DOCS) -> list[Path]:
    """The page and its plots; returns what was written."""
    written = [folder / "performance.md", folder / "performance.svg"]
    written[0].write_text(text(found), encoding="utf-8")
    plot.ratios(found["rows"], written[1])
    if found.get("growth"):
        written.append(folder / "growth.svg")
        plot.growth(found["growth"], written[-1])
    return written
