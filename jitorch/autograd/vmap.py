"""`vmap`: a function of one input computes many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jitorch import dims
from jitorch.autograd.transforms import Function, call, named
from jitorch.errors import ArgumentError, VmapError
from jitorch.frontend.eager import levels
from jitorch.frontend.pytree import flatten, spread, unflatten
from jitorch.frontend.trace import closing
from jitorch.ir.types import TensorType
from jitorch.ops.arrange import cat
from jitorch.ops.batching import move_axis
from jitorch.ops.structure import slice_axes
from jitorch.passes.lanes import Lanes, lead
from jitorch.tensor import Tensor

_RANDOMNESS = ("error", "different", "same")


@dataclass
class Inputs:
    """The arguments of a call: leaves, the axis of each that has the lanes (None: one for all), and their number."""

    leaves: list[Any]
    axes: list[int | None]
    structure: Any
    size: Any

    def values(self) -> list[Lanes]:
        """The leaves that are mapped, with the lanes first."""
        found = []
        for x, axis in zip(self.leaves, self.axes):
            if axis is not None:
                moved = move_axis(x, axis, 0)
                found.append(Lanes(moved, True, TensorType(moved.type.dtype, moved.type.shape[1:])))
        return found

    def arguments(self, mapped: Sequence[Tensor]) -> Any:
        """The arguments of the function for one lane."""
        given = iter(mapped)
        leaves = [x if axis is None else next(given) for x, axis in zip(self.leaves, self.axes)]
        return unflatten(leaves, self.structure)

    def chunk(self, start: int, stop: int) -> Inputs:
        """The same for some of the lanes."""
        leaves = [
            x if axis is None else _part(x, axis, start, stop) for x, axis in zip(self.leaves, self.axes)
        ]  # fmt: skip
        return Inputs(leaves, self.axes, self.structure, stop - start)


def _part(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    starts = tuple(start if i == axis else 0 for i in range(x.ndim))
    stops = tuple(stop if i == axis else d for i, d in enumerate(x.shape))
    return slice_axes(x, starts=starts, stops=stops, steps=(1,) * x.ndim)


def _inputs(args: tuple[Any, ...], in_dims: Any) -> Inputs:
    if not args:
        raise VmapError("vmap: the function is called without arguments", hint="pass what is mapped by position")
    if not isinstance(in_dims, (int, tuple, list)):
        raise VmapError("vmap: in_dims is an int or a tuple of one entry an argument", actual=in_dims)
    leaves, structure = flatten(args)
    prefix = tuple(in_dims) if isinstance(in_dims, list) else in_dims
    try:
        axes = spread(prefix, structure, "vmap: in_dims")
    except ArgumentError as error:
        raise VmapError(error.what, expected=error.expected, actual=error.actual) from None
    axes = [_axis_of(x, axis) for x, axis in zip(leaves, axes)]
    sizes = [x.shape[axis] for x, axis in zip(leaves, axes) if axis is not None]
    if not sizes:
        raise VmapError("vmap: nothing is mapped", hint="let in_dims name an axis of an argument")
    if not all(dims.equal(sizes[0], s) for s in sizes):
        raise VmapError("vmap: the mapped axes have different sizes", expected=f"{sizes[0]} of each", actual=sizes)
    return Inputs(leaves, axes, structure, sizes[0])


def _axis_of(x: Any, axis: Any) -> int | None:
    if axis is None:
        return None
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise VmapError("vmap: an entry of in_dims is an int or None", actual=axis)
    if not isinstance(x, Tensor):
        raise VmapError(
            "vmap: in_dims names an axis of an argument that is no tensor", actual=type(x).__name__,
            hint="let in_dims be None there",
        )  # fmt: skip
    if not -x.ndim <= axis < x.ndim:
        raise VmapError("vmap: in_dims names an axis that an argument does not have", expected=x.type, actual=axis)
    return axis % x.ndim


def vmap(
    func: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Function:
    """A function that computes ``func`` for each element of an axis of its arguments.

    ``in_dims``: that axis, one for all arguments or in a tree that is the start of theirs; None: the argument is the
    same for all.  Keyword arguments are the same for all.  ``out_dims``: where the results, tensors in any tree, have
    that axis; None for one that is the same for all.  ``randomness``: whether random operations in ``func`` are an
    ``"error"``, give each lane ``"different"`` values or all the ``"same"``.  ``chunk_size``: how many are computed at
    once, by default all.
    """
    if randomness not in _RANDOMNESS:
        raise VmapError("vmap: randomness", expected=" or ".join(_RANDOMNESS), actual=randomness)
    if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size <= 0):
        raise VmapError("vmap: chunk_size is None or a positive int", actual=chunk_size)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        inputs = _inputs(args, in_dims)
        if chunk_size is None or not isinstance(inputs.size, int) or inputs.size <= chunk_size:
            return _placed(*_computed(func, inputs, kwargs, randomness), inputs.size, out_dims)
        pieces = []
        for start in range(0, inputs.size, chunk_size):
            chunk = inputs.chunk(start, min(start + chunk_size, inputs.size))
            found, structure = _computed(func, chunk, kwargs, randomness)
            pieces.append([Lanes(lead(chunk.size, v), True, v.type) if v.is_batched else v for v in found])
        joined = [_joined(parts) for parts in zip(*pieces)]
        return _placed(joined, structure, inputs.size, out_dims)

    return named(func, wrapper)


def _joined(parts: Sequence[Lanes]) -> Lanes:
    first = parts[0]
    return Lanes(cat([p.x for p in parts], 0), True, first.type) if first.is_batched else first


def _computed(func: Function, inputs: Inputs, kwargs: dict[str, Any], randomness: str) -> tuple[list[Lanes], Any]:
    """The results of all lanes, and their structure."""
    structures: list[Any] = []

    def function(mapped: list[Tensor]) -> list[Tensor]:
        outputs, structure = flatten(call(func, inputs.arguments(mapped), kwargs))
        for t in outputs:
            if not isinstance(t, Tensor):
                raise VmapError("vmap: the function must give tensors", actual=type(t).__name__)
        structures[:] = [structure]
        return outputs

    level = levels.BatchLevel(inputs.size, randomness)
    builder = closing.tracing()
    values = inputs.values()
    if builder is None:
        found = levels.through(level, function, values)
    else:
        found = closing.through(builder, level, function, values)
    return found, structures[0]


def _placed(results: Sequence[Lanes], structure: Any, size: Any, out_dims: Any) -> Any:
    """The results with the lanes where ``out_dims`` says."""
    try:
        axes = spread(out_dims, structure, "vmap: out_dims")
    except ArgumentError as error:
        raise VmapError(error.what, expected=error.expected, actual=error.actual) from None
    return unflatten([_moved(v, axis, size) for v, axis in zip(results, axes)], structure)


def _moved(value: Lanes, axis: Any, size: Any) -> Tensor:
    if axis is None:
        if value.is_batched:
            raise VmapError(
                "vmap: out_dims is None for a result that differs from lane to lane", actual=value.type,
                hint="let out_dims say where its lanes go",
            )  # fmt: skip
        return value.x
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise VmapError("vmap: an entry of out_dims is an int or None", actual=axis)
    x = lead(size, value)
    if not -x.ndim <= axis < x.ndim:
        raise VmapError("vmap: out_dims names an axis that a result does not have", expected=x.type, actual=axis)
    return move_axis(x, 0, axis % x.ndim)
