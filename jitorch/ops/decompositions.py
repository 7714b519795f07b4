"""Matrix factorisations, through LAPACK as NumPy calls it.

Each primitive takes ``[*B, M, N]`` in float32 or float64 and holds its gradient; the public names
check, name the results and are in `jitorch.ops.matrix`.  The gradients are those of M. B. Giles,
"An extended collection of matrix derivative results", 2008, and J. Townsend, "Differentiating the
singular value decomposition", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jitorch.dims import dim_min, equal
from jitorch.errors import AutogradError, DTypeError, LinAlgError, ShapeError
from jitorch.ops.batching import leading, register
from jitorch.ops.complex_parts import complex_of, conj, real_part
from jitorch.ops.helpers import ramp
from jitorch.ops.linalg import matmul, swap_last
from jitorch.ops.math import where
from jitorch.ops.padding import part
from jitorch.ops.registry import Sample, primitive
from jitorch.ops.structure import cast, concatenate, reduce_sum, reshape_to

Tensor = Tensors = Any


def check_matrix(name: str, x: Any, square: bool = False, complex_too: bool = False) -> None:
    """Refuse types that are no batch of (square) float32 or float64 (or complex) matrices."""
    if x.dtype.name not in ("float32", "float64") and not (complex_too and x.dtype.is_complex):
        raise DTypeError(f"{name}: needs a matrix in float32 or float64", expected="float32 or float64", actual=x)
    if len(x.shape) < 2:
        raise ShapeError(f"{name}: needs at least two axes", expected="[*, M, N]", actual=x)
    rows, columns = x.shape[-2:]
    if square and not equal(rows, columns):
        raise ShapeError(f"{name}: needs square matrices", expected="[*, N, N]", actual=x)


def lapack(name: str, function: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
    """Call a routine of NumPy; its failure becomes ours."""
    try:
        return function(*arrays, **options)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {str(error).lower()}", hint="add a small number to the diagonal") from None


# ---- small tools for gradients ---------------------------------------------------------------------------
def _grid(x: Tensor) -> Tensors:
    rank = x.ndim
    return ramp(x.shape[-2], rank - 2, rank), ramp(x.shape[-1], rank - 1, rank)


def lower_part(x: Tensor, strictly: bool = False) -> Tensor:
    """The triangle at and below (with ``strictly``, below) the diagonal."""
    rows, columns = _grid(x)
    return where(columns < rows if strictly else columns <= rows, x, 0.0)


def upper_part(x: Tensor) -> Tensor:
    """The triangle at and above the diagonal."""
    rows, columns = _grid(x)
    return where(columns >= rows, x, 0.0)


def diagonal_matrix(x: Tensor) -> Tensor:
    """``[*, N]`` as the diagonals of ``[*, N, N]``."""
    wide = reshape_to(x, shape=(*x.shape, 1))
    rows, columns = ramp(x.shape[-1], x.ndim - 1, x.ndim + 1), ramp(x.shape[-1], x.ndim, x.ndim + 1)
    return where(rows == columns, wide, 0.0)


def as_row(x: Tensor) -> Tensor:
    return reshape_to(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def as_column(x: Tensor) -> Tensor:
    return reshape_to(x, shape=(*x.shape, 1))


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose."""
    return swap_last(conj(x))


def _half_diagonal(x: Tensor) -> Tensor:
    """The lower triangle with its diagonal halved."""
    rows, columns = _grid(x)
    return where(columns < rows, x, where(columns == rows, x * 0.5, 0.0))


def _inverse_differences(values: Tensor) -> Tensor:
    """``1 / (v[j] - v[i])`` off the diagonal, 0 on it."""
    difference = as_row(values) - as_column(values)
    rows, columns = _grid(difference)
    same = rows == columns
    return where(same, 0.0, 1.0 / where(same, 1.0, difference))


# ---- solve and inverse -----------------------------------------------------------------------------------
@primitive(lowering="extern")
def solve_matrix(a: Tensor, b: Tensor) -> Tensor:
    """``X`` with ``a @ X == b``: ``[*B, N, N]``, ``[*B, N, K]`` to ``[*B, N, K]``."""


@solve_matrix.type_rule
def _(a, b):
    check_matrix("linalg.solve", a, square=True, complex_too=True)
    check_matrix("linalg.solve", b, complex_too=True)
    if a.dtype is not b.dtype:
        raise DTypeError("linalg.solve: the matrices must have one dtype", expected=a, actual=b)
    return b


