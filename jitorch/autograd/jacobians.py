"""Whole Jacobians and Hessians: products with all unit vectors at once, by `vmap`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitorch.autograd.transforms import Function, Pullback, chosen, jvp, named, one_of_many, tensors_of
from jitorch.autograd.vmap import vmap
from jitorch.frontend.pytree import unflatten
from jitorch.ops.create import iota
from jitorch.ops.structure import cast, reshape_to, slice_axes
from jitorch.tensor import Tensor


def unit_vectors(tensors: Sequence[Tensor]) -> list[Tensor]:
    """All unit vectors of the space of ``tensors`` together: for each tensor ``[total, *shape]``."""
    sizes = [t.numel() for t in tensors]
    total = sum(sizes)
    rows = reshape_to(iota(size=total), shape=(total, 1))
    found, start = [], 0
    for t, size in zip(tensors, sizes):
        columns = reshape_to(iota(size=size) + start, shape=(1, size))
        found.append(reshape_to(cast(rows == columns, dtype=t.dtype), shape=(total, *t.shape)))
        start = start + size
    return found


def _cut(x: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The rows of ``x`` by the tensors whose elements they belong to, in their shapes."""
    found, start = [], 0
    for t in like:
        stop = start + t.numel()
        starts, stops = (start, *(0,) * (x.ndim - 1)), (stop, *x.shape[1:])
        part = slice_axes(x, starts=starts, stops=stops, steps=(1,) * x.ndim)
        found.append(reshape_to(part, shape=(*t.shape, *x.shape[1:])))
        start = stop
    return found


def jacrev(
    func: Function, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Function:
    """A function that gives all partial derivatives of ``func``, in reverse mode: as many products as it has results.

    For each output and each argument ``argnums`` a tensor of ``output.shape + argument.shape``, in the structure of the
    outputs, then the arguments.  ``has_aux``: ``func`` gives ``(output, aux)``, the new function ``(jacobian, aux)``.
    ``chunk_size``: how many products are computed at once, by default all.
    """

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        positions = chosen("jacrev", args, argnums)
        of = one_of_many(func, args, kwargs, positions)
        pullback = Pullback("jacrev", of, [args[i] for i in positions], has_aux)
        outputs = pullback.outputs
        rows = vmap(lambda *g: tuple(pullback.pull(g)), chunk_size=chunk_size)(*unit_vectors(outputs))
        by_input = [_cut(pullback.finished(row), outputs) for row in rows]
        trees = [unflatten([parts[o] for parts in by_input], pullback.structure) for o in range(len(outputs))]
        found = unflatten([t[0] if isinstance(argnums, int) else t for t in trees], pullback.output_structure)
        return (found, pullback.aux) if has_aux else found

    return named(func, wrapper)


def jacfwd(
    func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *, randomness: str = "error",
    chunk_size: int | None = None,
) -> Function:  # fmt: skip
    """The same as `jacrev`, in forward mode: as many products as the arguments have elements.

    ``randomness`` is that of `vmap`.
    """

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        positions = chosen("jacfwd", args, argnums)
        of = one_of_many(func, args, kwargs, positions)
        given = tuple(args[i] for i in positions)
        inputs, structure = tensors_of("jacfwd: the arguments", given)
        kept: list[Any] = []

        def push(*tangents: Tensor) -> Any:
            _, tangent, *aux = jvp(of, given, unflatten(tangents, structure), has_aux=has_aux)
            flat, output_structure = tensors_of("jacfwd: what the function gives", tangent)
            kept[:] = [output_structure, len(flat)]
            return (tuple(flat), tuple(aux))

        columns, aux = vmap(push, out_dims=(0, None), randomness=randomness, chunk_size=chunk_size)(
            *unit_vectors(inputs)
        )
        output_structure, count = kept
        trees = [
            unflatten([_last(part, t) for part, t in zip(_cut(column, inputs), inputs)], structure)
            for column in columns[:count]
        ]  # fmt: skip
        found = unflatten([t[0] if isinstance(argnums, int) else t for t in trees], output_structure)
        return (found, aux[0]) if has_aux else found

    return named(func, wrapper)


def _last(x: Tensor, argument: Tensor) -> Tensor:
    """``x`` with the axes of ``argument``, which are first, behind the others."""
    n = argument.ndim
    return x.permute(*range(n, x.ndim), *range(n)) if n and x.ndim > n else x


def hessian(func: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that gives all second derivatives of ``func``: forward over reverse mode."""
    return jacfwd(jacrev(func, argnums), argnums)
