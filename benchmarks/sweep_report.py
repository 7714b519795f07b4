"""What a sweep found: where compiled code loses, and the table of times that the package ships."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.sweep import ELEMENTS, Point, graph_of_row

PEERS = SUBJECT, OP_BY_OP, EAGER, OTHER = "jitorch", "jitorch-op-by-op", "jitorch-eager", "torch"
FREE = frozenset({"constant", "number", "cast"})
"""Ops beside which another one is measured alone: they are compiled into it."""
NOISE = 1.1
"""What compiled code may take more than op by op before it counts as slower."""

Rows = Mapping[str, Mapping[str, Any]]


def seconds(rows: Rows, name: str, peer: str) -> float | None:
    """What a call of the row took in one peer, or None."""
    return rows[name].get(peer, {}).get("seconds")


def slower(rows: Rows, than: str) -> list[tuple[float, str]]:
    """Rows in which compiled code is slower than another peer by more than noise, the worst first: factor and name."""
    found = []
    for name in rows:
        ours, theirs = seconds(rows, name, SUBJECT), seconds(rows, name, than)
        if ours is not None and theirs is not None and ours > NOISE * theirs:
            found.append((ours / theirs, name))
    return sorted(found, reverse=True)


def text(rows: Rows, most: int = 30) -> str:
    """How many rows were measured, and where compiled code loses to eager and to PyTorch."""
    measured = sum(seconds(rows, name, SUBJECT) is not None for name in rows)
    lines = [f"{measured} of {len(rows)} rows compiled"]
    for than in (OP_BY_OP, EAGER, OTHER):
        found = slower(rows, than)
        lines.append(f"slower than {than} by more than {NOISE - 1:.0%}: {len(found)} rows")
        for factor, name in found[:most]:
            ours, theirs = seconds(rows, name, SUBJECT), seconds(rows, name, than)
            lines.append(f"  {factor:6.2f}  {name:48} {_us(ours):>10} us  {_us(theirs):>10} us")
    return "\n".join(lines)


def table(rows: Rows, measured: str) -> str:
    """The text of `jitorch.backends.cpu.times`: rows of contiguous operands that are one op of the IR.

    ``measured`` says on what, with how many threads, and when.
    """
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for name in rows:
        point = Point.named(name)
        compiled, op_by_op = seconds(rows, name, SUBJECT), seconds(rows, name, OP_BY_OP)
        if point.transposed or compiled is None or op_by_op is None:
            continue
        for op in ops_of(point):
            # Of several rows that are the same op the first one counts.
            sizes = cells.setdefault(op, {})
            sizes.setdefault(point.elements, f"{_us(compiled)}/{_us(op_by_op)}")
    head = [
        "# Microseconds of one op, compiled and op by op, by elements; see times.py.",
        "# Written by python -m benchmarks --sweep --table.",
        f"measured {measured}",
        f"sizes {' '.join(map(str, ELEMENTS))}",
    ]
    return "\n".join([*head, *_lines(cells)]) + "\n"


def _lines(cells: dict[tuple[str, str], dict[int, str]]) -> Iterator[str]:
    for (op, kind), by_size in sorted(cells.items()):
        yield f"{op} {kind} {' '.join(by_size.get(n, '-') for n in ELEMENTS)}"


def ops_of(point: Point) -> list[tuple[str, str]]:
    """The one op that the row computes, with its class of dtypes, and what that is made of if it is one op again.

    None if it computes several.
    """
    from jitorch.backends.cpu.times import class_of
    from jitorch.builder import expand

    graph, found = graph_of_row(point), []
    while graph is not None:
        nodes = [node for node in graph if node.op.name not in FREE and not node.op.is_view]
        if len(nodes) != 1 or (known := class_of(nodes[0])) is None:
            break
        found.append((nodes[0].op.name, known[0]))
        graph = None if nodes[0].op.body is None else expand(nodes[0])
    return found


def _us(seconds: float | None) -> str:
    return "-" if seconds is None else np.format_float_positional(seconds * 1e6, 3, fractional=False, trim="-")
