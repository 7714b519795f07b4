"""Differences, integrals and moments along an axis; filling."""

from __future__ import annotations

from typing import Any

from jitorch import dims, dtypes
from jitorch.dtypes import Category
from jitorch.errors import DTypeError, ShapeError, ValueRangeError
from jitorch.ops.arguments import axis_of, check_tensor, is_tensor, number_of
from jitorch.ops.arrange import cat
from jitorch.ops.create import constant, size_number
from jitorch.ops.linalg import matmul
from jitorch.ops.math import maximum, sqrt, where
from jitorch.ops.norms import norm_over
from jitorch.ops.parts import slice_along
from jitorch.ops.reduction import mean
from jitorch.ops.reduction import sum as sum_of
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.scan import cumsum
from jitorch.ops.structure import broadcast_to, cast, copy, reshape_to

Tensor = Operand = Any


def _ends(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """All elements but the last, and all but the first."""
    size = x.shape[axis]
    if isinstance(size, int) and size == 0:
        return x, x
    return slice_along(x, axis, 0, size - 1), slice_along(x, axis, 1, size)


@function
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The ``n``-th differences of neighbours along ``dim``; ``^`` for bool."""
    check_tensor("diff", input)
    if n < 0:
        raise ValueRangeError("diff: n must not be negative", actual=n)
    if not input.ndim:
        raise ShapeError("diff: expected at least 1 axis", actual=input.type)
    axis = axis_of("diff", dim, input.ndim)
    parts = [x for x in (prepend, input, append) if x is not None]
    out = cat(parts, axis) if len(parts) > 1 else input
    for _ in range(n):
        low, high = _ends(out, axis)
        out = high ^ low if out.dtype is dtypes.bool_ else high - low
    return copy(out) if out is input else out


@diff.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 5)))
    yield Sample(rng.normal(size=(5, 2)), 2, 0)
    yield Sample(rng.normal(size=(3,)), append=rng.normal(size=(1,)))


def _steps(name: str, y: Tensor, x: Any, dx: Any, axis: int) -> Any:
    """Distances of neighbouring sample points, broadcastable against slices of ``y``."""
    if x is None:
        return dx
    check_tensor(name, x)
    if x.ndim == 1 and y.ndim > 1:
        if not dims.equal(x.shape[0], y.shape[axis]):
            raise ShapeError(f"{name}: x and y differ in length", expected=y.shape[axis], actual=x.type)
        x = reshape_to(x, shape=tuple(x.shape[0] if i == axis else 1 for i in range(y.ndim)))
        low, high = _ends(x, axis)
    else:
        low, high = _ends(x, axis - y.ndim + x.ndim)
    return high - low


def _trapezoids(name: str, y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Tensor, int]:
    check_tensor(name, y)
    if not y.ndim:
        raise ShapeError(f"{name}: expected at least 1 axis", actual=y.type)
    axis = axis_of(name, dim, y.ndim)
    low, high = _ends(y, axis)
    return (low + high) * _steps(name, y, x, dx, axis) / 2.0, axis


@function(places=("torch",), aliases=("trapz",))
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1.0, dim: int = -1) -> Tensor:
    """The integral of samples ``y`` along ``dim`` by the trapezoidal rule, at points ``x`` or ``dx`` apart."""
    parts, axis = _trapezoids("trapezoid", y, x, dx, dim)
    return sum_of(parts, axis)


@function(places=("torch",))
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1.0, dim: int = -1) -> Tensor:
    """The running integral of samples ``y`` along ``dim``, one element shorter."""
    parts, axis = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(parts, axis)


for _entry in (trapezoid, cumulative_trapezoid):
    _entry.samples(
        lambda rng: [
            Sample(rng.normal(size=(2, 5))),
            Sample(rng.normal(size=(2, 5)), dx=0.5, dim=0),
            Sample(rng.normal(size=(2, 5)), rng.normal(size=(5,))),
        ]
    )


@function
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """Covariance matrix of the rows of ``input``; columns are observations.

    ``fweights``: how often each observation counts; ``aweights``: its relative weight.
    """
    check_tensor("cov", input)
    if input.ndim > 2:
        raise ShapeError("cov: expected at most 2 axes", actual=input.type)
    if input.dtype is dtypes.bool_:
        raise DTypeError("cov: bool is not supported", actual=input.type)
    x = input if input.ndim == 2 else reshape_to(input, shape=(1, input.numel()))
    if x.dtype.category < Category.FLOAT:
        x = cast(x, dtype=dtypes.get_default())
    count = x.shape[1]
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is not None and (w.ndim > 1 or not dims.equal(w.numel(), count)):
            raise ShapeError(f"cov: {name} must have one entry an observation", expected=count, actual=w.type)
        if w is not None and (w.dtype.is_floating_point is (name == "fweights") or w.dtype is dtypes.bool_):
            kind = "an integer" if name == "fweights" else "a floating point"
            raise DTypeError(f"cov: {name} must have {kind} dtype", actual=w.type)
        if w is not None and w._array is not None and w.numel() and w._array.min() < 0:
            raise ValueRangeError(f"cov: {name} must not be negative", actual=w._array.min())
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    if weights is None:
        total: Any = None
        centre = mean(x, 1, True)
        norm_factor: Any = count - correction
    else:
        weights = cast(weights, dtype=x.dtype)
        total = sum_of(weights)
        centre = sum_of(x * weights, 1, True) / total
        if aweights is None or correction == 0:
            norm_factor = total - correction
        else:
            norm_factor = total - sum_of(weights * aweights) / total * correction
    distance = x - centre
    weighted = distance if weights is None else distance * weights
    if is_tensor(norm_factor):
        norm_factor = maximum(norm_factor, 0.0)
    else:
        norm_factor = size_number(dims.dim_max(norm_factor, 0))
    out = matmul(weighted, distance.mT) / norm_factor
    return reshape_to(out, shape=()) if input.ndim < 2 or input.shape[0] == 1 else out


@function
def corrcoef(input: Tensor) -> Tensor:
    """Correlation matrix of the rows of ``input``."""
    matrix = cov(input)
    if not matrix.ndim:
        return matrix / matrix
    spread = sqrt(matrix.diagonal())
    out = matrix / reshape_to(spread, shape=(spread.shape[0], 1)) / spread
    return where(out > 1.0, 1.0, where(out < -1.0, -1.0, out))


cov.samples(lambda rng: [Sample(rng.normal(size=(3, 5))), Sample(rng.normal(size=(5,)), correction=0)])
corrcoef.samples(lambda rng: [Sample(rng.normal(size=(3, 5)))])


@function(inplace=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices along ``dim`` whose ``p``-norm exceeds ``maxnorm`` scaled down to it."""
    check_tensor("renorm", input)
    if input.ndim < 2 or p <= 0 or maxnorm < 0:
        raise ShapeError("renorm: expected a matrix at least, p > 0, maxnorm >= 0", actual=(input.type, p, maxnorm))
    axis = axis_of("renorm", dim, input.ndim)
    others = tuple(i for i in range(input.ndim) if i != axis)
    size = norm_over(input, p, others)
    return input * where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)


