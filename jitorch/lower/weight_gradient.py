"""The recipe for the gradient of a convolution with regard to its weight: dot products over all positions.

Both operands are copied to one row pitch (`jitorch.lower.padded`), the output's gradient with zeros between
its rows, so that a tap is an offset and the sum over an image runs along memory: lanes are positions.  A
tile is some output channels by neighbouring taps (by input channels, if the kernel is one element wide).  Its
sums are vectors; they stay in a small buffer while a block of positions is in the cache, and the lanes are
added up at the end.
"""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.ir.sizes import size_expr
from jitorch.lower.convolution import sum_dtype
from jitorch.lower.nests import finish
from jitorch.lower.padded import Padded, PaddedAxis, padded_kernel
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made
from jitorch.ops.conv import padded_sizes


def convolution_weight(job: Job) -> Made:
    """``x: [N, G*C, *S]``, ``g: [N, G*O, *S']`` to ``[G*O, C, *K]``."""
    return _plain(job)


def _plain(job: Job) -> Made:
    """One sum at a time over a padded copy: for sizes that are symbols, and for GPUs."""
    x, g = job.types
    attrs = job.node.attrs
    n = len(attrs["stride"])
    padded = padded_sizes(x.shape[2:], attrs["low"], attrs["high"], attrs["interior"])
    axes = tuple(
        PaddedAxis(size, low, count, e + 1)
        for size, low, count, e in zip(x.shape[2:], attrs["low"], padded, attrs["interior"])
    )
    dtype = sum_dtype(x.dtype)
    copy = Padded(k.Buffer(f"{job.name}_padded", dtype), (x.shape[0], x.shape[1]), axes)
    flat = tuple(PaddedAxis(size, 0, size) for size in g.shape[2:])
    other = Padded(k.Buffer(f"{job.name}_gradient", dtype), (g.shape[0], g.shape[1]), flat)
    fills = [
        padded_kernel(f"{job.name}_pad_{i}", value, to, Puller(job.buffers, job.scalars))
        for i, (value, to) in enumerate(zip(job.node.operands, (copy, other)))
    ]
    b, o, c = k.Var("b"), k.Var("o"), k.Var("c")
    places, taps = [k.Var(f"s{i}") for i in range(n)], [k.Var(f"k{i}") for i in range(n)]
    total = k.Var("total", dtype)
    channels, outputs = size_expr(job.out.shape[1]), size_expr(job.out.shape[0])
    at = [u * s + j * d for u, s, j, d in zip(places, attrs["stride"], taps, attrs["dilation"])]
    first = o // (outputs // attrs["groups"]) * channels if attrs["groups"] != 1 else k.const(0)
    zeros: list[k.Expr] = [k.const(0)] * n
    left = k.Load(copy.buffer, copy.channels(b, first + c) + copy.offset(k.const(0), zeros, at))
    right = k.Load(other.buffer, other.channels(b, o) + other.offset(k.const(0), zeros, list(places)))
    body: tuple[k.Stmt, ...] = (k.Assign(total, k.call("add", total, k.call("mul", left, right), reassociate=True)),)
    for var, size in reversed([(b, g.shape[0]), *zip(places, g.shape[2:])]):
        body = (k.For(var, size_expr(size), body),)
    stored = job.sink.store([o, c, *taps], k.cast(total, x.dtype))
    writer = Puller(job.buffers, job.scalars)
    body = (k.Local(total, k.const(0, dtype)), *body, *stored)
    for i, (var, size) in reversed(list(enumerate(zip([o, c, *taps], job.out.shape)))):
        body = (k.For(var, size_expr(size), body, "serial" if i else "parallel"),)
    for statement in body:
        writer.emit(statement)
    made = (*fills, finish(job.name, writer))
    return Made(made, ((copy.buffer, copy.size), (other.buffer, other.size)))
