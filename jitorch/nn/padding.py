"""Borders around the last axes; ``padding`` is one width, or (before, after) of each axis, the last axis first."""

from __future__ import annotations

from collections.abc import Sequence

from jitorch.nn import functional as F
from jitorch.nn.module import Module
from jitorch.nn.sizes import repeated
from jitorch.tensor import Tensor

Widths = int | Sequence[int]


class _Pad(Module):
    """The common part; ``axes`` is the number of axes that get a border, ``mode`` what it is made of."""

    axes: int
    mode: str

    def __init__(self, padding: Widths):
        super().__init__()
        self.padding = repeated(padding, 2 * self.axes, "padding")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(Module):
    axes: int

    def __init__(self, padding: Widths, value: float):
        super().__init__()
        self.padding = repeated(padding, 2 * self.axes, "padding")
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A border of ``value`` around the last axis."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """A border of ``value`` around the last 2 axes."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """A border of ``value`` around the last 3 axes."""

    axes = 3


class ZeroPad1d(_Pad):
    """A border of zeros, around the last axis."""

    axes, mode = 1, "constant"


class ZeroPad2d(_Pad):
    """A border of zeros, around the last 2 axes."""

    axes, mode = 2, "constant"


class ZeroPad3d(_Pad):
    """A border of zeros, around the last 3 axes."""

    axes, mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """A border that mirrors the inside, without the edge, around the last axis."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """A border that mirrors the inside, without the edge, around the last 2 axes."""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """A border that mirrors the inside, without the edge, around the last 3 axes."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """A border that repeats the edge, around the last axis."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """A border that repeats the edge, around the last 2 axes."""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """A border that repeats the edge, around the last 3 axes."""

    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """A border that goes on at the other side, around the last axis."""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """A border that goes on at the other side, around the last 2 axes."""

    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    """A border that goes on at the other side, around the last 3 axes."""

    axes, mode = 3, "circular"
