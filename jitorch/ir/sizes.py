"""Sizes as kernel expressions: the bridge from `jitorch.dims` to `jitorch.ir.kernel`."""

from __future__ import annotations

from jitorch import dims
from jitorch.dims import Dim, Symbol
from jitorch.ir.kernel import Expr, Var, call, const

_FUNCTIONS = {"min": "minimum", "max": "maximum"}


def size_expr(dim: Dim) -> Expr:
    """``dim`` over int64 variables named like its symbols."""
    return dims.fold(dim, _leaf, _apply)


def _leaf(leaf: Symbol | int) -> Expr:
    return const(leaf) if isinstance(leaf, int) else Var(leaf.name)


def _apply(fn: str, x: Expr, y: Expr) -> Expr:
    return call(_FUNCTIONS.get(fn, fn), x, y)
