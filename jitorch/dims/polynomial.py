"""The canonical polynomial: arithmetic, division, least and greatest, ranges, and comparison."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import gcd, inf
from numbers import Integral
from typing import Any, Protocol, TypeAlias

from jitorch.dims import intervals
from jitorch.dims.intervals import Range
from jitorch.errors import CompilerBug, ShapeError


@dataclass(frozen=True, slots=True)
class Symbol:
    """An unknown size, ``low <= size <= high`` (None: no upper limit).

    ``hint`` is the size seen when the symbol was made; ``computed`` says that there is none, as a program computes the
    size while it runs.  Neither is part of its identity.
    """

    name: str
    low: int = 0
    high: int | None = None
    hint: int | None = field(default=None, compare=False)
    computed: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return self.name

    @property
    def dim(self) -> SymDim:
        """The symbol as a `Dim`."""
        return SymDim((((self,), 1),))


@dataclass(frozen=True, slots=True)
class Atom:
    """``fn(*args)`` that does not simplify: ``floordiv`` and ``mod`` round to minus infinity, as in Python."""

    fn: str
    args: tuple[Dim, ...]
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"{self.fn}({', '.join(map(str, self.args))})")

    def __str__(self) -> str:
        return self.text

    @property
    def dim(self) -> SymDim:
        """The atom as a `Dim`."""
        return SymDim((((self,), 1),))


Factor: TypeAlias = Symbol | Atom
Monomial: TypeAlias = tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class SymDim:
    """A canonical polynomial; make one with `symbol` and arithmetic, not by hand."""

    terms: tuple[tuple[Monomial, int], ...]
    _hash: int = field(init=False, compare=False, repr=False)

    # NumPy integers on the left leave the arithmetic to us.
    __array_ufunc__ = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.terms))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        # The hash of a str differs from process to process.
        return SymDim, (self.terms,)

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            magnitude = [] if abs(coefficient) == 1 and monomial else [str(abs(coefficient))]
            term = "*".join(magnitude + [str(f) for f in monomial])
            sign = "-" if coefficient < 0 else "+"
            text += f" {sign} {term}" if text else term if sign == "+" else f"-{term}"
        return text

    def __repr__(self) -> str:
        return f"Dim({self})"

    def __add__(self, other: Dim) -> Dim:
        return _add(self, other) if _is_dim(other) else NotImplemented

    __radd__ = __add__

    def __mul__(self, other: Dim) -> Dim:
        return _mul(self, other) if _is_dim(other) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return _mul(self, -1)

    def __sub__(self, other: Dim) -> Dim:
        return _add(self, _mul(other, -1)) if _is_dim(other) else NotImplemented

    def __rsub__(self, other: Dim) -> Dim:
        return _add(other, _mul(self, -1)) if _is_dim(other) else NotImplemented

    def __floordiv__(self, other: Dim) -> Dim:
        return floordiv(self, other) if _is_dim(other) else NotImplemented

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floordiv(other, self) if _is_dim(other) else NotImplemented

    def __mod__(self, other: Dim) -> Dim:
        return mod(self, other) if _is_dim(other) else NotImplemented

    def __rmod__(self, other: Dim) -> Dim:
        return mod(other, self) if _is_dim(other) else NotImplemented

    def __lt__(self, other: Dim) -> bool:
        return less(self, other) if _is_dim(other) else NotImplemented

    def __le__(self, other: Dim) -> bool:
        return less_equal(self, other) if _is_dim(other) else NotImplemented

    def __gt__(self, other: Dim) -> bool:
        return less(other, self) if _is_dim(other) else NotImplemented

    def __ge__(self, other: Dim) -> bool:
        return less_equal(other, self) if _is_dim(other) else NotImplemented

    def __bool__(self) -> bool:
        """Whether the size is not 0, as for ints."""
        return not equal(self, 0)


Dim: TypeAlias = int | SymDim


def symbol(name: str, low: int = 0, high: int | None = None, hint: int | None = None, computed: bool = False) -> SymDim:
    """A new `Symbol` as a Dim."""
    return Symbol(name, low, high, hint, computed).dim


# Arithmetic


def _is_dim(x: object) -> bool:
    # Not whatever has __index__: a tensor answers for itself, by its reflected operator.
    return isinstance(x, (SymDim, int, Integral))


def terms_of(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    """``(factors, coefficient)`` of each term, the constant last; nothing for 0."""
    if isinstance(dim, SymDim):
        return dim.terms
    value = operator.index(dim)
    return (((), value),) if value else ()


def _order(monomial: Monomial) -> tuple[int, tuple[str, ...]]:
    """Graded lexicographic order; multiplication preserves it, so that `_divide` ends."""
    return -len(monomial), tuple(map(str, monomial))


def _build(terms: Mapping[Monomial, int]) -> Dim:
    kept = tuple(sorted(((m, c) for m, c in terms.items() if c), key=lambda term: _order(term[0])))
    if not kept:
        return 0
    if kept[0][0] == ():
        return kept[0][1]
    return SymDim(kept)


def _product(a: Monomial, b: Monomial) -> Monomial:
    return tuple(sorted(a + b, key=str)) if a and b else a or b


def _add(a: Dim, b: Dim) -> Dim:
    total = dict(terms_of(a))
    for monomial, coefficient in terms_of(b):
        total[monomial] = total.get(monomial, 0) + coefficient
    return _build(total)


def _mul(a: Dim, b: Dim) -> Dim:
    total: dict[Monomial, int] = {}
    for m, c in terms_of(a):
        for n, d in terms_of(b):
            monomial = _product(m, n)
            total[monomial] = total.get(monomial, 0) + c * d
    return _build(total)


def prod(dims: Iterable[Dim]) -> Dim:
    """The product: the number of elements of a shape."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


