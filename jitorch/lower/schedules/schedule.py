"""Schedules: functions Kernel -> Kernel that change how a kernel runs, never what it computes.

A loop is named by its variable, which must be the only one of that name.  What a schedule cannot prove
right it refuses with a `ValueRangeError`.
"""

from __future__ import annotations

from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Const, Expr, For, If, Kernel, Let, Load, Var
from jitorch.lower.gpu.launch import MAX_AXES, MAX_THREADS, nests
from jitorch.lower.gpu.stage import stage
from jitorch.lower.schedules.dependence import why_dependent
from jitorch.lower.schedules.loops import changes, find, fresh, put, refuse

__all__ = ["bind", "collapse", "parallelize", "reorder", "split", "stage", "unroll", "vectorize"]


def split(kernel: Kernel, loop: str, factor: int) -> Kernel:
    """``loop`` as ``{loop}_outer`` over runs of ``factor`` iterations and ``{loop}_inner`` over one run.

    Both have the old loop's kind.  Where ``factor`` may not divide the extent, the body is guarded.
    """
    old = find(kernel, loop)
    if factor < 1 or old.kind not in ("serial", "parallel", "unroll"):
        refuse(kernel, "a factor of 1 or more, of a serial, parallel or unroll loop", f"{factor}, {old.kind}")
    outer, inner = Var(fresh(kernel, f"{loop}_outer")), Var(fresh(kernel, f"{loop}_inner"))
    before, extent = _fixed(kernel, old)
    whole = k.call("mod", extent, k.const(factor)) == k.const(0)
    runs = extent // factor if whole else (extent + (factor - 1)) // factor
    position = outer * factor + inner
    body = k.substitute(old.body, {old.var: position})
    guarded = body if whole else (If(position < extent, body),)
    new = For(outer, runs, (For(inner, k.const(factor), guarded, old.kind),), old.kind)
    return put(kernel, old, lambda _: (*before, new))


