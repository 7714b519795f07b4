"""The tape of eager, which hands calls on large tensors to compiled kernels, and repeated small ones to NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from jitorch.frontend.eager import steps
from jitorch.frontend.eager.tape import Tape
from jitorch.ir.op import ELEMENTWISE, Op
from jitorch.ops import dispatch
from jitorch.tensor import Tensor

LARGE = 1 << 15
"""Elements of the largest operand from which on a call is compiled as a whole: below it NumPy's calls cost less than
what a user waits for a kernel that is not in the cache."""

LARGE_ELEMENTWISE = 1 << 18
"""The same for ops that are one loop of NumPy's, where `jitorch.frontend.eager.flat` does not serve them."""


class LargeTape(Tape):
    """Runs the outermost op call as one program where an operand is large; a small call that is repeated as NumPy calls
    (`jitorch.frontend.eager.steps`); everything else as `Tape` does.

    Which program a call is follows from its signature alone (op, attributes, dtypes, sizes and layout).
    """

    def apply(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if not op.is_view and dispatch.is_plain():
            result = self._short_way(op, operands, attrs)
            if result is not NotImplemented:
                return result
        return super().apply(op, operands, attrs)

    def _short_way(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        limit = LARGE_ELEMENTWISE if isinstance(op.rules.get("numpy"), np.ufunc) else LARGE
        if _is_large(operands, limit):
            return import_module("jitorch.frontend.eager.kernels").call(op, operands, attrs)
        if op.kind == ELEMENTWISE or steps.wants_gradient(operands):
            return NotImplemented
        return steps.call(op, operands, attrs)

    def compute(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if op.kind != ELEMENTWISE and not op.is_view and dispatch.is_plain() and not _is_large(operands, LARGE):
            result = steps.call(op, operands, attrs)
            if result is not NotImplemented:
                return result
        return super().compute(op, operands, attrs)


def _is_large(operands: Sequence[Any], limit: int) -> bool:
    """Whether a tensor has ``limit`` elements or more."""
    return any(isinstance(x, Tensor) and x._array is not None and x._array.size >= limit for x in operands)
