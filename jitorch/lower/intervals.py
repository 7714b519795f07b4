"""Intervals: between which places a kernel reads and writes, as far as its loops say.

Interval arithmetic on indices; where the extent of a loop is the lesser of two numbers, each of them limits an index
that grows with the loop's variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from jitorch.ir import kernel as k
from jitorch.lower.schedules.dependence import Polynomial, add, polynomial

Interval = tuple[int, int]
"""The least and the greatest value."""


@dataclass(frozen=True)
class Known:
    """What is known of variables: ``bounds``, and ``limits``, which they stay below."""

    bounds: dict[k.Var, Interval]
    limits: dict[k.Var, tuple[k.Expr, ...]]

    def place(self, index: k.Expr) -> Interval | None:
        """Between which places ``index`` is."""
        found = interval(index, self.bounds)
        if found is None or not self.limits:
            return found
        low, high = found
        terms = polynomial(index)
        for var, limits in self.limits.items():
            factor = terms.get((var,), 0)
            if factor <= 0 or any(var in k.parts(atoms) for atoms in terms if atoms != (var,)):
                continue
            for limit in limits:
                # The index grows with the variable, whose limit may depend on the same variables.
                last = add(add(terms, {(var,): 1}, -factor), add(polynomial(limit), {(): 1}, -1), factor)
                bounds = _sum_of(last, self.bounds)
                high = high if bounds is None else min(high, bounds[1])
        return low, high

    def of_loop(self, loop: k.For) -> Known | None:
        """The same inside of ``loop``; None if it has no turns."""
        found = self.without(loop.var)
        bounds = interval(loop.extent, self.bounds)
        if bounds is not None:
            if bounds[1] <= 0:
                return None
            found.bounds[loop.var] = 0, bounds[1] - 1
        match loop.extent:
            case k.Call("minimum", limits):
                found.limits[loop.var] = limits
        return found

    def without(self, var: k.Var) -> Known:
        """The same where ``var`` may be anything."""
        limits = {v: ends for v, ends in self.limits.items() if v != var and all(e != var for e in k.parts(ends))}
        return Known({v: bounds for v, bounds in self.bounds.items() if v != var}, limits)


def accesses(body: Iterable[k.Stmt], known: Known) -> Iterator[tuple[k.Buffer, Interval | None]]:
    """The loads and stores of ``body``, between which places they are."""

    def loads(*values: k.Expr) -> Iterator[tuple[k.Buffer, Interval | None]]:
        for load in k.loads(values):
            yield load.buffer, known.place(load.index)

    for s in body:
        match s:
            case k.Let(var, value):
                yield from loads(value)
                bounds = interval(value, known.bounds)
                known = known.without(var)
                if bounds is not None:
                    known.bounds[var] = bounds
            case k.Local(var, value) | k.Assign(var, value):
                yield from loads(value)
                known = known.without(var)
            case k.Store(buffer, index, value):
                yield from loads(index, value)
                yield buffer, known.place(index)
            case k.For(_, extent, inner):
                yield from loads(extent)
                inside = known.of_loop(s)
                if inside is not None:
                    yield from accesses(inner, inside)
            case k.If(test, then, orelse):
                yield from loads(test)
                yield from accesses(then, known)
                yield from accesses(orelse, known)


def _sum_of(terms: Polynomial, known: Mapping[k.Var, Interval]) -> Interval | None:
    """Between which numbers a polynomial is."""
    low = high = 0
    for monomial, factor in terms.items():
        product: Interval = factor, factor
        for atom in monomial:
            bounds = interval(atom, known)
            if bounds is None:
                return None
            product = _product(product, bounds)
        low, high = low + product[0], high + product[1]
    return low, high


def _product(a: Interval, b: Interval) -> Interval:
    ends = [x * y for x in a for y in b]
    return min(ends), max(ends)


def interval(e: k.Expr, known: Mapping[k.Var, Interval]) -> Interval | None:
    """Between which numbers the integer ``e`` is, if that is known."""
    match e:
        case k.Const(int(value)):
            return value, value
        case k.Var():
            return known.get(e)
        case k.Call(fn, (x, y)):
            a, b = interval(x, known), interval(y, known)
            return None if a is None or b is None else _combined(fn, a, b)
    return None


def _combined(fn: str, a: Interval, b: Interval) -> Interval | None:
    match fn:
        case "add":
            return a[0] + b[0], a[1] + b[1]
        case "sub":
            return a[0] - b[1], a[1] - b[0]
        case "mul":
            return _product(a, b)
        case "minimum":
            return min(a[0], b[0]), min(a[1], b[1])
        case "maximum":
            return max(a[0], b[0]), max(a[1], b[1])
        case "floordiv" if b[0] == b[1] > 0:
            return a[0] // b[0], a[1] // b[0]
        case "mod" if b[0] == b[1] > 0:
            first = a[0] // b[0] * b[0]
            return (a[0] - first, a[1] - first) if a[1] < first + b[0] else (0, b[0] - 1)
    return None
