"""LU factorisation with partial pivoting, and what is solved with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dims import dim_min, equal
from jitorch.errors import TensorIndexError, UnsupportedError
from jitorch.ops.batching import leading, register
from jitorch.ops.decompositions import check_matrix, lower_part, solve_matrix, upper_part
from jitorch.ops.helpers import filled, number_of, ramp
from jitorch.ops.linalg import matmul, swap_last
from jitorch.ops.math import where
from jitorch.ops.matrix import solve_triangular
from jitorch.ops.matrix_functions import identity_like
from jitorch.ops.normalize import broadcast_shapes
from jitorch.ops.padding import part
from jitorch.ops.reduce import reduce_min
from jitorch.ops.registry import Sample, function, primitive
from jitorch.ops.results import result_type
from jitorch.ops.structure import broadcast_to, cast, concatenate, copy, reshape_to

Tensor = Tensors = Any

LINALG = ("linalg",)

LU = result_type("linalg_lu", "P", "L", "U")
LUFactor = result_type("linalg_lu_factor", "LU", "pivots")
LUFactorEx = result_type("linalg_lu_factor_ex", "LU", "pivots", "info")
LUUnpack = result_type("lu_unpack", "P", "L", "U")
TriangularSolve = result_type("triangular_solve", "solution", "cloned_coefficient")


@primitive(lowering="extern")
def lu_factors(a: Tensor) -> Tensors:
    """``L`` (below) and ``U`` in one matrix ``[*B, M, N]``, and LAPACK's row swaps ``[*B, min(M, N)]``, from 1."""


@lu_factors.type_rule
def _(a):
    check_matrix("linalg.lu_factor", a)
    *lead, m, n = a.shape
    return a, a.with_shape((*lead, dim_min(m, n))).with_dtype(dtypes.int32)


@lu_factors.numpy
def _(a):
    *lead, m, n = a.shape
    packed = np.array(a, order="C")
    swaps = np.zeros((*lead, min(m, n)), np.int32)
    count = int(np.prod(lead, dtype=np.int64))
    for matrix, row in zip(packed.reshape(count, m, n), swaps.reshape(count, min(m, n))):
        for j in range(min(m, n)):
            p = j + int(np.argmax(np.abs(matrix[j:, j])))
            row[j] = p + 1
            if p != j:
                matrix[[j, p]] = matrix[[p, j]]
            if matrix[j, j] != 0:
                matrix[j + 1 :, j] /= matrix[j, j]
                matrix[j + 1 :, j + 1 :] -= np.outer(matrix[j + 1 :, j], matrix[j, j + 1 :])
    return packed, swaps


@lu_factors.vjp
def _(gs, outs, a):
    (g, _), (packed, swaps) = gs, outs
    rows, columns = packed.shape[-2:]
    k, below, behind = dim_min(rows, columns), a.ndim - 2, a.ndim - 1
    square, g_square = (part(part(x, below, 0, k), behind, 0, k) for x in (packed, g))
    lower, upper = _lower(square), upper_part(square)
    g_lower, g_upper = lower_part(g_square, strictly=True), upper_part(g_square)
    grads: list[Tensor] = []
    axis = behind
    if not equal(columns, k):
        # A2 = P L U2: U2 depends on L.
        u2, g_u2 = part(packed, behind, k, columns), part(g, behind, k, columns)
        grads.append(solve_matrix(swap_last(lower), g_u2))
        g_lower = g_lower - lower_part(matmul(grads[0], swap_last(u2)), strictly=True)
    elif not equal(rows, k):
        # The rows below are P L2 U: L2 depends on U.
        l2, g_l2 = part(packed, below, k, rows), part(g, below, k, rows)
        grads.append(_over_transposed(g_l2, upper))
        g_upper = g_upper - upper_part(matmul(swap_last(l2), grads[0]))
        axis = below
    # L^-T (tril(L^T gL, -1) + triu(gU U^T)) U^-T
    inner = lower_part(matmul(swap_last(lower), g_lower), strictly=True) + upper_part(matmul(g_upper, swap_last(upper)))
    first = _over_transposed(solve_matrix(swap_last(lower), inner), upper)
    whole = concatenate([first, *grads], axis=axis) if grads else first
    return (matmul(_permutation(swaps, rows, a.dtype), whole),)