# Division


def floordiv(a: Dim, b: Dim) -> Dim:
    """``a // b``; ShapeError where ``b`` is 0."""
    return _divmod(a, b)[0]


def mod(a: Dim, b: Dim) -> Dim:
    """``a % b``, with the sign of ``b``; ShapeError where ``b`` is 0."""
    return _divmod(a, b)[1]


def _divmod(a: Dim, b: Dim) -> tuple[Dim, Dim]:
    if not isinstance(b, SymDim) and operator.index(b) == 0:
        raise ShapeError(f"division of the size {a} by zero")
    if not isinstance(a, SymDim) and not isinstance(b, SymDim):
        return divmod(operator.index(a), operator.index(b))
    low, high = bounds(b)
    if high is not None and high < 0:
        quotient, rest = _divmod(-a, -b)
        return quotient, -rest
    if low is None or low < 1:
        return Atom("floordiv", (a, b)).dim, Atom("mod", (a, b)).dim
    quotient, rest = _divide(a, b)
    factor, inner, divisor, left = _common_factor(rest, b)
    if factor != 1:
        q, r = _divmod(inner, divisor)
        return quotient + q, factor * r + left
    q, r = _remainder_atoms(rest, b)
    return quotient + q, r


def _remainder_atoms(a: Dim, b: Dim) -> tuple[Dim, Dim]:
    """`_divmod` of operands that polynomial division does not reduce; b >= 1."""
    low, high = intervals.floordiv(range_of(a), range_of(b))
    if low == high:
        quotient = int(low)
        return quotient, a - quotient * b
    return _nested(a, b), Atom("mod", (a, b)).dim


def _nested(a: Dim, b: Dim) -> Dim:
    """``(x // n + k) // b`` is ``(x + k*n) // (n*b)`` for positive n and b."""
    terms = terms_of(a)
    constant = terms[1][1] if len(terms) == 2 and not terms[1][0] else 0
    match terms[0]:
        case (Atom("floordiv", (x, n)),), 1 if len(terms) == 1 + bool(constant) and range_of(n)[0] >= 1:
            return floordiv(x + n * constant, n * b)
    return Atom("floordiv", (a, b)).dim


def _quotient(a: Monomial, b: Monomial) -> Monomial | None:
    """``a / b``, or None where it is not a monomial."""
    left = list(a)
    for factor in b:
        if factor not in left:
            return None
        left.remove(factor)
    return tuple(left)


def _intersection(a: Monomial, b: Monomial) -> Monomial:
    """The factors of both, as often as both have them."""
    left, shared = list(b), []
    for factor in a:
        if factor in left:
            left.remove(factor)
            shared.append(factor)
    return tuple(shared)


def _divide(a: Dim, b: Dim) -> tuple[Dim, Dim]:
    """``(q, r)`` with ``a == q*b + r``: no term of r holds the leading term of b with a whole coefficient."""
    leading, scale = terms_of(b)[0]
    work, quotient, rest = dict(terms_of(a)), dict[Monomial, int](), dict[Monomial, int]()
    while work:
        monomial = min(work, key=_order)
        over = _quotient(monomial, leading)
        times = 0 if over is None else work[monomial] // scale
        if over is not None and times:
            quotient[over] = times
            for m, c in terms_of(b):
                target = _product(over, m)
                work[target] = work.get(target, 0) - times * c
        rest[monomial] = work.pop(monomial)
    return _build(quotient), _build(rest)


