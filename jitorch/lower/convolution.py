"""The recipe for convolutions."""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.lower.contraction import Axis, Contraction, contraction_kernel, load, scalar_kernel
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made


def convolution(job: Job) -> Made:
    """``x: [G, N, C, *S]``, ``w: [G, O, C, *K]`` to ``[G, N, O, *S']``: lanes along the last of S', rows along O."""
    node = job.node
    x, w = node.operands
    stride, dilation = node.attrs["stride"], node.attrs["dilation"]
    shape = job.out.shape
    kernel = w.type.shape[3:]  # type: ignore[union-attr]
    g, b, o = Axis(k.Var("g"), shape[0]), Axis(k.Var("b"), shape[1]), Axis(k.Var("o"), shape[2])
    spatial = tuple(Axis(k.Var(f"s{i}"), d) for i, d in enumerate(shape[3:]))
    channel = Axis(k.Var("c"), x.type.shape[2])  # type: ignore[union-attr]
    taps = tuple(Axis(k.Var(f"k{i}"), d) for i, d in enumerate(kernel))
    puller = Puller(job.buffers, job.scalars)

    def load_x(at: dict[k.Var, k.Expr]) -> k.Expr:
        places = [at[s.var] * st + at[t.var] * di for s, t, st, di in zip(spatial, taps, stride, dilation)]
        return load(puller, x, [at[g.var], at[b.var], at[channel.var], *places])

    def load_w(at: dict[k.Var, k.Expr]) -> k.Expr:
        return load(puller, w, [at[g.var], at[o.var], at[channel.var], *(at[t.var] for t in taps)])

    def store(at: dict[k.Var, k.Expr], total: k.Expr) -> tuple[k.Stmt, ...]:
        return job.sink.store([at[a.var] for a in (g, b, o, *spatial)], total)

    outer = (g, b, *spatial[:-1])
    contraction = Contraction(
        outer,
        o,
        spatial[-1],
        (channel, *taps),
        load_w,
        load_x,
        store,
        job.out.dtype,
    )
    short = spatial[-1].size
    if isinstance(short, int) and short < 4:
        return Made((scalar_kernel(job.name, contraction),))
    return Made((contraction_kernel(job.name, contraction, job.target),))
