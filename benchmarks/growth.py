"""How cost grows: with elements, batch, operations in a chain, and nodes to compile."""

from __future__ import annotations

from math import log
from typing import Any

from benchmarks.measure import Bench
from benchmarks.workloads import GROWTH, Workload

# series -> which number of a result is plotted, and what stands on the axis
SERIES = {
    "elements": ("seconds", "elements of a chain of 4 operations"),
    "batch": ("seconds", "batch of the MLP 784-512-256-10"),
    "operations": ("seconds", "operations on 10,000 elements"),
    "nodes": ("first", "operations compiled: first call"),
}


def points(series: str) -> list[tuple[int, Workload]]:
    """The sizes of a series and the rows that measure them."""
    return [(int(row.name.rsplit("_", 1)[1]), row) for row in GROWTH if row.name.startswith(f"G.{series}_")]


def measure(bench: Bench, quick: bool = False) -> dict[str, Any]:
    """``{series: {peer: {size: seconds}}}``; ``quick`` leaves out the larger half of the sizes."""
    found: dict[str, Any] = {}
    for series, (key, _) in SERIES.items():
        sizes = points(series)
        for size, row in sizes[: (len(sizes) + 1) // 2] if quick else sizes:
            for peer, result in bench.row(row, compared=False).items():
                if key in result:
                    found.setdefault(series, {}).setdefault(peer, {})[str(size)] = result[key]
    return found


def exponent(times: dict[str, float]) -> float | None:
    """The slope of log(time) over log(size) between the middle and the largest size: 1 is linear."""
    sizes = sorted(map(int, times))
    if len(sizes) < 3:
        return None
    low, high = sizes[(len(sizes) - 1) // 2], sizes[-1]
    return log(times[str(high)] / times[str(low)]) / log(high / low)


def text(growth: dict[str, Any]) -> str:
    """A line for each series and peer."""
    lines = []
    for series, peers in growth.items():
        for peer, times in peers.items():
            slope = exponent(times)
            shown = "  ".join(f"{size}: {seconds:.3g} s" for size, seconds in times.items())
            lines.append(f"{series}, {peer}: {shown}" + ("" if slope is None else f"  (exponent {slope:.2f})"))
    return "\n".join(lines)