def _common_factor(a: Dim, b: Dim) -> tuple[Dim, Dim, Dim, int]:
    """``(f, x, y, left)``: ``a == f*x + left`` and ``b == f*y``, with ``0 <= left < f`` and f as large as can be."""
    terms = terms_of(a) + terms_of(b)
    scale = gcd(*(c for _, c in terms_of(b)), *(c for m, c in terms_of(a) if m))
    common = terms[0][0]
    for monomial, _ in terms[1:]:
        common = _intersection(common, monomial)
    common = tuple(f for f in common if _factor_range(f)[0] >= 1)

    def shrink(dim: Dim) -> Dim:
        return _build({_quotient(m, common) or (): c // scale for m, c in terms_of(dim)})

    left_over = next((c % scale for m, c in terms_of(a) if not m), 0)
    return _build({common: scale}), shrink(a), shrink(b), left_over


# Least and greatest


def dim_min(*dims: Dim) -> Dim:
    """The least of one or more dims."""
    return _extreme("min", dims)


def dim_max(*dims: Dim) -> Dim:
    """The greatest of one or more dims."""
    return _extreme("max", dims)


def _extreme(fn: str, dims: tuple[Dim, ...]) -> Dim:
    flat: dict[Dim, None] = {}
    for dim in dims:
        match terms_of(dim):
            case [((Atom(name, args),), 1)] if name == fn:
                flat.update(dict.fromkeys(args))
            case _:
                flat[dim if isinstance(dim, SymDim) else operator.index(dim)] = None
    # Two dims of different structure may beat each other, so the order of names says which one goes.
    kept = sorted(flat, key=str)
    for dim in list(kept):
        others = [o for o in kept if o is not dim]
        if any(range_of(dim - o if fn == "min" else o - dim)[0] >= 0 for o in others):
            kept = others
    if len(kept) == 1:
        return kept[0]
    return Atom(fn, tuple(kept)).dim


# Ranges


def bounds(dim: Dim) -> tuple[int | None, int | None]:
    """``(low, high)`` with ``low <= dim <= high`` for all sizes of the symbols; None where there is no limit.

    By interval arithmetic: always true, not always tight.
    """
    low, high = range_of(dim)
    return None if low == -inf else int(low), None if high == inf else int(high)


def range_of(dim: Dim) -> Range:
    """`bounds` with infinities."""
    terms = dict(terms_of(dim))
    ranges = {factor: _factor_range(factor) for monomial in terms for factor in monomial}
    low, high = _sum_range(terms, ranges)
    if len({c > 0 for m, c in terms.items() if m}) == 2:
        # Terms of both signs, such as T*B - T: measured from the ends of their ranges, more of them cancel.
        low = max(low, _sum_range(*_shift(terms, ranges, from_low=True))[0])
        high = min(high, _sum_range(*_shift(terms, ranges, from_low=False))[1])
    for monomial, coefficient in terms.items():
        match monomial:
            case (Atom("min" | "max" as fn, args) as atom,):
                # min(a, b) is at most a, and at most b: T - min(T, 1) is not less than T - T.
                ranges_of_others = [range_of(dim + coefficient * (arg - atom.dim)) for arg in args]
                if (fn == "max") == (coefficient > 0):
                    low = max(low, *(r[0] for r in ranges_of_others))
                else:
                    high = min(high, *(r[1] for r in ranges_of_others))
            case (Atom("mod", (_, divisor)) as atom,) if range_of(divisor)[0] > 0:
                # A remainder is less than what it is divided by: T - mod(a, T) is 1 or more.
                ends = range_of(dim + coefficient * (divisor - 1 - atom.dim))
                low, high = (low, min(high, ends[1])) if coefficient > 0 else (max(low, ends[0]), high)
    return low, high


def _factor_range(factor: Factor) -> Range:
    if isinstance(factor, Symbol):
        return factor.low, inf if factor.high is None else factor.high
    ranges = [range_of(arg) for arg in factor.args]
    match factor.fn:
        case "min":
            return min(low for low, _ in ranges), min(high for _, high in ranges)
        case "max":
            return max(low for low, _ in ranges), max(high for _, high in ranges)
        case "floordiv":
            return intervals.floordiv(*ranges)
        case "mod":
            return intervals.mod(*ranges)
    raise CompilerBug(f"unknown function of sizes: {factor.fn}")


def _sum_range(terms: Mapping[Monomial, int], ranges: Mapping[Factor, Range]) -> Range:
    low: float = 0
    high: float = 0
    for monomial, coefficient in terms.items():
        term: Range = (coefficient, coefficient)
        for factor in monomial:
            term = intervals.times(term, ranges[factor])
        low, high = low + term[0], high + term[1]
    return low, high


def _shift(
    terms: Mapping[Monomial, int], ranges: Mapping[Factor, Range], from_low: bool
) -> tuple[dict[Monomial, int], dict[Factor, Range]]:
    """The polynomial over each factor's distance from one end of its range, and the ranges of the distances."""
    origins: dict[Factor, tuple[int, int]] = {}
    distances: dict[Factor, Range] = {}
    for factor, (low, high) in ranges.items():
        end = low if from_low else high
        finite = abs(end) != inf
        origins[factor] = (int(end), 1 if from_low else -1) if finite else (0, 1)
        distances[factor] = (0, high - low) if finite else (low, high)
    total: dict[Monomial, int] = {}
    for monomial, coefficient in terms.items():
        expanded: dict[Monomial, int] = {(): coefficient}
        for factor in monomial:
            origin, sign = origins[factor]
            grown: dict[Monomial, int] = {}
            for m, c in expanded.items():
                grown[m] = grown.get(m, 0) + c * origin
                with_factor = (*m, factor)
                grown[with_factor] = grown.get(with_factor, 0) + c * sign
            expanded = grown
        for m, c in expanded.items():
            total[m] = total.get(m, 0) + c
    return total, distances


# Comparison


def decide(relation: str, a: Dim, b: Dim) -> bool | None:
    """What structure and ranges prove about ``a relation b`` (``== != < <=``); None where they prove nothing."""
    if relation == "!=":
        same = decide("==", a, b)
        return None if same is None else not same
    difference = b - a if relation != "<" else b - a - 1
    low, high = range_of(difference)
    if relation != "==":
        return True if low >= 0 else False if high < 0 else None
    if low > 0 or high < 0:
        return False
    if isinstance(difference, SymDim):
        # 2*T + 1 == 4*S has no solution.
        constant = difference.terms[-1][1] if difference.terms[-1][0] == () else 0
        return False if constant % gcd(*(c for m, c in difference.terms if m)) else None
    return True


class Oracle(Protocol):
    """Who answers what `decide` does not."""

    def answer(self, relation: str, left: Dim, right: Dim) -> bool: ...

    def demand(self, relation: str, left: Dim, right: Dim) -> bool:
        """The answer to a question that is asked to refuse what is wrong: ``False`` is an error for who asks."""
        ...


ORACLE: ContextVar[Oracle | None] = ContextVar("jitorch_dims_oracle", default=None)
_fallback: list[Oracle] = []


def install(oracle: Oracle) -> None:
    """Set who answers where nobody was asked to."""
    _fallback[:] = [oracle]


def _ask(relation: str, a: Dim, b: Dim) -> bool:
    proved = decide(relation, a, b)
    if proved is not None:
        return proved
    return (ORACLE.get() or _fallback[0]).answer(relation, a, b)


def equal(a: Dim, b: Dim) -> bool:
    """Whether the sizes are equal (``==`` compares structure)."""
    if type(a) is int and type(b) is int:
        return a == b
    return _ask("==", a, b)


def less(a: Dim, b: Dim) -> bool:
    """Whether ``a < b``."""
    if type(a) is int and type(b) is int:
        return a < b
    return _ask("<", a, b)


def less_equal(a: Dim, b: Dim) -> bool:
    """Whether ``a <= b``."""
    if type(a) is int and type(b) is int:
        return a <= b
    return _ask("<=", a, b)


def holds(relation: str, a: Dim, b: Dim) -> bool:
    """Whether ``a relation b`` (``== != < <=``), which a check demands.

    Where nobody records guards, what is not known is taken for granted: a program is checked when it is recorded,
    with the sizes at hand, and its ops are typed again when it is compiled.
    """
    proved = decide(relation, a, b)
    if proved is not None:
        return proved
    return (ORACLE.get() or _fallback[0]).demand(relation, a, b)


def is_multiple(a: Dim, b: Dim) -> bool:
    """Whether ``b`` divides ``a``."""
    return equal(mod(a, b), 0)
