"""Einstein's sum convention: pairwise contractions, each a batched matrix product.

An axis is a label; axes of an ellipsis get the labels ``.0``, ``.1``, ... counted from the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch.dims import Dim, equal, prod
from jitorch.errors import ArgumentError, ShapeError
from jitorch.ops.helpers import ramp
from jitorch.ops.linalg import matmul_batched
from jitorch.ops.math import where
from jitorch.ops.registry import Sample, function
from jitorch.ops.structure import broadcast_to, reduce_sum, reshape_to, transpose_axes

Tensor = Any
Labels = tuple[str, ...]


def _parse_term(term: str, equation: str) -> list[str]:
    """Labels of one operand (or of the output), ``...`` for the ellipsis."""
    text = term.replace(" ", "")
    parts = text.split("...")
    if len(parts) > 2 or any(not c.isalpha() for p in parts for c in p):
        raise ArgumentError("einsum: malformed equation", expected="letters, one ellipsis a term", actual=equation)
    return [*parts[0], *(["..."] if len(parts) == 2 else []), *(parts[1] if len(parts) == 2 else "")]


def _letters(axes: Sequence[Any]) -> str:
    """A list of axis numbers, in the form without an equation, as letters."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    if any(a is not Ellipsis and not 0 <= a < len(letters) for a in axes):
        raise ArgumentError("einsum: axis numbers are from 0 to 51", actual=list(axes))
    return "".join("..." if a is Ellipsis else letters[a] for a in axes)


def _expand(term: list[str], rank: int, equation: str) -> Labels:
    """The ellipsis replaced by labels for the axes it stands for."""
    named = len(term) - ("..." in term)
    if rank < named or (rank > named and "..." not in term):
        raise ShapeError(f"einsum: {equation!r} does not fit an operand", expected="".join(term), actual=f"{rank} axes")
    hidden = [f".{i}" for i in reversed(range(rank - named))]
    return tuple(x for label in term for x in (hidden if label == "..." else [label]))


def _output(text: str | None, terms: list[Labels], equation: str) -> Labels:
    used = [x for t in terms for x in t]
    hidden = sorted({x for x in used if x[0] == "."}, key=lambda x: -int(x[1:]))
    if text is None:
        once = sorted(x for x in set(used) if x[0] != "." and used.count(x) == 1)
        return (*hidden, *once)
    out = tuple(x for label in _parse_term(text, equation) for x in (hidden if label == "..." else [label]))
    if len(set(out)) != len(out) or any(x not in used for x in out):
        raise ArgumentError("einsum: an output label is unknown or occurs twice", actual=equation)
    return out


