"""Normalisation over batches, layers and groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jitorch
from jitorch.errors import ValueRangeError
from jitorch.nn import functional as F
from jitorch.nn import init
from jitorch.nn.initial import blank
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.tensor import Tensor


class _BatchNorm(Module):
    """The common part; ``ranks`` are the numbers of axes that the input may have."""

    ranks: tuple[int, ...]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, present in (("weight", affine), ("bias", affine and bias)):
            vector = blank(num_features, device=device, dtype=dtype) if present else None
            self.register_parameter(name, None if vector is None else Parameter(vector))
        for name in ("running_mean", "running_var"):
            vector = blank(num_features, device=device, dtype=dtype) if track_running_stats else None
            self.register_buffer(name, vector)
        count = jitorch.zeros((), dtype=jitorch.int64, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1.0)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the batches seen; weight one, bias zero."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.ranks:
            self._refuse(input)
        mean, var = self.running_mean, self.running_var
        if not self.training:
            return F.batch_norm(input, mean, var, self.weight, self.bias, mean is None, 0.0, self.eps)
        if self.num_batches_tracked is None:
            return F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)
        self.num_batches_tracked.add_(1)
        if self.momentum is None:
            self._average(input.detach(), self.num_batches_tracked)
            return F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)
        return F.batch_norm(input, mean, var, self.weight, self.bias, True, self.momentum, self.eps)

    def _average(self, input: Tensor, count: Tensor) -> None:
        """Without momentum the running statistics are the averages over all ``count`` batches."""
        mean, var = self.get_buffer("running_mean"), self.get_buffer("running_var")
        axes = [axis for axis in range(input.ndim) if axis != 1]
        mean.add_((input.mean(axes) - mean) / count)
        var.add_((input.var(axes) - var) / count)

    def _refuse(self, input: Tensor) -> None:
        expected = " or ".join(f"{rank}D" for rank in self.ranks)
        raise ValueRangeError(
            f"expected {expected} input (got {input.ndim}D input)", expected=expected, actual=input.shape
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each channel over batch and length: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    Shapes: x (N, C) or (N, C, L).  In training, mean and (biased) variance are the batch's, and the running ones move
    towards them (the variance unbiased) by ``momentum``, or are plain averages if it is None; in evaluation the running
    ones are used.  Ioffe and Szegedy 2015.
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images: x (N, C, H, W)."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` for volumes: x (N, C, D, H, W)."""

    ranks = (5,)


def _normalized_shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


class LayerNorm(Module):
    """Normalises over the last axes, of sizes ``normalized_shape``: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    Weight and bias have that shape too; the variance is the biased one.  Ba et al. 2016.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape = _normalized_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, present in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            values = blank(*self.normalized_shape, device=device, dtype=dtype) if present else None
            self.register_parameter(name, None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight one, bias zero."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divides by the root mean square over the last axes: ``x / sqrt(mean(x * x) + eps) * weight``.

    ``eps`` None is the machine epsilon of the dtype.  Zhang and Sennrich 2019.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape = _normalized_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        values = blank(*self.normalized_shape, device=device, dtype=dtype) if elementwise_affine else None
        self.register_parameter("weight", None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight one."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalises over groups of channels and all positions of one sample: x (N, C, ...), ``num_groups`` divides C.

    Wu and He 2018.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        if num_channels % num_groups:
            raise ValueRangeError(
                "num_channels must be divisible by num_groups",
                expected=f"a multiple of {num_groups}",
                actual=num_channels,
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, present in (("weight", affine), ("bias", affine and bias)):
            values = blank(num_channels, device=device, dtype=dtype) if present else None
            self.register_parameter(name, None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight one, bias zero."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
