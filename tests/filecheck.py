"""Pass tests on IR text.  A case is a file:

    // What it shows.
    graph @main(%x: f32[2]) { ... }
    // ----
    graph @main(%x: f32[2]) { ... }

The first graph is what the pass is given, the second is what it makes of it.  ``pytest --update-golden``
rewrites the second; the first is kept as it was written.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jitorch.ir.graph import Graph
from jitorch.ir.verify import verify
from jitorch.ops import OPS

SEPARATOR = "// ----"


def cases(folder: Path) -> list[Path]:
    """The case files below ``folder``."""
    return sorted(folder.rglob("*.ir"))


def read(path: Path) -> tuple[str, str]:
    """The text before the separator and the text behind it."""
    given, _, expected = path.read_text("utf-8").partition(SEPARATOR)
    return given.strip(), expected.strip()


def check(
    path: Path,
    transform: Callable[[Graph], Graph | str],
    update: bool = False,
    ops: Mapping[str, Any] = OPS,
) -> Graph:
    """Fail unless ``transform`` makes the expected text of the case's graph; returns that graph.

    ``transform`` gets a graph of its own, and gives a graph, which is verified, or a text.
    """
    given, expected = read(path)
    graph = verify(Graph.parse(given, ops))
    result = transform(graph.copy())
    actual = str(verify(result)) if isinstance(result, Graph) else result
    if update:
        path.write_text(f"{given}\n{SEPARATOR}\n{actual}\n", "utf-8")
    elif actual != expected:
        lines = difflib.unified_diff(expected.splitlines(), actual.splitlines(), "expected", "actual", lineterm="")
        raise AssertionError("\n".join([str(path), *lines]))
    return graph


def in_place(change: Callable[[Graph], bool]) -> Callable[[Graph], Graph]:
    """A pass as a transform; what it says about having changed the graph must be true, and it must come to rest."""

    def run(graph: Graph) -> Graph:
        before = graph.copy()
        changed = change(graph)
        assert changed == (graph != before), f"{change.__name__} says that it changed the graph: {changed}"
        assert not change(graph), f"{change.__name__} changes its own result"
        return graph

    return run
