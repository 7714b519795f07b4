"""Which integer arithmetic of a kernel only ever finds elements.

Arithmetic on the user's integers must wrap.  A sum of products that finds an element cannot overflow, as the
access is in bounds; so a target may compute it with plain operators, and in 32 bits if all buffers
are small (modulo 2**32 the parts do not matter).

A *position* is arithmetic over loop variables and constants whose value stays near the extents of the
loops (``block * 256 + thread``): plain operators are right for it wherever it is used.
"""

from __future__ import annotations

from jitorch.ir import kernel as k
from jitorch.ir.kernel import INDEX, Call, Const, Expr, Kernel, Load, Var

ARITHMETIC = frozenset({"add", "sub", "mul", "floordiv", "mod", "minimum", "maximum"})
COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})

LIMIT = 2**31 - 2**16
"""No buffer and no extent may reach this where indices are computed in 32 bits."""


def is_arithmetic(e: Expr) -> bool:
    """Whether ``e`` is int64 arithmetic over variables and constants, with no load."""
    match e:
        case Const() | Var():
            return e.dtype is INDEX
        case Call(fn, args):
            return e.dtype is INDEX and fn in ARITHMETIC and all(map(is_arithmetic, args))
    return False


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


class Positions:
    """The index variables of one kernel.

    ``loops``: names of loop variables; ``lets``: names of `Let` variables that hold positions, or that are read
    only as indices.  Either may be held in a narrower type than int64.
    """

    def __init__(self, kernel: Kernel):
        self.magnitudes: dict[str, int] = {}
        self.lets: frozenset[str] = frozenset()
        others = {p.name for p in kernel.params}
        lets: dict[str, list[Expr]] = {}
        loops: dict[str, int] = {}
        for s in k.walk(kernel):
            match s:
                case k.For(var, extent):
                    loops[var.name] = max(loops.get(var.name, 0), _greatest_value(extent))
                case k.Let(var, value) if is_arithmetic(value):
                    lets.setdefault(var.name, []).append(value)
                case k.Let(var) | k.Local(var):
                    others.add(var.name)
        self.loops = frozenset(loops) - others - lets.keys()
        self.magnitudes = {name: loops[name] for name in self.loops}
        candidates = frozenset(lets) - others - loops.keys()
        for name in lets:
            if name in candidates and all(self.is_position(value) for value in lets[name]):
                self.magnitudes[name] = max(self.magnitude(value) or 0 for value in lets[name])
        self.lets = self._narrow_lets(kernel, candidates)

    def _narrow_lets(self, kernel: Kernel, candidates: frozenset[str]) -> frozenset[str]:
        while True:
            reader = _Reader(self, candidates)
            reader.block(kernel.body)
            rejected = (candidates & reader.data) - self.magnitudes.keys()
            if not rejected:
                return candidates
            candidates -= rejected

    def magnitude(self, e: Expr) -> int | None:
        """An upper bound of ``abs(e)`` while extents stay below `LIMIT`, or None."""
        match e:
            case Const(int(value)):
                return abs(value)
            case Var(name):
                return self.magnitudes.get(name)
            case Call("mod", (_, Const(int(divisor)))):
                return abs(divisor)
            case Call(fn, (x, y)):
                a, b = self.magnitude(x), self.magnitude(y)
                if a is None or (b is None and fn != "floordiv"):
                    return None
                return _combine(fn, a, b or 0, y)
        return None

    def is_position(self, e: Expr) -> bool:
        """Whether plain operators are right for ``e``, wherever it is used."""
        if isinstance(e, (Const, Var)):
            return e.dtype is INDEX and (isinstance(e, Const) or e.name in self.magnitudes)
        if not isinstance(e, Call) or not is_arithmetic(e):
            return False
        found = self.magnitude(e)
        return found is not None and found < 2**31 and all(map(self.is_position, e.args))

    def is_comparable(self, e: Expr) -> bool:
        """Whether ``e`` may be compared in plain operators: a position, or any variable on its own."""
        return (e.dtype is INDEX and isinstance(e, Var)) or self.is_position(e)


def _greatest_value(extent: Expr) -> int:
    """A loop variable's bound: an extent that is a quotient stays as far below the limit."""
    match extent:
        case Const(int(value)):
            return max(value, 0)
        case Call("floordiv", (_, Const(int(divisor)))) if divisor > 0:
            return LIMIT // divisor
    return LIMIT


def _combine(fn: str, a: int, b: int, y: Expr) -> int | None:
    match fn:
        case "add" | "sub":
            return a + b
        case "mul":
            return a * b
        case "minimum" | "maximum":
            return max(a, b)
        case "floordiv":
            return a // y.value + 1 if isinstance(y, Const) and isinstance(y.value, int) and y.value > 0 else a + 1
    return None


class _Reader:
    """Collects in ``data`` the variables read as values, if the `Let` names ``lets`` hold indices."""

    def __init__(self, positions: Positions, lets: frozenset[str]):
        self.positions, self.lets, self.data = positions, lets, set[str]()

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
                case k.Prefetch(_, index):
                    self.expr(index, True)
                case k.For(_, extent, inner):
                    # Extents are computed in full.
                    self.expr(extent, False)
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
            case Call(_, args):
                for a in args:
                    self.expr(a, is_index and is_arithmetic(e))


def limited_extents(kernel: Kernel) -> tuple[Expr, ...] | None:
    """What must be below `LIMIT`, besides the sizes of all buffers, for indices to be computed in 32 bits.

    The extents of the loops, over the scalar parameters; None where one is not known before the launch.
    """
    positions = Positions(kernel)
    params = {p for p in kernel.params if isinstance(p, Var)}
    found: dict[Expr, None] = {}
    for loop in k.walk(kernel):
        if not isinstance(loop, k.For) or positions.is_position(loop.extent):
            continue
        if not all(e in params for e in k.walk(loop.extent) if isinstance(e, (Load, Var))):
            return None
        found[loop.extent] = None
    return tuple(found)
