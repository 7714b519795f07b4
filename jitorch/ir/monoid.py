"""Reductions and scans as monoids over tuples of kernel expressions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jitorch.ir.kernel import Const, Expr

State = tuple[Expr, ...]


@dataclass(frozen=True)
class Reduction:
    """How to fold a sequence of elements.

    ``init`` is the neutral state; ``item(x, position)`` lifts one element (``position`` counts the
    reduced elements in row-major order); ``combine`` is associative; ``result`` gives one expression
    per output of the op.
    """

    init: tuple[Const, ...]
    combine: Callable[[State, State], State]
    item: Callable[[Expr, Expr], State] = lambda x, position: (x,)
    result: Callable[[State], State] = lambda state: state
