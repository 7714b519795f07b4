"""About how long the statements of a kernel take on one thread: whether a loop is worth several.

Right within a factor of three, which is enough: below ten microseconds threads do not pay, above fifty they do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from jitorch.dtypes import DType
from jitorch.errors import CompilerBug
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Assign, Barrier, Call, Const, Expr, For, If, Let, Load, Local, Prefetch, Stmt, Store, Var
from jitorch.lower.schedules.steps import step

# Picoseconds an element of four bytes, in a vectorised loop whose data are in the second level of cache.
_LOAD, _STORE, _SIMPLE, _CAST = 20, 25, 10, 20
_SLOW = {
    "div": 100, "sqrt": 150, "floordiv": 400, "mod": 400, "fmod": 400, "pow": 1500, "atan2": 1000, "philox": 1500,
    "exp": 500, "expm1": 700, "log": 500, "log2": 500, "log10": 500, "log1p": 700, "sin": 600, "cos": 600, "tan": 900,
    "asin": 700, "acos": 700, "atan": 700, "sinh": 900, "cosh": 900, "tanh": 600, "erf": 700,
}  # fmt: skip
_CROSSING = 200
"""An element of four bytes that is no neighbour of the last lane's: gathered, or shuffled in registers."""
_TURN = 250
"""One turn of a loop."""
_IN_REGISTERS = 4096
"""Bytes up to which a scratch buffer is taken for a tile of registers."""
UNKNOWN_EXTENT = 16
"""What a loop is taken to run whose extent is not known before the kernel starts."""


def cost(body: tuple[Stmt, ...], known: Collection[str]) -> Expr:
    """Picoseconds for one run of ``body``, an int64 expression over the variables ``known``."""
    return _Cost(known).block(body, {})


class _Cost:
    """``repeats`` counts the turns of the unrolled and vector loops around, by variable.

    What does not depend on such a loop is computed once for all its turns.
    """

    def __init__(self, known: Collection[str]):
        self.known = known
        self.depends: dict[str, frozenset[str]] = {}
        self.vectors: dict[str, Var] = {}
        self.values: dict[str, Expr] = {}

    def block(self, body: tuple[Stmt, ...], repeats: Mapping[str, int]) -> Expr:
        total: Expr = k.const(0)
        for stmt in body:
            total = total + self._statement(stmt, repeats)
        return total

    def _statement(self, stmt: Stmt, repeats: Mapping[str, int]) -> Expr:
        match stmt:
            case Let(var, value) | Local(var, value) | Assign(var, value):
                found = _Value(self, repeats)
                if isinstance(stmt, Let):
                    self.values[var.name] = value
                self.depends[var.name] = self.depends.get(var.name, frozenset()) | found.visit(value)
                return k.const(found.total)
            case Store(buffer, index, value):
                found = _Value(self, repeats)
                around = found.visit(index) | found.visit(value)
                own = 0 if _in_registers(buffer) else _scaled(_STORE, buffer.dtype)
                return k.const(found.total + own * found.times(around))
            case If(test, then, orelse):
                found = _Value(self, repeats)
                found.visit(test)
                return self.block(then, repeats) + self.block(orelse, repeats) + found.total
            case For(var, Const(extent), inner, "unroll" | "vector" as kind):
                if kind == "vector":
                    self.vectors[var.name] = var
                self.depends[var.name] = frozenset((var.name,))
                return self.block(inner, {**repeats, var.name: int(extent)})  # type: ignore[arg-type]
            case For(_, extent, inner):
                turns = self._turns(extent)
                if not isinstance(turns, Const):
                    turns = k.call("maximum", turns, 0)
                return turns * (self.block(inner, repeats) + _TURN)
            case Prefetch() | Barrier():
                return k.const(0)
        raise CompilerBug(f"no cost for statement {type(stmt).__name__}")

    def _turns(self, extent: Expr) -> Expr:
        """How often a loop is taken to run: at most, where that differs from turn to turn of a loop around."""
        if self._is_known(extent):
            return extent
        match extent:
            case Var(name) if name in self.values:
                return self._turns(self.values[name])
            case Call("minimum", args):
                known = [arg for arg in args if self._is_known(arg)]
                return known[0] if known else k.const(UNKNOWN_EXTENT)
        return k.const(UNKNOWN_EXTENT)

    def _is_known(self, e: Expr) -> bool:
        parts = list(k.parts(e))
        names = {part.name for part in parts if isinstance(part, Var)}
        return names <= set(self.known) and not any(isinstance(part, Load) for part in parts)


class _Value:
    """The expressions of one statement; what they share is computed once."""

    def __init__(self, around: _Cost, repeats: Mapping[str, int]):
        self.around, self.repeats = around, repeats
        self.total = 0
        self.seen: dict[int, frozenset[str]] = {}  # by identity: a hash would walk the whole of it

    def times(self, depends: frozenset[str]) -> int:
        count = 1
        for name in depends:
            count *= self.repeats.get(name, 1)
        return count

    def visit(self, e: Expr) -> frozenset[str]:
        """Add the time of ``e``; gives the unrolled and vector loops that it depends on."""
        found = self.seen.get(id(e))
        if found is None:
            found = self.seen[id(e)] = self._visit(e)
        return found

    def _visit(self, e: Expr) -> frozenset[str]:
        match e:
            case Var(name):
                return self.around.depends.get(name, frozenset())
            case Load(buffer, index):
                depends = self.visit(index)
                own = 0 if _in_registers(buffer) else _scaled(_LOAD, buffer.dtype)
                lanes = [var for name, var in self.around.vectors.items() if name in depends]
                if any(step(index, lane) not in (-1, 0, 1) for lane in lanes):
                    own += _scaled(_CROSSING, buffer.dtype)
            case Call(fn, args, dtype):
                depends = frozenset[str]().union(*map(self.visit, args))
                own = _scaled(_CAST if fn == "cast" else _SLOW.get(fn, _SIMPLE), dtype)
            case _:
                return frozenset()
        self.total += own * self.times(depends)
        return depends


def _scaled(picoseconds: int, dtype: DType) -> int:
    return max(1, picoseconds * dtype.itemsize // 4)


def _in_registers(buffer: k.Buffer) -> bool:
    return buffer.space != "global" and buffer.size is not None and buffer.size * buffer.dtype.itemsize <= _IN_REGISTERS
