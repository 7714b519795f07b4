"""The tape of eager, which hands calls on large tensors to compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

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
    """Runs the outermost op call as one program where an operand is large; everything else as `Tape` does.

    Which way a call goes follows from its signature alone (op, attributes, dtypes, sizes and layout).
    """

    def apply(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        limit = LARGE_ELEMENTWISE if op.kind == ELEMENTWISE else LARGE
        for x in operands:
            if isinstance(x, Tensor) and x._array is not None and x._array.size >= limit and dispatch.is_plain():
                kernels = import_module("jitorch.frontend.eager.kernels")
                result = kernels.call(op, operands, attrs)
                if result is not NotImplemented:
                    return result
                break
        return super().apply(op, operands, attrs)