def _over_transposed(x: Tensor, upper: Tensor) -> Tensor:
    """``x @ upper ** -T``."""
    return swap_last(solve_matrix(upper, swap_last(x)))


def _samples(rng: Any) -> Any:
    yield Sample(rng.normal(size=(3, 3)))
    yield Sample(rng.normal(size=(2, 2, 2)))
    yield Sample(rng.normal(size=(4, 3)))
    yield Sample(rng.normal(size=(2, 4)))


lu_factors.samples(_samples)


def _lower(packed: Tensor) -> Tensor:
    """The unit lower triangle of a square packed matrix."""
    return where(identity_like(packed) != 0, 1.0, lower_part(packed))


@primitive(lowering="extern")
def order_of_swaps(swaps: Tensor, *, size: int) -> Tensor:
    """The rows' order ``[*B, size]`` after LAPACK's swaps ``[*B, K]``: row i comes from row ``order[i]``."""


@order_of_swaps.type_rule
def _(swaps, *, size):
    return swaps.with_shape((*swaps.shape[:-1], size)).with_dtype(dtypes.int64)


@order_of_swaps.numpy
def _(swaps, *, size):
    if swaps.shape[-1] > size or (swaps.size and (swaps.min() < 1 or swaps.max() > size)):
        raise TensorIndexError("lu: a row swap is out of range", expected=f"at most {size} swaps with rows 1 to {size}")
    order = np.broadcast_to(np.arange(size), (*swaps.shape[:-1], size)).copy()
    count = int(np.prod(swaps.shape[:-1], dtype=np.int64))
    for rows, row in zip(order.reshape(count, size), swaps.reshape(count, swaps.shape[-1])):
        for j, p in enumerate(row - 1):
            rows[j], rows[p] = rows[p], rows[j]
    return order


@order_of_swaps.samples
def _(rng):
    yield Sample(np.array([[2, 3, 3], [1, 2, 3]], np.int32), size=3)


def _permutation(swaps: Tensor, size: Any, dtype: Any) -> Tensor:
    """``P`` with ``P @ L @ U`` the factored matrix."""
    order = order_of_swaps(swaps, size=size)
    rows = ramp(size, order.ndim - 1, order.ndim + 1)
    return cast(rows == reshape_to(order, shape=(*order.shape[:-1], 1, size)), dtype=dtype)


def _pivoting(name: str, pivot: bool) -> None:
    if not pivot:
        raise UnsupportedError(f"{name}: pivot=False is for GPUs, in PyTorch too")


@function(places=LINALG)
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """``L`` and ``U`` in one matrix, and LAPACK's row swaps, from 1."""
    _pivoting("linalg.lu_factor", pivot)
    return LUFactor(*lu_factors(A))


@function(places=LINALG)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """`lu_factor` and an int32 code: 0, or the number of the first zero on the diagonal of U."""
    _pivoting("linalg.lu_factor_ex", pivot)
    packed, swaps = lu_factors(A)
    size = swaps.shape[-1]
    rank = packed.ndim
    diagonal = ramp(packed.shape[-2], rank - 2, rank) == ramp(packed.shape[-1], rank - 1, rank)
    zero = diagonal & (packed == 0)
    place = where(zero, ramp(packed.shape[-1], rank - 1, rank) + 1, number_of(size) + 1)
    if equal(packed.numel(), 0):
        return LUFactorEx(packed, swaps, filled(0, dtypes.int32, packed.shape[:-2]) + 0)
    first = reduce_min(place, axes=(rank - 2, rank - 1))
    return LUFactorEx(packed, swaps, cast(where(first > number_of(size), 0, first), dtype=dtypes.int32))


