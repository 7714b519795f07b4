"""Reductions with PyTorch's signatures, over the primitives of `jitorch.ops.reduce`.

``dim`` is one axis or several; None, and ``()``, mean all of them.  ``keepdim`` leaves each reduced
axis with size 1.
"""

from __future__ import annotations

import math
from typing import Any

from jitorch import dims, dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import ArgumentError, DTypeError, TensorIndexError
from jitorch.ops import results
from jitorch.ops.arguments import axes_of, axis_of, check_tensor, is_tensor
from jitorch.ops.create import iota, size_number
from jitorch.ops.math import abs as absolute
from jitorch.ops.math import exp, log, maximum, minimum, sqrt, where
from jitorch.ops.matrix import matrix_norm
from jitorch.ops.reduce import reduce_argmax, reduce_argmin, reduce_max, reduce_min, reduce_prod
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import broadcast_to, cast, expand_axes, reduce_sum, reshape_to

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


def _in(x: Tensor, dtype: DType) -> Tensor:
    return x if x.dtype is dtype else cast(x, dtype=dtype)


def wide(dtype: DType) -> DType:
    """What sums of ``dtype`` are made in: half precision would lose them."""
    return dtypes.float32 if dtype in (dtypes.float16, dtypes.bfloat16) else dtype


def _sum_dtype(x: Tensor, dtype: Any) -> DType:
    if dtype is not None:
        return dtypes.as_dtype(dtype)
    return dtypes.int64 if x.dtype.category <= Category.INT else x.dtype


def _float_dtype(name: str, x: Tensor, dtype: Any) -> DType:
    wanted = x.dtype if dtype is None else dtypes.as_dtype(dtype)
    if wanted.category < Category.FLOAT:
        raise DTypeError(
            f"{name}: the result would not be an integer", expected="a floating point dtype", actual=wanted.name,
            hint=f"pass dtype=, or x.float().{name}()",
        )  # fmt: skip
    return wanted


def _axis_samples(rng: Any) -> Any:
    x = rng.normal(size=(2, 3, 4))
    yield Sample(x)
    yield Sample(x, 1)
    yield Sample(x, (0, -1), keepdim=True)
    yield Sample(x, dim=-2, keepdim=False)
    yield Sample(rng.normal(size=()))


