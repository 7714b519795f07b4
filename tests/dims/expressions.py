"""Random size expressions, as trees that can be built as Dims or computed on plain ints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from jitorch import dims

SYMBOLS = (
    dims.Symbol("A"),
    dims.Symbol("B", 1),
    dims.Symbol("C", 2, 5),
    dims.Symbol("D", -3, 3),
)
KNOWN = {s.name: s for s in SYMBOLS}

# A tree is an int, the name of a symbol, or (fn, tree, tree).
Tree = int | str | tuple[str, Any, Any]

_FUNCTIONS = ("+", "-", "*", "//", "%", "min", "max")


def trees(max_leaves: int = 8) -> st.SearchStrategy[Tree]:
    leaves = st.integers(-6, 12) | st.sampled_from(sorted(KNOWN))
    return st.recursive(
        leaves, lambda inner: st.tuples(st.sampled_from(_FUNCTIONS), inner, inner), max_leaves=max_leaves
    )


def sizes() -> st.SearchStrategy[dict[str, int]]:
    return st.fixed_dictionaries(
        {s.name: st.integers(s.low, s.low + 40 if s.high is None else s.high) for s in SYMBOLS}
    )


def build(tree: Tree) -> dims.Dim:
    """The tree as a Dim; ShapeError where it divides by the constant 0."""
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return KNOWN[tree].dim
    fn, left, right = tree
    x, y = build(left), build(right)
    match fn:
        case "+":
            return x + y
        case "-":
            return x - y
        case "*":
            return x * y
        case "//":
            return dims.floordiv(x, y)
        case "%":
            return dims.mod(x, y)
        case "min":
            return dims.dim_min(x, y)
    return dims.dim_max(x, y)


def compute(tree: Tree, values: Mapping[str, int]) -> int:
    """The tree on plain ints; ZeroDivisionError where it divides by 0."""
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return values[tree]
    fn, left, right = tree
    x, y = compute(left, values), compute(right, values)
    match fn:
        case "+":
            return x + y
        case "-":
            return x - y
        case "*":
            return x * y
        case "//":
            return x // y
        case "%":
            return x % y
        case "min":
            return min(x, y)
    return max(x, y)
