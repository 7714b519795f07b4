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
