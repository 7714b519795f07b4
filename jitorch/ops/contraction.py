"""Products and sums of products under PyTorch's names; see `jitorch.ops.linalg` for the primitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch import dtypes
from jitorch.dims import equal, prod
from jitorch.dtypes import Category, promote_types
from jitorch.errors import DTypeError, ShapeError
from jitorch.ops.helpers import narrow_to, ramp, require_rank, sum_over
from jitorch.ops.index import axis_of
from jitorch.ops.linalg import bmm, matmul, mm
from jitorch.ops.math import where
from jitorch.ops.normalize import broadcast_shapes, is_number
from jitorch.ops.padding import part
from jitorch.ops.registry import Sample, function, op
from jitorch.ops.structure import broadcast_to, concatenate, copy, reduce_sum, reshape_to, transpose_axes

Tensor = Any
Number = Any


# ---- a product added to a tensor ------------------------------------------------------------------------
@op(places=())
def scaled_sum(input: Tensor, product: Tensor, beta: Number, alpha: Number) -> Tensor:
    """``beta * input + alpha * product``, in the dtype of the product."""
    return narrow_to(input * beta + product * alpha, product.dtype)


@scaled_sum.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)), rng.normal(size=(2, 3)), 0.5, 2.0)


def _whole(factor: Any, product: Tensor) -> Any:
    """`addmv`, `addbmm` and `baddbmm` of integers truncate a float factor, as in PyTorch."""
    return int(factor) if isinstance(factor, float) and not product.dtype.is_floating_point else factor


def _added(name: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    if input.dtype is not product.dtype:
        raise DTypeError(f"{name}: all operands must have one dtype", expected=product.type, actual=input.type)
    whole = not product.dtype.is_floating_point and not product.dtype.is_complex
    if whole and any(isinstance(v, float) for v in (beta, alpha)):
        raise DTypeError(f"{name}: integer operands need integer beta and alpha", actual=f"beta={beta}, alpha={alpha}")
    shape = tuple(product.shape)
    if broadcast_shapes(name, [tuple(input.shape), shape]) != shape:
        raise ShapeError(f"{name}: the input does not broadcast to the product", expected=shape, actual=input.type)
    if is_number(beta) and beta == 0:
        # PyTorch ignores the input then, be it NaN or infinite.
        return narrow_to(product * alpha, product.dtype)
    if all(type(v) is int and v == 1 for v in (beta, alpha)):
        return input + product
    return scaled_sum(input, product, beta, alpha)


@function(inplace=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)``; with ``beta`` 0 the input is ignored."""
    return _added("addmm", input, mm(mat1, mat2), beta, alpha)


@addmm.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)), rng.normal(size=(2, 4)), rng.normal(size=(4, 3)))
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 4)), rng.normal(size=(4, 3)), beta=0.5, alpha=2.0)


@function(inplace=True)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * (mat @ vec)``."""
    require_rank("addmv", mat, 2)
    require_rank("addmv", vec, 1)
    product = matmul(mat, vec)
    return _added("addmv", input, product, _whole(beta, product), _whole(alpha, product))


@addmv.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)), rng.normal(size=(3, 4)), rng.normal(size=(4,)), beta=0.5)


@function(inplace=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    return _added("addr", input, outer(vec1, vec2), beta, alpha)


@addr.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)), rng.normal(size=(3,)), rng.normal(size=(4,)), alpha=2.0)


@function(inplace=True)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * (batch1 @ batch2)``, for each matrix of the batch."""
    product = bmm(batch1, batch2)
    return _added("baddbmm", input, product, _whole(beta, product), _whole(alpha, product))


@baddbmm.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)), rng.normal(size=(2, 2, 4)), rng.normal(size=(2, 4, 3)), beta=0.5)


@function(inplace=True)
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """``beta * input + alpha * sum of batch1 @ batch2`` over the batch."""
    product = reduce_sum(bmm(batch1, batch2), axes=(0,))
    return _added("addbmm", input, product, _whole(beta, product), _whole(alpha, product))


@addbmm.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 2, 4)), rng.normal(size=(2, 4, 3)))


# ---- products of vectors and matrices -----------------------------------------------------------------------
@function(aliases=("ger",))
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """``out[i, j] = input[i] * vec2[j]``."""
    require_rank("outer", input, 1)
    require_rank("outer", vec2, 1)
    return reshape_to(input, shape=(*input.shape, 1)) * reshape_to(vec2, shape=(1, *vec2.shape))


@outer.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)), rng.normal(size=(4,)))


@function
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last axes; with a 0-d operand, the product."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    return tensordot(input, other, ([input.ndim - 1], [other.ndim - 1]))