renorm.samples(lambda rng: [Sample(rng.normal(size=(3, 4)), 2, 0, 1.0)])


@op(places=())
def filled_like(x: Tensor, value: Operand) -> Tensor:
    """``value`` in the shape and dtype of ``x``."""
    scalar = cast(value, dtype=x.dtype)
    return copy(broadcast_to(scalar, shape=tuple(x.shape)))


@filled_like.vjp
def _(g, out, x, value):
    by_value = cast(sum_of(g), dtype=value.dtype) if is_tensor(value) and value.dtype.is_floating_point else None
    return broadcast_to(constant(value=0, dtype=g.dtype), shape=tuple(x.shape)), by_value


@filled_like.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=()))
    yield Sample(rng.normal(size=(2,)), 3)


@function(inplace=True)
def fill(input: Tensor, value: Any) -> Tensor:
    """``value`` (a number or a 0-d tensor) in the shape and dtype of ``input``."""
    check_tensor("fill", input)
    return filled_like(input, number_of("fill", value))


@function(name="zero_")
def zero_(input: Tensor) -> Tensor:
    """Overwrite all elements with 0."""
    return input._replace(filled_like(input, 0))


fill.samples(lambda rng: [Sample(rng.normal(size=(2, 3)), 1.5)])
zero_.samples(lambda rng: [Sample(rng.normal(size=(2, 3)))])
