"""Transposed convolution: the gradient of a convolution, as an op of its own."""

from __future__ import annotations

from typing import Any

from jitorch import dims
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.conv import convolve, mirrored, spread
from jitorch.ops.helpers import require_rank
from jitorch.ops.registry import Sample, op

Tensor = Any


def _conv_transpose(
    name: str, n: int, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    require_rank(name, x, n + 1, n + 2)
    require_rank(name, weight, n + 2)
    stride, padding, dilation = (spread(name, v, n) for v in (stride, padding, dilation))
    extra = spread(name, output_padding, n)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ValueRangeError(
            f"{name}: output_padding must be smaller than stride or dilation", expected=f"below {stride}", actual=extra
        )
    channels = x.shape[x.ndim - n - 1]
    if not dims.equal(channels, weight.shape[0]):
        raise ShapeError(f"{name}: channels differ", expected=f"{weight.shape[0]} channels", actual=x.type)
    if not dims.is_multiple(channels, groups):
        raise ShapeError(f"{name}: channels do not split in groups", expected=f"a multiple of {groups}", actual=x.type)
    reach = tuple(d * (k - 1) for d, k in zip(dilation, weight.shape[2:]))
    low = tuple(r - p for r, p in zip(reach, padding))
    high = tuple(r - p + e for r, p, e in zip(reach, padding, extra))
    between = tuple(s - 1 for s in stride)
    return convolve(name, n, x, mirrored(weight, groups), bias, 1, (low, high), dilation, groups, between)


@op(places=("torch", "nn"))
def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0,
    output_padding: int = 0, groups: int = 1, dilation: int = 1,
) -> Tensor:  # fmt: skip
    """1-d transposed convolution: ``[*, C, L]``, ``[C, O/groups, K]`` to ``[*, O, L']``.

    ``L' = (L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1``.
    """
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@op(places=("torch", "nn"))
def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0,
    output_padding: int = 0, groups: int = 1, dilation: int = 1,
) -> Tensor:  # fmt: skip
    """2-d transposed convolution: ``[*, C, H, W]``, ``[C, O/groups, KH, KW]`` to ``[*, O, H', W']``."""
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@op(places=("torch", "nn"))
def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0,
    output_padding: int = 0, groups: int = 1, dilation: int = 1,
) -> Tensor:  # fmt: skip
    """3-d transposed convolution: ``[*, C, D, H, W]``, ``[C, O/groups, KD, KH, KW]`` to ``[*, O, D', H', W']``."""
    return _conv_transpose(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@conv_transpose1d.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 2, 3)), rng.normal(size=(2,)), stride=2, padding=1)
    yield Sample(rng.normal(size=(4, 3)), rng.normal(size=(4, 1, 2)), padding=2, dilation=1, groups=2, stride=3)


@conv_transpose2d.samples
def _(rng):
    yield Sample(
        rng.normal(size=(1, 2, 3, 4)), rng.normal(size=(2, 2, 3, 2)), rng.normal(size=(2,)), stride=(2, 3),
        padding=(1, 0), output_padding=(1, 0),
    )  # fmt: skip
    yield Sample(rng.normal(size=(1, 4, 3, 3)), rng.normal(size=(4, 1, 2, 2)), groups=2, dilation=2)


@conv_transpose3d.samples
def _(rng):
    yield Sample(rng.normal(size=(1, 2, 2, 3, 2)), rng.normal(size=(2, 1, 2, 2, 2)), stride=2)
