"""Finding a loop of a kernel, and putting something else in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from jitorch.errors import ValueRangeError
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Expr, For, If, Kernel, Let, Load


def find(kernel: Kernel, loop: str) -> For:
    """The loop over variable ``loop``."""
    found = [s for s in k.walk(kernel) if isinstance(s, For) and s.var.name == loop]
    if len(found) == 1:
        return found[0]
    names = ", ".join(dict.fromkeys(s.var.name for s in k.walk(kernel) if isinstance(s, For)))
    return refuse(kernel, f"one loop over {loop}", f"{len(found)} (loops: {names})")


def changes(e: Expr, kernel: Kernel) -> bool:
    """Whether the value of ``e`` may change while the kernel runs."""
    mutable = {s.var for s in k.walk(kernel) if isinstance(s, k.Local)}
    return any(isinstance(part, Load) or part in mutable for part in k.walk(e))


def fresh(kernel: Kernel, name: str) -> str:
    """``name``, or with a number after it if the kernel has it already."""
    taken = {p.name for p in (*kernel.params, *kernel.scratch)}
    taken |= {s.var.name for s in k.walk(kernel) if isinstance(s, (For, Let, k.Local))}
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}{count}"
    return found


def put(kernel: Kernel, loop: For, change: Callable[[For], tuple[k.Stmt, ...]]) -> Kernel:
    """``kernel`` with other statements in place of ``loop``."""

    def block(body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        return tuple(new for stmt in body for new in statement(stmt))

    def statement(stmt: k.Stmt) -> tuple[k.Stmt, ...]:
        if stmt is loop:
            return change(loop)
        if isinstance(stmt, For):
            return (replace(stmt, body=block(stmt.body)),)
        if isinstance(stmt, If):
            return (replace(stmt, then=block(stmt.then), orelse=block(stmt.orelse)),)
        return (stmt,)

    return k.verify(replace(kernel, body=block(kernel.body)))


def refuse(kernel: Kernel, expected: str, actual: object) -> NoReturn:
    """A schedule that is not possible."""
    raise ValueRangeError(f"kernel {kernel.name} cannot be scheduled so", expected=expected, actual=actual)
