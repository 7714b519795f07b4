"""What one op takes, compiled and by NumPy: measured once on a class of machines, and kept in ``times.txt``.

The table is written by ``python -m benchmarks --sweep --table``.  A line has the name of an op, a class of dtypes, and
for each size the microseconds of a call that does nothing else, compiled and op by op::

    scan_sum f32 0.35/1.2 0.61/1.9 ...

The sizes, elements of the largest operand or result, stand in the line that begins with ``sizes``.  Between two of them
times are interpolated; above the last they grow with the size.  What was not measured is ``-``.  From the table the
backend knows where a kernel loses to NumPy's routine, so nothing is ever timed while a user's program runs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from math import exp, log
from pathlib import Path
from typing import NamedTuple

from jitorch.builder import expand
from jitorch.dtypes import Category, DType
from jitorch.errors import CompilerBug
from jitorch.ir.graph import Graph, Node
from jitorch.ir.types import TensorType

FILE = Path(__file__).with_name("times.txt")

FUSIBLE = frozenset({"scalar", "pull", "reduce"})
ALONE = frozenset({"scan", "scatter"})
"""Lowerings whose kernels take up what is around, and those whose kernels stand alone.

Products and convolutions do too, but a BLAS may sum in another order for another number of threads.
"""
HANDOVER = 30e-6
"""Seconds that it costs to leave native code for a routine of NumPy: another region, its results copied."""
GAIN = 0.8
"""A routine of NumPy must take less than this part of the compiled time: other tenants of a machine make more noise."""


class Times(NamedTuple):
    """Seconds of one call."""

    compiled: float
    op_by_op: float


class Table:
    """The table of a file; see the module's docstring."""

    def __init__(self, text: str):
        self.sizes: list[int] = []
        self.origin = ""
        self._lines: dict[tuple[str, str], str] = {}
        for line in text.splitlines():
            head, _, rest = line.partition(" ")
            if head == "sizes":
                self.sizes = [int(size) for size in rest.split()]
            elif head == "measured":
                self.origin = rest.strip()
            elif head and not head.startswith("#"):
                kind, _, cells = rest.lstrip().partition(" ")
                self._lines[head, kind] = cells
        if not self.sizes or not self.origin:
            raise CompilerBug("a table of times does not say its sizes and where it was measured")

    def find(self, op: str, kind: str, elements: int) -> Times | None:
        """The times of ``op`` for so many elements of a class of dtypes; None where they were not measured."""
        line = self._lines.get((op, kind))
        if line is None:
            return None
        known = [(n, _cell(cell)) for n, cell in zip(self.sizes, line.split(), strict=True) if cell != "-"]
        smaller = [point for point in known if point[0] <= elements]
        larger = [point for point in known if point[0] >= elements]
        if not smaller or not larger:
            return self._beyond(smaller, larger, elements)
        (low, below), (high, above) = smaller[-1], larger[0]
        part = log(elements / low) / log(high / low) if high > low else 0.0
        return Times(*(exp(log(a) + part * log(b / a)) for a, b in zip(below, above)))

    def _beyond(self, smaller: list[tuple[int, Times]], larger: list[tuple[int, Times]], elements: int) -> Times | None:
        """The times of fewer elements than the smallest size, or more than the largest."""
        if larger:
            return larger[0][1] if larger[0][0] == self.sizes[0] else None
        if not smaller or smaller[-1][0] != self.sizes[-1]:
            return None
        size, times = smaller[-1]
        return Times(*(seconds * elements / size for seconds in times))


def _cell(text: str) -> Times:
    compiled, op_by_op = text.split("/")
    return Times(float(compiled) * 1e-6, float(op_by_op) * 1e-6)


@functools.cache
def table() -> Table:
    """The table of the package, read when it is first asked for."""
    return Table(FILE.read_text(encoding="utf-8"))


def kind_of(dtype: DType) -> str | None:
    """The class of a dtype in the table; None for one that was not measured."""
    if dtype.category in (Category.INT, Category.BOOL):
        return "int"
    return dtype.short if dtype.short in ("f32", "f64") else None


def class_of(node: Node) -> tuple[str, int] | None:
    """The class of dtypes and the elements of the largest operand or result; None where a size is a symbol."""
    types = [v.type for v in (*node.operands, *node.outputs) if isinstance(v.type, TensorType)]
    if not types or not all(isinstance(t.size, int) for t in types):
        return None
    largest = max(types, key=lambda t: t.size)  # type: ignore[arg-type]
    kind = kind_of(largest.dtype)
    return None if kind is None else (kind, max(int(largest.size), 1))  # type: ignore[arg-type]


def times_of(node: Node) -> Times | None:
    """What ``node`` takes alone; None where a size is a symbol, or nothing like it was measured."""
    found = class_of(node)
    return None if found is None else table().find(node.op.name, *found)


def in_time(seconds: float) -> str:
    """A time of three digits, in the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


@dataclass
class Estimate:
    """The sum over the ops of a graph; ``unknown`` names those that were not measured.

    Compiled, a graph takes no longer than the sum: its ops share kernels, and there is one call.
    """

    compiled: float = 0.0
    op_by_op: float = 0.0
    unknown: dict[str, None] = field(default_factory=dict)

    def add(self, graph: Graph) -> Estimate:
        for node in graph.nodes:
            found = times_of(node)
            if found is not None:
                self.compiled += found.compiled
                self.op_by_op += found.op_by_op
            elif node.op.body is not None:
                self.add(expand(node))
            elif not _is_free(node):
                self.unknown[node.op.name] = None
        return self


def _is_free(node: Node) -> bool:
    """Whether ``node`` computes nothing: a view, or a constant."""
    return node.op.is_view or not any(isinstance(v.type, TensorType) for v in node.operands)


def _stands_alone(node: Node) -> bool:
    """Whether nothing would be fused with ``node``: its kernel stands alone, or there is nothing around."""
    if node.op.lowering in ALONE:
        return True
    if node.op.lowering not in FUSIBLE or node.op.is_view:
        return False
    around = [v.node for v in node.operands if v.node is not None]
    around += [user for v in node.outputs for user in v.users]
    return not any(other.op.lowering in FUSIBLE and not _is_free(other) for other in around)


def library_reason(node: Node) -> str | None:
    """Why ``node`` is left to NumPy, with both times; None where its kernel is at least about as fast."""
    found = times_of(node) if _stands_alone(node) else None
    if found is None or found.op_by_op + HANDOVER >= GAIN * found.compiled:
        return None
    return f"NumPy takes {in_time(found.op_by_op)}, its kernel {in_time(found.compiled)} (table of {table().origin})"
