"""Streams: large results that nobody reads soon are stored past the caches.

An ordinary store reads the cache line that it changes first, and takes the place of something in the cache.  For a
result that does not fit into it both are waste: without them a layer norm of 16 MiB takes two thirds of the time.
Such stores are made by whole vectors, so the loop that makes them is cut into vectors here.  Loops that compute much
gain nothing, because memory keeps up with them anyway.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.lower.fuse import READ_COST, cost_of
from jitorch.lower.schedules.dependence import why_dependent
from jitorch.lower.schedules.steps import step
from jitorch.lower.target import Target

LARGE = 16 << 20
"""Bytes of a result from which on little of it would be in the cache still when somebody reads it.

With 32 MiB of cache, a layer norm and a sum that reads it are 1.47 times as fast for 64 MiB, 1.04 for 16 MiB and 0.59
for 8 MiB.
"""


def stream_results(program: host.Program, target: Target) -> host.Program:
    """``program`` with the stores of its large outputs streamed, where one launch fills them and nothing reads them."""
    uses = Counter(buffer for s in host.walk(program.body) for buffer in host.used(s))
    large = {b for b in program.outputs if uses[b] == 1 and _bytes(program, b) >= LARGE}
    if not large:
        return program
    return replace(program, body=tuple(_streamed(s, large, target) for s in program.body))


def _bytes(program: host.Program, buffer: k.Buffer) -> int:
    size = program.sizes.get(buffer.name)
    return int(size.value.real) * buffer.dtype.itemsize if isinstance(size, k.Const) else 0


def _streamed(statement: host.Stmt, large: set[k.Buffer], target: Target) -> host.Stmt:
    if not isinstance(statement, host.Launch):
        return statement
    kernel = statement.kernel
    results = {p for p, a in zip(kernel.params, statement.args) if isinstance(p, k.Buffer) and a in large}
    new = stream(kernel, results - {e.buffer for e in k.loads(kernel)}, target) if results else kernel
    return replace(statement, kernel=new)


def stream(kernel: k.Kernel, results: set[k.Buffer], target: Target) -> k.Kernel:
    """``kernel`` with its stores to ``results`` streamed, in those innermost loops that vectors can run."""

    def block(body: tuple[k.Stmt, ...]) -> tuple[k.Stmt, ...]:
        return tuple(map(statement, body))

    def statement(s: k.Stmt) -> k.Stmt:
        match s:
            case k.If(test, then, orelse):
                return k.If(test, block(then), block(orelse))
            case k.For():
                stores = [inner for inner in s.body if isinstance(inner, k.Store) and inner.buffer in results]
                lanes = min((target.lanes(store.buffer.dtype) for store in stores), default=0)
                return _in_vectors(s, results, lanes) if lanes and _suits_vectors(s, lanes) else _with(s, block(s.body))
        return s

    body = block(kernel.body)
    if body == kernel.body:
        return kernel
    return k.verify(replace(kernel, name=f"{kernel.name}_streamed", body=body))


def _with(loop: k.For, body: tuple[k.Stmt, ...]) -> k.For:
    return loop if body == loop.body else replace(loop, body=body)


def _suits_vectors(loop: k.For, lanes: int) -> bool:
    """Whether ``loop`` is whole vectors of independent, cheap iterations that go through memory in order."""
    if loop.kind not in ("serial", "parallel") or not isinstance(loop.extent, k.Const):
        return False
    if int(loop.extent.value.real) % lanes or not all(isinstance(s, (k.Let, k.Store)) for s in loop.body):
        return False
    named = {s.var for s in loop.body if isinstance(s, k.Let)}
    for part in k.parts(loop.body):
        if isinstance(part, k.Call) and cost_of(part.fn) > READ_COST:
            return False
        if not isinstance(part, (k.Load, k.Store)):
            continue
        distances = (-1, 0, 1) if isinstance(part, k.Load) else (0, 1)
        if any(e in named for e in k.parts(part.index)) or step(part.index, loop.var) not in distances:
            return False
    return loop.kind == "parallel" or why_dependent(loop) is None


def _in_vectors(loop: k.For, results: set[k.Buffer], lanes: int) -> k.For:
    """``loop`` over its vectors, and a vector loop inside that streams what goes to ``results``."""
    vector, lane = k.Var(f"{loop.var.name}_vector"), k.Var(f"{loop.var.name}_lane")
    body = tuple(replace(s, streamed=True) if isinstance(s, k.Store) and s.buffer in results else s for s in loop.body)
    inside = k.substitute(body, {loop.var: vector * lanes + lane})
    return replace(loop, var=vector, extent=loop.extent // lanes, body=(k.For(lane, k.const(lanes), inside, "vector"),))
