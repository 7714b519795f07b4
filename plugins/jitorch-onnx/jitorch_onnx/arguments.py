"""The arguments and results of the exported function as flat, named tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch import Tensor, dims
from jitorch.dims import Dim
from jitorch.errors import ArgumentError, ShapeError, TensorIndexError
from jitorch.ir.types import TensorType

DynamicAxes = Mapping[str, Mapping[int, str] | Sequence[int]]


@dataclass(frozen=True, slots=True)
class Argument:
    """One tensor among the arguments: its name in the file, and its type there."""

    name: str
    tensor: Tensor
    type: TensorType


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """``(path, leaf)`` for whatever tuples, lists and dicts in ``tree`` hold, in order."""
    if isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, (tuple, list)):
        for i, item in enumerate(tree):
            yield from leaves(item, f"{path}_{i}" if path else str(i))
    else:
        yield path, tree


def rebuilt(tree: Any, replaced: Iterator[Any]) -> Any:
    """``tree`` with its tensors replaced, in order, by the items of ``replaced``."""
    if isinstance(tree, Mapping):
        return {key: rebuilt(item, replaced) for key, item in tree.items()}
    if isinstance(tree, (tuple, list)):
        items = [rebuilt(item, replaced) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return next(replaced) if isinstance(tree, Tensor) else tree


def bind(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by the names of the parameters they go to; those of ``*args`` by their number."""
    target = getattr(function, "forward", function)
    try:
        bound = inspect.signature(target).bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(f"export: the example arguments do not fit: {error}") from None
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return named


def described(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    names: Sequence[str] | None,
    dynamic_axes: DynamicAxes,
) -> list[Argument]:
    """The tensors among the arguments, named, and with symbols for the sizes in ``dynamic_axes``."""
    found = [(path, leaf) for path, leaf in leaves(bind(function, args, kwargs)) if isinstance(leaf, Tensor)]
    chosen = named("input_names", names, [path for path, _ in found])
    symbols: dict[str, Dim] = {}
    arguments = []
    for name, (_, tensor) in zip(chosen, found):
        axes = _named_axes(name, dynamic_axes.get(name, {}), tensor.ndim)
        shape = [_dim(symbols, axes.get(i), size) for i, size in enumerate(tensor.shape)]
        arguments.append(Argument(name, tensor, tensor.type.with_shape(shape)))
    return arguments


def named(parameter: str, chosen: Sequence[str] | None, found: Sequence[str]) -> list[str]:
    """The names the caller chose, or else those found; each once."""
    names = list(found if chosen is None else chosen)
    if len(names) != len(found):
        raise ArgumentError(f"export: {parameter} must name every tensor", expected=f"{len(found)} names", actual=names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        raise ArgumentError(f"export: {parameter} must be different and not empty", actual=names)
    return names


def _named_axes(name: str, axes: Mapping[int, str] | Sequence[int], rank: int) -> dict[int, str]:
    if not isinstance(axes, Mapping):
        axes = {axis: f"{name}_axis_{axis % rank if rank else axis}" for axis in axes}
    for axis in axes:
        if not -rank <= axis < rank:
            raise TensorIndexError(f"export: {name} has no such dynamic axis", expected=f"below {rank}", actual=axis)
    return {axis % rank: symbol for axis, symbol in axes.items()}


def _dim(symbols: dict[str, Dim], symbol: str | None, size: int) -> Dim:
    """The size of one axis: a number, or the symbol of that name."""
    if symbol is None:
        return size
    if not symbol.isidentifier():
        raise ArgumentError("export: the name of a dynamic axis must be an identifier", actual=symbol)
    dim = symbols.setdefault(symbol, dims.symbol(symbol, low=1, hint=size))
    (made,) = dims.symbols(dim)
    if made.hint != size:
        raise ShapeError(f"export: two sizes for the dynamic axis {symbol!r}", expected=made.hint, actual=size)
    return dim


def check_dynamic_axes(dynamic_axes: DynamicAxes, names: Sequence[str]) -> None:
    """ArgumentError for a key of ``dynamic_axes`` that is neither an input nor an output."""
    unknown = [name for name in dynamic_axes if name not in names]
    if unknown:
        raise ArgumentError("export: dynamic_axes names no input or output", expected=" ".join(names), actual=unknown)
