"""The short way of in-place methods on plain stored tensors: one NumPy function that writes to their memory.

The ordinary way computes a new tensor and copies it.  The results are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitorch.dtypes import DType
from jitorch.frontend.eager.direct import stored
from jitorch.frontend.eager.interpreter import quieten, restore
from jitorch.frontend.eager.shortcut import DTYPES, STEPS_LIMIT, Loops, loops_of, operand_of, spread
from jitorch.ir.op import ELEMENTWISE, Op
from jitorch.ops import OPS
from jitorch.tensor import Tensor

_OF_TWO = frozenset({"add", "sub", "div"})
"""Functions that are the op of their name where they are given two operands and nothing else."""


def write(entry: Any, target: Tensor, args: tuple[Any, ...]) -> bool:
    """Whether ``entry(target, *args)`` was written to ``target``; nothing is done if it is not plain, or recorded."""
    type_, array = target._type, target._array
    if type(array) is not np.ndarray or not (array.flags.c_contiguous and array.flags.writeable):
        return False
    function = _function(entry, len(args), type_.dtype, array.size)
    if function is None or not _is_free(target, args):
        return False
    operands: list[Any] = []
    for x in args:
        operand = operand_of(x, type_)
        if operand is None and (entry.name == "fill" or (operand := _repeated(x, array)) is None):
            return False
        operands.append(operand)
    token = quieten()
    try:
        function(array, *operands, out=array)
    finally:
        restore(token)
    target._storage.version += 1
    return True


def _function(entry: Any, count: int, dtype: DType, size: int) -> Callable[..., Any] | None:
    """The NumPy function of ``entry`` with ``count`` more operands, whose result is of ``dtype``, too.

    Where it is one instruction, that it writes no memory but the target's is worth more than a kernel's two threads.
    """
    if entry.name == "fill":
        return _fill if count == 1 and dtype in DTYPES else None
    op = OPS[entry.name] if entry.name in _OF_TWO else entry
    if not isinstance(op, Op) or op.kind != ELEMENTWISE:
        return None
    loops: Loops = op.loops or loops_of(op)  # type: ignore[attr-defined]
    is_served = size < loops.limit or loops.limit == STEPS_LIMIT
    if not is_served or count != loops.arity - 1 or loops.results.get(dtype) is not dtype:
        return None
    return loops.ufunc if isinstance(loops.ufunc, np.ufunc) else None


def _fill(array: Any, value: Any, out: Any) -> None:
    np.copyto(out, value)


def _is_free(target: Tensor, args: Sequence[Any]) -> bool:
    """Whether nothing is to be recorded, and no view's history to be found out."""
    tensors = (target, target if target._base is None else target._base, *args)
    return all(stored(x) is not None for x in tensors if isinstance(x, Tensor))


def _repeated(x: Any, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """The array of a tensor of the dtype of ``array``, which NumPy broadcasts to its shape."""
    other = x._array if isinstance(x, Tensor) else None
    if other is None or other.dtype is not array.dtype or spread(array.shape, other.shape) != array.shape:
        return None
    return other
