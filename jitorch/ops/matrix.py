"""``torch.linalg`` and the older names of the same functions: checks, names of results, broadcasting.

Matrices are ``[*B, M, N]`` in float32 or float64.  What compiled code cannot do itself calls LAPACK
through NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dims import dim_max, equal, prod
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.decompositions import (
    cholesky_factor,
    determinant,
    inverse_matrix,
    lower_part,
    qr_factors,
    sign_and_log_determinant,
    singular_value_factors,
    solve_matrix,
    symmetric_eigen,
    upper_part,
)
from jitorch.ops.helpers import filled
from jitorch.ops.linalg import matmul, swap_last
from jitorch.ops.math import abs as absolute
from jitorch.ops.math import maximum, where
from jitorch.ops.matrix_functions import identity_like, pseudo_inverse
from jitorch.ops.normalize import broadcast_shapes, is_number
from jitorch.ops.norms import as_floating, matrix_norm_over, vector_norm
from jitorch.ops.reduce import reduce_max, reduce_min
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.results import result_type
from jitorch.ops.structure import broadcast_to, cast, reduce_sum, reshape_to, transpose_axes

Tensor = Any

LINALG = ("linalg",)
EVERYWHERE = ("torch", "method", "linalg")
OLD = ("torch", "method")

SlogDet = result_type("linalg_slogdet", "sign", "logabsdet")
OldSlogDet = result_type("slogdet", "sign", "logabsdet")
QR = result_type("linalg_qr", "Q", "R")
OldQR = result_type("qr", "Q", "R")
SVD = result_type("linalg_svd", "U", "S", "Vh")
OldSVD = result_type("svd", "U", "S", "V")
Eigh = result_type("linalg_eigh", "eigenvalues", "eigenvectors")
CholeskyEx = result_type("linalg_cholesky_ex", "L", "info")
InvEx = result_type("linalg_inv_ex", "inverse", "info")
SolveEx = result_type("linalg_solve_ex", "result", "info")
Lstsq = result_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


def _regular(rng: Any, *lead: int, n: int = 3) -> Any:
    return rng.normal(size=(*lead, n, n)) + 3 * np.eye(n)


def _positive(rng: Any, n: int = 3) -> Any:
    x = rng.normal(size=(n, n))
    return x @ x.T + n * np.eye(n)


def _with_batch(name: str, *matrices: Tensor) -> list[Tensor]:
    batch = broadcast_shapes(name, [tuple(m.shape[:-2]) for m in matrices])
    shapes = [(*batch, *m.shape[-2:]) for m in matrices]
    return [m if tuple(m.shape) == s else broadcast_to(m, shape=s) for m, s in zip(matrices, shapes)]


# ---- inverse, solve, determinant -----------------------------------------------------------------------------
@function(places=LINALG)
def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices."""
    return inverse_matrix(A)


@function(places=OLD)
def inverse(input: Tensor) -> Tensor:
    """The inverse of square matrices."""
    return inverse_matrix(input)


@function(places=LINALG)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """The inverse and an int32 code, which is 0: a singular matrix raises, whatever ``check_errors``."""
    return InvEx(inverse_matrix(A), _no_failure(A))


def _no_failure(a: Tensor) -> Tensor:
    return filled(0, dtypes.int32, a.shape[:-2]) + 0


for _entry in (inv, inverse, inv_ex):
    @_entry.samples
    def _(rng):
        yield Sample(_regular(rng))
        yield Sample(_regular(rng, 2))


@function(places=LINALG)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """``X`` with ``A @ X == B`` (``X @ A == B`` if not ``left``); ``B`` may be a vector for each matrix."""
    if A.ndim < 2:
        raise ShapeError("linalg.solve: needs at least two axes", expected="[*, N, N]", actual=A.type)
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1]))
    if not left and not vector:
        a, b = _with_batch("linalg.solve", swap_last(A), swap_last(B))
        return swap_last(solve_matrix(a, b))
    right = reshape_to(B, shape=(*B.shape, 1)) if vector else B
    if not equal(A.shape[-1], right.shape[-2]):
        raise ShapeError("linalg.solve: sizes do not fit", expected=f"[*, {A.shape[-1]}, K]", actual=B.type)
    out = solve_matrix(*_with_batch("linalg.solve", A, right))
    return reshape_to(out, shape=tuple(out.shape[:-1])) if vector else out


