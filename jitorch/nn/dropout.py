"""Dropout: random zeros in training, nothing in evaluation."""

from __future__ import annotations

from jitorch.errors import ValueRangeError
from jitorch.nn import functional as F
from jitorch.nn.module import Module
from jitorch.tensor import Tensor


class Dropout(Module):
    """In training, each element is zero with probability ``p`` and else divided by ``1 - p``."""

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueRangeError("dropout probability has to be between 0 and 1", expected="0 <= p <= 1", actual=p)
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
