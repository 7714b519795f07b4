"""Quotients: loops whose variable is only a pair of coordinates are cut into two loops.

A value read through a reshape, a repetition or a pooling window has ``i // 2`` and ``i % 2`` in its index, for
which memory looks as if it were read in no order at all.  Two loops, over the quotient and the remainder, need
neither division, and the loads are in order again.  That is done for sizes as for numbers, where the one is known to
divide the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jitorch import dims
from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Call, Expr, For, Kernel, Var
from jitorch.ir.sizes import dim_of, size_expr

UNROLLED = 4
"""A remainder of up to so many values is written out, so that vectors run along the quotient."""


def cut_quotients(kernel: Kernel, sizes: Mapping[str, Dim] | None = None) -> Kernel:
    """``kernel`` with every loop cut whose variable is divided by one number or size, which divides its extent.

    ``sizes``: the variables of the kernel that are sizes, by name.
    """
    body = _Cutter(sizes or {}).block(kernel.body)
    return kernel if body is kernel.body else k.verify(Kernel(kernel.name, kernel.params, kernel.scratch, body))


@dataclass(frozen=True)
class _Cutter:
    sizes: Mapping[str, Dim]

    def block(self, body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        """The nest of loops, each the only statement of the one around it; what is inside of it stays as it is."""
        if len(body) != 1 or not isinstance(body[0], For):
            return body
        loop = body[0]
        inner = self.block(loop.body)
        return body if inner is loop.body and self.divisor(loop) is None else (self.cut(loop, inner),)

    def divisor(self, loop: For) -> Dim | None:
        """The one number or size that the loop's variable is divided by."""
        extent = dim_of(loop.extent, self.sizes)
        if loop.kind not in ("serial", "parallel") or extent is None:
            return None
        found: set[Dim | None] = set()
        for e in k.parts(loop.body):
            match e:
                case Call("floordiv" | "mod", (x, y)) if x == loop.var:
                    found.add(dim_of(y, self.sizes))
        if len(found) != 1:
            return None
        divisor = found.pop()
        if divisor is None or not dims.decide("<", 0, divisor) or divisor in (1, extent):
            return None
        return divisor if dims.floordiv(extent, divisor) * divisor == extent else None

    def cut(self, loop: For, body: tuple[k.Stmt, ...]) -> For:
        """``loop`` with ``body``, in two where its variable is divided, and the outer one again where its own is."""
        divisor = self.divisor(loop)
        if divisor is None:
            return For(loop.var, loop.extent, body, loop.kind)
        quotient, rest = Var(f"{loop.var.name}_quotient"), Var(f"{loop.var.name}_rest")

        def replaced(e: Expr) -> Expr:
            match e:
                case Call("floordiv" | "mod" as fn, (x, y)) if x == loop.var and dim_of(y, self.sizes) == divisor:
                    return quotient if fn == "floordiv" else rest
            return e

        whole: dict[Var, Expr] = {loop.var: quotient * size_expr(divisor) + rest}
        # Quotients first: `substitute` goes from the leaves up, and would not find them any more.
        new = k.substitute(k.transform(body, replaced), whole)
        is_innermost = not any(isinstance(s, For) for s in k.parts(body))
        kind = "unroll" if is_innermost and isinstance(divisor, int) and divisor <= UNROLLED else loop.kind
        inside = For(rest, size_expr(divisor), new, kind)
        extent = dims.floordiv(dim_of(loop.extent, self.sizes), divisor)  # type: ignore[arg-type]
        return self.cut(For(quotient, size_expr(extent), (inside,), loop.kind), (inside,))