@function(places=LINALG)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """The solution and an int32 code, which is 0: a singular matrix raises, whatever ``check_errors``."""
    return SolveEx(solve(A, B, left=left), _no_failure(A))


@solve.samples
def _(rng):
    yield Sample(_regular(rng), rng.normal(size=(3,)))
    yield Sample(_regular(rng), rng.normal(size=(2, 3, 2)))
    yield Sample(_regular(rng, 2), rng.normal(size=(2, 3)))
    yield Sample(_regular(rng), rng.normal(size=(2, 3)), left=False)


@solve_ex.samples
def _(rng):
    yield Sample(_regular(rng), rng.normal(size=(3, 2)))


@function(places=LINALG)
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """`solve` that reads one triangle of ``A`` only; ``unitriangular``: its diagonal counts as 1."""
    triangle = upper_part(A) if upper else lower_part(A)
    if unitriangular:
        triangle = where(identity_like(A) != 0, 1.0, triangle)
    if left:
        return solve_matrix(*_with_batch("linalg.solve_triangular", triangle, B))
    a, b = _with_batch("linalg.solve_triangular", swap_last(triangle), swap_last(B))
    return swap_last(solve_matrix(a, b))


@solve_triangular.samples
def _(rng):
    yield Sample(_regular(rng), rng.normal(size=(3, 2)), upper=True)
    yield Sample(_regular(rng), rng.normal(size=(2, 3)), upper=False, left=False, unitriangular=True)


@function(places=EVERYWHERE)
def det(A: Tensor) -> Tensor:
    """The determinant of square matrices."""
    return determinant(A)


@function(places=LINALG, name="slogdet")
def linalg_slogdet(A: Tensor) -> Any:
    """Sign and logarithm of the size of the determinant."""
    return SlogDet(*sign_and_log_determinant(A))


@function(places=OLD)
def slogdet(input: Tensor) -> Any:
    """Sign and logarithm of the size of the determinant."""
    return OldSlogDet(*sign_and_log_determinant(input))


@function(places=OLD)
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where it is negative."""
    sign, logarithm = sign_and_log_determinant(input)
    return where(sign < 0, float("nan"), logarithm)


for _entry in (det, linalg_slogdet, slogdet):
    @_entry.samples
    def _(rng):
        yield Sample(_regular(rng))
        yield Sample(_regular(rng, 2))


@logdet.samples
def _(rng):
    yield Sample(_positive(rng))


# ---- factorisations --------------------------------------------------------------------------------------------
@function(places=LINALG, name="cholesky")
def linalg_cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The triangular factor of symmetric positive definite matrices: ``L @ L.mT``, or ``U.mT @ U`` with ``upper``."""
    factor = cholesky_factor(A)
    return swap_last(factor) if upper else factor


@function(places=OLD)
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """The triangular factor of symmetric positive definite matrices."""
    return linalg_cholesky(input, upper=upper)


@function(places=LINALG)
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """`linalg.cholesky` and an int32 code, which is 0: a matrix that has no factor raises."""
    return CholeskyEx(linalg_cholesky(A, upper=upper), _no_failure(A))


@function(places=OLD)
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """``X`` with ``A @ X == input``, from the Cholesky factor ``L`` of ``A``."""
    triangle = upper_part(L) if upper else lower_part(L)
    factor = swap_last(triangle) if upper else triangle
    first, b = _with_batch("cholesky_solve", factor, input)
    return solve_matrix(swap_last(first), solve_matrix(first, b))


