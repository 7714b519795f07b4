"""Windows as columns, and columns added back: `unfold` and `fold`."""

from __future__ import annotations

from typing import Any

from jitorch import dims
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.conv import spread
from jitorch.ops.create import constant
from jitorch.ops.helpers import require_rank
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.sliding import unwindow, window_count, windows
from jitorch.ops.structure import pad_axes, reduce_sum, reshape_to, slice_axes, transpose_axes

Tensor = Any


def _geometry(name: str, kernel: Any, dilation: Any, padding: Any, stride: Any) -> list[tuple[int, ...]]:
    found = [spread(name, v, 2) for v in (kernel, dilation, padding, stride)]
    if any(v <= 0 for i in (0, 1, 3) for v in found[i]) or any(v < 0 for v in found[2]):
        raise ValueRangeError(
            f"{name}: kernel size, dilation and stride are positive, padding is not negative", actual=found
        )
    return found


@op(name="unfold_columns", places=())
def unfold_op(
    input: Tensor, *, kernel: tuple[int, ...], dilation: tuple[int, ...], padding: tuple[int, ...],
    stride: tuple[int, ...],
) -> Tensor:  # fmt: skip
    """``[N, C, H, W]`` to ``[N, C * KH * KW, L]``: each window is a column."""
    if any(padding):
        pads = (0, 0, *padding)
        input = pad_axes(input, constant(value=0, dtype=input.dtype), low=pads, high=pads, interior=(0,) * 4)
    seen = windows(input, sizes=kernel, strides=stride, dilations=dilation)
    batch, channels, height, width = seen.shape[:4]
    columns = transpose_axes(seen, perm=(0, 1, 4, 5, 2, 3))
    return reshape_to(columns, shape=(batch, channels * dims.prod(kernel), height * width))


@unfold_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 5, 4)), kernel=(2, 3), dilation=(1, 1), padding=(1, 0), stride=(2, 1))


@function(places=("nn",))
def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Sliding blocks as columns: ``[N, C, H, W]`` to ``[N, C * KH * KW, L]``; without N, too."""
    require_rank("unfold", input, 3, 4)
    kernel, dilation, padding, stride = _geometry("unfold", kernel_size, dilation, padding, stride)
    batched = input if input.ndim == 4 else reshape_to(input, shape=(1, *input.shape))
    out = unfold_op(batched, kernel=kernel, dilation=dilation, padding=padding, stride=stride)
    return out if input.ndim == 4 else reshape_to(out, shape=tuple(out.shape[1:]))


@unfold.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 5, 4)), (2, 3), padding=1, stride=2)
    yield Sample(rng.normal(size=(3, 5, 4)), 2, dilation=2)


@op(name="fold_columns", places=())
def fold_op(
    input: Tensor, *, size: tuple[int, ...], kernel: tuple[int, ...], dilation: tuple[int, ...],
    padding: tuple[int, ...], stride: tuple[int, ...],
) -> Tensor:  # fmt: skip
    """``[N, C * KH * KW, L]`` to ``[N, C, H, W]``: the columns added up where their windows were."""
    padded = tuple(d + 2 * p for d, p in zip(size, padding))
    counts = tuple(map(window_count, padded, kernel, stride, dilation))
    batch, channels = input.shape[0], dims.floordiv(input.shape[1], dims.prod(kernel))
    columns = reshape_to(input, shape=(batch, channels, *kernel, *counts))
    seen = transpose_axes(columns, perm=(0, 1, 4, 5, 2, 3))
    out = reduce_sum(unwindow(seen, spatial=padded, strides=stride, dilations=dilation), axes=(4, 5))
    if not any(padding):
        return out
    stops = (batch, channels, *(p + d for p, d in zip(padding, size)))
    return slice_axes(out, starts=(0, 0, *padding), stops=stops, steps=(1,) * 4)


@fold_op.samples
def _(rng):
    yield Sample(
        rng.normal(size=(2, 12, 6)), size=(4, 5), kernel=(2, 3), dilation=(1, 1), padding=(0, 0), stride=(1, 2)
    )


@function(places=("nn",))
def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Columns added up where their windows were: ``[N, C * KH * KW, L]`` to ``[N, C, H, W]``; without N, too."""
    require_rank("fold", input, 2, 3)
    size = spread("fold", output_size, 2)
    kernel, dilation, padding, stride = _geometry("fold", kernel_size, dilation, padding, stride)
    batched = input if input.ndim == 3 else reshape_to(input, shape=(1, *input.shape))
    counts = [window_count(d + 2 * p, k, s, e) for d, p, k, s, e in zip(size, padding, kernel, stride, dilation)]
    if not dims.is_multiple(batched.shape[1], dims.prod(kernel)) or not dims.equal(batched.shape[2], dims.prod(counts)):
        raise ShapeError(
            "fold: the columns do not fit", expected=f"[N, C * {dims.prod(kernel)}, {dims.prod(counts)}]",
            actual=input.type,
        )  # fmt: skip
    out = fold_op(batched, size=size, kernel=kernel, dilation=dilation, padding=padding, stride=stride)
    return out if input.ndim == 3 else reshape_to(out, shape=tuple(out.shape[1:]))


@fold.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 12, 15)), (4, 5), (2, 3), padding=(0, 1), stride=(1, 1))
