"""Distances and similarities of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.errors import ShapeError, ValueRangeError
from jitorch.ir.literal import Literal
from jitorch.ops.create import literal
from jitorch.ops.gather import take
from jitorch.ops.helpers import require_float, require_rank, sum_over
from jitorch.ops.index import axis_of
from jitorch.ops.math import maximum, sqrt, where
from jitorch.ops.normalize import broadcast_shapes, is_number
from jitorch.ops.norms import norm_over, without
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import broadcast_to, reshape_to

Tensor = Any

NN = ("nn",)


@function(places=NN)
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """``input / max(norm, eps)`` with the ``p``-norm along ``dim``."""
    require_float("normalize", input)
    axes = (axis_of("normalize", dim, input.ndim),) if isinstance(dim, int) else tuple(dim)
    result = input / maximum(norm_over(input, p, axes if input.ndim else ()), eps)
    return result if out is None else out._replace(result)


@normalize.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(2, 3, 4)), p=1.0, dim=-1)
    yield Sample(rng.normal(size=(4,)), p=3.0, dim=0)


@op(name="cosine_similarity", places=())
def cosine_similarity_op(x: Tensor, y: Tensor, eps: float, *, axis: int) -> Tensor:
    """``x . y / (max(|x|, eps) * max(|y|, eps))`` along ``axis``, kept as size 1."""
    x_norm, y_norm = (maximum(norm_over(v, 2, (axis,)), eps) for v in (x, y))
    return sum_over((x / x_norm) * (y / y_norm), (axis,))


@cosine_similarity_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), 1e-8, axis=1)


@function(places=("torch", "nn"))
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along ``dim``; ``x1`` and ``x2`` broadcast."""
    require_float("cosine_similarity", x1, x2)
    shape = broadcast_shapes("cosine_similarity", [tuple(x1.shape), tuple(x2.shape)])
    axis = axis_of("cosine_similarity", dim, len(shape))
    x1, x2 = (v if tuple(v.shape) == shape else broadcast_to(v, shape=shape) for v in (x1, x2))
    if not shape:
        x1, x2 = reshape_to(x1, shape=(1,)), reshape_to(x2, shape=(1,))
    return without(cosine_similarity_op(x1, x2, eps, axis=axis), (axis,), keepdim=False)


@cosine_similarity.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(4, 1, 3)), rng.normal(size=(2, 3)), dim=-1)


@function(places=("torch", "nn"))
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The ``p``-norm of ``x1 - x2 + eps`` along the last axis."""
    difference = x1 - x2 + eps
    axis = difference.ndim - 1
    return without(norm_over(difference, p, (axis,)), (axis,), keepdim)


@pairwise_distance.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)))
    yield Sample(rng.normal(size=(4,)), rng.normal(size=(3, 4)), p=1.0, keepdim=True)


MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
"""Whether `cdist` takes a product from `MANY_ROWS` rows on, always, or never."""
MANY_ROWS = 26


def _difference_norms(x: Tensor, y: Tensor, p: Any) -> Tensor:
    rows = reshape_to(x, shape=(*x.shape[:-1], 1, x.shape[-1]))
    columns = reshape_to(y, shape=(*y.shape[:-2], 1, *y.shape[-2:]))
    difference = rows - columns
    axis = difference.ndim - 1
    return without(norm_over(difference, p, (axis,)), (axis,), keepdim=False)


@op(places=())
def difference_norms(x: Tensor, y: Tensor, *, kind: str) -> Tensor:
    """Norms of the differences of all pairs of rows: ``[*, P, M]``, ``[*, R, M]`` to ``[*, P, R]``.

    ``kind``: "0", "1", "2" or "inf".
    """
    return _difference_norms(x, y, float(kind))


difference_norms.samples(
    lambda rng: [Sample(rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), kind=kind) for kind in ("1", "2")]
)


@op(places=())
def root_or_zero(x: Tensor) -> Tensor:
    """The square root, 0 for what is negative; the gradient is 0 where the result is."""
    return sqrt(maximum(x, 0.0))


@root_or_zero.vjp
def _(g, out, x):
    is_zero = out == 0
    return (where(is_zero, 0.0, 0.5 * g / where(is_zero, 1.0, out)),)


root_or_zero.samples(lambda rng: [Sample(rng.uniform(1, 4, size=(2, 3)))])


@op(places=())
def product_distances(product: Tensor, x_squares: Tensor, y_squares: Tensor) -> Tensor:
    """``sqrt(|x|^2 + |y|^2 - 2 x . y)``, 0 where rounding makes less of it.

    ``[*, P, R]`` products and ``[*, P, 1]`` and ``[*, 1, R]`` sums of squares.
    """
    return root_or_zero(x_squares + y_squares - 2.0 * product)


@product_distances.samples
def _(rng):
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
    yield Sample(x @ y.T, (x * x).sum(1, keepdims=True), (y * y).sum(1)[None])


@function
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = MODES[0]) -> Tensor:
    """``p``-norm distances of all pairs of rows: ``[*, P, M]``, ``[*, R, M]`` to ``[*, P, R]``.

    Euclidean ones of more than 25 rows come from a matrix product, which is fast, and rounds where rows are close,
    unless ``compute_mode`` says ``"donot_use_mm_for_euclid_dist"``.
    """
    require_float("cdist", x1, x2)
    if x1.ndim < 2 or x2.ndim < 2:
        raise ShapeError("cdist: needs at least two axes", actual=f"{x1.type}, {x2.type}")
    if not dims.equal(x1.shape[-1], x2.shape[-1]):
        raise ShapeError("cdist: the vectors differ in size", expected=x1.shape[-1], actual=x2.type)
    if is_number(p) and p < 0:
        raise ValueRangeError("cdist: p must not be negative", actual=p)
    if compute_mode not in MODES:
        raise ValueRangeError("cdist: unknown compute_mode", expected=", ".join(MODES), actual=compute_mode)
    if dims.equal(x1.shape[-1], 0):
        return sum_over(x1, (x1.ndim - 1,)) + sum_over(x2, (x2.ndim - 1,)).mT
    if is_number(p) and p == 2 and _takes_product(x1, x2, compute_mode):
        squares = (sum_over(x * x, (x.ndim - 1,)) for x in (x1, x2))
        return product_distances(x1 @ x2.mT, next(squares), next(squares).mT)
    if is_number(p) and p in (0, 1, 2, math.inf):
        return difference_norms(x1, x2, kind=f"{p:g}")
    return _difference_norms(x1, x2, p)


def _takes_product(x1: Tensor, x2: Tensor, compute_mode: str) -> bool:
    if compute_mode == MODES[0]:
        return any(dims.less_equal(MANY_ROWS, x.shape[-2]) for x in (x1, x2))
    return compute_mode == MODES[1]


@cdist.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(2, 4)))
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4)), p=1.0)
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), p=math.inf)
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), compute_mode=MODES[1])


@function(places=("torch", "nn"))
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """``p``-norm distances of the pairs of rows ``i < j`` of ``[N, M]``, in row-major order."""
    require_float("pdist", input)
    require_rank("pdist", input, 2)
    count = input.shape[0]
    if not isinstance(count, int):
        raise ShapeError("pdist: the number of rows must be known", expected="an int", actual=input.type)
    first, second = np.triu_indices(count, 1)
    rows, columns = (take(input, literal(value=Literal(i.astype(np.int64))), axis=0) for i in (first, second))
    return without(norm_over(rows - columns, p, (1,)), (1,), keepdim=False)


@pdist.samples
def _(rng):
    yield Sample(rng.normal(size=(4, 3)))