def _unrepeated(x: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """Take the diagonal over axes that share a label."""
    while len(set(labels)) != len(labels):
        i = next(i for i, label in enumerate(labels) if label in labels[i + 1 :])
        j = labels.index(labels[i], i + 1)
        if not equal(x.shape[i], x.shape[j]):
            raise ShapeError("einsum: axes with one label differ in size", expected=x.shape[i], actual=x.type)
        diagonal = ramp(x.shape[i], i, x.ndim) == ramp(x.shape[j], j, x.ndim)
        x = reduce_sum(where(diagonal, x, 0), axes=(j,))
        labels = (*labels[:j], *labels[j + 1 :])
    return x, labels


def _summed(x: Tensor, labels: Labels, keep: set[str]) -> tuple[Tensor, Labels]:
    """Sum over the axes whose labels nobody else needs."""
    axes = tuple(i for i, label in enumerate(labels) if label not in keep)
    if not axes:
        return x, labels
    return reduce_sum(x, axes=axes), tuple(label for label in labels if label in keep)


def _arranged(x: Tensor, labels: Labels, order: Labels, sizes: dict[str, Dim]) -> Tensor:
    """Axes in ``order``, those of size 1 repeated to their label's size."""
    perm = tuple(labels.index(label) for label in order)
    x = x if perm == tuple(range(x.ndim)) else transpose_axes(x, perm=perm)
    shape = tuple(sizes[label] for label in order)
    return x if tuple(x.shape) == shape else broadcast_to(x, shape=shape)


def _contract(
    x: Tensor, a: Labels, y: Tensor, b: Labels, keep: set[str], sizes: dict[str, Dim]
) -> tuple[Tensor, Labels]:
    x, a = _summed(x, a, keep | set(b))
    y, b = _summed(y, b, keep | set(a))
    batch = tuple(label for label in a if label in b and label in keep)
    summed = tuple(label for label in a if label in b and label not in keep)
    left = tuple(label for label in a if label not in b)
    right = tuple(label for label in b if label not in a)
    out = (*batch, *left, *right)
    shape = tuple(sizes[label] for label in out)
    n, m, k, r = (prod([sizes[label] for label in group]) for group in (batch, left, summed, right))
    x = _arranged(x, a, (*batch, *left, *summed), sizes)
    y = _arranged(y, b, (*batch, *summed, *right), sizes)
    if not summed:
        wide = reshape_to(x, shape=(n, m, 1)) * reshape_to(y, shape=(n, 1, r))
        return reshape_to(wide, shape=shape), out
    product = matmul_batched(reshape_to(x, shape=(n, m, k)), reshape_to(y, shape=(n, k, r)))
    return reshape_to(product, shape=shape), out


def _sizes(operands: Sequence[Tensor], terms: Sequence[Labels]) -> dict[str, Dim]:
    sizes: dict[str, Dim] = {}
    for x, labels in zip(operands, terms):
        for label, d in zip(labels, x.shape):
            known = sizes.get(label, 1)
            if not equal(known, d) and not equal(known, 1) and not equal(d, 1):
                raise ShapeError("einsum: sizes of one label differ", expected=f"{label}: {known}", actual=x.type)
            sizes[label] = d if equal(known, 1) else known
    return sizes


def _arguments(equation: Any, operands: tuple[Any, ...]) -> tuple[str, list[Tensor]]:
    """The equation and its operands, from either form of the call."""
    if isinstance(equation, str):
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = tuple(operands[0])
        return equation, list(operands)
    flat = [equation, *operands]
    terms = [_letters(axes) for axes in flat[1::2]]
    out = "->" + _letters(flat[-1]) if len(flat) % 2 else ""
    return ",".join(terms) + out, flat[0 : len(terms) * 2 : 2]


@function(places=("torch",))
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products by labels: ``einsum("bij,bjk->bik", x, y)``.

    Labels that the output lacks are summed over; ``...`` stands for axes that broadcast.  Also
    ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.  Several operands are contracted from left to right.
    """
    equation, tensors = _arguments(equation, operands)
    left, arrow, right = equation.partition("->")
    texts = left.split(",")
    if len(texts) != len(tensors) or not tensors:
        raise ArgumentError("einsum: one term for each operand", expected=len(texts), actual=len(tensors))
    terms = [_expand(_parse_term(t, equation), x.ndim, equation) for t, x in zip(texts, tensors)]
    out = _output(right if arrow else None, terms, equation)
    pairs = [_unrepeated(x, labels) for x, labels in zip(tensors, terms)]
    sizes = _sizes([x for x, _ in pairs], [labels for _, labels in pairs])
    x, labels = pairs[0]
    for i, (y, more) in enumerate(pairs[1:], 1):
        keep = set(out).union(*(later for _, later in pairs[i + 1 :]))
        x, labels = _contract(x, labels, y, more, keep, sizes)
    x, labels = _summed(x, labels, set(out))
    return _arranged(x, labels, out, sizes)


@einsum.samples
def _(rng):
    yield Sample("ij,jk->ik", rng.normal(size=(2, 3)), rng.normal(size=(3, 4)))
    yield Sample("bij,bjk", rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 2, 4)))
    yield Sample("...i,i->...", rng.normal(size=(2, 3)), rng.normal(size=(3,)))
    yield Sample("ii->i", rng.normal(size=(3, 3)))
    yield Sample("i,j->ji", rng.normal(size=(2,)), rng.normal(size=(3,)))
    yield Sample("ij,jk,kl->il", rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), rng.normal(size=(2, 2)))