for _entry in (lu_factor, lu_factor_ex):
    _entry.samples(_samples)


def _unpacked(packed: Tensor, swaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rows, columns = packed.shape[-2:]
    k = dim_min(rows, columns)
    rank = packed.ndim
    left = part(packed, rank - 1, 0, k)
    eye = ramp(rows, rank - 2, rank) == ramp(k, rank - 1, rank)
    lower = where(eye, 1.0, lower_part(left))
    return _permutation(swaps, rows, packed.dtype), lower, upper_part(part(packed, rank - 2, 0, k))


@function(places=LINALG)
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """Permutation ``P``, unit lower ``L`` and upper ``U`` with ``A == P @ L @ U``."""
    _pivoting("linalg.lu", pivot)
    return LU(*_unpacked(*lu_factors(A)))


lu.samples(_samples)


@function(places=("torch",))
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """``P``, ``L`` and ``U`` of a packed factorisation; what is not wanted is an empty tensor."""
    p, lower, upper = _unpacked(LU_data, LU_pivots)
    empty = filled(0, LU_data.dtype, (0,)) + 0
    return LUUnpack(p if unpack_pivots else empty, *((lower, upper) if unpack_data else (empty, empty)))


@lu_unpack.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 3)), np.array([2, 3, 3], np.int32))
    yield Sample(rng.normal(size=(2, 4, 3)), np.array([[2, 3, 3], [1, 2, 3]], np.int32))


@function(places=LINALG, name="lu_solve")
def linalg_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """``X`` with ``A @ X == B`` (``X @ A == B`` if not ``left``; ``A.mT`` with ``adjoint``) from ``A`` factored."""
    if not left:
        return swap_last(linalg_lu_solve(LU, pivots, swap_last(B), adjoint=not adjoint))
    batch = broadcast_shapes("linalg.lu_solve", [tuple(LU.shape[:-2]), tuple(B.shape[:-2])])
    p = _permutation(pivots, LU.shape[-1], LU.dtype)
    packed, p, b = (
        x if tuple(x.shape[:-2]) == batch else broadcast_to(x, shape=(*batch, *x.shape[-2:])) for x in (LU, p, B)
    )
    if adjoint:
        y = solve_triangular(swap_last(packed), b, upper=False)
        return matmul(p, solve_triangular(swap_last(packed), y, upper=True, unitriangular=True))
    y = solve_triangular(packed, matmul(swap_last(p), b), upper=False, unitriangular=True)
    return solve_triangular(packed, y, upper=True)


@function(places=("torch", "method"))
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """``x`` with ``A @ x == b`` from ``A`` factored."""
    return linalg_lu_solve(LU_data, LU_pivots, b)


@linalg_lu_solve.samples
def _(rng):
    packed, swaps = rng.normal(size=(3, 3)) + 3 * np.eye(3), np.array([2, 3, 3], np.int32)
    yield Sample(packed, swaps, rng.normal(size=(3, 2)))
    yield Sample(packed, swaps, rng.normal(size=(2, 3)), left=False)
    yield Sample(packed, swaps, rng.normal(size=(3, 2)), adjoint=True)


@lu_solve.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 2)), rng.normal(size=(3, 3)) + 3 * np.eye(3), np.array([2, 3, 3], np.int32))


@function(places=("torch", "method"))
def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """The older form of `linalg.solve_triangular`: the solution and a copy of ``A``."""
    a, is_upper = (swap_last(A), not upper) if transpose else (A, upper)
    return TriangularSolve(solve_triangular(a, b, upper=is_upper, unitriangular=unitriangular), copy(A))


@triangular_solve.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 2)), np.triu(rng.normal(size=(3, 3))) + 3 * np.eye(3))
    yield Sample(rng.normal(size=(3, 2)), np.tril(rng.normal(size=(3, 3))) + 3 * np.eye(3), upper=False, transpose=True)


register(leading, lu_factors, order_of_swaps)
