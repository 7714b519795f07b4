"""``torch.linalg`` beyond the factorisations: pseudo-inverse, rank, least squares, norms, tensors as matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dims import dim_max, equal, prod
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.decompositions import inverse_matrix
from jitorch.ops.helpers import filled
from jitorch.ops.linalg import matmul
from jitorch.ops.math import abs as absolute
from jitorch.ops.math import maximum
from jitorch.ops.matrix import eigvalsh, solve, svdvals, symmetric
from jitorch.ops.matrix_functions import pseudo_inverse
from jitorch.ops.normalize import is_number
from jitorch.ops.norms import as_floating, matrix_norm_over, vector_norm
from jitorch.ops.reduce import reduce_max, reduce_min
from jitorch.ops.registry import Sample, function
from jitorch.ops.results import result_type
from jitorch.ops.structure import cast, reduce_sum, reshape_to, transpose_axes

Tensor = Any

LINALG = ("linalg",)
OLD = ("torch", "method")

Lstsq = result_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


def _regular(rng: Any, *lead: int, n: int = 3) -> Any:
    return rng.normal(size=(*lead, n, n)) + 3 * np.eye(n)


# ---- what singular values tell ------------------------------------------------------------------------------
def _tolerances(a: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """PyTorch's defaults: without either, ``rtol`` is the machine epsilon times the greater size."""
    if rtol is None:
        epsilon = 2.0**-52 if a.dtype is dtypes.float64 else 2.0**-23
        size = dim_max(a.shape[-2], a.shape[-1])
        rtol = 0.0 if atol is not None and not _is_zero(atol) else epsilon * (size if isinstance(size, int) else 1)
    return 0.0 if atol is None else atol, rtol


def _is_zero(x: Any) -> bool:
    return is_number(x) and x == 0


