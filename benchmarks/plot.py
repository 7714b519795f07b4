"""Plots, with matplotlib: the ratio of each row with its marks, and how cost grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.growth import SERIES
from benchmarks.table import judged_rows
from benchmarks.targets import target

COLOURS = {True: "#2a7f3f", False: "#b3402a", None: "#8a8a8a"}


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    # The same results give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "jitorch"
    import matplotlib.pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, bbox_inches="tight", dpi=120, metadata=metadata)


def ratios(rows: dict[str, Any], path: Path) -> None:
    """A bar a row on a log axis: the fastest peer's time by jitorch's; marks for the targets against the fastest."""
    plt = _pyplot()
    verdicts = judged_rows(rows)
    shown = {name: verdict.ratio for name, verdict in verdicts.items() if verdict.ratio is not None}
    names = list(reversed(shown))
    figure, axes = plt.subplots(figsize=(8, 1 + 0.2 * len(names)))
    axes.barh(
        names, [shown[name] - 1 for name in names], left=1, color=[COLOURS[verdicts[name].reach] for name in names]
    )
    for i, name in enumerate(names):
        goals = target(name)
        for marks, symbol in ((goals.reach, "|"), (goals.aim, "d")):
            for mark in marks:
                if mark.against == "fastest":
                    axes.plot(mark.ratio, i, symbol, color="black", markersize=5)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.tick_params(labelsize=7)
    axes.margins(y=0.01)
    axes.set_xlabel("time of the fastest peer / time of jitorch (right of 1: jitorch is ahead; | first target, ◆ aim)")
    _save(figure, path)
    plt.close(figure)


def growth(found: dict[str, Any], path: Path) -> None:
    """One panel a series, both axes logarithmic."""
    plt = _pyplot()
    figure, panels = plt.subplots(1, len(found), figsize=(4 * len(found), 3.2), squeeze=False)
    for axes, (series, peers) in zip(panels[0], found.items()):
        for peer, times in peers.items():
            axes.plot([int(size) for size in times], list(times.values()), "o-", label=peer, markersize=3)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(SERIES[series][1], fontsize=8)
        axes.set_ylabel("seconds", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7)
    figure.tight_layout()
    _save(figure, path)
    plt.close(figure)