@solve_matrix.numpy
def _(a, b):
    return lapack("linalg.solve", np.linalg.solve, a, b)


@solve_matrix.vjp
def _(g, out, a, b):
    grad_b = solve_matrix(adjoint(a), g)
    return -matmul(grad_b, adjoint(out)), grad_b


def _regular(rng: Any, *lead: int, n: int = 3) -> Any:
    return rng.normal(size=(*lead, n, n)) + 3 * np.eye(n)


@solve_matrix.samples
def _(rng):
    yield Sample(_regular(rng), rng.normal(size=(3, 2)))
    yield Sample(_regular(rng, 2), rng.normal(size=(2, 3, 1)))


@primitive(lowering="extern")
def inverse_matrix(a: Tensor) -> Tensor:
    """The inverse of ``[*B, N, N]``."""


@inverse_matrix.type_rule
def _(a):
    check_matrix("linalg.inv", a, square=True, complex_too=True)
    return a


@inverse_matrix.numpy
def _(a):
    return lapack("linalg.inv", np.linalg.inv, a)


@inverse_matrix.vjp
def _(g, out, a):
    return (-matmul(matmul(adjoint(out), g), adjoint(out)),)


@inverse_matrix.samples
def _(rng):
    yield Sample(_regular(rng))
    yield Sample(_regular(rng, 2, n=2))


# ---- determinants ------------------------------------------------------------------------------------------
@primitive(lowering="extern")
def determinant(a: Tensor) -> Tensor:
    """The determinant of ``[*B, N, N]``."""


@determinant.type_rule
def _(a):
    check_matrix("linalg.det", a, square=True)
    return a.with_shape(a.shape[:-2])


@determinant.numpy
def _(a):
    return np.linalg.det(a)


@determinant.vjp
def _(g, out, a):
    return (reshape_to(g, shape=(*g.shape, 1, 1)) * swap_last(adjugate(a)),)


@determinant.samples
def _(rng):
    yield Sample(_regular(rng))
    yield Sample(_regular(rng, 2, n=2))


@primitive(lowering="extern")
def adjugate(a: Tensor) -> Tensor:
    """The transposed cofactors of ``[*B, N, N]``: ``det(a) * inv(a)`` where there is an inverse.

    From the singular values, so a singular matrix has one too; its gradient needs a regular one.
    """


@adjugate.type_rule
def _(a):
    check_matrix("adjugate", a, square=True)
    return a


@adjugate.numpy
def _(a):
    u, s, vh = lapack("adjugate", np.linalg.svd, a)
    n = a.shape[-1]
    others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1) if n else s
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return sign[..., None, None] * ((np.swapaxes(vh, -1, -2) * others[..., None, :]) @ np.swapaxes(u, -1, -2))


@adjugate.vjp
def _(g, out, a):
    # adj = det * inv: d adj = adj * tr(inv da) - inv da adj.
    inverse_t = swap_last(inverse_matrix(a))
    product = g * out
    n = a.ndim
    total = reshape_to(reduce_sum(product, axes=(n - 2, n - 1)), shape=(*a.shape[:-2], 1, 1))
    return (inverse_t * total - matmul(matmul(inverse_t, g), swap_last(out)),)


@adjugate.samples
def _(rng):
    yield Sample(_regular(rng))
    yield Sample(np.array([[1.0, 2.0], [2.0, 4.0]]), grad=False)


@primitive(lowering="extern")
def sign_and_log_determinant(a: Tensor) -> Tensors:
    """The sign of the determinant and the logarithm of its size, of ``[*B, N, N]``."""


@sign_and_log_determinant.type_rule
def _(a):
    check_matrix("linalg.slogdet", a, square=True)
    part_ = a.with_shape(a.shape[:-2])
    return part_, part_


@sign_and_log_determinant.numpy
def _(a):
    sign, logarithm = np.linalg.slogdet(a)
    return sign, logarithm


@sign_and_log_determinant.vjp
def _(gs, outs, a):
    g = gs[1]
    return (reshape_to(g, shape=(*g.shape, 1, 1)) * swap_last(inverse_matrix(a)),)


@sign_and_log_determinant.samples
def _(rng):
    yield Sample(_regular(rng))
    yield Sample(_regular(rng, 2, n=2))


