"""Steps: how far apart in memory lies what neighbouring turns of a loop read and write."""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Const, Expr, Let, Load, Stmt, Store, Var


def step(e: Expr, var: Var) -> int | None:
    """How far ``e`` moves when ``var`` grows by one; None if that is no constant."""
    match e:
        case Var():
            return int(e == var)
        case k.Call("add", (x, y)):
            a, b = step(x, var), step(y, var)
            return None if a is None or b is None else a + b
        case k.Call("sub", (x, y)):
            a, b = step(x, var), step(y, var)
            return None if a is None or b is None else a - b
        case k.Call("mul", (x, Const(int(factor)))):
            a = step(x, var)
            return None if a is None else a * factor
    return 0 if all(part != var for part in k.walk(e)) else None


def crossing(body: tuple[Stmt, ...], along: Var, across: Var) -> tuple[Load, ...]:
    """The loads that find neighbours along ``along``, in either order, and others, anyhow far, along ``across``.

    Only those whose elements could as well be read before ``body``: at places that do not depend on what it reads or
    names, from buffers that it does not write.
    """
    named = {s.var for s in body if isinstance(s, Let)}
    written = {s.buffer for s in body if isinstance(s, Store)}
    found: dict[Load, None] = {}
    for load in k.loads(body):
        is_known = not any(isinstance(part, Load) or part in named for part in k.parts(load.index))
        crosses = step(load.index, along) in (-1, 1) and step(load.index, across) not in (-1, 0, 1)
        if is_known and crosses and load.buffer not in written:
            found[load] = None
    return tuple(found)
