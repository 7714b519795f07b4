"""Transposed convolution layers: the gradient of a convolution, used to enlarge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch.errors import ValueRangeError
from jitorch.nn import functional as F
from jitorch.nn.conv import check
from jitorch.nn.initial import blank, reset_linear
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.nn.sizes import repeated
from jitorch.tensor import Tensor

Size = int | Sequence[int]


class _ConvTranspose(Module):
    """The common part; ``axes`` is the number of spatial axes."""

    axes: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        check(groups > 0, "groups must be a positive integer", "groups > 0", groups)
        check(in_channels % groups == 0, "in_channels must be divisible by groups", f"k * {groups}", in_channels)
        check(out_channels % groups == 0, "out_channels must be divisible by groups", f"k * {groups}", out_channels)
        check(padding_mode == "zeros", "a transposed convolution pads with zeros only", "zeros", padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = repeated(kernel_size, self.axes, "kernel_size")
        self.stride = repeated(stride, self.axes, "stride")
        self.padding = repeated(padding, self.axes, "padding")
        self.dilation = repeated(dilation, self.axes, "dilation")
        self.output_padding = repeated(output_padding, self.axes, "output_padding")
        self.groups = groups
        self.padding_mode = padding_mode
        self.weight = Parameter(
            blank(in_channels, out_channels // groups, *self.kernel_size, device=device, dtype=dtype)
        )
        self.register_parameter("bias", Parameter(blank(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again: uniform within ``1 / sqrt(out_channels / groups * prod(kernel_size))``."""
        reset_linear(self.weight, self.bias)

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """What is to be added at the end of each axis to get ``output_size``."""
        wanted = tuple(output_size)[-self.axes :]
        extra = []
        for axis, size in enumerate(input.shape[-self.axes :]):
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            least = (size - 1) * self.stride[axis] - 2 * self.padding[axis] + reach
            if not least <= wanted[axis] < least + self.stride[axis]:
                raise ValueRangeError(
                    f"output_size of axis {axis} cannot be reached",
                    expected=f"{least} to {least + self.stride[axis] - 1}",
                    actual=wanted[axis],
                )
            extra.append(wanted[axis] - least)
        return tuple(extra)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.axes:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else f"{text}, bias=False"


class ConvTranspose1d(_ConvTranspose):
    """1-d transposed convolution.

    Shapes: x (N, C_in, L), weight (C_in, C_out / groups, K), bias (C_out), with
    ``L_out = (L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1``.
    ``output_size``, given to the call, chooses the output padding.
    """

    axes = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return F.conv_transpose1d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )


class ConvTranspose2d(_ConvTranspose):
    """2-d transposed convolution.

    Shapes: x (N, C_in, H, W), weight (C_in, C_out / groups, KH, KW), bias (C_out), with
    ``H_out = (H - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1``.
    ``output_size``, given to the call, chooses the output padding.
    """

    axes = 2

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )


class ConvTranspose3d(_ConvTranspose):
    """3-d transposed convolution.

    Shapes: x (N, C_in, D, H, W), weight (C_in, C_out / groups, KD, KH, KW), bias (C_out), with
    ``D_out = (D - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1``.
    ``output_size``, given to the call, chooses the output padding.
    """

    axes = 3

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return F.conv_transpose3d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )
