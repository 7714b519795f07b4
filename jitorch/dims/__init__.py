"""Sizes: integers, or integer polynomials over symbols.

A `Dim` is ``int | SymDim``.  A `SymDim` is never constant: arithmetic that ends in a constant gives
the ``int``.  It is kept canonical, so ``==`` and ``hash`` compare structure:

* it is a sum of terms ``coefficient * factor * factor * ...``, expanded, like terms merged, no zero
  coefficient; terms stand by falling degree and then by name, the factors of a term by name;
* a factor is a `Symbol`, or an `Atom` (``floordiv mod min max``) of canonical dims that no rule of
  this module simplifies;
* a divisor known to be positive divides first: ``(4*T + 5) // 4`` is ``T + 1``, and what is left is
  reduced by their common factor: ``(6*T) // 4`` is ``T + floordiv(T, 2)``;
* ``min`` and ``max`` are flat, hold each operand once, by name, and none that another one beats.

Different structure does not mean different size.  `decide` says what ranges prove; the predicates
(`equal`, `less`, ..., and the operators ``< <= > >=``) always answer: what cannot be proved they ask
the current `Facts`, which looks at the sizes at hand and records a `Guard`.  Without `Facts` they
raise `ShapeError`.  Within one graph a name stands for one symbol.
"""

from jitorch.dims.facts import Answer, Facts, Guard, Known, Noted, answered_again, hints_of
from jitorch.dims.polynomial import (
    Atom,
    Dim,
    Factor,
    Monomial,
    Symbol,
    SymDim,
    bounds,
    decide,
    dim_max,
    dim_min,
    equal,
    floordiv,
    holds,
    is_multiple,
    less,
    less_equal,
    mod,
    prod,
    symbol,
    terms_of,
)
from jitorch.dims.text import parse, parse_guard
from jitorch.dims.walk import evaluate, fold, is_known, substitute, symbols

__all__ = [
    "Answer",
    "Atom",
    "Dim",
    "Factor",
    "Facts",
    "Guard",
    "Known",
    "Monomial",
    "Noted",
    "SymDim",
    "Symbol",
    "answered_again",
    "bounds",
    "decide",
    "dim_max",
    "dim_min",
    "equal",
    "evaluate",
    "floordiv",
    "fold",
    "hints_of",
    "holds",
    "is_known",
    "is_multiple",
    "less",
    "less_equal",
    "mod",
    "parse",
    "parse_guard",
    "prod",
    "substitute",
    "symbol",
    "symbols",
    "terms_of",
]
