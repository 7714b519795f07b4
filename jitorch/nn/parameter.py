"""`Parameter`: a tensor that a `Module` counts as its own as soon as it is assigned to one."""

from __future__ import annotations

import jitorch
from jitorch.errors import ArgumentError
from jitorch.tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor to be trained: ``Parameter(data, requires_grad=True)``.

    It shares the storage of ``data`` and starts a new graph there.  Assigned as an attribute of a
    `Module` it appears in ``module.parameters()``.  Operations on it give plain tensors.
    Without ``data`` it is empty (shape ``(0,)``).
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True):
        if data is not None and not isinstance(data, Tensor):
            raise ArgumentError("a Parameter is made of a tensor", expected="Tensor", actual=type(data).__name__)
        self._share(jitorch.empty(0) if data is None else data.detach())
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
