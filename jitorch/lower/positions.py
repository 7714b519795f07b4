"""Which integer arithmetic of a kernel only ever finds elements.

Index arithmetic cannot overflow where its access is in bounds, so a target may compute it with plain
operators, and in 32 bits if all buffers are small.  Arithmetic on the user's integers must wrap.
"""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.ir.kernel import INDEX, Call, Const, Expr, Kernel, Load, Var

ARITHMETIC = frozenset({"add", "sub", "mul", "floordiv", "mod", "minimum", "maximum"})
COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})


def is_arithmetic(e: Expr) -> bool:
    """Whether ``e`` is int64 arithmetic over variables and constants, with no load."""
    match e:
        case Const() | Var():
            return e.dtype is INDEX
        case Call(fn, args):
            return e.dtype is INDEX and fn in ARITHMETIC and all(map(is_arithmetic, args))
    return False


def loop_variables(kernel: Kernel) -> frozenset[str]:
    """Names that stand for loop variables and for nothing else."""
    other = {p.name for p in kernel.params} | {s.var.name for s in k.walk(kernel) if isinstance(s, (k.Let, k.Local))}
    return frozenset(s.var.name for s in k.walk(kernel) if isinstance(s, k.For)) - other


def is_position(e: Expr, names: frozenset[str]) -> bool:
    """Whether ``e`` is a bare variable or constant, or arithmetic over ``names`` alone: safe to compare as it is."""
    if isinstance(e, (Const, Var)):
        return e.dtype is INDEX
    return is_arithmetic(e) and all(v.name in names for v in k.walk(e) if isinstance(v, Var))


def index_lets(kernel: Kernel) -> frozenset[str]:
    """Names of `Let` variables that are read only as indices, extents, or in comparisons of positions."""
    lets = [s for s in k.walk(kernel) if isinstance(s, k.Let) and s.var.dtype is INDEX and is_arithmetic(s.value)]
    found = frozenset(s.var.name for s in lets) - _defined_otherwise(kernel)
    while True:
        reader = _Reader(found, loop_variables(kernel) | found)
        reader.block(kernel.body)
        if not found & reader.data:
            return found
        found -= reader.data


def _defined_otherwise(kernel: Kernel) -> frozenset[str]:
    """Names that something else than an index `Let` defines too, somewhere."""
    other = {p.name for p in kernel.params}
    for s in k.walk(kernel):
        match s:
            case k.For(var) | k.Local(var):
                other.add(var.name)
            case k.Let(var, value) if var.dtype is not INDEX or not is_arithmetic(value):
                other.add(var.name)
    return frozenset(other)


class _Reader:
    """Collects in ``data`` the variables read as values."""

    def __init__(self, lets: frozenset[str], positions: frozenset[str]):
        self.lets, self.positions, self.data = lets, positions, set[str]()

    def block(self, body: tuple[k.Stmt, ...]) -> None:
        for stmt in body:
            match stmt:
                case k.Let(var, value):
                    self.expr(value, var.name in self.lets)
                case k.Local(_, value) | k.Assign(_, value):
                    self.expr(value, False)
                case k.Store(_, index, value):
                    self.expr(index, True)
                    self.expr(value, False)
                case k.For(_, extent, inner):
                    self.expr(extent, True)
                    self.block(inner)
                case k.If(test, then, orelse):
                    self.expr(test, False)
                    self.block(then)
                    self.block(orelse)

    def expr(self, e: Expr, is_index: bool) -> None:
        match e:
            case Var(name) if not is_index:
                self.data.add(name)
            case Load(_, index):
                self.expr(index, True)
            case Call(fn, args) if fn in COMPARISONS and all(is_position(a, self.positions) for a in args):
                for a in args:
                    self.expr(a, True)
            case Call(_, args):
                for a in args:
                    self.expr(a, is_index and is_arithmetic(e))


def is_negative_never(e: Expr, known: frozenset[str]) -> bool:
    """Whether ``e`` is provably 0 or more, given that the variables ``known`` are."""
    match e:
        case Const(value):
            return isinstance(value, int) and value >= 0
        case Var(name):
            return name in known
        case Call("add" | "mul" | "minimum", (x, y)):
            return is_negative_never(x, known) and is_negative_never(y, known)
        case Call("maximum", (x, y)):
            return is_negative_never(x, known) or is_negative_never(y, known)
        case Call("mod", (_, Const(int(divisor)))):
            return divisor >= 0
        case Call("floordiv", (x, Const(int(divisor)))):
            return divisor >= 0 and is_negative_never(x, known)
    return False


