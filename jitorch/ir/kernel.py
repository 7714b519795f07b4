"""Kernel IR: loops over scalars.  The whole language is on this page.

    kernel = Kernel(name, params, scratch, body)
    param  = Buffer (a pointer) | Var (a scalar, such as a size)
    stmt   = Let(var, value)             name a value; never assigned again
           | Local(var, init)            a mutable scalar
           | Assign(var, value)          give a Local a new value
           | Store(buffer, index, value, streamed)   streamed: past the caches, for nobody reads it soon
           | For(var, extent, body, kind)   var = 0, 1, ..., extent - 1
           | If(test, then, orelse)
           | Prefetch(buffer, index, written)   soon to be read, or written as well: a hint, long before that
           | Barrier()                   all threads of a block meet
    expr   = Const(value, dtype) | Var(name, dtype) | Load(buffer, index) | Call(fn, args, dtype)

``fn`` is a name of `jitorch.ir.scalars` or ``cast``.  Indices and extents are int64, count elements
and are flat (row-major).  A `Buffer` lives in a space: ``global`` (a parameter), ``shared`` (one a
block) or ``local`` (one a thread; constant indices make it registers).

A loop has a kind:

    serial    in order
    parallel  iterations are independent
    vector    constant extent W: the body runs on W lanes at once; an access whose index moves by one
              element a lane is a vector access, one that does not depend on the variable is splat
    unroll    constant extent: the body is repeated
    block     an independent iteration that a GPU runs as one block; nest at most three
    thread    an iteration that one thread of the block runs; nest at most three

A `Call` with ``reassociate`` may be reordered with its like (a sum over a loop, in any order);
nothing else may.  Trees are frozen, so passes are functions ``Kernel -> Kernel`` and patterns are
``match``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import CompilerBug
from jitorch.ir import notation, scalars

SPACES = ("global", "shared", "local")
KINDS = ("serial", "parallel", "vector", "unroll", "block", "thread")

INDEX = dtypes.int64


@dataclass(frozen=True, slots=True)
class Buffer:
    """``size`` elements (None: given by the caller) of ``dtype`` in ``space``."""

    name: str
    dtype: DType
    space: str = "global"
    size: int | None = None

    def __str__(self) -> str:
        text = f"{notation.name(self.name)}: {notation.buffer_type(self.dtype, self.size)}"
        return text if self.space == "global" else f"{self.space} {text}"


class Expr:
    """An expression; operators build simplified calls, ``str`` gives the text."""

    __slots__ = ()
    dtype: DType

    @property
    def level(self) -> int:
        """How tightly the text binds (`notation.INFIX`)."""
        return notation.ATOM

    def __add__(self, other: Operand) -> Expr:
        return call("add", self, other)

    def __radd__(self, other: Operand) -> Expr:
        return call("add", other, self)

    def __sub__(self, other: Operand) -> Expr:
        return call("sub", self, other)

    def __rsub__(self, other: Operand) -> Expr:
        return call("sub", other, self)

    def __mul__(self, other: Operand) -> Expr:
        return call("mul", self, other)

    def __rmul__(self, other: Operand) -> Expr:
        return call("mul", other, self)

    def __truediv__(self, other: Operand) -> Expr:
        return call("div", self, other)

    def __rtruediv__(self, other: Operand) -> Expr:
        return call("div", other, self)

    def __floordiv__(self, other: Operand) -> Expr:
        return call("floordiv", self, other)

    def __mod__(self, other: Operand) -> Expr:
        return call("mod", self, other)

    def __neg__(self) -> Expr:
        return call("neg", self)

    def __lt__(self, other: Operand) -> Expr:
        return call("lt", self, other)

    def __le__(self, other: Operand) -> Expr:
        return call("le", self, other)

    def __gt__(self, other: Operand) -> Expr:
        return call("gt", self, other)

    def __ge__(self, other: Operand) -> Expr:
        return call("ge", self, other)

    def __and__(self, other: Operand) -> Expr:
        return call("and", self, other)

    def __or__(self, other: Operand) -> Expr:
        return call("or", self, other)

    def __invert__(self) -> Expr:
        return call("not", self)

    def eq(self, other: Operand) -> Expr:
        return call("eq", self, other)

    def ne(self, other: Operand) -> Expr:
        return call("ne", self, other)

    def cast(self, dtype: DType) -> Expr:
        return cast(self, dtype)


Operand = Expr | int | float | bool | complex


@dataclass(frozen=True, slots=True)
class Const(Expr):
    """A literal.  Floats are equal when their bits are: -0.0 is not 0.0, and a NaN equals itself."""

    value: int | float | bool | complex
    dtype: DType

    def _key(self) -> tuple[int | float | bool | complex, ...]:
        if self.dtype.category < Category.FLOAT:
            return (self.value,)
        return notation.float_bits(self.value.real), notation.float_bits(self.value.imag)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self.dtype is other.dtype and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self._key(), self.dtype))

    def __str__(self) -> str:
        return notation.literal(self.value, self.dtype)


@dataclass(frozen=True, slots=True)
class Var(Expr):
    name: str
    dtype: DType = INDEX

    def __str__(self) -> str:
        return notation.name(self.name)

    @property
    def typed(self) -> str:
        """``name: dtype``, as where it is defined."""
        return f"{self}: {self.dtype.short}"


@dataclass(frozen=True, slots=True)
class Load(Expr):
    buffer: Buffer
    index: Expr

    @property
    def dtype(self) -> DType:  # type: ignore[override]
        return self.buffer.dtype

    def __str__(self) -> str:
        return f"{notation.name(self.buffer.name)}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Call(Expr):
    fn: str
    args: tuple[Expr, ...]
    dtype: DType
    reassociate: bool = False

    @property
    def level(self) -> int:
        return notation.INFIX[self.fn][1] if self._is_infix() else notation.ATOM

    def _is_infix(self) -> bool:
        return self.fn in notation.INFIX and len(self.args) == 2 and not self.reassociate and self._is_inferred()

    def _is_inferred(self) -> bool:
        return self.fn in scalars.TABLE and self.dtype is scalars.TABLE[self.fn].result(*(a.dtype for a in self.args))

    def __str__(self) -> str:
        if self._is_infix():
            (x, y), (symbol, level) = self.args, notation.INFIX[self.fn]
            left = str(x) if x.level >= level and x.level > 1 else f"({x})"
            return f"{left} {symbol} {y if y.level > level else f'({y})'}"
        operands = ", ".join(map(str, self.args))
        name = f"{self.fn}~" if self.reassociate else self.fn
        if self.fn == "cast":
            return f"{name}({operands}, {self.dtype.short})"
        text = f"{name}({operands})"
        return text if self._is_inferred() else f"{text}: {self.dtype.short}"


class Stmt:
    """A statement; ``str`` gives its text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Let(Stmt):
    var: Var
    value: Expr

    def __str__(self) -> str:
        return f"let {self.var.typed} = {self.value}"


