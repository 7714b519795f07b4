"""Sizes as kernel expressions: the bridge from `jitorch.dims` to `jitorch.ir.kernel`; and where sizes come from."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jitorch import dims
from jitorch.dims import Dim, Symbol, SymDim
from jitorch.ir.kernel import INDEX, Call, Const, Expr, Var, call, const
from jitorch.ir.types import TensorType, Type

if TYPE_CHECKING:
    from jitorch.ir.graph import Node, Value

_FUNCTIONS = {"min": "minimum", "max": "maximum"}


def size_expr(dim: Dim) -> Expr:
    """``dim`` over int64 variables named like its symbols."""
    return dims.fold(dim, _leaf, _apply)


def _leaf(leaf: Symbol | int) -> Expr:
    return const(leaf) if isinstance(leaf, int) else Var(leaf.name)


def _apply(fn: str, x: Expr, y: Expr) -> Expr:
    return call(_FUNCTIONS.get(fn, fn), x, y)


_ALGEBRA: Mapping[str, Callable[[Any, Any], Dim]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "minimum": dims.dim_min, "maximum": dims.dim_max,
    "floordiv": dims.floordiv, "mod": dims.mod,
}  # fmt: skip


def dim_of(e: Expr, sizes: Mapping[str, Dim]) -> Dim | None:
    """What `size_expr` gives as ``e``, where variables stand for ``sizes``, by name.

    None if there is something else in ``e``, or it may divide by what is not positive.
    """
    match e:
        case Const(int(value)) if e.dtype is INDEX:
            return value
        case Var(name) if e.dtype is INDEX:
            return sizes.get(name)
        case Call(fn, (x, y)) if fn in _ALGEBRA:
            a, b = dim_of(x, sizes), dim_of(y, sizes)
            if a is None or b is None or (fn in ("floordiv", "mod") and not dims.decide("<", 0, b)):
                return None
            return _ALGEBRA[fn](a, b)
    return None


def symbols_of(types: Iterable[Type | None], attrs: Mapping[str, Any] = MappingProxyType({})) -> set[Symbol]:
    """The symbols in the sizes of ``types`` and in attributes."""
    found: set[Symbol] = set()
    for type_ in types:
        if isinstance(type_, TensorType):
            found.update(s for d in type_.shape if isinstance(d, SymDim) for s in dims.symbols(d))
    for attribute in attrs.values():
        for d in attribute if isinstance(attribute, tuple) else (attribute,):
            if isinstance(d, SymDim):
                found.update(dims.symbols(d))
    return found


def carriers(nodes: Iterable[Node], inputs: Sequence[Value], offered: Sequence[Value]) -> list[Value]:
    """The values of ``offered`` that must be inputs for their sizes: ``nodes`` use symbols that ``inputs`` lack."""
    missing = set().union(*(symbols_of((v.type for v in node.outputs), node.attrs) for node in nodes))
    missing -= _axes(inputs)
    found: list[Value] = []
    for value in offered:
        known = _axes([value]) & missing
        if known:
            found.append(value)
            missing -= known
    return found


def _axes(values: Iterable[Value]) -> set[Symbol]:
    """The symbols that are the size of an axis: a sum or product of symbols does not tell them."""
    shapes = (v.type.shape for v in values if isinstance(v.type, TensorType))
    return {s for shape in shapes for d in shape if isinstance(d, SymDim) for s in dims.symbols(d) if s.dim == d}
