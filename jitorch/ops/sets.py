"""Comparing whole tensors, and results whose size depends on data: non-zero positions, unique elements.

What is unique is found by sorting: equal elements stand next to each other then, and a run of them begins where one
differs from the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.ops.arguments import axis_of, check_tensor
from jitorch.ops.create import iota
from jitorch.ops.gather import put, take
from jitorch.ops.helpers import filled
from jitorch.ops.math import maximum
from jitorch.ops.positions import coordinates_of, positions_of
from jitorch.ops.predicates import isclose
from jitorch.ops.registry import Sample, function, op, primitive
from jitorch.ops.scan import scan_sum
from jitorch.ops.search import counts
from jitorch.ops.shape import movedim
from jitorch.ops.sorting import argsort_axis
from jitorch.ops.structure import cast, concatenate, copy, reduce_sum, reshape_to

Tensor = Any


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return dispatch.current().from_array(np.array(array, order="C"))


# ---- whole tensors --------------------------------------------------------------------------------------
@function
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape and the same elements: a Python bool."""
    check_tensor("equal", input)
    check_tensor("equal", other)
    if input.ndim != other.ndim or not all(map(dims.equal, input.shape, other.shape)):
        return False
    return bool((input == other).all())


equal.samples(lambda rng: [Sample(np.arange(3), np.arange(n), trace=False) for n in (2, 3)])


@function
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere: a Python bool."""
    if rtol < 0 or atol < 0:
        raise ValueRangeError("allclose: tolerances must not be negative", actual=(rtol, atol))
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


allclose.samples(lambda rng: [Sample(np.ones(3), np.full(3, v), trace=False) for v in (1.0, 2.0)])


# ---- positions ------------------------------------------------------------------------------------------
@function
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """``[count, rank]``: the positions of the elements that are not 0, in order; ``as_tuple`` one vector an axis."""
    check_tensor("nonzero", input)
    found = coordinates_of(input, "nonzero")
    if as_tuple:
        return tuple(found)
    columns = [reshape_to(i, shape=(i.shape[0], 1)) for i in found[: input.ndim]]
    return concatenate(columns, axis=1) if columns else filled(0, dtypes.int64, (found[0].shape[0], 0))


@nonzero.samples
def _(rng):
    yield Sample(np.array([[0, 2], [3, 0]]))
    yield Sample(np.array([0.0, 1.5]), as_tuple=True)


@function
def argwhere(input: Tensor) -> Tensor:
    """``nonzero(input)``."""
    return nonzero(input)


argwhere.samples(lambda rng: [Sample(np.array([[0, 2], [3, 0]]))])


# ---- unique ---------------------------------------------------------------------------------------------
@primitive(lowering="extern")
def argsort_rows(x: Tensor) -> Tensor:
    """The order that sorts the rows of a matrix lexicographically; equal rows keep theirs."""


@argsort_rows.type_rule
def _(x):
    if x.rank != 2:
        raise ShapeError("argsort_rows: x must be a matrix", actual=x)
    return TensorType(dtypes.int64, x.shape[:1])


@argsort_rows.numpy
def _(x):
    keys = x.astype(np.float32) if x.dtype == dtypes.bfloat16.numpy else x
    return np.lexsort(keys.T[::-1]) if keys.shape[1] else np.arange(len(keys))


@argsort_rows.vjp
def _(g, out, x):
    return (None,)


@argsort_rows.samples
def _(rng):
    yield Sample(rng.integers(0, 3, size=(6, 2)))


@op(places=())
def run_begins(rows: Tensor) -> Tensor:
    """Whether each of ``rows``, or elements, differs from the one before; a NaN equals nothing."""
    place = iota(size=rows.shape[0])
    differs = rows != take(rows, maximum(place - 1, 0), axis=0)
    if rows.ndim > 1:
        differs = reduce_sum(cast(differs, dtype=dtypes.int64), axes=(1,)) > 0
    return differs | (place == 0)


@op(places=())
def run_numbers(begins: Tensor) -> Tensor:
    """Which run each row belongs to."""
    return scan_sum(cast(begins, dtype=dtypes.int64), axis=0) - 1


run_begins.samples(lambda rng: [Sample(rng.integers(0, 2, size=shape)) for shape in ((9,), (6, 2))])
run_numbers.samples(lambda rng: [Sample(rng.normal(size=(9,)) > 0)])


@dataclass
class _Runs:
    """Equal neighbours among rows, or elements: whether each begins a run of them, and where those are that do."""

    begins: Tensor
    starts: Tensor

    def numbers(self) -> Tensor:
        return run_numbers(self.begins)

    def counts(self) -> Tensor:
        """How many rows each run has."""
        return counts(self.numbers(), size=self.starts.shape[0])


def _runs(rows: Tensor, why: str) -> _Runs:
    begins = run_begins(rows)
    return _Runs(begins, positions_of(begins, why))


def _as_rows(x: Tensor, axis: int) -> Tensor:
    """``x`` as a matrix, with the slices along ``axis`` as its rows."""
    moved = x if axis == 0 else movedim(x, axis, 0)
    return reshape_to(moved, shape=(moved.shape[0], dims.prod(moved.shape[1:])))


def _results(
    values: Tensor, inverse: Callable[[], Tensor], runs: _Runs, return_inverse: bool, return_counts: bool
) -> Any:
    out = [values]
    if return_inverse:
        out.append(inverse())
    if return_counts:
        out.append(runs.counts())
    return values if len(out) == 1 else tuple(out)


@function
def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The distinct elements, or slices along ``dim``, in order; each NaN is distinct.

    With ``return_inverse`` also where each element went, with ``return_counts`` how often each was there.
    """
    check_tensor("unique", input)
    x = input.detach()
    if dim is None:
        axis, source = 0, reshape_to(x, shape=(x.numel(),))
        order = argsort_axis(source, axis=0, descending=False)
        runs = _runs(take(source, order, axis=0), "unique")
    else:
        axis, source = axis_of("unique", dim, input.ndim), x
        rows = _as_rows(x, axis)
        order = argsort_rows(rows)
        runs = _runs(take(rows, order, axis=0), "unique")
    values = take(source, take(order, runs.starts, axis=0), axis=axis)

    def inverse() -> Tensor:
        nothing = filled(0, dtypes.int64, tuple(order.shape))
        found = put(nothing, order, runs.numbers(), axis=0, accumulate=False)
        return reshape_to(found, shape=tuple(input.shape)) if dim is None else found

    return _results(values, inverse, runs, return_inverse, return_counts)


