"""Elementwise ops on large plain tensors: one kernel over their memory, whatever their shape.

Operands of one type that lie row by row, or numbers: an element of the result is computed of the elements at its own
place, so the kernel knows one size and serves every shape.  It is what `jitorch.frontend.eager.kernels` makes of such
calls too, found with a fifth of the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch import allocator, config, dims
from jitorch.backends import registry
from jitorch.backends.base import Unavailable
from jitorch.backends.kernels import ProgramExecutable
from jitorch.builder import graph_of
from jitorch.compiler import compile_graph
from jitorch.dtypes import DType
from jitorch.frontend.eager.kernels import BACKEND
from jitorch.frontend.eager.steps import is_in_order
from jitorch.ir.op import Op
from jitorch.ir.types import PYTHON_TYPES, TensorType
from jitorch.tensor import Tensor

_kernels: dict[tuple[Any, ...], ProgramExecutable | None] = {}


def call(op: Op, operands: Sequence[Any], type_: TensorType, result: DType) -> Any:
    """The result of ``op``, whose tensors are all of ``type_``; NotImplemented without a kernel."""
    if not config.current().native:
        return NotImplemented
    kinds: list[Any] = [op]
    arrays: list[Any] = []
    for x in operands:
        if isinstance(x, Tensor):
            if not is_in_order(x._array):
                return NotImplemented
            kinds.append(type_.dtype)
            arrays.append(x._array)
        else:
            kinds.append(type(x))
            arrays.append(x)
    key = tuple(kinds)
    try:
        kernel = _kernels[key]
    except KeyError:
        kernel = _kernels[key] = _made(op, kinds[1:])
    if kernel is None:
        return NotImplemented
    out = allocator.empty(type_.shape, result.numpy)  # type: ignore[arg-type]
    kernel.run(arrays, [out], {"s0": out.size})
    return Tensor._of(out, type_) if result is type_.dtype else Tensor._from_array(out)


def _made(op: Any, kinds: Sequence[Any]) -> ProgramExecutable | None:
    """The program for operands of these kinds: a dtype for tensors, else the type of numbers."""
    if isinstance(registry.get(BACKEND).probe(), Unavailable):
        return None
    size = dims.symbol("s0", 1)
    types = [TensorType(kind, (size,)) if isinstance(kind, DType) else PYTHON_TYPES[kind] for kind in kinds]
    compiled = compile_graph(graph_of(op, types, op.name), BACKEND)
    executable = compiled.executable
    return executable if isinstance(executable, ProgramExecutable) and not compiled.constants else None
