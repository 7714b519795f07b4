"""Random tensors, from the words of a `Generator`.

An element's value depends on the generator's state and the element's row-major position only.
Integers, uniforms and masks are equal bit for bit in every mode and on every backend.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch import devices, dims, dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import ArgumentError, DTypeError, ShapeError, ValueRangeError
from jitorch.ops.arguments import check_tensor, is_tensor, shape_of
from jitorch.ops.create import constant, size_number
from jitorch.ops.draws import bernoulli_mask, integers_in, keys_in, normal_in, uniform_in
from jitorch.ops.generator import Generator
from jitorch.ops.math import log, minimum
from jitorch.ops.normalize import is_number
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.scan import scan_sum
from jitorch.ops.sorting import argsort_axis
from jitorch.ops.structure import broadcast_to, cast, copy, reduce_sum, reshape_to, slice_axes

Tensor = Operand = Any


# ---- by size ------------------------------------------------------------------------------------------
def _finish(result: Tensor, device: Any, requires_grad: bool) -> Tensor:
    devices.check(device)
    return result.requires_grad_() if requires_grad else result


def _float(dtype: Any, default: DType | None = None) -> DType:
    return (default or dtypes.get_default()) if dtype is None else dtypes.as_dtype(dtype)


@function(places=("torch",))
def rand(
    *sizes: Any, size: Any = None, generator: Generator | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform values in [0, 1)."""
    return _finish(uniform_in(shape_of("rand", sizes, size), _float(dtype), generator), device, requires_grad)


@function(places=("torch",))
def randn(
    *sizes: Any, size: Any = None, generator: Generator | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Normal values of mean 0 and variance 1."""
    return _finish(normal_in(shape_of("randn", sizes, size), _float(dtype), generator), device, requires_grad)


@function(places=("torch",))
def rand_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None, generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """`rand` of the shape and dtype of ``input``."""
    check_tensor("rand_like", input)
    return _finish(uniform_in(tuple(input.shape), _float(dtype, input.dtype), generator), device, requires_grad)


@function(places=("torch",))
def randn_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None, generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """`randn` of the shape and dtype of ``input``."""
    check_tensor("randn_like", input)
    return _finish(normal_in(tuple(input.shape), _float(dtype, input.dtype), generator), device, requires_grad)


for _entry in (rand, randn):
    _entry.samples(lambda rng: [Sample(2, 3), Sample((2, 3), dtype=dtypes.float64), Sample(0), Sample(())])
for _entry in (rand_like, randn_like):
    _entry.samples(lambda rng: [Sample(rng.normal(size=(2, 3)))])


def _bounds(name: str, low: Any, high: Any) -> tuple[int, int]:
    low, high = (v.item() if is_tensor(v) else v for v in (low, high))
    if high is None:
        low, high = 0, low
    if any(isinstance(v, bool) or not hasattr(v, "__index__") for v in (low, high)):
        raise ArgumentError(f"{name}: bounds are ints", expected="int", actual=(low, high))
    if low >= high:
        raise ValueRangeError(f"{name}: no integer lies between the bounds", expected="low < high", actual=(low, high))
    return low, high


@function(places=("torch",))
def randint(
    low: Any, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Integers in ``[low, high)``: ``randint(high, size)`` or ``randint(low, high, size)``."""
    if size is None:
        low, high, size = 0, low, high
    if not isinstance(size, (tuple, list)):
        raise ArgumentError("randint: a size is needed", expected="a tuple of ints", actual=size)
    low, high = _bounds("randint", low, high)
    value = integers_in(shape_of("randint", (size,)), low, high, generator)
    return _finish(cast(value, dtype=_float(dtype, dtypes.int64)), device, requires_grad)


randint.samples(lambda rng: [Sample(5, (2, 3)), Sample(-3, 3, (4,), dtype=dtypes.int32), Sample(0, 2**40, (2,))])


@function(places=("torch",))
def randint_like(
    input: Tensor, low: Any, high: Any = None, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """`randint` of the shape and dtype of ``input``."""
    low, high = _bounds("randint_like", low, high)
    value = integers_in(tuple(input.shape), low, high, None)
    return _finish(cast(value, dtype=_float(dtype, input.dtype)), device, requires_grad)


randint_like.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), 5)])


