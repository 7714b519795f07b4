"""Initial values of parameters, written in place and without gradient.

Glorot and Bengio 2010 (xavier), He et al. 2015 (kaiming).  Every function returns its tensor.
The random streams are jitorch's own: the same seed gives other numbers than in PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import jitorch
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.tensor import Tensor

_GAINS = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0,
    "conv_transpose1d": 1.0, "conv_transpose2d": 1.0, "conv_transpose3d": 1.0,
    "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity is to be compensated; ``param`` is the slope of ``leaky_relu`` (0.01)."""
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, int | float)):
            raise ValueRangeError("negative_slope is not a valid number", expected="a number", actual=repr(param))
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueRangeError(
            f"Unsupported nonlinearity {nonlinearity}", expected=", ".join((*_GAINS, "leaky_relu")), actual=nonlinearity
        )
    return _GAINS[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform numbers in ``[a, b)``."""
    with jitorch.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal numbers."""
    with jitorch.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Normal numbers, those outside of ``[a, b]`` drawn again; by the inverse of the distribution function."""
    low, high = _normal_cdf((a - mean) / std), _normal_cdf((b - mean) / std)
    with jitorch.no_grad():
        tensor.uniform_(2 * low - 1, 2 * high - 1, generator=generator)
        tensor.erfinv_().mul_(std * math.sqrt(2.0)).add_(mean)
        return tensor.clamp_(min=a, max=b)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    with jitorch.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity, of a matrix (more rows or columns are zero)."""
    if tensor.ndim != 2:
        raise ValueRangeError("Only tensors with 2 dimensions are supported", expected=2, actual=tensor.ndim)
    rows, columns = tensor.shape
    with jitorch.no_grad():
        return tensor.copy_(jitorch.eye(rows, columns, dtype=tensor.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Weights of a convolution that passes as many channels through unchanged as it can (in each group)."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueRangeError(
            "Only tensors with 3, 4, or 5 dimensions are supported", expected="3, 4 or 5", actual=tensor.ndim
        )
    if tensor.shape[0] % groups:
        raise ValueRangeError(
            "dim 0 must be divisible by groups", expected=f"a multiple of {groups}", actual=tensor.shape[0]
        )
    outputs = tensor.shape[0] // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    with jitorch.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(outputs, tensor.shape[1])):
                tensor[(group * outputs + channel, channel, *centre)] = 1.0
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs of one unit: channels times the size of the window."""
    if tensor.ndim < 2:
        raise ShapeError(
            "fan in and fan out can not be computed for a tensor with fewer than 2 dimensions",
            expected="at least 2 dimensions",
            actual=tensor.ndim,
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower() if isinstance(mode, str) else mode
    if mode not in ("fan_in", "fan_out"):
        raise ValueRangeError(f"Mode {mode} not supported", expected="fan_in or fan_out", actual=mode)
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform within ``gain * sqrt(6 / (fan_in + fan_out))``."""
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal of deviation ``gain * sqrt(2 / (fan_in + fan_out))``."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Uniform within ``gain * sqrt(3 / fan)``; an empty tensor stays as it is."""
    if 0 in tensor.shape:
        return tensor
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Normal of deviation ``gain / sqrt(fan)``; an empty tensor stays as it is."""
    if 0 in tensor.shape:
        return tensor
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal numbers, of which in every column the share ``sparsity`` is zero (Martens 2010)."""
    if tensor.ndim != 2:
        raise ValueRangeError("Only tensors with 2 dimensions are supported", expected=2, actual=tensor.ndim)
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    normal_(tensor, 0.0, std, generator)
    with jitorch.no_grad():
        for column in range(columns):
            tensor[jitorch.randperm(rows, generator=generator)[:zeros], column] = 0.0
    return tensor