@function(places=LINALG)
def pinv(A: Tensor, rcond: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """The Moore-Penrose inverse; singular values up to ``max(atol, rtol * greatest)`` count as 0."""
    atol, rtol = _tolerances(A, atol, rcond if rtol is None else rtol)
    a = symmetric("linalg.pinv", A, "L") if hermitian else A
    return pseudo_inverse(a, *(float(v) for v in (atol, rtol)))


@function(places=OLD)
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The Moore-Penrose inverse; singular values up to ``rcond`` times the greatest count as 0."""
    return pinv(input, rtol=rcond)


for _entry in (pinv, pinverse):

    @_entry.samples
    def _(rng):
        yield Sample(rng.normal(size=(4, 3)))


@function(places=LINALG)
def matrix_rank(A: Tensor, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """How many singular values are greater than ``max(atol, rtol * greatest)``: int64."""
    atol, rtol = _tolerances(A, atol if tol is None else tol, rtol)
    if equal(A.shape[-1], 0) or equal(A.shape[-2], 0):
        return filled(0, dtypes.int64, A.shape[:-2]) + 0
    if hermitian:
        values = absolute(eigvalsh(A))
    else:
        values = svdvals(A)
    last = values.ndim - 1
    greatest = reshape_to(reduce_max(values, axes=(last,)), shape=(*values.shape[:-1], 1))
    limits = [reshape_to(v, shape=(*v.shape, 1)) if hasattr(v, "ndim") and v.ndim else v for v in (atol, rtol)]
    above = values > maximum(limits[1] * greatest, limits[0])
    return reduce_sum(cast(above, dtype=dtypes.int64), axes=(last,))


@matrix_rank.samples
def _(rng):
    yield Sample(np.outer([1.0, 2, 3], [1.0, 1, 1]), grad=False)
    yield Sample(rng.normal(size=(2, 4, 3)), grad=False)


@function(places=LINALG)
def lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: str | None = None) -> Any:
    """Least squares ``min |A @ X - B|``: solution, residuals, rank and singular values.

    Singular values are given for the drivers ``gelsd`` and ``gelss``, residuals where the system is
    overdetermined and of full rank; else these are empty.
    """
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ValueRangeError("linalg.lstsq: unknown driver", expected="gels, gelsy, gelsd or gelss", actual=driver)
    if A.ndim < 2 or B.ndim < 1:
        raise ShapeError("linalg.lstsq: A [*, M, N] and B [*, M] or [*, M, K]", actual=f"{A.type}, {B.type}")
    if B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1]):
        found = lstsq(A, reshape_to(B, shape=(*B.shape, 1)), rcond, driver=driver)
        return found._replace(solution=reshape_to(found.solution, shape=tuple(found.solution.shape[:-1])))
    solution = matmul(pinv(A, rcond), B)
    rows, columns = A.shape[-2:]
    empty = filled(0, A.dtype, (0,)) + 0
    rank = filled(0, dtypes.int64, (0,)) + 0 if driver == "gels" else matrix_rank(A, rtol=rcond)
    values = svdvals(A) if driver in ("gelsd", "gelss") else empty
    residuals = empty
    if rows > columns and driver != "gelsy":
        full = driver == "gels" or bool((rank._data("the residuals of lstsq") == columns).all())
        if full:
            difference = matmul(A, solution) - B
            residuals = reduce_sum(difference * difference, axes=(difference.ndim - 2,))
    return Lstsq(solution, residuals, rank, values)


@lstsq.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)), rng.normal(size=(4, 2)), driver="gels")


# ---- norms ---------------------------------------------------------------------------------------------------
def _svdvals_of(x: Tensor, axes: tuple[int, int]) -> Tensor:
    perm = (*(i for i in range(x.ndim) if i not in axes), *axes)
    return svdvals(transpose_axes(x, perm=perm))


@function(places=LINALG)
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of matrices: ``fro``, ``nuc``, 1, -1, 2, -2, inf or -inf."""
    x = as_floating("linalg.matrix_norm", A, dtype)
    return matrix_norm_over("linalg.matrix_norm", x, ord, dim, keepdim, _svdvals_of)


@function(places=LINALG)
def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A vector norm, or with two axes and ``ord`` a matrix norm; without both, the 2-norm of all elements."""
    if ord is not None and (dim is None or (not isinstance(dim, int) and len(dim) == 2)):
        if dim is None and A.ndim not in (1, 2):
            raise ShapeError("linalg.norm: an order without dim needs one or two axes", actual=A.type)
        if dim is not None or A.ndim == 2:
            return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise ValueRangeError("linalg.norm: this order is for matrices", expected="two axes", actual=f"{ord}, {dim}")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@matrix_norm.samples
def _(rng):
    for order in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")):
        yield Sample(rng.normal(size=(2, 3, 4)), order, keepdim=order == 1)


@norm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 3)), 2)
    yield Sample(rng.normal(size=(2, 3)), 3, dim=1)
    yield Sample(rng.normal(size=(2, 3, 4)), "nuc", dim=(0, 2), keepdim=True)


@function(places=LINALG)
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number: the ratio of the extreme singular values, or ``norm(A, p) * norm(inv(A), p)``."""
    if p in (None, 2, -2):
        values = svdvals(A)
        last = values.ndim - 1
        greatest, least = reduce_max(values, axes=(last,)), reduce_min(values, axes=(last,))
        return least / greatest if p == -2 else greatest / least
    return matrix_norm(A, p) * matrix_norm(inverse_matrix(A), p)


@cond.samples
def _(rng):
    yield Sample(_regular(rng))
    # PyTorch's own backward of this fails.
    yield Sample(_regular(rng), "fro", grad=False)


# ---- tensors as matrices ---------------------------------------------------------------------------------------
@function(places=LINALG)
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of the matrix that the first ``ind`` axes, as rows, and the others, as columns, make."""
    if ind < 1:
        raise ValueRangeError("linalg.tensorinv: ind must be positive", expected="ind >= 1", actual=ind)
    rows, columns = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if not equal(prod(rows), prod(columns)):
        raise ShapeError("linalg.tensorinv: the axes make no square matrix", expected=prod(rows), actual=A.type)
    flat = reshape_to(A, shape=(prod(rows), prod(columns)))
    return reshape_to(inverse_matrix(flat), shape=(*columns, *rows))


@tensorinv.samples
def _(rng):
    yield Sample(_regular(rng, n=6).reshape(2, 3, 6).copy())


@function(places=LINALG)
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """``X`` with ``tensordot(A, X, X.ndim) == B``; ``dims`` names axes of ``A`` to move to the end first."""
    if dims is not None:
        moved = [d % A.ndim for d in dims]
        A = transpose_axes(A, perm=(*(i for i in range(A.ndim) if i not in moved), *moved))
    shape = tuple(A.shape[B.ndim :])
    if not equal(prod(shape), B.numel()):
        raise ShapeError("linalg.tensorsolve: the axes make no square matrix", expected=B.numel(), actual=A.type)
    flat = reshape_to(A, shape=(B.numel(), prod(shape)))
    return reshape_to(solve(flat, reshape_to(B, shape=(B.numel(),))), shape=shape)


@tensorsolve.samples
def _(rng):
    yield Sample(_regular(rng, n=6).reshape(2, 3, 6).copy(), rng.normal(size=(2, 3)))
