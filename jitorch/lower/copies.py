"""Copies of much memory, as kernels: their loops are shared among threads."""

from __future__ import annotations

from dataclasses import replace

from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.lower.nests import kernel_of

LARGE = 1 << 20
"""Bytes from which on a copy is a kernel."""


def share_copies(program: host.Program) -> host.Program:
    """Make launches of the large copies in the body of ``program``."""
    return replace(program, body=tuple(map(_shared, program.body)))


def _shared(statement: host.Stmt) -> host.Stmt:
    match statement:
        case host.Copy(target, source, k.Const(int(size))) if size * target.dtype.itemsize >= LARGE:
            i = k.Var("i0")
            loop = k.For(i, k.const(size), (k.Store(target, i, k.Load(source, i)),), "parallel")
            kernel = kernel_of(f"copy_to_{target.name}", (loop,), ())
            return host.Launch(kernel, kernel.params)
    return statement
