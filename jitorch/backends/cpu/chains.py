"""Loops whose turns are one long chain of operations: several turns side by side hide the latency.

A processor looks some hundreds of instructions ahead.  Where a turn is shorter, it finds the next ones by itself; of a
chain of a hundred operations, each waiting for the one before, it would only ever run two.
"""

from __future__ import annotations

from jitorch.ir.kernel import Call, Expr, For, Let, Load, Store, Var

LONG = 24
"""Operations from which on the processor does not look past the turn."""
PARALLEL = 2.0
"""Operations that a turn offers at once: of more there are enough."""
COPIES = 8

_SHORT = frozenset({"add", "sub", "mul", "neg", "abs", "minimum", "maximum", "div", "sqrt", "where"})
_COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


def copies(loop: For) -> int:
    """How many turns of an innermost loop to run side by side; 1: as LLVM likes."""
    depths: dict[str, int] = {}
    count = 0
    for stmt in loop.body:
        if isinstance(stmt, Let):
            found = _measure(stmt.value, depths)
            name = stmt.var.name
        elif isinstance(stmt, Store):
            found, name = _measure(stmt.value, depths), ""
        else:
            return 1
        if found is None:
            return 1
        depth, operations = found
        depths[name] = max(depth, depths.get(name, 0))
        count += operations
    longest = max(depths.values(), default=0)
    return COPIES if count >= LONG and count < PARALLEL * longest else 1


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