# ---- Cholesky, QR ---------------------------------------------------------------------------------------
@primitive(lowering="extern")
def cholesky_factor(a: Tensor) -> Tensor:
    """The lower triangular ``L`` with ``L @ L.mT == a``, of symmetric positive definite ``[*B, N, N]``."""


@cholesky_factor.type_rule
def _(a):
    check_matrix("linalg.cholesky", a, square=True)
    return a


@cholesky_factor.numpy
def _(a):
    return lapack("linalg.cholesky", np.linalg.cholesky, a)


@cholesky_factor.vjp
def _(g, out, a):
    # S = L^-T phi(L^T g) L^-1, symmetrised, with phi the lower triangle, its diagonal halved.
    transposed = swap_last(out)
    inner = _half_diagonal(matmul(transposed, g))
    left = solve_matrix(transposed, inner)
    grad = swap_last(solve_matrix(transposed, swap_last(left)))
    return ((grad + swap_last(grad)) * 0.5,)


def _positive(rng: Any, *lead: int, n: int = 3) -> Any:
    x = rng.normal(size=(*lead, n, n))
    return x @ np.swapaxes(x, -1, -2) + n * np.eye(n)


@cholesky_factor.samples
def _(rng):
    # Only symmetric inputs are inputs: a difference quotient would leave them.
    yield Sample(_positive(rng), grad=False)
    yield Sample(_positive(rng, 2, n=2), grad=False)


@primitive(lowering="extern")
def qr_factors(a: Tensor, *, complete: bool) -> Tensors:
    """Orthogonal ``Q`` and upper triangular ``R`` with ``Q @ R == a``; ``complete``: Q is square."""


@qr_factors.type_rule
def _(a, *, complete):
    check_matrix("linalg.qr", a)
    *lead, m, n = a.shape
    inner = m if complete else dim_min(m, n)
    return a.with_shape((*lead, m, inner)), a.with_shape((*lead, inner, n))


@qr_factors.numpy
def _(a, *, complete):
    q, r = np.linalg.qr(a, "complete" if complete else "reduced")
    return q, r


@qr_factors.vjp
def _(gs, outs, a, *, complete):
    (g_q, g_r), (q, r) = gs, outs
    m, n = a.shape[-2:]
    if complete and m > n:
        raise AutogradError("linalg.qr: mode 'complete' of a tall matrix has no gradient", hint="use mode 'reduced'")
    if m >= n:
        return (_qr_vjp(g_q, g_r, q, r),)
    # A wide matrix: R = Q^T [A1 A2] with A1 square, whose own factors are Q and R1.
    axis = a.ndim - 1
    r1, g1, g2 = part(r, axis, 0, m), part(g_r, axis, 0, m), part(g_r, axis, m, n)
    a2 = part(a, axis, m, n)
    first = _qr_vjp(g_q + matmul(a2, swap_last(g2)), g1, q, r1)
    return (concatenate([first, matmul(q, g2)], axis=axis),)


def _qr_vjp(g_q: Tensor, g_r: Tensor, q: Tensor, r: Tensor) -> Tensor:
    """For ``M >= N``: ``(g_q + Q copyltu(R g_r^T - g_q^T Q)) R^-T``."""
    inner = matmul(r, swap_last(g_r)) - matmul(swap_last(g_q), q)
    symmetric = lower_part(inner) + swap_last(lower_part(inner, strictly=True))
    total = g_q + matmul(q, symmetric)
    return swap_last(solve_matrix(r, swap_last(total)))


@qr_factors.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)), complete=False)
    yield Sample(rng.normal(size=(2, 2, 4)), complete=False)
    yield Sample(rng.normal(size=(3, 3)), complete=True)


# ---- eigenvalues, singular values -------------------------------------------------------------------------
@primitive(lowering="extern")
def symmetric_eigen(a: Tensor) -> Tensors:
    """Ascending eigenvalues ``[*B, N]`` and eigenvectors, as columns, of symmetric ``[*B, N, N]`` (its lower part)."""


@symmetric_eigen.type_rule
def _(a):
    check_matrix("linalg.eigh", a, square=True)
    return a.with_shape(a.shape[:-1]), a


@symmetric_eigen.numpy
def _(a):
    values, vectors = lapack("linalg.eigh", np.linalg.eigh, a)
    return values, vectors


