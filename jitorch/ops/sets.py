"""Comparing whole tensors, and results whose size depends on data: non-zero positions, unique elements.

What depends on data runs in eager only; a trace refuses it with the reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from jitorch.ops import dispatch
from jitorch.ops.arguments import axis_of, check_tensor
from jitorch.ops.gather import take
from jitorch.ops.predicates import isclose
from jitorch.ops.registry import Sample, function
from jitorch.ops.structure import copy, reshape_to

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
    """``[count, rank]``: the positions of the elements that are not 0; ``as_tuple`` one vector an axis.

    Its size depends on data: eager only.
    """
    check_tensor("nonzero", input)
    array = input._data("nonzero, whose size depends on data,")
    if as_tuple:
        return tuple(_tensor(i) for i in np.nonzero(np.atleast_1d(array)))
    return _tensor(np.argwhere(array).astype(np.int64))


@nonzero.samples
def _(rng):
    yield Sample(np.array([[0, 2], [3, 0]]), trace=False)
    yield Sample(np.array([0.0, 1.5]), as_tuple=True, trace=False)


@function
def argwhere(input: Tensor) -> Tensor:
    """``nonzero(input)``."""
    return nonzero(input)


argwhere.samples(lambda rng: [Sample(np.array([[0, 2], [3, 0]]), trace=False)])


# ---- unique ---------------------------------------------------------------------------------------------
def _results(values: Tensor, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    out = [values]
    if return_inverse:
        out.append(_tensor(inverse.astype(np.int64)))
    if return_counts:
        out.append(_tensor(counts.astype(np.int64)))
    return values if len(out) == 1 else tuple(out)


def _sortable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(np.float32) if array.dtype == dtypes.bfloat16.numpy else array


def _unique_slices(array: np.ndarray[Any, Any], axis: int) -> tuple[Any, Any, Any]:
    """First position, inverse and count of each distinct slice, in lexicographic order."""
    rows = np.moveaxis(array, axis, 0)
    rows = rows.reshape(rows.shape[0], int(np.prod(rows.shape[1:])))
    order = np.lexsort(rows.T[::-1]) if rows.shape[1] else np.arange(rows.shape[0])
    ordered = rows[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    group = np.cumsum(new) - 1
    inverse = np.empty(len(order), np.int64)
    inverse[order] = group
    return order[new], inverse, np.bincount(group, minlength=int(new.sum()))


@function
def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The distinct elements, or slices along ``dim``, in order; each NaN is distinct.

    With ``return_inverse`` also where each element went, with ``return_counts`` how often each was
    there.  Eager only.
    """
    check_tensor("unique", input)
    array = _sortable(input._data("unique, whose size depends on data,"))
    if dim is None:
        values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True, equal_nan=False)
        shown = _tensor(values.astype(input.dtype.numpy))
        return _results(shown, inverse.reshape(array.shape), counts, return_inverse, return_counts)
    axis = axis_of("unique", dim, input.ndim)
    first, inverse, counts = _unique_slices(array, axis)
    values = take(input.detach(), _tensor(first.astype(np.int64)), axis=axis)
    return _results(values, inverse, counts, return_inverse, return_counts)


@function
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Elements (slices along ``dim``) that differ from the one before; eager only."""
    check_tensor("unique_consecutive", input)
    array = input._data("unique_consecutive, whose size depends on data,")
    if dim is None:
        rows, axis, source = array.reshape(-1, 1), 0, reshape_to(copy(input.detach()), shape=(input.numel(),))
    else:
        axis, source = axis_of("unique_consecutive", dim, input.ndim), input.detach()
        rows = np.moveaxis(array, axis, 0)
        rows = rows.reshape(rows.shape[0], int(np.prod(rows.shape[1:])))
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    group = np.cumsum(new) - 1
    values = take(source, _tensor(np.flatnonzero(new)), axis=axis)
    counts = np.bincount(group, minlength=int(new.sum()))
    inverse = group.reshape(array.shape) if dim is None else group
    return _results(values, inverse, counts, return_inverse, return_counts)


for _entry in (unique, unique_consecutive):
    _entry.samples(
        lambda rng: [
            Sample(np.array([[3, 1, 1], [2, 2, 1]]), trace=False),
            Sample(np.array([3, 1, 1, 2]), return_inverse=True, return_counts=True, trace=False),
            Sample(np.array([[1, 1], [1, 1], [0, 1]]), dim=0, return_inverse=True, trace=False),
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
