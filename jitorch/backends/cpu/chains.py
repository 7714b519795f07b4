"""Loops whose turns are one long chain of operations: several turns side by side hide the latency.

A processor looks some hundreds of instructions ahead.  Where a turn is shorter, it finds the next ones by itself; of a
chain of a hundred operations, each waiting for the one before, it would only ever run two.
"""

from __future__ import annotations

from jitorch.backends.cpu.mathematics import library
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Call, Const, Expr, For, Let, Load, Store, Var

LONG = 24
"""Operations from which on the processor does not look past the turn."""
PARALLEL = 2.0
"""Operations that a turn offers at once: of more there are enough."""
COPIES = 8

FEW_FUNCTIONS, SEVERAL_FUNCTIONS = 16, 64
"""Functions of mathematics in a turn, chains of ten to fifty operations each, up to which four and two turns run side
by side: more only make longer code.

Turns of one to six take 0.75 to 0.98 of the time if there are four of them, of fifty 0.56 with two (AVX-512, Zen 4).
Not so where what is far off is left to the C library: then vectors are calls.
"""
VECTOR = 16
"""Elements of a turn once it is a vector, at most."""

_SHORT = frozenset({"add", "sub", "mul", "neg", "abs", "minimum", "maximum", "div", "sqrt", "where"})
_COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


def copies(loop: For) -> int:
    """How many turns of an innermost loop to run side by side; 1: as LLVM likes."""
    body = [stmt for stmt in loop.body if isinstance(stmt, (Let, Store))]
    if len(body) < len(loop.body):
        return 1
    called = [library.FUNCTIONS[e.fn] for e in k.parts(loop.body) if isinstance(e, Call) and library.has(e.fn, e.dtype)]
    if called:
        if any(entry.guarded for entry in called):
            return 1
        return _whole(loop.extent, 4 if len(called) <= FEW_FUNCTIONS else 2 if len(called) <= SEVERAL_FUNCTIONS else 1)
    depths: dict[str, int] = {}
    count = 0
    for stmt in body:
        found = _measure(stmt.value, depths)
        name = stmt.var.name if isinstance(stmt, Let) else ""
        if found is None:
            return 1
        depth, operations = found
        depths[name] = max(depth, depths.get(name, 0))
        count += operations
    longest = max(depths.values(), default=0)
    return COPIES if count >= LONG and count < PARALLEL * longest else 1


def _whole(extent: Expr, most: int) -> int:
    """As many turns as leave little of a loop over: what is left goes by shorter vectors."""
    if not isinstance(extent, Const):
        return min(most, 2)
    size, count = int(extent.value.real), most
    while count > 1 and size < 8 * count * VECTOR and (size < count * VECTOR or size % (count * VECTOR) >= VECTOR):
        count //= 2
    return count


def _measure(expr: Expr, depths: dict[str, int]) -> tuple[int, int] | None:
    """The longest chain to ``expr``, and its operations; None where there is one that is a function of its own."""
    if isinstance(expr, Var):
        return depths.get(expr.name, 0), 0
    if not isinstance(expr, Call):
        return (0, 0) if not isinstance(expr, Load) or isinstance(expr.index, Var) else None
    if expr.fn not in _SHORT and expr.fn not in _COMPARISONS:
        return None
    depth, count = 0, 1
    for arg in expr.args:
        found = _measure(arg, depths)
        if found is None:
            return None
        depth, count = max(depth, found[0]), count + found[1]
    return depth + 1, count