@function
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Elements (slices along ``dim``) that differ from the one before."""
    check_tensor("unique_consecutive", input)
    x = input.detach()
    if dim is None:
        axis, source = 0, reshape_to(x, shape=(x.numel(),))
        runs = _runs(source, "unique_consecutive")
    else:
        axis, source = axis_of("unique_consecutive", dim, input.ndim), x
        runs = _runs(_as_rows(x, axis), "unique_consecutive")
    values = take(source, runs.starts, axis=axis)

    def inverse() -> Tensor:
        return reshape_to(runs.numbers(), shape=tuple(input.shape)) if dim is None else runs.numbers()

    return _results(values, inverse, runs, return_inverse, return_counts)


for _entry in (unique, unique_consecutive):
    _entry.samples(
        lambda rng: [
            Sample(np.array([[3, 1, 1], [2, 2, 1]])),
            Sample(np.array([3, 1, 1, 2]), return_inverse=True, return_counts=True),
            Sample(np.array([[1, 1], [1, 1], [0, 1]]), dim=0, return_inverse=True),
        ]
    )


def isin_arguments(name: str, x: Any) -> Tensor:
    """A tensor, or a number as one."""
    if hasattr(x, "requires_grad"):
        return x
    if isinstance(x, (bool, int, float)):
        return _tensor(np.asarray(x))
    raise ArgumentError(f"{name}: expected a tensor or a number", actual=type(x).__name__)


@function(places=("torch",))
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among ``test_elements``."""
    x, among = isin_arguments("isin", elements), isin_arguments("isin", test_elements)
    if x.dtype.is_complex or among.dtype.is_complex:
        raise ShapeError("isin: complex numbers are not compared", actual=x.type)
    count = among.numel()
    found = (reshape_to(x, shape=(*x.shape, 1)) == reshape_to(copy(among), shape=(count,))).any(-1)
    return ~found if invert else found


isin.samples(lambda rng: [Sample(np.array([[1, 2], [3, 4]]), np.array([2, 4])), Sample(np.arange(3), 1, invert=True)])