@inner.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(4, 3)))
    yield Sample(rng.normal(size=(3,)), rng.normal(size=(3,)))


@function
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Inner product of two vectors."""
    require_rank("vdot", input, 1)
    require_rank("vdot", other, 1)
    return matmul(input, other)


@vdot.samples
def _(rng):
    yield Sample(rng.normal(size=(3,)), rng.normal(size=(3,)))


@function
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over pairs of axes: the last ``dims`` of ``a`` with the first of ``b``, or two lists of axes."""
    first, second = _pairs(a, b, dims)
    left = [i for i in range(a.ndim) if i not in first]
    right = [i for i in range(b.ndim) if i not in second]
    for i, j in zip(first, second):
        if equal(a.shape[i], b.shape[j]):
            continue
        if not equal(a.shape[i], 1) and not equal(b.shape[j], 1):
            raise ShapeError("tensordot: sizes of paired axes differ", expected=a.type, actual=b.type)
        # A size of 1 broadcasts: the other axis is summed alone.
        a, b = (sum_over(a, (i,)), b) if equal(b.shape[j], 1) else (a, sum_over(b, (j,)))
    summed = [a.shape[i] for i in first]
    x = reshape_to(transpose_axes(a, perm=(*left, *first)), shape=(_prod(a, left), prod(summed)))
    y = reshape_to(transpose_axes(b, perm=(*second, *right)), shape=(prod(summed), _prod(b, right)))
    return reshape_to(mm(x, y), shape=(*(a.shape[i] for i in left), *(b.shape[i] for i in right)))


def _prod(x: Tensor, axes: Sequence[int]) -> Any:
    return prod([x.shape[i] for i in axes])


def _pairs(a: Tensor, b: Tensor, axes: Any) -> tuple[list[int], list[int]]:
    if isinstance(axes, int):
        if axes < 0 or axes > min(a.ndim, b.ndim):
            raise ShapeError("tensordot: as many axes as summed", expected=f"0 to {min(a.ndim, b.ndim)}", actual=axes)
        return list(range(a.ndim - axes, a.ndim)), list(range(axes))
    first, second = (list(v) if isinstance(v, (list, tuple)) else [v] for v in axes)
    if len(first) != len(second):
        raise ShapeError("tensordot: axes come in pairs", expected=len(first), actual=len(second))
    return [axis_of("tensordot", d, a.ndim) for d in first], [axis_of("tensordot", d, b.ndim) for d in second]


@tensordot.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 4, 2)))
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), dims=([1, 0], [0, 1]))
    yield Sample(rng.normal(size=(2,)), rng.normal(size=(3,)), dims=0)


@function
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker product: blocks of ``other`` scaled by the elements of ``input``."""
    rank = max(input.ndim, other.ndim)
    x, y = (reshape_to(v, shape=(*(1,) * (rank - v.ndim), *v.shape)) for v in (input, other))
    left = reshape_to(x, shape=tuple(s for d in x.shape for s in (d, 1)))
    right = reshape_to(y, shape=tuple(s for d in y.shape for s in (1, d)))
    return reshape_to(left * right, shape=tuple(a * b for a, b in zip(x.shape, y.shape)))


@kron.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 2)))
    yield Sample(rng.normal(size=(2,)), rng.normal(size=(2, 3)))


@function
def trace(input: Tensor) -> Tensor:
    """Sum of the diagonal of a matrix; integers become int64."""
    require_rank("trace", input, 2)
    return trace_op(input)


@op(name="trace", places=())
def trace_op(x: Tensor) -> Tensor:
    """Sum of the diagonal of a matrix."""
    diagonal = ramp(x.shape[0], 0, 2) == ramp(x.shape[1], 1, 2)
    if x.dtype.category < Category.FLOAT:
        x = narrow_to(x, dtypes.int64)
    return reduce_sum(where(diagonal, x, 0), axes=(0, 1))


@trace_op.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)))


@trace.samples
def _(rng):
    yield Sample(rng.normal(size=(3, 4)))
    yield Sample(rng.integers(0, 9, size=(3, 3)))


@op(name="cross", places=())
def cross_op(x: Tensor, y: Tensor, *, axis: int) -> Tensor:
    """Vector product along ``axis`` of size 3."""
    x1, x2, x3 = (part(x, axis, i, i + 1) for i in range(3))
    y1, y2, y3 = (part(y, axis, i, i + 1) for i in range(3))
    return concatenate([x2 * y3 - x3 * y2, x3 * y1 - x1 * y3, x1 * y2 - x2 * y1], axis=axis)


@cross_op.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), axis=1)


def _cross(name: str, x: Tensor, y: Tensor, dim: int | None) -> Tensor:
    if x.ndim != y.ndim:
        raise ShapeError(f"{name}: as many axes in both", expected=x.type, actual=y.type)
    shape = broadcast_shapes(name, [tuple(x.shape), tuple(y.shape)])
    if dim is None:
        places = [i for i, d in enumerate(shape) if equal(d, 3)]
        if not places:
            raise ShapeError(f"{name}: no axis of size 3", actual=f"{x.type}, {y.type}")
        dim = places[0]
    axis = axis_of(name, dim, len(shape))
    if not equal(x.shape[axis], 3) or not equal(y.shape[axis], 3):
        raise ShapeError(f"{name}: the axis must have size 3", expected=3, actual=f"{x.type}, {y.type}")
    x, y = (v if tuple(v.shape) == shape else broadcast_to(v, shape=shape) for v in (x, y))
    dtype = promote_types(x.dtype, y.dtype)
    return cross_op(narrow_to(x, dtype), narrow_to(y, dtype), axis=axis)


@function
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Vector product along ``dim``, by default the first axis of size 3."""
    return _cross("cross", input, other, dim)