@dataclass(frozen=True, slots=True)
class Local(Stmt):
    var: Var
    init: Expr

    def __str__(self) -> str:
        return f"var {self.var.typed} = {self.init}"


@dataclass(frozen=True, slots=True)
class Assign(Stmt):
    var: Var
    value: Expr

    def __str__(self) -> str:
        return f"{self.var} = {self.value}"


@dataclass(frozen=True, slots=True)
class Store(Stmt):
    buffer: Buffer
    index: Expr
    value: Expr
    streamed: bool = False

    def __str__(self) -> str:
        return f"{'stream ' if self.streamed else ''}{Load(self.buffer, self.index)} = {self.value}"


@dataclass(frozen=True, slots=True)
class For(Stmt):
    var: Var
    extent: Expr
    body: tuple[Stmt, ...]
    kind: str = "serial"

    def __str__(self) -> str:
        var = self.var if self.var.dtype is INDEX else self.var.typed
        return f"for {var} in {self.kind}({self.extent}) {notation.block(self.body)}"


@dataclass(frozen=True, slots=True)
class If(Stmt):
    test: Expr
    then: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()

    def __str__(self) -> str:
        otherwise = f" else {notation.block(self.orelse)}" if self.orelse else ""
        return f"if {self.test} {notation.block(self.then)}{otherwise}"


@dataclass(frozen=True, slots=True)
class Prefetch(Stmt):
    buffer: Buffer
    index: Expr
    written: bool = False  # whether other processors should give up the memory

    def __str__(self) -> str:
        return f"prefetch {'written ' if self.written else ''}{Load(self.buffer, self.index)}"


@dataclass(frozen=True, slots=True)
class Barrier(Stmt):
    def __str__(self) -> str:
        return "barrier"


