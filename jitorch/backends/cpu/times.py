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
from math import exp, log
from pathlib import Path
from typing import NamedTuple

from jitorch.dtypes import Category, DType
from jitorch.errors import CompilerBug
from jitorch.ir.graph import Node
from jitorch.ir.types import TensorType

FILE = Path(__file__).with_name("times.txt")

ALONE = frozenset({"scan", "scatter"})
"""Lowerings whose kernels stand alone: nothing is fused into them that a library's routine would cut off.

Products and convolutions do too, but a BLAS may sum in another order for another number of threads.
"""
HANDOVER = 30e-6
"""Seconds that it costs to leave native code for a routine of NumPy: another region, its results copied."""
GAIN = 0.9
"""A routine of NumPy must take less than this part of the compiled time: the table is no better."""


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
        cells = line.split()
        known = {size: _cell(cell) for size, cell in zip(self.sizes, cells, strict=True) if cell != "-"}
        below = max((size for size in known if size <= elements), default=None)
        above = min((size for size in known if size >= elements), default=None)
        if above is None and below is not None:
            factor = elements / below if below == self.sizes[-1] else None
            return None if factor is None else Times(*(t * factor for t in known[below]))
        if above is None or below is None:
            return known[self.sizes[0]] if self.sizes[0] in known and below is None else None
        if above == below:
            return known[above]
        part = log(elements / below) / log(above / below)
        return Times(*(exp(log(a) + part * log(b / a)) for a, b in zip(known[below], known[above])))


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


def times_of(node: Node) -> Times | None:
    """What ``node`` takes alone; None where a size is a symbol, or nothing like it was measured."""
    types = [v.type for v in (*node.operands, *node.outputs) if isinstance(v.type, TensorType)]
    if not types or not all(isinstance(t.size, int) for t in types):
        return None
    largest = max(types, key=lambda t: t.size)  # type: ignore[arg-type]
    kind = kind_of(largest.dtype)
    return None if kind is None else table().find(node.op.name, kind, max(int(largest.size), 1))  # type: ignore[arg-type]


def library_reason(node: Node) -> str | None:
    """Why ``node`` is left to NumPy, with both times; None where its kernel is at least about as fast."""
    if node.op.lowering not in ALONE:
        return None
    found = times_of(node)
    if found is None or found.op_by_op + HANDOVER >= GAIN * found.compiled:
        return None
    compiled, op_by_op = (f"{seconds * 1e6:.3g} us" for seconds in found)
    return f"NumPy takes {op_by_op}, its kernel {compiled} ({table().origin})"
