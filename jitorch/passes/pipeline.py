"""Run passes in order: verify after each, time them, dump them, name the culprit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jitorch import config
from jitorch.errors import CompilerBug, JitorchError
from jitorch.ir.graph import Graph
from jitorch.ir.verify import verify

Pass = Callable[[Graph], bool]


@dataclass
class Report:
    """What a pipeline did: seconds a pass, and which passes changed the graph."""

    seconds: dict[str, float] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


def run(graph: Graph, passes: Sequence[Pass], report: Report | None = None) -> Graph:
    """Apply ``passes`` to ``graph`` in place; returns it."""
    checking = config.current().verify
    if checking:
        verify(graph)
    for one in passes:
        name = one.__name__
        start = time.perf_counter()
        try:
            changed = one(graph)
        except JitorchError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise CompilerBug(f"pass {name} failed: {error}", ir=graph) from error
        if report is not None:
            report.seconds[name] = report.seconds.get(name, 0.0) + time.perf_counter() - start
            if changed:
                report.changed.append(name)
        if changed and checking:
            try:
                verify(graph)
            except CompilerBug as error:
                raise CompilerBug(f"pass {name} broke the graph: {error.what}", ir=graph) from error
    return graph