# ---- sums -------------------------------------------------------------------------------------------
@op
def sum(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Sum of the elements; integers are added in int64, half precision in float32."""
    check_tensor("sum", input)
    target = _sum_dtype(input, dtype)
    axes = axes_of("sum", dim, input.ndim)
    return kept(_in(reduce_sum(_in(input, wide(target)), axes=axes), target), input, axes, keepdim)


@sum.samples
def _(rng):
    yield from _axis_samples(rng)
    yield Sample(rng.normal(size=(0, 3)), 0)
    yield Sample(rng.integers(-5, 5, size=(2, 3)), dim=0, keepdim=True)


@op
def mean(input: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Arithmetic mean; of no elements it is NaN."""
    check_tensor("mean", input)
    target = _float_dtype("mean", input, dtype)
    axes = axes_of("mean", dim, input.ndim)
    total = reduce_sum(_in(input, wide(target)), axes=axes)
    return kept(_in(total / count_of(input, axes), target), input, axes, keepdim)


mean.samples(_axis_samples)


@op(places=())
def product(x: Tensor, *, dim: int | None, keepdim: bool, dtype: DType | None) -> Tensor:
    """Product of all elements, or along one axis."""
    target = _sum_dtype(x, dtype)
    axes = axes_of("prod", dim, x.ndim)
    return kept(_in(reduce_prod(_in(x, wide(target)), axes=axes), target), x, axes, keepdim)


@product.vjp
def _(g, out, x, *, dim, keepdim, dtype):
    if x.dtype.category < Category.FLOAT:
        return (None,)
    axes = axes_of("prod", dim, x.ndim)
    g = _in(g, x.dtype)
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
    total = sum(_without_nan(input), dim, keepdim, dtype=_float_dtype("nanmean", input, dtype))
    return total / sum(input == input, dim, keepdim)


def _without_nan(x: Tensor) -> Tensor:
    return where(x == x, x, 0.0) if x.dtype.category >= Category.FLOAT else x


nansum.samples(_axis_samples)
nanmean.samples(_axis_samples)


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
    return kept(_logical(reduce_prod(_in(input, dtypes.bool_), axes=axes), input), input, axes, keepdim)


@op
def any(input: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether an element is not 0; of no elements False."""
    check_tensor("any", input)
    axes = axes_of("any", dim, input.ndim, empty_is_all=False)
    return kept(_logical(reduce_sum(_in(input, dtypes.bool_), axes=axes), input), input, axes, keepdim)


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


# ---- extrema ----------------------------------------------------------------------------------------
def _check_some(name: str, x: Tensor, axes: tuple[int, ...]) -> None:
    """PyTorch names an empty axis as an index error."""
    if any_empty(x, axes):
        raise TensorIndexError(f"{name}: a reduction over no elements has no value", expected="size > 0", actual=x.type)


def any_empty(x: Tensor, axes: tuple[int, ...]) -> bool:
    return 0 in [x.shape[a] for a in axes if isinstance(x.shape[a], int)]


@op
def amax(input: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """Greatest element, NaN if there is one; ties share the gradient."""
    check_tensor("amax", input)
    axes = axes_of("amax", dim, input.ndim)
    _check_some("amax", input, axes)
    return kept(reduce_max(input, axes=axes), input, axes, keepdim)


@op
def amin(input: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """Least element, NaN if there is one; ties share the gradient."""
    check_tensor("amin", input)
    axes = axes_of("amin", dim, input.ndim)
    _check_some("amin", input, axes)
    return kept(reduce_min(input, axes=axes), input, axes, keepdim)


amax.samples(_axis_samples)
amin.samples(_axis_samples)


@function
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """``(min, max)`` of all elements, or along one axis."""
    return results.AMinMax(amin(input, () if dim is None else dim, keepdim), amax(input, () if dim is None else dim, keepdim))


aminmax.samples(lambda rng: [Sample(rng.normal(size=(2, 3))), Sample(rng.normal(size=(2, 3)), dim=1, keepdim=True)])


@op
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Position of the first greatest element along ``dim``, or in row-major order."""
    check_tensor("argmax", input)
    axes = axes_of("argmax", dim, input.ndim)
    _check_some("argmax", input, axes)
    return kept(reduce_argmax(_ordered("argmax", input), axes=axes), input, axes, keepdim)


@op
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Position of the first least element along ``dim``, or in row-major order."""
    check_tensor("argmin", input)
    axes = axes_of("argmin", dim, input.ndim)
    _check_some("argmin", input, axes)
    return kept(reduce_argmin(_ordered("argmin", input), axes=axes), input, axes, keepdim)


def _ordered(name: str, x: Tensor) -> Tensor:
    if x.dtype is dtypes.bool_:
        raise DTypeError(f"{name}: bool tensors have no extremum", actual=x.type, hint="use any() or all()")
    return x


for _entry in (argmax, argmin):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 3, 4))),
            Sample(rng.normal(size=(2, 3, 4)), 1),
            Sample(rng.integers(0, 2, size=(2, 5)), dim=-1, keepdim=True),
        ]
    )


@op(places=())
def max_along(x: Tensor, *, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """Greatest element along one axis, and the position of the first such; the gradient goes there."""
    axes = (dim,) if x.ndim else ()
    return (
        kept(reduce_max(x, axes=axes), x, axes, keepdim),
        kept(reduce_argmax(x, axes=axes), x, axes, keepdim),
    )


@op(places=())
def min_along(x: Tensor, *, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """Least element along one axis, and the position of the first such; the gradient goes there."""
    axes = (dim,) if x.ndim else ()
    return (
        kept(reduce_min(x, axes=axes), x, axes, keepdim),
        kept(reduce_argmin(x, axes=axes), x, axes, keepdim),
    )


def _to_position(g: Any, out: Any, x: Tensor, *, dim: int, keepdim: bool) -> tuple[Tensor]:
    if not x.ndim:
        return (g[0],)
    position = expand_axes(out[1], x.shape, (dim,)) if not keepdim else broadcast_to(out[1], shape=tuple(x.shape))
    spread = expand_axes(g[0], x.shape, (dim,)) if not keepdim else broadcast_to(g[0], shape=tuple(x.shape))
    along = reshape_to(iota(size=x.shape[dim]), shape=tuple(d if i == dim else 1 for i, d in enumerate(x.shape)))
    return (where(along == position, spread, 0.0),)


for _entry in (max_along, min_along):
    _entry.vjp(_to_position)
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 3, 4)), dim=1, keepdim=False),
            Sample(rng.normal(size=(2, 3)), dim=0, keepdim=True),
        ]
    )


def _extremum(name: str, x: Tensor, dim: Any, keepdim: bool, whole: Any, along: Any, pair: Any, named: Any) -> Any:
    check_tensor(name, x)
    if dim is None:
        if any_empty(x, tuple(range(x.ndim))):
            raise TensorIndexError(f"{name}: a tensor without elements has none", actual=x.type)
        return whole(x)
    if is_tensor(dim):
        return pair(x, dim)
    axis = axis_of(name, dim, x.ndim)
    if x.ndim:
        _check_some(name, x, (axis,))
    return named(*along(x, dim=axis, keepdim=bool(keepdim)))


@function
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """``max(x)``: the greatest element; ``max(x, dim)``: ``(values, indices)``; ``max(x, other)``: `maximum`.

    Along an axis the gradient goes to the first greatest element; over all elements ties share it.
    """
    dim = dim if other is None else other
    return _extremum("max", input, dim, keepdim, amax, max_along, maximum, results.Max)


@function
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """``min(x)``: the least element; ``min(x, dim)``: ``(values, indices)``; ``min(x, other)``: `minimum`.

    Along an axis the gradient goes to the first least element; over all elements ties share it.
    """
    dim = dim if other is None else other
    return _extremum("min", input, dim, keepdim, amin, min_along, minimum, results.Min)


for _entry in (max, min):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 3, 4))),
            Sample(rng.normal(size=(2, 3, 4)), 1),
            Sample(rng.normal(size=(2, 3)), dim=-1, keepdim=True),
            Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,))),
        ]
    )


# ---- spread -----------------------------------------------------------------------------------------
@op(places=())
def variance(x: Tensor, correction: float, *, axes: tuple[int, ...]) -> Tensor:
    """Mean square distance from the mean, over ``axes``; the divisor is the count less ``correction``, at least 0."""
    y = _in(x, wide(x.dtype))
    count = count_of(x, axes)
    centre = expand_axes(reduce_sum(y, axes=axes) / count, x.shape, axes)
    distance = y - centre
    return _in(reduce_sum(distance * distance, axes=axes) / maximum(count - correction, 0.0), x.dtype)


@variance.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), 1.0, axes=(1, 2))


def root(square: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0, as that of a distance should be."""
    zero = square == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, square)))


