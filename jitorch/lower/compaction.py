"""The recipe for the positions of a mask's true elements: chunks are counted at once, the counts added up, and each
chunk then writes its positions to a place of its own.

So the result does not depend on the number of threads.  A step does not branch, nor write beyond the place of its
chunk: it writes the last position found to where the next one belongs, or, behind the end, to where it is already.
"""

from __future__ import annotations

from jitorch import dtypes
from jitorch.dims import Dim, floordiv
from jitorch.ir import kernel as k
from jitorch.ir.graph import Value
from jitorch.ir.sizes import size_expr
from jitorch.lower.index import Index
from jitorch.lower.nests import finish
from jitorch.lower.pull import Puller
from jitorch.lower.recipe import Job, Made

CHUNK = 1 << 12
"""Elements that one task goes through."""


def compaction(job: Job) -> Made:
    """``positions``: see the module's docstring."""
    mask = job.node.operands[0]
    size: Dim = mask.type.shape[0]  # type: ignore[union-attr]
    if isinstance(size, int) and size <= CHUNK:
        return Made((_emission(job, mask, None),))
    chunks = floordiv(size + (CHUNK - 1), CHUNK)
    ends = k.Buffer(f"{job.name}_ends", dtypes.int64)
    kernels = (_counts(job, mask, ends), _sums(job, mask, ends), _emission(job, mask, ends))
    return Made(kernels, ((ends, chunks),))


def _chunks(mask: Value) -> k.Expr:
    return (size_expr(mask.type.size) + (CHUNK - 1)) // CHUNK  # type: ignore[union-attr]


def _length(mask: Value, first: k.Expr) -> k.Expr:
    """The elements of the chunk that begins at ``first``."""
    return k.call("minimum", k.const(CHUNK), size_expr(mask.type.size) - first)  # type: ignore[union-attr]


def _is_true(puller: Puller, mask: Value, place: k.Expr) -> k.Expr:
    return puller.pull(mask, Index.of(mask.type.shape, [place]))  # type: ignore[union-attr]


def _counts(job: Job, mask: Value, ends: k.Buffer) -> k.Kernel:
    """How many elements of each chunk are true."""
    puller = Puller(job.buffers, job.scalars)
    chunk, step, total = k.Var("c"), k.Var("i"), k.Var("total")

    def add() -> None:
        one = k.cast(_is_true(puller, mask, chunk * CHUNK + step), dtypes.int64)
        puller.emit(k.Assign(total, k.call("add", total, one, reassociate=True)))

    def count() -> None:
        puller.emit(k.Local(total, k.const(0)))
        puller.loop(step, _length(mask, chunk * CHUNK), add)
        puller.emit(k.Store(ends, chunk, total))

    puller.loop(chunk, _chunks(mask), count, "parallel")
    return finish(f"{job.name}_counts", puller)


def _sums(job: Job, mask: Value, ends: k.Buffer) -> k.Kernel:
    """Where the place of each chunk ends."""
    puller = Puller({}, {})
    chunk, total = k.Var("c"), k.Var("total")
    puller.emit(k.Local(total, k.const(0)))

    def add() -> None:
        puller.emit(k.Assign(total, total + k.Load(ends, chunk)))
        puller.emit(k.Store(ends, chunk, total))

    puller.loop(chunk, _chunks(mask), add)
    return finish(f"{job.name}_sums", puller)


def _emission(job: Job, mask: Value, ends: k.Buffer | None) -> k.Kernel:
    """Writes the positions of each chunk; without ``ends`` there is one."""
    puller = Puller(job.buffers, job.scalars)
    chunk, step, place, last = k.Var("c"), k.Var("i"), k.Var("place"), k.Var("last")
    first: k.Expr = k.const(0) if ends is None else chunk * CHUNK

    def write(end: k.Expr) -> None:
        is_true = puller.let(_is_true(puller, mask, first + step))
        puller.emit(k.Assign(last, k.where(is_true, first + step, last)))
        # Behind the last true element, that one is written again.
        puller.emit(k.Store(job.buffers[job.node.output], k.call("minimum", place, end - 1), last))
        puller.emit(k.Assign(place, place + k.cast(is_true, dtypes.int64)))

    def emit(begin: k.Expr, end: k.Expr, length: k.Expr) -> None:
        def walk() -> None:
            puller.emit(k.Local(place, begin))
            puller.emit(k.Local(last, k.const(0)))
            puller.loop(step, length, lambda: write(end))

        statements, _ = puller.nested(walk)
        puller.emit(k.If(begin < end, statements))

    def chunked() -> None:
        assert ends is not None
        before = k.Load(ends, k.call("maximum", chunk - 1, k.const(0)))
        begin = puller.let(k.where(chunk > 0, before, 0))
        emit(begin, puller.let(k.Load(ends, chunk)), _length(mask, first))

    if ends is None:
        emit(k.const(0), size_expr(job.out.shape[0]), size_expr(mask.type.size))  # type: ignore[union-attr]
    else:
        puller.loop(chunk, _chunks(mask), chunked, "parallel")
    return finish(job.name, puller)