@function(places=OLD)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of ``A`` from its Cholesky factor ``L``."""
    return cholesky_solve(identity_like(L), L, upper)


for _entry in (linalg_cholesky, cholesky, cholesky_ex):
    @_entry.samples
    def _(rng):
        yield Sample(_positive(rng), grad=False)
        yield Sample(_positive(rng), upper=True, grad=False)


@cholesky_solve.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 2)), np.linalg.cholesky(_positive(rng)))


@cholesky_inverse.samples
def _(rng):
    yield Sample(np.linalg.cholesky(_positive(rng)))
    yield Sample(np.linalg.cholesky(_positive(rng)).T.copy(), upper=True)


@function(places=LINALG, name="qr")
def linalg_qr(A: Tensor, mode: str = "reduced") -> Any:
    """``Q @ R`` with orthonormal columns of Q; ``mode``: ``reduced``, ``complete`` (square Q) or ``r`` (R only)."""
    if mode not in ("reduced", "complete", "r"):
        raise ValueRangeError("linalg.qr: unknown mode", expected="'reduced', 'complete' or 'r'", actual=mode)
    q, r = qr_factors(A, complete=mode == "complete")
    return QR(filled(0, A.dtype, (0,)) + 0 if mode == "r" else q, r)


@function(places=OLD)
def qr(input: Tensor, some: bool = True) -> Any:
    """``Q @ R`` with orthonormal columns of Q; without ``some``, Q is square."""
    return OldQR(*qr_factors(input, complete=not some))


@linalg_qr.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)))
    yield Sample(rng.normal(size=(2, 3)), mode="r")


@qr.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), some=False)


def _symmetric(name: str, a: Tensor, uplo: str) -> Tensor:
    """The symmetric matrix whose triangle ``uplo`` is that of ``a``."""
    if uplo.upper() not in ("L", "U"):
        raise ValueRangeError(f"{name}: UPLO names a triangle", expected="'L' or 'U'", actual=uplo)
    return symmetric_matrix(a if uplo.upper() == "L" else swap_last(a))


@op(places=())
def symmetric_matrix(a: Tensor) -> Tensor:
    """The symmetric matrix with the lower triangle of ``a``; the gradient is the whole, symmetric one."""
    return lower_part(a) + swap_last(lower_part(a, strictly=True))


@symmetric_matrix.vjp
def _(g, out, a):
    return (g,)


@symmetric_matrix.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 3)), grad=False)


@function(places=LINALG)
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """Ascending eigenvalues and eigenvectors (columns) of symmetric matrices, of which the triangle UPLO is read."""
    return Eigh(*symmetric_eigen(_symmetric("linalg.eigh", A, UPLO)))


@function(places=LINALG)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Ascending eigenvalues of symmetric matrices, of which the triangle UPLO is read."""
    return symmetric_eigen(_symmetric("linalg.eigvalsh", A, UPLO))[0]


for _entry in (eigh, eigvalsh):
    @_entry.samples
    def _(rng):
        yield Sample(_positive(rng), grad=False)
        yield Sample(_positive(rng), UPLO="U", grad=False)


@function(places=LINALG, name="svd")
def linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """``U @ diag(S) @ Vh`` with descending S; ``full_matrices``: U and Vh are square.  ``driver`` means nothing."""
    return SVD(*singular_value_factors(A, full=bool(full_matrices)))


@function(places=LINALG)
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """Descending singular values."""
    return singular_value_factors(A, full=False)[1]


@function(places=OLD)
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """``U``, ``S`` and ``V`` (not its transpose) with ``U @ diag(S) @ V.mT``; without ``compute_uv``, U and V are 0."""
    u, s, vh = singular_value_factors(input, full=not some)
    if compute_uv:
        return OldSVD(u, s, swap_last(vh))
    rows, columns = input.shape[-2:]
    lead = tuple(input.shape[:-2])
    zeros = (filled(0, input.dtype, (*lead, n, n)) + 0 for n in (rows, columns))
    return OldSVD(next(zeros), s, next(zeros))


@linalg_svd.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)), grad=False)
    yield Sample(rng.normal(size=(2, 3)), full_matrices=False)


@svdvals.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)))


@svd.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)))
    yield Sample(rng.normal(size=(4, 3)), compute_uv=False)


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
    a = _symmetric("linalg.pinv", A, "L") if hermitian else A
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
def norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
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
