"""Reductions with PyTorch's signatures, over the primitives of `jitorch.ops.reduce`.

``dim`` is one axis or several; None, and ``()``, mean all of them.  ``keepdim`` leaves each reduced
axis with size 1.
"""

from __future__ import annotations

from typing import Any

from jitorch import dims, dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import DTypeError
from jitorch.ops.arguments import axes_of, check_tensor
from jitorch.ops.batching import register, shifting
from jitorch.ops.create import size_number
from jitorch.ops.math import where
from jitorch.ops.reduce import reduce_prod
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import cast, expand_axes, reduce_sum, reshape_to

Tensor = Operand = Any
Axes = int | tuple[int, ...] | None


def kept(out: Tensor, x: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    """``out``, a reduction of ``x``, with its reduced axes as size 1 if ``keepdim``."""
    if not keepdim:
        return out
    return reshape_to(out, shape=tuple(1 if i in axes else d for i, d in enumerate(x.shape)))


def count_of(x: Tensor, axes: tuple[int, ...]) -> Any:
    """How many elements one result is made of, as an int (of run time, if need be)."""
    count = dims.prod(x.shape[a] for a in axes)
    return size_number(count)


def in_dtype(x: Tensor, dtype: DType) -> Tensor:
    """``x`` cast to ``dtype``, if it has another."""
    return x if x.dtype is dtype else cast(x, dtype=dtype)


def wide(dtype: DType) -> DType:
    """What sums of ``dtype`` are made in: half precision would lose them."""
    return dtypes.float32 if dtype in (dtypes.float16, dtypes.bfloat16) else dtype


def _sum_dtype(x: Tensor, dtype: Any) -> DType:
    if dtype is not None:
        return dtypes.as_dtype(dtype)
    return dtypes.int64 if x.dtype.category <= Category.INT else x.dtype


def float_dtype(name: str, x: Tensor, dtype: Any) -> DType:
    """The dtype of a result that cannot be an integer."""
    wanted = x.dtype if dtype is None else dtypes.as_dtype(dtype)
    if wanted.category < Category.FLOAT:
        raise DTypeError(
            f"{name}: the result would not be an integer", expected="a floating point dtype", actual=wanted.name,
            hint=f"pass dtype=, or x.float().{name}()",
        )  # fmt: skip
    return wanted


def axis_samples(rng: Any) -> Any:
    """Samples of a reduction over any axes."""
    x = rng.normal(size=(2, 3, 4))
    yield Sample(x)
    yield Sample(x, 1)
    yield Sample(x, (0, -1), keepdim=True)
    yield Sample(x, dim=-2, keepdim=False)
    yield Sample(rng.normal(size=()))


def any_empty(x: Tensor, axes: tuple[int, ...]) -> bool:
    """Whether there is nothing to reduce along one of ``axes``."""
    return 0 in [x.shape[a] for a in axes if isinstance(x.shape[a], int)]


# ---- sums -------------------------------------------------------------------------------------------
@op
def sum(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Sum of the elements; integers are added in int64, half precision in float32."""
    check_tensor("sum", input)
    target = _sum_dtype(input, dtype)
    axes = axes_of("sum", dim, input.ndim)
    return kept(in_dtype(reduce_sum(in_dtype(input, wide(target)), axes=axes), target), input, axes, keepdim)


@sum.samples
def _(rng):
    yield from axis_samples(rng)
    yield Sample(rng.normal(size=(0, 3)), 0)
    yield Sample(rng.integers(-5, 5, size=(2, 3)), dim=0, keepdim=True)


@op
def mean(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Arithmetic mean; of no elements it is NaN."""
    check_tensor("mean", input)
    target = float_dtype("mean", input, dtype)
    axes = axes_of("mean", dim, input.ndim)
    total = reduce_sum(in_dtype(input, wide(target)), axes=axes)
    return kept(in_dtype(total / count_of(input, axes), target), input, axes, keepdim)


mean.samples(axis_samples)


@op(places=())
def product(x: Tensor, *, dim: int | None, keepdim: bool, dtype: DType | None) -> Tensor:
    """Product of all elements, or along one axis."""
    target = _sum_dtype(x, dtype)
    axes = axes_of("prod", dim, x.ndim)
    return kept(in_dtype(reduce_prod(in_dtype(x, wide(target)), axes=axes), target), x, axes, keepdim)


@product.vjp
def _(g, out, x, *, dim, keepdim, dtype):
    if x.dtype.category < Category.FLOAT:
        return (None,)
    axes = axes_of("prod", dim, x.ndim)
    g = in_dtype(g, x.dtype)
    g = expand_axes(g if not keepdim else reshape_to(g, shape=reduce_shape(x, axes)), x.shape, axes)
    return (g * _product_of_others(x, axes),)


def reduce_shape(x: Tensor, axes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(d for i, d in enumerate(x.shape) if i not in axes)


def _product_of_others(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """For each element the product of all others that are reduced with it.

    ``product / x`` where no element is 0.  With one 0 only that element's product is not 0, with
    two or more none is.  Zeros are replaced by 1 so that second derivatives stay finite.
    """
    zero = x == 0
    zeros = reduce_sum(cast(zero, dtype=dtypes.int64), axes=axes)
    safe = where(zero, 1.0, x)
    rest = expand_axes(product_of(safe, axes), x.shape, axes)
    count = expand_axes(zeros, x.shape, axes)
    return where(zero, where(count == 1, rest, 0.0), where(count == 0, rest / safe, 0.0))


def product_of(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Product over ``axes``, differentiable where no element is 0."""
    return _nonzero_product(x, axes=axes)


@op(places=())
def _nonzero_product(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    """Product over ``axes`` of elements none of which is 0."""
    return reduce_prod(x, axes=axes)


@_nonzero_product.vjp
def _(g, out, x, *, axes):
    return (expand_axes(g * out, x.shape, axes) / x,)


@_nonzero_product.samples
def _(rng):
    yield Sample(rng.uniform(0.5, 2, size=(2, 3)), axes=(1,))


@product.batch
def _(size, batched, x, *, dim, keepdim, dtype):
    rank = x.ndim - 1
    if rank and dim is not None:
        return product(x, dim=axes_of("prod", dim, rank)[0] + 1, keepdim=keepdim, dtype=dtype)
    out = product(reshape_to(x, shape=(size, dims.prod(x.shape[1:]))), dim=1, keepdim=False, dtype=dtype)
    return reshape_to(out, shape=(size, *(1,) * rank)) if keepdim else out


@product.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), dim=None, keepdim=False, dtype=None)
    yield Sample(rng.normal(size=(2, 3)), dim=1, keepdim=True, dtype=None)


@function
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Product of all elements, or along one axis; integers are multiplied in int64."""
    check_tensor("prod", input)
    return product(input, dim=dim, keepdim=keepdim, dtype=None if dtype is None else dtypes.as_dtype(dtype))


@prod.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 3)), 0)
    yield Sample(np_with_zeros(rng), -1, True)
    yield Sample(rng.integers(1, 4, size=(2, 0)), 1)


def np_with_zeros(rng: Any) -> Any:
    """Rows with no, one and two zeros."""
    x = rng.normal(size=(3, 4))
    x[1, 2] = x[2, 0] = x[2, 3] = 0
    return x


@op
def nansum(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """`sum` with NaN counted as 0."""
    return sum(_without_nan(input), dim, keepdim, dtype=dtype)


@op
def nanmean(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """`mean` of the elements that are not NaN."""
    total = sum(_without_nan(input), dim, keepdim, dtype=float_dtype("nanmean", input, dtype))
    return total / sum(input == input, dim, keepdim)


def _without_nan(x: Tensor) -> Tensor:
    return where(x == x, x, 0.0) if x.dtype.category >= Category.FLOAT else x


nansum.samples(axis_samples)
nanmean.samples(axis_samples)


@op
def count_nonzero(input: Tensor, dim: Axes = None) -> Tensor:
    """How many elements are not 0, as int64."""
    check_tensor("count_nonzero", input)
    return reduce_sum(cast(input != 0, dtype=dtypes.int64), axes=axes_of("count_nonzero", dim, input.ndim))


count_nonzero.samples(lambda rng: [Sample(np_with_zeros(rng)), Sample(np_with_zeros(rng), (0, -1))])


# ---- logic ------------------------------------------------------------------------------------------
@op
def all(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether no element is 0; of no elements True."""
    check_tensor("all", input)
    axes = axes_of("all", dim, input.ndim, empty_is_all=False)
    return kept(_logical(reduce_prod(in_dtype(input, dtypes.bool_), axes=axes), input), input, axes, keepdim)


@op
def any(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether an element is not 0; of no elements False."""
    check_tensor("any", input)
    axes = axes_of("any", dim, input.ndim, empty_is_all=False)
    return kept(_logical(reduce_sum(in_dtype(input, dtypes.bool_), axes=axes), input), input, axes, keepdim)


def _logical(result: Tensor, x: Tensor) -> Tensor:
    """PyTorch answers for uint8 in uint8, as it did before it had bool."""
    return cast(result, dtype=dtypes.uint8) if x.dtype is dtypes.uint8 else result


for _entry in (all, any):
    _entry.samples(
        lambda rng: [
            Sample(np_with_zeros(rng) != 0),
            Sample(np_with_zeros(rng) != 0, 1),
            Sample(np_with_zeros(rng) != 0, (0, 1), True),
            Sample(rng.normal(size=(0, 2)) > 0, 0),
        ]
    )


register(shifting, _nonzero_product, names=("axes",))
