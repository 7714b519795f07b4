"""Memory and first values of the parameters of layers."""

from __future__ import annotations

import math
from typing import Any

import jitorch
from jitorch.errors import ArgumentError
from jitorch.nn import init
from jitorch.tensor import Tensor


def blank(*shape: int, device: Any, dtype: Any) -> Tensor:
    """An uninitialised tensor of floating-point dtype (the default dtype if None)."""
    if dtype is not None and not dtype.is_floating_point:
        raise ArgumentError("parameters are of floating-point dtype", expected="a floating-point dtype", actual=dtype)
    return jitorch.empty(shape, device=device, dtype=dtype)


def reset_linear(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's start of linear and convolution layers: uniform within ``1 / sqrt(fan_in)``, both."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init._calculate_fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
        init.uniform_(bias, -bound, bound)
