"""Functions of a whole matrix that are no factorisation: exponential, pseudo-inverse, powers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch.dims import equal
from jitorch.errors import ShapeError
from jitorch.ops.batching import leading, register
from jitorch.ops.decompositions import check_matrix, inverse_matrix, lapack
from jitorch.ops.helpers import ramp
from jitorch.ops.linalg import matmul, swap_last
from jitorch.ops.math import where
from jitorch.ops.padding import part
from jitorch.ops.registry import Sample, function, primitive
from jitorch.ops.structure import broadcast_to, cast, concatenate, copy

Tensor = Any


def identity_like(a: Tensor) -> Tensor:
    """Identity matrices of the type of ``[*B, N, N]``."""
    rank = a.ndim
    eye = ramp(a.shape[-2], rank - 2, rank) == ramp(a.shape[-1], rank - 1, rank)
    return broadcast_to(cast(eye, dtype=a.dtype), shape=tuple(a.shape))


# ---- exponential ----------------------------------------------------------------------------------------
_PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
    670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
"""N. J. Higham, "The scaling and squaring method for the matrix exponential revisited", 2005: degree 13."""


def _exponential(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    norm = float(np.abs(a).sum(0).max()) if a.size else 0.0
    if not math.isfinite(norm):
        return np.full_like(a, np.nan)
    halvings = max(0, math.ceil(math.log2(norm / 5.37))) if norm > 5.37 else 0
    a = a / 2.0**halvings
    eye, square = np.eye(len(a)), a @ a
    powers = [eye, square, square @ square]
    powers.append(powers[2] @ square)
    b = _PADE
    high_odd = powers[3] @ (b[13] * powers[3] + b[11] * powers[2] + b[9] * powers[1])
    odd = a @ (high_odd + b[7] * powers[3] + b[5] * powers[2] + b[3] * powers[1] + b[1] * eye)
    high_even = powers[3] @ (b[12] * powers[3] + b[10] * powers[2] + b[8] * powers[1])
    even = high_even + b[6] * powers[3] + b[4] * powers[2] + b[2] * powers[1] + b[0] * eye
    result = np.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        result = result @ result
    return result


@primitive(lowering="extern")
def exponential_of_matrix(a: Tensor) -> Tensor:
    """``I + A + A @ A / 2! + ...`` of ``[*B, N, N]``."""


@exponential_of_matrix.type_rule
def _(a):
    check_matrix("matrix_exp", a, square=True)
    return a


@exponential_of_matrix.numpy
def _(a):
    n = a.shape[-1]
    flat = a.astype(np.float64).reshape(-1, n, n) if a.size else []
    return np.array([_exponential(m) for m in flat], a.dtype).reshape(a.shape)


@exponential_of_matrix.vjp
def _(g, out, a):
    # The upper right block of exp([[At, G], [0, At]]) is the derivative of exp at At in direction G.
    transposed = swap_last(a)
    rows, columns = a.ndim - 2, a.ndim - 1
    n = a.shape[-1]
    above = concatenate([transposed, g], axis=columns)
    below = concatenate([transposed * 0.0, transposed], axis=columns)
    whole = exponential_of_matrix(concatenate([above, below], axis=rows))
    return (part(part(whole, rows, 0, n), columns, n, n + n),)


@exponential_of_matrix.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 3)))
    yield Sample(rng.normal(size=(2, 2, 2)) * 4)


@function(places=("torch", "method", "linalg"))
def matrix_exp(input: Tensor) -> Tensor:
    """The matrix exponential of ``[*B, N, N]``.  Higham, 2005."""
    return exponential_of_matrix(input)


@matrix_exp.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 3)))


# ---- pseudo-inverse --------------------------------------------------------------------------------------
@primitive(lowering="extern")
def pseudo_inverse(a: Tensor, atol: float, rtol: float) -> Tensor:
    """The Moore-Penrose inverse ``[*B, N, M]``; singular values up to ``max(atol, rtol * greatest)`` count as 0."""


@pseudo_inverse.type_rule
def _(a, atol, rtol):
    check_matrix("linalg.pinv", a)
    *lead, m, n = a.shape
    return a.with_shape((*lead, n, m))


@pseudo_inverse.numpy
def _(a, atol, rtol):
    if a.size == 0:
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    u, s, vh = lapack("linalg.pinv", np.linalg.svd, a, full_matrices=False)
    kept = s > np.maximum(atol, rtol * s[..., :1])
    inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(a.dtype)
    return np.swapaxes(vh, -1, -2) @ (inverse[..., None] * np.swapaxes(u, -1, -2))


@pseudo_inverse.vjp
def _(g, out, a, atol, rtol):
    # Golub and Pereyra, 1973.
    p, pt, gt = out, swap_last(out), swap_last(g)
    left = matmul(gt, matmul(p, pt))
    right = matmul(matmul(pt, p), gt)
    grad = -matmul(matmul(pt, g), pt) + (left - matmul(a, matmul(p, left))) + (right - matmul(matmul(right, p), a))
    return (grad,)


@pseudo_inverse.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)), 0.0, 1e-12)
    yield Sample(rng.normal(size=(2, 2, 3)), 0.0, 1e-12)


# ---- powers -----------------------------------------------------------------------------------------------
@function(places=("torch", "method", "linalg"))
def matrix_power(input: Tensor, n: int) -> Tensor:
    """``input @ input @ ...``, n times; a negative n takes the inverse, 0 gives the identity."""
    if input.ndim < 2 or not equal(input.shape[-1], input.shape[-2]):
        raise ShapeError("matrix_power: needs square matrices", expected="[*, N, N]", actual=input.type)
    if n == 0:
        identity = identity_like(input)
        # Always the identity, yet a result of the input, whose gradient is 0.
        return where(identity >= 0, identity, input)
    base = inverse_matrix(input) if n < 0 else input
    n = abs(n)
    result: Any = None
    while n:
        if n & 1:
            result = base if result is None else matmul(result, base)
        n >>= 1
        if n:
            base = matmul(base, base)
    return copy(result) if result is input else result


@matrix_power.samples
def _(rng):
    for n in (0, 1, 2, 5, -2):
        yield Sample(rng.normal(size=(2, 3, 3)) + 2 * np.eye(3), n)


register(leading, exponential_of_matrix, pseudo_inverse)
