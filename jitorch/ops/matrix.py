"""``torch.linalg`` and the older names of the same functions: checks, names of results, broadcasting.

Matrices are ``[*B, M, N]`` in float32 or float64.  What compiled code cannot do itself calls LAPACK
through NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitorch import dtypes
from jitorch.dims import equal
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ops.decompositions import (
    cholesky_factor,
    determinant,
    general_eigen,
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
from jitorch.ops.linalg import swap_last
from jitorch.ops.math import where
from jitorch.ops.matrix_functions import identity_like
from jitorch.ops.normalize import broadcast_shapes
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.results import result_type
from jitorch.ops.structure import broadcast_to, reshape_to

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
Eig = result_type("linalg_eig", "eigenvalues", "eigenvectors")
Eigh = result_type("linalg_eigh", "eigenvalues", "eigenvectors")
CholeskyEx = result_type("linalg_cholesky_ex", "L", "info")
InvEx = result_type("linalg_inv_ex", "inverse", "info")
SolveEx = result_type("linalg_solve_ex", "result", "info")


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
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
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


def symmetric(name: str, a: Tensor, uplo: str) -> Tensor:
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
    return Eigh(*symmetric_eigen(symmetric("linalg.eigh", A, UPLO)))


@function(places=LINALG)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Ascending eigenvalues of symmetric matrices, of which the triangle UPLO is read."""
    return symmetric_eigen(symmetric("linalg.eigvalsh", A, UPLO))[0]


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


@function(places=LINALG)
def eig(A: Tensor) -> Any:
    """Eigenvalues and eigenvectors (columns of length 1) of any square matrices, complex, in no order."""
    return Eig(*general_eigen(A))


@function(places=LINALG)
def eigvals(A: Tensor) -> Tensor:
    """Eigenvalues of any square matrices, complex, in no order."""
    return general_eigen(A)[0]


@eig.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 3)), grad=False)


@eigvals.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 3)))