@dataclass(frozen=True, slots=True)
class Kernel:
    name: str
    params: tuple[Buffer | Var, ...]
    scratch: tuple[Buffer, ...]
    body: tuple[Stmt, ...]

    def __hash__(self) -> int:
        return hash((self.name, self.params))  # equal kernels have equal ones, and the body is long

    def __str__(self) -> str:
        params = ", ".join(p.typed if isinstance(p, Var) else str(p) for p in self.params)
        return f"kernel @{notation.name(self.name)}({params}) {notation.block((*self.scratch, *self.body))}"

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        return tuple(p for p in self.params if isinstance(p, Buffer))


def const(value: int | float | bool | complex, dtype: DType = INDEX) -> Const:
    """A literal, rounded to ``dtype``."""
    if dtype is INDEX and type(value) is int and -(2**63) <= value < 2**63:
        return Const(value, dtype)  # most are: the rest of this function takes ten times as long
    with np.errstate(all="ignore"):
        if dtype.category is Category.COMPLEX:
            return Const(complex(dtype.numpy.type(value)), dtype)
        if dtype.category is Category.FLOAT:
            return Const(float(dtype.numpy.type(value)), dtype)
    if dtype.category is Category.BOOL:
        return Const(bool(value), dtype)
    if isinstance(value, int):
        return Const(_wrapped(value, dtype), dtype)
    return Const(int(np.asarray(value).astype(dtype.numpy)), dtype)


def _wrapped(value: int, dtype: DType) -> int:
    """``value`` as the machine holds it in ``dtype``: modulo two to the number of bits."""
    low = value & ((1 << dtype.bits) - 1)
    return low - (1 << dtype.bits) if dtype.is_signed and low >> (dtype.bits - 1) else low


def as_expr(x: Operand, dtype: DType = INDEX) -> Expr:
    return x if isinstance(x, Expr) else const(x, dtype)


def call(fn: str, *args: Operand, reassociate: bool = False) -> Expr:
    """Apply scalar function ``fn``; Python numbers take the dtype of the other operands."""
    like = next(a for a in reversed(args) if isinstance(a, Expr)).dtype
    exprs = tuple(as_expr(a, like) for a in args)
    return simplify(Call(fn, exprs, scalars.TABLE[fn].result(*(e.dtype for e in exprs)), reassociate))


def cast(x: Expr, dtype: DType) -> Expr:
    if x.dtype is dtype:
        return x
    if isinstance(x, Const):
        with np.errstate(all="ignore"):
            return const(scalars.cast(np.asarray(x.value, x.dtype.numpy), dtype).item(), dtype)
    return Call("cast", (x,), dtype)


def where(test: Operand, x: Operand, y: Operand) -> Expr:
    if isinstance(test, bool):
        test = const(test, dtypes.bool_)
    return call("where", test, x, y)


def _is_integer(e: Expr) -> bool:
    return e.dtype.category is Category.INT


