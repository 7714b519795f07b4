"""The recipe for matrix products."""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.lower.contraction import Axis, Contraction, contraction_kernel, load
from jitorch.lower.fuse import unit_axis
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made


def matmul(job: Job) -> Made:
    """``[*B, M, K] @ [*B, K, N]``."""
    x, y = job.node.operands
    shape = job.out.shape
    batch = tuple(Axis(k.Var(f"b{i}"), d) for i, d in enumerate(shape[:-2]))
    m, n, kk = Axis(k.Var("m"), shape[-2]), Axis(k.Var("n"), shape[-1]), Axis(k.Var("k"), job.types[0].shape[-1])
    puller = Puller(job.buffers, job.scalars)

    def load_x(at: dict[k.Var, k.Expr]) -> k.Expr:
        return load(puller, x, [at[a.var] for a in (*batch, m, kk)])

    def load_y(at: dict[k.Var, k.Expr]) -> k.Expr:
        return load(puller, y, [at[a.var] for a in (*batch, kk, n)])

    def store(at: dict[k.Var, k.Expr], total: k.Expr) -> tuple[k.Stmt, ...]:
        return job.sink.store([at[a.var] for a in (*batch, m, n)], total)

    along_m = unit_axis(y) != job.types[1].rank - 1 and unit_axis(x) == job.types[0].rank - 2
    rows, lanes, a, b = (n, m, load_y, load_x) if along_m else (m, n, load_x, load_y)
    contraction = Contraction(batch, rows, lanes, (kk,), a, b, store, job.out.dtype)
    return Made((contraction_kernel(job.name, contraction, job.target),))
