"""Walks over a Dim: evaluate it, substitute in it, rebuild it elsewhere."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jitorch.dims.polynomial import Atom, Dim, Symbol, dim_max, dim_min, floordiv, mod, terms_of
from jitorch.errors import CompilerBug

T = TypeVar("T")

_SCALAR_NAMES = {"floordiv": "floordiv", "mod": "mod", "min": "minimum", "max": "maximum"}


def fold(dim: Dim, leaf: Callable[[Symbol | int], T], apply: Callable[[str, T, T], T]) -> T:
    """Rebuild ``dim`` in another domain, from binary ``add mul floordiv mod minimum maximum``."""
    total: T | None = None
    for monomial, coefficient in terms_of(dim):
        term: T | None = None
        for factor in monomial:
            value = leaf(factor) if isinstance(factor, Symbol) else _fold_atom(factor, leaf, apply)
            term = value if term is None else apply("mul", term, value)
        if term is None:
            term = leaf(coefficient)
        elif coefficient != 1:
            term = apply("mul", term, leaf(coefficient))
        total = term if total is None else apply("add", total, term)
    return leaf(0) if total is None else total


def _fold_atom(atom: Atom, leaf: Callable[[Symbol | int], T], apply: Callable[[str, T, T], T]) -> T:
    values = [fold(arg, leaf, apply) for arg in atom.args]
    result = values[0]
    for value in values[1:]:
        result = apply(_SCALAR_NAMES[atom.fn], result, value)
    return result


_APPLY: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "mul": operator.mul,
    "floordiv": floordiv,
    "mod": mod,
    "minimum": dim_min,
    "maximum": dim_max,
}


def _apply(fn: str, x: Any, y: Any) -> Any:
    return _APPLY[fn](x, y)


def substitute(dim: Dim, sizes: Mapping[str, Dim]) -> Dim:
    """Replace symbols by name; those that ``sizes`` lacks stay."""
    return fold(dim, lambda x: sizes.get(x.name, x.dim) if isinstance(x, Symbol) else x, _apply)


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The size, given the size of each symbol by name; ShapeError where it divides by zero."""

    def leaf(x: Symbol | int) -> int:
        if not isinstance(x, Symbol):
            return x
        if x.name not in sizes:
            raise CompilerBug(f"no size given for {x} in {dim}", actual=dict(sizes))
        return operator.index(sizes[x.name])

    return fold(dim, leaf, _apply)


def is_known(dim: Dim) -> bool:
    """Whether no symbol in ``dim`` is a size that a program computes."""
    return not any(s.computed for s in symbols(dim))


def symbols(*dims: Dim) -> tuple[Symbol, ...]:
    """The symbols in ``dims``, each once, by name."""
    found: set[Symbol] = set()
    for dim in dims:
        for monomial, _ in terms_of(dim):
            for factor in monomial:
                found.update([factor] if isinstance(factor, Symbol) else symbols(*factor.args))
    return tuple(sorted(found, key=str))