def _multiple(e: Expr, divisor: int) -> Expr | None:
    """``e / divisor`` where every term of ``e`` is a constant multiple of it, else None."""
    match e:
        case Const(int(v)) if v % divisor == 0:
            return const(v // divisor, e.dtype)
        case Call("mul", (x, Const(int(v)))) if v % divisor == 0:
            return x * (v // divisor)
        case Call("add" | "sub" as fn, (x, y)):
            a, b = _multiple(x, divisor), _multiple(y, divisor)
            return None if a is None or b is None else call(fn, a, b)
    return None


@lru_cache(maxsize=4096)
def _fold(e: Call) -> Const:
    """A call of literals as a literal."""
    values = [np.asarray(a.value, a.dtype.numpy) for a in e.args]  # type: ignore[attr-defined]
    with np.errstate(all="ignore"):
        return const(scalars.TABLE[e.fn].numpy(*values).item(), e.dtype)


def simplify(e: Call) -> Expr:
    """Integer index algebra and constant folding; operands are already simple."""
    if all(isinstance(a, Const) for a in e.args) and e.fn != "philox":
        return _fold(e)
    rules = _RULES.get(e.fn)
    return e if rules is None else rules(e)


# Rules by function.  One rule, one line.


def _simplify_where(e: Call) -> Expr:
    match e.args:
        case (Const(test), x, y):
            return x if test else y
        case (_, x, y) if x == y:
            return x
    return e


def _simplify_logic(e: Call) -> Expr:
    neutral = e.fn == "and"
    if e.dtype is not dtypes.bool_:
        return e
    match e.args:
        case (Const(bool(v)), x) | (x, Const(bool(v))) if v is neutral:
            return x
        case (Const(False) as no, _) | (_, Const(False) as no):
            return no
    return e


def _simplify_sum(e: Call) -> Expr:
    if not _is_integer(e):
        return e
    match e.args:
        case (x, Const(0)):
            return x
        case (x, Const(v)) if e.fn == "sub":
            return x + (-v)
    if e.fn == "sub":
        return e
    match e.args:
        case (Const(0), x):
            return x
        case (Const() as c, x):
            return x + c
        case (Call("add", (x, Const(a))), Const(b)):
            return x + (a + b)
        case (Call("add", (x, Const() as c)), y):
            return x + y + c
        case (x, Call("add", (y, z))):
            return x + y + z
        case (Call("mul", (Call("floordiv", (x, Const(a))), Const(b))), Call("mod", (y, Const(c)))) if (
            a == b == c and x == y
        ):
            return x
    return e


def _simplify_product(e: Call) -> Expr:
    if not _is_integer(e):
        return e
    match e.args:
        case (Const() as c, x):
            return x * c
        case (x, Const(1)):
            return x
        case (_, Const(0) as zero):
            return zero
        case (Call("mul", (x, Const(a))), Const(b)):
            return x * (a * b)
        case (Call("add", (x, y)), Const() as c):
            return x * c + y * c
    return e


def _simplify_quotient(e: Call) -> Expr:
    if not _is_integer(e):
        return e
    match e.args:
        case (x, Const(1)):
            return x if e.fn == "floordiv" else const(0, e.dtype)
        case (Const(0) as zero, _):
            return zero
        # Indices do not overflow; a multiple of any other integer may have wrapped.
        case (x, Const(int(b))) if e.dtype is INDEX and b > 0 and (q := _multiple(x, b)) is not None:
            return q if e.fn == "floordiv" else const(0, e.dtype)
    return e


def _simplify_extreme(e: Call) -> Expr:
    x, y = e.args
    return x if _is_integer(e) and x == y else e


_RULES: dict[str, Callable[[Call], Expr]] = {
    "where": _simplify_where, "and": _simplify_logic, "or": _simplify_logic, "add": _simplify_sum,
    "sub": _simplify_sum, "mul": _simplify_product, "floordiv": _simplify_quotient, "mod": _simplify_quotient,
    "maximum": _simplify_extreme, "minimum": _simplify_extreme,
}  # fmt: skip


Tree = TypeVar("Tree")


def transform(tree: Tree, f: Callable[[Expr], Expr]) -> Tree:
    """Rebuild ``tree`` from the leaves up, applying ``f`` to every expression."""
    if isinstance(tree, tuple):
        return tuple(transform(t, f) for t in tree)  # type: ignore[return-value]
    if isinstance(tree, (Const, Var)):
        return f(tree)  # type: ignore[return-value]
    if not isinstance(tree, (Expr, Stmt, Kernel)):
        return tree
    changes: dict[str, Any] = {}
    for name in CHILDREN[type(tree)]:
        old = getattr(tree, name)
        new = transform(old, f)
        if new is not old and new != old:
            changes[name] = new
    rebuilt = replace(tree, **changes) if changes else tree  # type: ignore[type-var]
    return f(rebuilt) if isinstance(rebuilt, Expr) else rebuilt  # type: ignore[return-value]


def substitute(tree: Tree, values: dict[Var, Expr]) -> Tree:
    """Replace variables; calls that change are simplified again."""

    def replace_var(e: Expr) -> Expr:
        match e:
            case Var():
                return values.get(e, e)
            case Call(fn) if fn != "cast":
                return simplify(e)
        return e

    return transform(tree, replace_var)


CHILDREN: dict[type, tuple[str, ...]] = {
    Const: (), Var: (), Load: ("index",), Call: ("args",), Let: ("var", "value"), Local: ("var", "init"),
    Assign: ("var", "value"), Store: ("index", "value"), For: ("var", "extent", "body"), If: ("test", "then", "orelse"),
    Prefetch: ("index",), Barrier: (), Kernel: ("body",),
}  # fmt: skip
"""The parts of each construct that hold expressions or statements, in source order."""


def walk(tree: object) -> Iterator[Expr | Stmt]:
    """Every statement and expression of ``tree``, parents first, in source order."""
    stack: list[Any] = [tree]
    while stack:
        part = stack.pop()
        if type(part) is tuple:
            stack.extend(reversed(part))
            continue
        if not isinstance(part, Kernel):
            yield part
        for name in reversed(CHILDREN[type(part)]):
            stack.append(getattr(part, name))


def parts(tree: object) -> Iterator[Expr | Stmt]:
    """What `walk` gives, but each object once, however many expressions share it."""
    stack: list[Any] = [tree]
    seen: set[int] = set()
    while stack:
        part = stack.pop()
        if type(part) is tuple:
            stack.extend(reversed(part))
            continue
        if id(part) in seen:
            continue
        seen.add(id(part))
        if not isinstance(part, Kernel):
            yield part
        for name in reversed(CHILDREN[type(part)]):
            stack.append(getattr(part, name))


def loads(tree: object) -> Iterator[Load]:
    return (e for e in walk(tree) if isinstance(e, Load))


def verify(kernel: Kernel) -> Kernel:
    """Check scoping, dtypes, spaces and loop kinds; raise `CompilerBug` with the kernel's text."""
    known: dict[str, Buffer | Var] = {p.name: p for p in (*kernel.params, *kernel.scratch)}
    if len(known) != len(kernel.params) + len(kernel.scratch):
        _wrong(kernel, "two parameters share a name")
    for buffer in kernel.scratch:
        if buffer.space == "global" or buffer.size is None:
            _wrong(kernel, f"scratch buffer {buffer.name} must be shared or local, with a size")
    _verify_block(kernel, kernel.body, known, set())
    return kernel


def _wrong(kernel: Kernel, what: str) -> None:
    raise CompilerBug(f"kernel {kernel.name}: {what}", ir=kernel)


def _verify_block(kernel: Kernel, body: Iterable[Stmt], outer: dict[str, Any], mutable: set[str]) -> None:
    scope, assignable = dict(outer), set(mutable)

    def check(e: Expr, dtype: DType | None = None) -> None:
        for part in walk(e):
            match part:
                case Var(name) if scope.get(name) != part:
                    _wrong(kernel, f"variable {name} is not defined here")
                case Load(buffer, index) if scope.get(buffer.name) != buffer or index.dtype is not INDEX:
                    _wrong(kernel, f"load from {buffer.name}: unknown buffer, or an index that is not int64")
                case Call(fn, args) if fn != "cast" and (
                    fn not in scalars.TABLE or len(args) != scalars.TABLE[fn].arity
                ):
                    _wrong(kernel, f"call of {fn} with {len(args)} operands")
                case Call("where", (test, x, y)) if test.dtype is not dtypes.bool_ or x.dtype is not y.dtype:
                    _wrong(kernel, f"where over {test.dtype.short}, {x.dtype.short}, {y.dtype.short}")
                case Call(fn, args) if fn not in ("cast", "where") and len({a.dtype for a in args}) != 1:
                    _wrong(kernel, f"{fn} over {', '.join(a.dtype.short for a in args)}")
        if dtype is not None and e.dtype is not dtype:
            _wrong(kernel, f"expected {dtype.short}, got {e.dtype.short}")

    def define(var: Var) -> None:
        scope[var.name] = var

    for stmt in body:
        match stmt:
            case Let(var, value):
                check(value, var.dtype)
                define(var)
            case Local(var, init):
                check(init, var.dtype)
                define(var)
                assignable.add(var.name)
            case Assign(var, value):
                check(value, var.dtype)
                if var.name not in assignable:
                    _wrong(kernel, f"{var.name} is assigned but is not a Local")
            case Store(buffer, index, value):
                check(index, INDEX)
                check(value, buffer.dtype)
                if scope.get(buffer.name) != buffer:
                    _wrong(kernel, f"store to unknown buffer {buffer.name}")
            case Prefetch(buffer, index, _):
                check(index, INDEX)
                if scope.get(buffer.name) != buffer:
                    _wrong(kernel, f"prefetch of unknown buffer {buffer.name}")
            case For(var, extent, inner, kind):
                check(extent, INDEX)
                if kind not in KINDS or (kind in ("vector", "unroll") and not isinstance(extent, Const)):
                    _wrong(kernel, f"loop over {var.name}: kind {kind} with extent {extent}")
                _verify_block(kernel, inner, scope | {var.name: var}, assignable)
            case If(test, then, orelse):
                check(test, dtypes.bool_)
                _verify_block(kernel, then, scope, assignable)
                _verify_block(kernel, orelse, scope, assignable)
            case Barrier():
                continue
            case _:
                _wrong(kernel, f"unknown statement {stmt!r}")