@function(name="cross", places=("linalg",))
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Vector product along ``dim``."""
    return _cross("linalg.cross", input, other, dim)


@cross.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))
    yield Sample(rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), dim=1)


@linalg_cross.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(1, 3)))


@function(places=("linalg",))
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Sums of products along ``dim``."""
    product = x * y
    return reduce_sum(product, axes=(axis_of("linalg.vecdot", dim, product.ndim),))


@vecdot.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(3,)))


@function(places=("linalg",))
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """A chain of matrix products in the order that needs the fewest multiplications; the ends may be vectors."""
    if len(tensors) < 2:
        raise ShapeError("linalg.multi_dot: needs at least two tensors", actual=len(tensors))
    matrices = list(tensors)
    first, last = matrices[0].ndim == 1, matrices[-1].ndim == 1
    if first:
        matrices[0] = reshape_to(matrices[0], shape=(1, *matrices[0].shape))
    if last:
        matrices[-1] = reshape_to(matrices[-1], shape=(*matrices[-1].shape, 1))
    for m in matrices:
        require_rank("linalg.multi_dot", m, 2)
    out = _chain(matrices)
    shape = (*(() if first else (out.shape[0],)), *(() if last else (out.shape[1],)))
    return reshape_to(out, shape=shape)


def _chain(matrices: list[Tensor]) -> Tensor:
    sizes = [matrices[0].shape[0], *(m.shape[1] for m in matrices)]
    if len(matrices) <= 2 or not all(isinstance(d, int) for d in sizes):
        out = matrices[0]
        for m in matrices[1:]:
            out = mm(out, m)
        return out
    n = len(matrices)
    best = [[(0, 0)] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            best[i][j] = min(
                (best[i][k][0] + best[k + 1][j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )

    def product(i: int, j: int) -> Tensor:
        return matrices[i] if i == j else mm(product(i, best[i][j][1]), product(best[i][j][1] + 1, j))

    return product(0, n - 1)


@multi_dot.samples
def _(rng):
    yield Sample([rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(4, 2))])
    yield Sample([rng.normal(size=(3,)), rng.normal(size=(3, 4)), rng.normal(size=(4,))])


@function(places=("torch",))
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The older name of `linalg.multi_dot`."""
    first, *rest = matrices
    return multi_dot(matrices) if rest else copy(first)


@chain_matmul.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(4, 2)))


@function(places=("torch", "nn"))
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``out[o] = input1 @ weight[o] @ input2 + bias[o]``: ``[*, I]``, ``[*, J]``, ``[O, I, J]`` to ``[*, O]``."""
    require_rank("bilinear", weight, 3)
    if not equal(input1.shape[-1], weight.shape[1]) or not equal(input2.shape[-1], weight.shape[2]):
        raise ShapeError(
            "bilinear: sizes do not fit the weight", expected=weight.type, actual=f"{input1.type}, {input2.type}"
        )
    outputs, rows, columns = weight.shape
    flat = reshape_to(transpose_axes(weight, perm=(1, 0, 2)), shape=(rows, outputs * columns))
    half = matmul(input1, flat)
    half = reshape_to(half, shape=(*half.shape[:-1], outputs, columns))
    other = reshape_to(input2, shape=(*input2.shape[:-1], 1, columns))
    out = reduce_sum(half * other, axes=(half.ndim - 1,))
    return out if bias is None else out + bias


@bilinear.samples
def _(rng):
    yield Sample(rng.normal(size=(2, 3)), rng.normal(size=(2, 4)), rng.normal(size=(5, 3, 4)), rng.normal(size=(5,)))