def collapse(kernel: Kernel, outer: str, inner: str) -> Kernel:
    """Two loops, one directly inside the other, as one over all pairs, named ``{outer}_{inner}``."""
    first, second = _pair(kernel, outer, inner)
    if first.kind != second.kind or first.kind not in ("serial", "parallel"):
        refuse(kernel, "two serial or two parallel loops", f"{first.kind}, {second.kind}")
    if changes(first.extent, kernel) or changes(second.extent, kernel):
        refuse(kernel, "extents that stay as they are while the loops run", f"{first.extent}, {second.extent}")
    flat = Var(fresh(kernel, f"{outer}_{inner}"))
    # Two negative extents must not make a positive number of iterations.
    count = first.extent if isinstance(first.extent, Const) else k.call("maximum", first.extent, 0)
    values: dict[Var, Expr] = {first.var: flat // second.extent, second.var: flat % second.extent}
    new = For(flat, count * second.extent, k.substitute(second.body, values), first.kind)
    return put(kernel, first, lambda _: (new,))


def reorder(kernel: Kernel, outer: str, inner: str) -> Kernel:
    """Exchange two loops, one directly inside the other.  Iterations of the outer one must be independent.

    A test between them that does not involve the inner loop (as `split` leaves it) moves inside.
    """
    first, second = _pair(kernel, outer, inner, allow_test=True)
    if not {first.kind, second.kind} <= {"serial", "parallel", "vector", "unroll"}:
        refuse(kernel, "loops that are not bound to a GPU", f"{first.kind}, {second.kind}")
    if first.kind not in ("parallel", "vector") and (reason := why_dependent(first)):
        refuse(kernel, f"independent iterations of {outer}", reason)
    _no_scratch(kernel, first)
    if changes(second.extent, kernel) or any(isinstance(s, k.Barrier) for s in k.walk(first)):
        refuse(kernel, "an extent that stays as it is, and no barrier", second.extent)
    body = second.body
    match first.body:
        case (If(test, _, ()),):
            if changes(test, kernel):
                refuse(kernel, f"a test that stays as it is while {inner} runs", test)
            body = (If(test, body),)
    new = replace(second, body=(replace(first, body=body),))
    return put(kernel, first, lambda _: (new,))


def unroll(kernel: Kernel, loop: str) -> Kernel:
    """Repeat the body of a loop of constant extent."""
    old = _constant(kernel, loop, ("serial", "parallel"))
    if old.kind == "parallel":
        _no_scratch(kernel, old)
    return _of_kind(kernel, old, "unroll")


def vectorize(kernel: Kernel, loop: str) -> Kernel:
    """Run the iterations of a loop of constant extent as the lanes of a vector.

    They must be independent, in step (no test and no inner extent may differ between lanes).
    """
    old = _constant(kernel, loop, ("serial", "parallel", "unroll"))
    _independent(kernel, old)
    varying = {old.var} | {s.var for s in k.walk(old) if isinstance(s, (Let, k.Local))}
    for s in k.walk(old.body):
        condition = s.test if isinstance(s, If) else s.extent if isinstance(s, For) else k.const(0)
        if any(isinstance(e, Load) or e in varying for e in k.walk(condition)):
            refuse(kernel, f"lanes of {loop} that run in step", condition)
        if isinstance(s, For) and s.kind not in ("serial", "unroll"):
            refuse(kernel, "serial loops inside a vector", s.kind)
    return _of_kind(kernel, old, "vector")


def parallelize(kernel: Kernel, loop: str) -> Kernel:
    """Let the iterations of a serial loop run at once; they must be provably independent."""
    old = find(kernel, loop)
    if old.kind not in ("serial", "parallel", "unroll"):
        refuse(kernel, f"a serial loop over {loop}", old.kind)
    _independent(kernel, old)
    return _of_kind(kernel, old, "parallel")


def bind(kernel: Kernel, loop: str, kind: str) -> Kernel:
    """Run the iterations of a parallel loop as ``"block"`` s or ``"thread"`` s of a GPU."""
    old = find(kernel, loop)
    if kind not in ("block", "thread") or old.kind != "parallel":
        refuse(kernel, "a parallel loop, bound to block or thread", f"{old.kind}, {kind}")
    if kind == "thread" and not isinstance(old.extent, Const):
        refuse(kernel, f"a constant number of threads for {loop}", old.extent)
    new = _of_kind(kernel, old, kind)
    for nest in nests(new.body, kind):
        if len(nest) > MAX_AXES:
            refuse(kernel, f"at most {MAX_AXES} loops of kind {kind} inside each other", len(nest))
    for nest in nests(new.body, "thread"):
        threads = 1
        for s in nest:
            threads *= int(s.extent.value.real) if isinstance(s.extent, Const) else 1
        if threads > MAX_THREADS:
            refuse(kernel, f"at most {MAX_THREADS} threads a block", threads)
        if any(isinstance(s, For) and s.kind == "block" for s in k.walk(nest[0].body)):
            refuse(kernel, "block loops outside of thread loops", loop)
    return new


def _of_kind(kernel: Kernel, loop: For, kind: str) -> Kernel:
    return put(kernel, loop, lambda old: (replace(old, kind=kind),))


def _constant(kernel: Kernel, loop: str, kinds: tuple[str, ...]) -> For:
    old = find(kernel, loop)
    if not isinstance(old.extent, Const) or old.kind not in kinds:
        refuse(kernel, f"a {' or '.join(kinds)} loop of constant extent", f"{old.kind}({old.extent})")
    return old


def _independent(kernel: Kernel, loop: For) -> None:
    if loop.kind != "parallel" and (reason := why_dependent(loop)):
        refuse(kernel, f"independent iterations of {loop.var}", reason)
    _no_scratch(kernel, loop)


def _no_scratch(kernel: Kernel, loop: For) -> None:
    """Iterations that are independent have scratch memory of their own; a schedule must not change whose it is."""
    for s in k.walk(loop):
        if isinstance(s, k.Store) and s.buffer.space != "global":
            refuse(kernel, f"no scratch memory written in {loop.var}", s.buffer.name)


def _pair(kernel: Kernel, outer: str, inner: str, allow_test: bool = False) -> tuple[For, For]:
    """Two loops with nothing between them but, if that is allowed, a test."""
    first, second = find(kernel, outer), find(kernel, inner)
    between = first.body
    match between:
        case (If(_, then, ()),) if allow_test:
            between = then
    if between != (second,):
        refuse(kernel, f"{inner} directly inside {outer}", kernel)
    if any(e == first.var for e in k.walk(second.extent)):
        refuse(kernel, f"an extent of {inner} that does not depend on {outer}", second.extent)
    return first, second


def _fixed(kernel: Kernel, loop: For) -> tuple[tuple[k.Stmt, ...], Expr]:
    """The extent as it is when the loop begins, and the statement that keeps it if it could change."""
    if not changes(loop.extent, kernel):
        return (), loop.extent
    kept = Var(fresh(kernel, f"{loop.var.name}_end"))
    return (Let(kept, loop.extent),), kept
