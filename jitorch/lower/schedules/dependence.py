"""Whether the iterations of a loop are independent.

Two iterations are, when every element that one of them writes is touched by no other.  An index is
taken as a polynomial; in ``c * i + rest`` different ``i`` are apart if ``rest`` stays within one
stretch of ``c`` elements.  What cannot be proved counts as dependent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Call, Const, Expr, For, Load, Var

Monomial = tuple[Expr, ...]
Polynomial = dict[Monomial, int]
"""Products of atoms (variables, and what is no sum or product) with their integer factors."""


def polynomial(e: Expr) -> Polynomial:
    """``e`` multiplied out."""
    match e:
        case Const(int(value)):
            return {(): value} if value else {}
        case Call("add", (x, y)):
            return add(polynomial(x), polynomial(y), 1)
        case Call("sub", (x, y)):
            return add(polynomial(x), polynomial(y), -1)
        case Call("mul", (x, y)):
            return _multiply(polynomial(x), polynomial(y))
    return {(e,): 1}


def add(a: Polynomial, b: Polynomial, factor: int = 1) -> Polynomial:
    """``a + factor * b``."""
    total = dict(a)
    for monomial, value in b.items():
        total[monomial] = total.get(monomial, 0) + factor * value
    return {m: v for m, v in total.items() if v}


def _multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for m, v in a.items():
        for n, w in b.items():
            total = add(total, {tuple(sorted((*m, *n), key=str)): v * w}, 1)
    return total


@dataclass(frozen=True)
class _Access:
    """One load or store, and the loops inside the loop in question that are around it."""

    buffer: Buffer
    index: Expr
    inner: tuple[For, ...]
    is_store: bool


def why_dependent(loop: For) -> str | None:
    """Why iterations of ``loop`` may depend on each other; None if they provably do not."""
    if any(isinstance(s, k.Barrier) for s in k.walk(loop)):
        return "there is a barrier in it"
    own = {s.var for s in k.walk(loop) if isinstance(s, k.Local)}
    for s in k.walk(loop):
        if isinstance(s, k.Assign) and s.var not in own:
            return f"{s.var} is carried from one iteration to the next"
    names = [s.var.name for s in k.walk(loop) if isinstance(s, (k.Let, k.Local, For))]
    if len(set(names)) != len(names):
        return "two of its variables share a name"
    accesses = list(_accesses(loop.body, (), {}))
    for buffer in dict.fromkeys(a.buffer for a in accesses if a.is_store):
        if buffer.space != "global":
            return f"{buffer.name} is scratch memory of the whole kernel"
        touched = [a for a in accesses if a.buffer == buffer]
        if not _apart(loop, touched, set(names)):
            return f"two iterations may touch one element of {buffer.name}, which it writes"
    return None


def _accesses(body: Iterable[k.Stmt], inner: tuple[For, ...], lets: dict[Var, Expr]) -> Iterable[_Access]:
    """Loads and stores, their indices in terms of loop variables."""
    lets = dict(lets)
    for stmt in body:
        match stmt:
            case For(_, extent, nested):
                yield from _loads(extent, inner, lets)
                yield from _accesses(nested, (*inner, stmt), lets)
            case k.If(test, then, orelse):
                yield from _loads(test, inner, lets)
                yield from _accesses(then, inner, lets)
                yield from _accesses(orelse, inner, lets)
            case k.Store(buffer, index, value):
                yield from _loads(index, inner, lets)
                yield from _loads(value, inner, lets)
                yield _Access(buffer, k.substitute(index, lets), inner, True)
            case k.Let(var, value):
                yield from _loads(value, inner, lets)
                lets[var] = k.substitute(value, lets)
            case k.Local(_, value) | k.Assign(_, value):
                yield from _loads(value, inner, lets)


def _loads(e: Expr, inner: tuple[For, ...], lets: dict[Var, Expr]) -> Iterable[_Access]:
    for load in k.loads(e):
        yield _Access(load.buffer, k.substitute(load.index, lets), inner, False)


def _apart(loop: For, accesses: list[_Access], inside: set[str]) -> bool:
    """Whether all ``accesses`` have the form ``c * i + fixed + rest`` with the same ``c`` and ``fixed``, and
    rests that together span fewer than ``c`` elements."""
    forms = [_form(loop, a, inside) for a in accesses]
    known = [f for f in forms if f is not None]
    first = known[0] if known else None
    if first is None or len(known) < len(forms):
        return False
    if any(f.stride != first.stride or f.fixed != first.fixed for f in known):
        return False
    backwards = add({}, first.stride, -1)
    return any(all(_within(a, b, stride) for a in known for b in known) for stride in (first.stride, backwards))


def _within(a: _Form, b: _Form, stride: Polynomial) -> bool:
    """Whether the rest of ``a`` is less than ``stride`` above that of ``b``."""
    span = add(a.high, b.low, -1)
    return _never_negative(add(add(stride, span, -1), {(): 1}, -1), a.positive & b.positive)


@dataclass(frozen=True)
class _Form:
    stride: Polynomial
    fixed: Polynomial
    low: Polynomial
    high: Polynomial
    positive: frozenset[Var]


def _form(loop: For, access: _Access, inside: set[str]) -> _Form | None:
    """The parts of an index; ``low`` and ``high`` bound the rest, ``positive`` are variables that are 1 or more
    whenever the access is made."""
    stride: Polynomial = {}
    fixed: Polynomial = {}
    low: Polynomial = {}
    high: Polynomial = {}
    loops = {x.var: x for x in access.inner}
    positive = _positive((loop, *access.inner))
    for monomial, factor in polynomial(access.index).items():
        variables = [a for a in monomial if a == loop.var or a in loops]
        others = tuple(a for a in monomial if a not in variables)
        if any(
            isinstance(e, Load) or (isinstance(e, Var) and e.name in inside | {loop.var.name}) for e in k.walk(others)
        ):
            return None
        if not monomial:
            low, high = add(low, {(): factor}), add(high, {(): factor})
        elif not variables:
            fixed = add(fixed, {monomial: factor}, 1)
        elif variables == [loop.var]:
            stride = add(stride, {others: factor}, 1)
        elif len(variables) == 1 and _never_negative({others: 1}, positive):
            inner = loops[variables[0]]  # type: ignore[index]
            if any(isinstance(e, (Load, Var)) and not _is_outside(e, inside, loop) for e in k.walk(inner.extent)):
                return None
            last = _multiply({others: factor}, add(polynomial(inner.extent), {(): 1}, -1))
            low, high = (low, add(high, last)) if factor > 0 else (add(low, last), high)
        else:
            return None
    return _Form(stride, fixed, low, high, positive)


def _is_outside(e: Expr, inside: set[str], loop: For) -> bool:
    return isinstance(e, Var) and e.name not in inside and e != loop.var


def _positive(loops: Iterable[For]) -> frozenset[Var]:
    """Variables whose product times a positive number is the extent of a loop that runs, so each is 1 or more.

    The product of two negative numbers is positive too, so only a lone variable counts.
    """
    found = set()
    for loop in loops:
        match list(polynomial(loop.extent).items()):
            case [((Var() as var,), factor)] if factor > 0:
                found.add(var)
    return frozenset(found)


def _never_negative(p: Polynomial, positive: frozenset[Var]) -> bool:
    """Whether ``p`` is 0 or more for all values of 1 or more of ``positive``: no coefficient is negative once
    each variable is written as ``1 + something``."""
    shifted: Polynomial = {}
    for monomial, factor in p.items():
        term: Polynomial = {(): factor}
        for atom in monomial:
            if atom not in positive:
                return False
            term = _multiply(term, {(atom,): 1, (): 1})
        shifted = add(shifted, term, 1)
    return all(v >= 0 for v in shifted.values())
