"""Quotients: loops whose variable is only a pair of coordinates are cut into two loops.

A value read through a reshape, a repetition or a pooling window has ``i // 2`` and ``i % 2`` in its index, for
which memory looks as if it were read in no order at all.  Two loops, over the quotient and the remainder, need
neither division, and the loads are in order again.
"""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Call, Const, Expr, For, Kernel, Var

UNROLLED = 4
"""A remainder of up to so many values is written out, so that vectors run along the quotient."""


def cut_quotients(kernel: Kernel) -> Kernel:
    """``kernel`` with every loop cut whose variable is divided by one constant, which divides its extent."""
    body = _block(kernel.body)
    return kernel if body is kernel.body else k.verify(Kernel(kernel.name, kernel.params, kernel.scratch, body))


def _block(body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
    """The nest of loops, each the only statement of the one around it; what is inside of it stays as it is."""
    if len(body) != 1 or not isinstance(body[0], For):
        return body
    loop = body[0]
    inner = _block(loop.body)
    divisor = _divisor(loop)
    if divisor is None:
        return body if inner is loop.body else (For(loop.var, loop.extent, inner, loop.kind),)
    return (_cut(loop, inner, divisor),)


def _divisor(loop: For) -> int | None:
    """The one constant that the loop's variable is divided by."""
    if loop.kind not in ("serial", "parallel") or not isinstance(loop.extent, Const):
        return None
    found: set[int] = set()
    for e in k.parts(loop.body):
        match e:
            case Call("floordiv" | "mod", (x, Const(int(value)))) if x == loop.var:
                found.add(value)
    if len(found) != 1:
        return None
    divisor, extent = found.pop(), int(loop.extent.value.real)
    return divisor if divisor > 1 and extent > divisor and extent % divisor == 0 else None


def _cut(loop: For, body: tuple[k.Stmt, ...], divisor: int) -> For:
    quotient, rest = Var(f"{loop.var.name}_quotient"), Var(f"{loop.var.name}_rest")

    def replaced(e: Expr) -> Expr:
        match e:
            case Call("floordiv", (x, Const(value))) if x == loop.var and value == divisor:
                return quotient
            case Call("mod", (x, Const(value))) if x == loop.var and value == divisor:
                return rest
        return e

    whole: dict[Var, Expr] = {loop.var: quotient * divisor + rest}
    # Quotients first: `substitute` goes from the leaves up, and would not find them any more.
    new = k.substitute(k.transform(body, replaced), whole)
    is_innermost = not any(isinstance(s, For) for s in k.parts(body))
    kind = "unroll" if is_innermost and divisor <= UNROLLED else loop.kind
    inside = For(rest, k.const(divisor), new, kind)
    return For(quotient, k.const(int(loop.extent.value.real) // divisor), (inside,), loop.kind)  # type: ignore[attr-defined]
