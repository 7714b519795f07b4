"""Convolution layers (cross-correlations, as everywhere in deep learning)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch.errors import ValueRangeError
from jitorch.nn import functional as F
from jitorch.nn.initial import blank, reset_linear
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.nn.sizes import repeated
from jitorch.tensor import Tensor

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def check(condition: bool, what: str, expected: object, actual: object) -> None:
    if not condition:
        raise ValueRangeError(what, expected=expected, actual=actual)


class _Conv(Module):
    """The common part; ``axes`` is the number of spatial axes."""

    axes: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        check(groups > 0, "groups must be a positive integer", "groups > 0", groups)
        check(in_channels % groups == 0, "in_channels must be divisible by groups", f"k * {groups}", in_channels)
        check(out_channels % groups == 0, "out_channels must be divisible by groups", f"k * {groups}", out_channels)
        check(padding_mode in _PADDING_MODES, "unknown padding_mode", ", ".join(_PADDING_MODES), padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = repeated(kernel_size, self.axes, "kernel_size")
        self.stride = repeated(stride, self.axes, "stride")
        self.dilation = repeated(dilation, self.axes, "dilation")
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str):
            check(padding in ("same", "valid"), "unknown padding", "same or valid", padding)
            check(
                padding != "same" or max(self.stride) == 1,
                "padding='same' is not supported for strided convolutions",
                "stride 1",
                self.stride,
            )
            self.padding: Any = padding
        else:
            self.padding = repeated(padding, self.axes, "padding")
        # For `pad`, which is called when the border is not of zeros: last axis first, before and after.
        self._border = self._pad_argument()
        self.weight = Parameter(
            blank(out_channels, in_channels // groups, *self.kernel_size, device=device, dtype=dtype)
        )
        self.register_parameter("bias", Parameter(blank(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _pad_argument(self) -> tuple[int, ...]:
        border: list[int] = []
        for axis in reversed(range(self.axes)):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                border += [total // 2, total - total // 2]
            else:
                border += [0, 0] if self.padding == "valid" else [self.padding[axis]] * 2
        return tuple(border)

    def reset_parameters(self) -> None:
        """Draw the initial weights again: uniform within ``1 / sqrt(in_channels / groups * prod(kernel_size))``."""
        reset_linear(self.weight, self.bias)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class Conv1d(_Conv):
    """1-d convolution.

    Shapes: x (N, C_in, L) or (C_in, L), weight (C_out, C_in / groups, K), bias (C_out), y (N, C_out, L_out) with
    ``L_out = floor((L + 2 * padding - dilation * (K - 1) - 1) / stride) + 1``.  ``padding`` may be "same" or "valid".
    """

    axes = 1

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._border, mode=self.padding_mode)
            padding = 0
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """2-d convolution.

    Shapes: x (N, C_in, H, W) or (C_in, H, W), weight (C_out, C_in / groups, KH, KW), bias (C_out),
    y (N, C_out, H_out, W_out) with
    ``H_out = floor((H + 2 * padding - dilation * (KH - 1) - 1) / stride) + 1``.  ``padding`` may be "same" or "valid".
    """

    axes = 2

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._border, mode=self.padding_mode)
            padding = 0
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(_Conv):
    """`Conv2d` with one more axis: x (N, C_in, D, H, W), weight (C_out, C_in / groups, KD, KH, KW)."""

    axes = 3

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._border, mode=self.padding_mode)
            padding = 0
        return F.conv3d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