def _spread_arguments(name: str, x: Tensor, dim: Any, unbiased: Any, correction: Any) -> tuple[tuple[int, ...], float]:
    check_tensor(name, x)
    _float_dtype(name, x, None)
    if isinstance(dim, bool):
        # var(x, False): the flag stands where the axes would.
        dim, unbiased = None, dim
    if correction is None:
        correction = 1.0 if unbiased is None or unbiased else 0.0
    return axes_of(name, dim, x.ndim), float(correction)


@function
def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """Variance; divided by the count less ``correction`` (1 unless ``unbiased=False``)."""
    axes, corrected = _spread_arguments("var", input, dim, unbiased, correction)
    return kept(variance(input, corrected, axes=axes), input, axes, keepdim)


@function
def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """Standard deviation, the square root of `var`; its gradient at 0 is 0."""
    return root(var(input, dim, unbiased, keepdim, correction=correction))


@function
def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """`var` and `mean`."""
    out = var(input, dim, unbiased, keepdim, correction=correction)
    return out, mean(input, None if isinstance(dim, bool) else dim, keepdim)


@function
def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """`std` and `mean`."""
    out = std(input, dim, unbiased, keepdim, correction=correction)
    return out, mean(input, None if isinstance(dim, bool) else dim, keepdim)


