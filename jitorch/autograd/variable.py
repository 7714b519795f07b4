"""`Variable`: what a tensor that records operations was called before every tensor did."""

from __future__ import annotations

from jitorch.errors import ArgumentError
from jitorch.tensor import Tensor


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """A tensor over the memory of ``data``, outside of its history."""
    if not isinstance(data, Tensor):
        raise ArgumentError("Variable: expected a tensor", expected="Tensor", actual=type(data).__name__)
    return data.detach().requires_grad_(requires_grad)