@symmetric_eigen.vjp
def _(gs, outs, a):
    (g_values, g_vectors), (values, vectors) = gs, outs
    transposed = swap_last(vectors)
    inner = diagonal_matrix(g_values) + matmul(transposed, g_vectors) * _inverse_differences(values)
    return (matmul(matmul(vectors, inner), transposed),)


@symmetric_eigen.samples
def _(rng):
    yield Sample(_positive(rng), grad=False)


@primitive(lowering="extern")
def singular_value_factors(a: Tensor, *, full: bool) -> Tensors:
    """``U``, descending singular values ``S`` and ``Vh`` with ``a == U @ diag(S) @ Vh``; ``full``: both are square."""


@singular_value_factors.type_rule
def _(a, *, full):
    check_matrix("linalg.svd", a)
    *lead, m, n = a.shape
    k = dim_min(m, n)
    rows, columns = (m, n) if full else (k, k)
    return a.with_shape((*lead, m, rows)), a.with_shape((*lead, k)), a.with_shape((*lead, columns, n))


@singular_value_factors.numpy
def _(a, *, full):
    u, s, vh = lapack("linalg.svd", np.linalg.svd, a, full_matrices=full)
    return u, s, vh


@singular_value_factors.vjp
def _(gs, outs, a, *, full):
    (g_u, g_s, g_vh), (u, s, vh) = gs, outs
    m, n = a.shape[-2:]
    k = s.shape[-1]
    if full:
        # The vectors that only complete the bases are arbitrary: they have no gradient.
        u, g_u = (part(x, x.ndim - 1, 0, k) for x in (u, g_u))
        vh, g_vh = (part(x, x.ndim - 2, 0, k) for x in (vh, g_vh))
    v, g_v, ut = swap_last(vh), swap_last(g_vh), swap_last(u)
    f = _inverse_differences(s * s)
    by_u, by_v = matmul(ut, g_u), matmul(vh, g_v)
    inner = diagonal_matrix(g_s)
    inner = inner + (by_u - swap_last(by_u)) * f * as_row(s) + as_column(s) * (by_v - swap_last(by_v)) * f
    grad = matmul(matmul(u, inner), vh)
    if not (isinstance(m, int) and isinstance(k, int) and m == k):
        rest = g_u / as_row(s)
        grad = grad + matmul(rest - matmul(u, matmul(ut, rest)), vh)
    if not (isinstance(n, int) and isinstance(k, int) and n == k):
        rest = swap_last(g_v / as_row(s))
        grad = grad + matmul(u, rest - matmul(matmul(rest, v), vh))
    return (grad,)


@singular_value_factors.samples
def _(rng):
    # Signs of the vectors are arbitrary, but do not change within a small difference.
    yield Sample(rng.normal(size=(4, 3)), full=False)
    yield Sample(rng.normal(size=(2, 2, 3)), full=False)
    yield Sample(rng.normal(size=(3, 2)), full=True, grad=False)


@primitive(lowering="extern")
def general_eigen(a: Tensor) -> Tensors:
    """Eigenvalues ``[*B, N]`` and eigenvectors of length 1, as columns, of any square matrices: complex."""


@general_eigen.type_rule
def _(a):
    check_matrix("linalg.eig", a, square=True, complex_too=True)
    vectors = a.with_dtype(complex_of(a.dtype))
    return vectors.with_shape(a.shape[:-1]), vectors


@general_eigen.numpy
def _(a):
    values, vectors = lapack("linalg.eig", np.linalg.eig, a)
    return values, vectors


@general_eigen.vjp
def _(gs, outs, a):
    (g_values, g_vectors), (values, vectors) = gs, outs
    transposed = adjoint(vectors)
    by_vectors = matmul(transposed, g_vectors)
    # Vectors keep length 1: what would change it has no effect.
    rows, columns = _grid(by_vectors)
    along = where(rows == columns, cast(real_part(by_vectors), dtype=by_vectors.dtype), 0.0)
    by_vectors = by_vectors - matmul(matmul(transposed, vectors), along)
    inner = diagonal_matrix(g_values) + by_vectors * conj(_inverse_differences(values))
    grad = matmul(solve_matrix(transposed, inner), transposed)
    return (grad if a.dtype.is_complex else real_part(grad),)


@general_eigen.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 3)), grad=False)


register(
    leading, solve_matrix, inverse_matrix, determinant, adjugate, sign_and_log_determinant, cholesky_factor, qr_factors,
    symmetric_eigen, singular_value_factors, general_eigen,
)  # fmt: skip