for _entry in (var, std, var_mean, std_mean):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 3, 4))),
            Sample(rng.normal(size=(2, 3, 4)), False),
            Sample(rng.normal(size=(2, 3, 4)), (0, 2), keepdim=True),
            Sample(rng.normal(size=(5,)), 0, correction=2),
        ]
    )


# ---- norms and log-sums -----------------------------------------------------------------------------
@op(places=("torch", "method", "special"))
def logsumexp(input: Tensor, dim: Axes, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(input)))`` without overflow."""
    check_tensor("logsumexp", input)
    x = input if input.dtype.category >= Category.FLOAT else cast(input, dtype=dtypes.get_default())
    axes = axes_of("logsumexp", dim, x.ndim)
    if any_empty(x, axes):
        return kept(log(reduce_sum(exp(x), axes=axes)), x, axes, keepdim)
    top = reduce_max(x, axes=axes)
    # An infinite maximum would give inf - inf.
    top = where(absolute(top) == math.inf, 0.0, top)
    y = _in(x - expand_axes(top, x.shape, axes), wide(x.dtype))
    return kept(_in(log(reduce_sum(exp(y), axes=axes)) + top, x.dtype), x, axes, keepdim)


@logsumexp.vjp
def _(g, out, x, *, dim, keepdim):
    if x.dtype.category < Category.FLOAT:
        return (None,)
    axes = axes_of("logsumexp", dim, x.ndim)
    out = where(absolute(out) == math.inf, 0.0, out)
    if keepdim:
        g, out = (reshape_to(y, shape=reduce_shape(x, axes)) for y in (g, out))
    return (expand_axes(g, x.shape, axes) * exp(x - expand_axes(out, x.shape, axes)),)


@logsumexp.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), 1)
    yield Sample(rng.normal(size=(2, 3)), (0, 1), True)


@op(places=())
def norm_along(x: Tensor, *, p: float | int, axes: tuple[int, ...]) -> Tensor:
    """The vector norm of order ``p`` over ``axes``, with a gradient of 0 at 0."""
    size = absolute(_in(x, wide(x.dtype)))
    if p == math.inf:
        out = reduce_max(size, axes=axes)
    elif p == -math.inf:
        out = reduce_min(size, axes=axes)
    elif p == 0:
        out = cast(reduce_sum(cast(x != 0, dtype=dtypes.int64), axes=axes), dtype=size.dtype)
    elif p == 1:
        out = reduce_sum(size, axes=axes)
    elif p == 2:
        out = root(reduce_sum(size * size, axes=axes))
    else:
        out = _safe_power(reduce_sum(_safe_power(size, p), axes=axes), 1.0 / p)
    return _in(out, x.dtype)


def _safe_power(x: Tensor, exponent: Any) -> Tensor:
    if exponent < 0:
        return x**exponent
    zero = x == 0
    return where(zero, 0.0, where(zero, 1.0, x) ** exponent)


@norm_along.samples
def _(rng):
    for p in (0, 1, 2, 3.5, -2, math.inf, -math.inf):
        yield Sample(rng.normal(size=(2, 3)), p=p, axes=(1,))


@function
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """Vector norm of order ``p`` over ``dim``, or over all elements; ``"fro"`` is 2.

    ``"nuc"``, the sum of the singular values, is that of the matrix in two axes.
    """
    check_tensor("norm", input)
    x = input if dtype is None else _in(input, dtypes.as_dtype(dtype))
    _float_dtype("norm", x, None)
    if p is None or p == "fro":
        p = 2
    if p == "nuc":
        return matrix_norm(x, "nuc", (-2, -1) if dim is None else dim, keepdim)
    if isinstance(p, str):
        raise ArgumentError("norm: unknown order", expected="a number, 'fro' or 'nuc'", actual=p)
    axes = axes_of("norm", dim, x.ndim)
    order = float(p)
    if any_empty(x, axes) and order in (math.inf, -math.inf):
        raise TensorIndexError("norm: no elements to take the extremum of", actual=x.type)
    return kept(norm_along(x, p=int(order) if order.is_integer() else order, axes=axes), x, axes, keepdim)


@norm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 3)), 1, -1)
    yield Sample(rng.normal(size=(2, 3)), math.inf, (0, 1), True)


@function
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """``norm(input - other, p)``."""
    return norm(input - other, p)


dist.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)))])