@function(places=("torch",))
def randperm(
    n: Any, *, generator: Generator | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The integers below ``n`` in random order: the order of 63-bit random keys."""
    (count,) = shape_of("randperm", (n,))
    order = argsort_axis(keys_in((count,), generator), axis=0, descending=False)
    return _finish(cast(order, dtype=_float(dtype, dtypes.int64)), device, requires_grad)


randperm.samples(lambda rng: [Sample(5), Sample(0, dtype=dtypes.int32)])


# ---- distributions ------------------------------------------------------------------------------------
@function
def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element of ``input`` gives (or ``p``), else 0."""
    check_tensor("bernoulli", input)
    if input.dtype.category is not Category.FLOAT and p is None:
        raise DTypeError("bernoulli: probabilities are floating point", actual=input.type)
    return drawn(input, bernoulli_mask(tuple(input.shape), input if p is None else p, generator))


@op(places=())
def drawn(x: Tensor, mask: Tensor) -> Tensor:
    """``mask`` in the dtype of ``x``, on which it depends by chance: the gradient is 0."""
    return cast(mask, dtype=x.dtype)


@drawn.vjp
def _(g, out, x, mask):
    return broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(x.shape)), None


drawn.samples(lambda rng: [Sample(rng.uniform(size=(2, 3)), rng.uniform(size=(2, 3)) > 0.5, grad=False)])


bernoulli.samples(lambda rng: [Sample(rng.uniform(size=(2, 3))), Sample(rng.uniform(size=(2, 3)), 0.3)])


@function(places=("torch",))
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Normal values of the given means and standard deviations: tensors that broadcast, or numbers and a size."""
    if is_number(std) and std < 0:
        raise ValueRangeError("normal: std must not be negative", expected=">= 0", actual=std)
    if size is not None:
        value = normal_in(shape_of("normal", (size,)), _float(dtype), generator)
        return _finish(value * std + mean, device, requires_grad)
    if not is_tensor(mean) and not is_tensor(std):
        raise ArgumentError("normal: a size is needed where mean and std are numbers")
    model = mean + std * 0 if is_tensor(std) else mean
    if not model.dtype.is_floating_point:
        raise DTypeError("normal: expected floating point means", actual=model.type)
    return normal_in(tuple(model.shape), model.dtype, generator) * std + mean


normal.samples(lambda rng: [Sample(0.0, 1.0, (2, 3)), Sample(rng.normal(size=(2, 1)), rng.uniform(size=(3,)))])


@function
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """``num_samples`` positions from each row of weights, as int64.

    With replacement by inversion of the running sum.  Without, as the greatest of
    ``weight / exponential``, which is sampling one after the other (Efraimidis and Spirakis, 2006).
    """
    check_tensor("multinomial", input)
    if input.ndim not in (1, 2) or not input.dtype.is_floating_point:
        raise ShapeError("multinomial: expected a vector or matrix of floating point weights", actual=input.type)
    count = input.shape[-1]
    if num_samples <= 0 or (not replacement and dims.less(count, num_samples)):
        raise ValueRangeError("multinomial: num_samples out of range", expected=f"1 to {count}", actual=num_samples)
    _check_weights(input)
    weights = cast(input, dtype=dtypes.float64)
    axis = input.ndim - 1
    if replacement:
        ends = scan_sum(weights, axis=axis)
        total = slice_axes(ends, starts=(*(0,) * axis, count - 1), stops=tuple(ends.shape), steps=(1,) * ends.ndim)
        drawn = uniform_in((*input.shape[:-1], num_samples), dtypes.float64, generator) * total
        # How many running sums a draw has passed.
        passed = reshape_to(ends, shape=(*ends.shape[:-1], 1, count)) <= reshape_to(drawn, shape=(*drawn.shape, 1))
        position = reduce_sum(cast(passed, dtype=dtypes.int64), axes=(axis + 1,))
        return minimum(position, size_number(count) - 1)
    waiting = -log(1.0 - uniform_in(tuple(input.shape), dtypes.float64, generator)) / weights
    order = argsort_axis(waiting, axis=axis, descending=False)
    stops = (*order.shape[:-1], num_samples)
    return copy(slice_axes(order, starts=(0,) * order.ndim, stops=stops, steps=(1,) * order.ndim))


def _check_weights(weights: Tensor) -> None:
    """An eager tensor of weights is checked; in compiled code bad weights give unspecified positions."""
    array = weights._array
    if array is None or not array.size:
        return
    wide = array.astype(np.float64)
    if not np.isfinite(wide).all() or (wide < 0).any():
        raise ValueRangeError("multinomial: weights must be finite and not negative")
    if (wide.sum(-1) <= 0).any():
        raise ValueRangeError("multinomial: the weights of a row sum to 0")


multinomial.samples(lambda rng: [Sample(rng.uniform(size=(2, 4)), 3), Sample(rng.uniform(size=(4,)), 6, True)])


def _fills(entry: Any) -> Any:
    entry.samples(lambda rng: [Sample(rng.normal(size=(2, 3)))])
    return entry


@_fills
@function(name="uniform", places=("method",), inplace="only")
def uniform_(input: Tensor, from_: Any = 0.0, to: Any = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Uniform values in ``[from, to)``, of the shape and dtype of ``input``."""
    if is_number(from_) and is_number(to) and from_ > to:
        raise ValueRangeError("uniform_: expected from <= to", actual=(from_, to))
    return uniform_in(tuple(input.shape), input.dtype, generator) * (to - from_) + from_