LIMIT = 2**31 - 2**16
"""No buffer and no extent may reach this where indices are computed in 32 bits."""


def fits_in_32_bits(kernel: Kernel) -> bool:
    """Whether index arithmetic is right in 32 bits for every call whose buffers and extents stay below `LIMIT`.

    A sum of products that ends in bounds is right modulo 2**32 whatever its parts are.  What is
    divided, compared or clamped on the way must itself be small, which is proved from the extents.
    """
    bounds = _Bounds(kernel)
    for stmt in k.walk(kernel):
        match stmt:
            case Load(_, e) | k.Store(_, e) | k.For(_, e):
                if is_arithmetic(e) and not bounds.is_safe(e):
                    return False
            case k.Let(var, e) if var.name in bounds.lets and not bounds.is_safe(e):
                return False
            case Call(fn, args) if fn in COMPARISONS and all(is_position(a, bounds.names) for a in args):
                if not all(isinstance(a, (Const, Var)) and a.dtype is INDEX or bounds.is_small(a) for a in args):
                    return False
                if any(isinstance(a, Var) and a.name in bounds.lets and not bounds.is_small(a) for a in args):
                    return False
    return True


class _Bounds:
    """How great the magnitude of an index expression can become."""

    def __init__(self, kernel: Kernel):
        self.lets = index_lets(kernel)
        self.names = self.lets | loop_variables(kernel)
        self.extents: dict[str, list[Expr]] = {}
        self.values: dict[str, list[Expr]] = {}
        for s in k.walk(kernel):
            match s:
                case k.For(var, extent):
                    self.extents.setdefault(var.name, []).append(extent)
                case k.Let(var, value) if var.name in self.lets:
                    self.values.setdefault(var.name, []).append(value)

    def magnitude(self, e: Expr) -> int | None:
        """An upper bound of ``abs(e)``, or None."""
        match e:
            case Const(int(value)):
                return abs(value)
            case Var(name) if name in self.lets:
                return _greatest([self.magnitude(value) for value in self.values[name]])
            case Var(name) if name in self.names:
                return max(map(self.extent, self.extents[name]))
            case Call("add" | "sub" | "mul" as fn, (x, y)):
                a, b = self.magnitude(x), self.magnitude(y)
                if a is None or b is None:
                    return None
                return a * b if fn == "mul" else a + b
            case Call("floordiv", (x, Const(int(divisor)))) if divisor > 0:
                a = self.magnitude(x)
                return None if a is None else a // divisor + 1
            case Call("mod", (_, Const(int(divisor)))):
                return abs(divisor)
            case Call("floordiv", (x, _)):
                a = self.magnitude(x)
                return None if a is None else a + 1
            case Call("minimum" | "maximum", args):
                return _greatest([self.magnitude(a) for a in args])
        return None

    def extent(self, extent: Expr) -> int:
        """A loop's greatest value: an extent that is a quotient stays as far below the limit."""
        match extent:
            case Const(int(value)):
                return value
            case Call("floordiv", (_, Const(int(divisor)))) if divisor > 0:
                return LIMIT // divisor
        return LIMIT

    def is_small(self, e: Expr) -> bool:
        found = self.magnitude(e)
        return found is not None and found < 2**31

    def is_safe(self, e: Expr) -> bool:
        """Whether the arithmetic of ``e`` may wrap nowhere that matters."""
        match e:
            case Const(int(value)):
                return abs(value) < 2**31
            case Call("floordiv" | "mod", (x, y)):
                return self.is_small(x) and self.is_safe(x) and self.is_safe(y)
            case Call("minimum" | "maximum", args):
                return all(self.is_small(a) and self.is_safe(a) for a in args)
            case Call(_, args):
                return all(map(self.is_safe, args))
        return True


def _greatest(bounds: list[int | None]) -> int | None:
    known = [b for b in bounds if b is not None]
    return max(known) if known and len(known) == len(bounds) else None
