"""Normalisation of each channel, with statistics that may be kept: over the batch, or of each sample."""

from __future__ import annotations

from typing import Any

import jitorch
from jitorch.errors import ValueRangeError
from jitorch.nn import functional as F
from jitorch.nn import init
from jitorch.nn.initial import blank
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.tensor import Tensor


class _Norm(Module):
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

    def _check_rank(self, input: Tensor) -> None:
        if input.ndim in self.ranks:
            return
        expected = " or ".join(f"{rank}D" for rank in self.ranks)
        raise ValueRangeError(
            f"expected {expected} input (got {input.ndim}D input)", expected=expected, actual=input.shape
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Norm):
    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
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


class _InstanceNorm(_Norm):
    """The common part; the first of ``ranks`` is without the batch axis."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
        if input.ndim == self.ranks[0]:
            return self._normalise(input.unsqueeze(0)).squeeze(0)
        return self._normalise(input)

    def _normalise(self, input: Tensor) -> Tensor:
        by_input = self.training or not self.track_running_stats
        return F.instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, by_input, self.momentum, self.eps
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sample over its positions: x (N, C, L) or (C, L).

    With ``track_running_stats`` running statistics are kept and used in evaluation.  Ulyanov et al. 2016.
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for images: x (N, C, H, W) or (C, H, W)."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    ranks = (4, 5)