@_fills
@function(name="normal", places=("method",), inplace="only")
def normal_(input: Tensor, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Normal values of the shape and dtype of ``input``."""
    if is_number(std) and std < 0:
        raise ValueRangeError("normal_: std must not be negative", expected=">= 0", actual=std)
    return normal_in(tuple(input.shape), input.dtype, generator) * std + mean


@_fills
@function(name="bernoulli", places=("method",), inplace="only")
def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """1 with probability ``p``, else 0, of the shape and dtype of ``input``."""
    return cast(bernoulli_mask(tuple(input.shape), p, generator), dtype=input.dtype)


@_fills
@function(name="exponential", places=("method",), inplace="only")
def exponential_(input: Tensor, lambd: Any = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Exponentially distributed values of rate ``lambd``."""
    if is_number(lambd) and lambd <= 0:
        raise ValueRangeError("exponential_: the rate must be positive", expected="> 0", actual=lambd)
    return -log(1.0 - uniform_in(tuple(input.shape), input.dtype, generator)) / lambd


@_fills
@function(name="geometric", places=("method",), inplace="only")
def geometric_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """The number of trials of probability ``p`` up to the first success."""
    if is_number(p) and not 0 < p < 1:
        raise ValueRangeError("geometric_: expected a probability", expected="0 < p < 1", actual=p)
    u = uniform_in(tuple(input.shape), dtypes.float64, generator)
    return cast((log(1.0 - u) / math.log1p(-p)).floor() + 1.0, dtype=input.dtype)


@_fills
@function(name="cauchy", places=("method",), inplace="only")
def cauchy_(input: Tensor, median: Any = 0.0, sigma: Any = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Cauchy distributed values; ``sigma`` is the half width at half maximum."""
    if isinstance(sigma, (int, float)) and sigma <= 0:
        raise ValueRangeError("cauchy_: sigma must be positive", expected="> 0", actual=sigma)
    return ((uniform_in(tuple(input.shape), input.dtype, generator) - 0.5) * math.pi).tan() * sigma + median


@_fills
@function(name="log_normal", places=("method",), inplace="only")
def log_normal_(input: Tensor, mean: Any = 1.0, std: Any = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Values whose logarithm is normal with ``mean`` and ``std``."""
    if isinstance(std, (int, float)) and std <= 0:
        raise ValueRangeError("log_normal_: std must be positive", expected="> 0", actual=std)
    return (normal_in(tuple(input.shape), input.dtype, generator) * std + mean).exp()


@function(name="random", places=("method",), inplace="only")
def random_(input: Tensor, from_: Any = None, to: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Integers in ``[from, to)``; without bounds all that the dtype holds exactly."""
    if from_ is None:
        low, high = 0, _largest(input.dtype) + 1
    else:
        low, high = _bounds("random_", from_, to)
    return cast(integers_in(tuple(input.shape), low, high, generator), dtype=input.dtype)


def _largest(dtype: DType) -> int:
    if dtype.is_floating_point:
        return {16: 2**11, 32: 2**24, 64: 2**53}[dtype.bits] if dtype is not dtypes.bfloat16 else 2**8
    return 1 if dtype is dtypes.bool_ else int(np.iinfo(dtype.numpy).max)


random_.samples(lambda rng: [Sample(rng.integers(0, 3, size=(2, 3))), Sample(rng.normal(size=(2,)), 2, 5)])
