"""Factorisations multiply to what was factored; failures are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
from jitorch import linalg
from jitorch.errors import DTypeError, LinAlgError, ShapeError, ValueRangeError

SHAPES = [(3, 3), (4, 3), (3, 4), (2, 3, 4), (0, 3), (2, 0, 0)]


def matrix(*shape: int, seed: int = 0) -> jitorch.Tensor:
    return jitorch.tensor(np.random.default_rng(seed).normal(size=shape))


def positive(*lead: int, n: int = 3) -> jitorch.Tensor:
    x = matrix(*lead, n, n)
    return x @ x.mT + n * jitorch.eye(n, dtype=jitorch.float64)


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-12)


def eye_like(x: Any) -> Any:
    return jitorch.eye(x.shape[-1], dtype=x.dtype).expand(x.shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full", [False, True])
def test_svd(shape: tuple[int, ...], full: bool) -> None:
    a = matrix(*shape)
    u, s, vh = linalg.svd(a, full_matrices=full)
    k = s.shape[-1]
    close((u[..., :k] * s.unsqueeze(-2)) @ vh[..., :k, :], a)
    close(u.mT @ u, eye_like(u.mT @ u))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr(shape: tuple[int, ...], mode: str) -> None:
    a = matrix(*shape)
    q, r = linalg.qr(a, mode)
    close(q @ r, a)
    close(q.mT @ q, eye_like(q.mT @ q))
    close(r, r.triu())


@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s])
def test_lu(shape: tuple[int, ...]) -> None:
    a = matrix(*shape)
    p, lower, upper = linalg.lu(a)
    close(p @ lower @ upper, a)
    p2, lower2, upper2 = jitorch.lu_unpack(*linalg.lu_factor(a))
    close(p2 @ lower2 @ upper2, a)


def test_symmetric_and_positive() -> None:
    a = positive(2)
    values, vectors = linalg.eigh(a)
    close((vectors * values.unsqueeze(-2)) @ vectors.mT, a)
    close(linalg.cholesky(a) @ linalg.cholesky(a).mT, a)
    close(linalg.cholesky(a, upper=True).mT @ linalg.cholesky(a, upper=True), a)
    close(jitorch.cholesky_inverse(linalg.cholesky(a)) @ a, eye_like(a))


def test_only_one_triangle_is_read() -> None:
    a = positive()
    spoilt = a.clone()
    spoilt[0, 1] = 100.0
    close(linalg.eigvalsh(spoilt), linalg.eigvalsh(a))
    close(linalg.eigvalsh(spoilt.mT.contiguous(), UPLO="U"), linalg.eigvalsh(a))


def test_general_eigenvalues() -> None:
    a = matrix(3, 3)
    values, vectors = linalg.eig(a)
    complex_a = jitorch.complex(a, jitorch.zeros_like(a))
    np.testing.assert_allclose((complex_a @ vectors).numpy(), (vectors * values).numpy(), atol=1e-12)


def test_least_squares() -> None:
    a, b = matrix(5, 3), matrix(5, 2, seed=1)
    found = linalg.lstsq(a, b, driver="gelsd")
    close(a.mT @ (a @ found.solution - b), jitorch.zeros(3, 2, dtype=jitorch.float64))
    close(found.residuals, ((a @ found.solution - b) ** 2).sum(0))
    assert found.rank.item() == 3
    close(found.singular_values, linalg.svdvals(a))


@pytest.mark.parametrize("p", [1, -1, 2, -2, "fro", "nuc", float("inf"), -float("inf")])
def test_condition_number_of_the_identity(p: Any) -> None:
    eye = jitorch.eye(3, dtype=jitorch.float64)
    assert linalg.cond(eye, p).item() == pytest.approx(1.0 if p not in ("fro", "nuc") else {"fro": 3, "nuc": 9}[p])


@pytest.mark.parametrize(
    ("function", "argument"),
    [(linalg.inv, jitorch.zeros(2, 2)), (linalg.cholesky, -jitorch.eye(2)), (linalg.inv, jitorch.zeros(3, 2, 2))],
)
def test_what_does_not_exist_is_an_error(function: Any, argument: jitorch.Tensor) -> None:
    with pytest.raises(LinAlgError) as caught:
        function(argument)
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.hint


def test_wrong_arguments() -> None:
    with pytest.raises(ShapeError):
        linalg.inv(jitorch.zeros(2, 3))
    with pytest.raises(ShapeError):
        linalg.svd(jitorch.zeros(3))
    with pytest.raises(DTypeError):
        linalg.inv(jitorch.ones(2, 2, dtype=jitorch.int64))
    with pytest.raises(ValueRangeError):
        linalg.qr(jitorch.zeros(2, 2), mode="wide")
    with pytest.raises(ShapeError):
        linalg.solve(jitorch.eye(3), jitorch.ones(2))
