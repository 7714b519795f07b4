"""Kernel -> text of a C-like language: one walk; a target is a subclass that changes words.

A vocabulary says how types, literals and maths functions are spelt, how a loop of each kind begins,
and which functions it cannot have.  What it has no word for raises `UnsupportedError` with the names of the
renderer and of the construct.  `jitorch.lower.source.words` holds the helper functions that all targets share;
only those used are written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, NoReturn

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import UnsupportedError
from jitorch.ir import kernel as k
from jitorch.ir import scalars
from jitorch.ir.kernel import INDEX, Buffer, Call, Const, Expr, Kernel, Load, Var
from jitorch.lower.schedules.positions import COMPARISONS, Positions, is_arithmetic, is_negative_never
from jitorch.lower.source import words
from jitorch.lower.source.words import PRIMARY, TERNARY, UNARY

_UNSIGNED = {
    dtypes.int8: dtypes.uint8, dtypes.int16: dtypes.uint16, dtypes.int32: dtypes.uint32, dtypes.int64: dtypes.uint64,
}  # fmt: skip
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")
_SAME_WHEN_NOT_SIGNED = ("abs",)


class Text(NamedTuple):
    """An expression's text and how tightly it binds."""

    text: str
    level: int = PRIMARY

    def __str__(self) -> str:
        return self.text

    def within(self, level: int) -> str:
        """As an operand of something that binds at ``level``."""
        return self.text if self.level > level else f"({self.text})"


NO_POSITIONS = Positions(Kernel("", (), (), ()))


class CLike:
    """The walk.  An object renders one source text; it collects the helpers that the kernels need."""

    name = "C-like"
    types: Mapping[DType, str] = {}
    index_type: DType = INDEX
    """What index arithmetic is computed in: int64, or int32 where all indices are known to fit."""
    inline = "static inline"
    helper_qualifier = ""
    pointer = "{const}{type} *{name}"
    suffixes: Mapping[DType, str] = {dtypes.float32: "f", dtypes.float64: ""}
    widened: Mapping[DType, tuple[str, str]] = {}
    """Floats without arithmetic of their own: the templates that turn one ({x}) into a float32 and back."""
    spaces: Mapping[str, str] = {"shared": "", "local": ""}

    def __init__(self) -> None:
        self.helpers: dict[str, str] = {}
        self.scope: dict[str, str] = {}
        self.mutable: frozenset[str] = frozenset()
        self.positions = NO_POSITIONS
        self.positive: frozenset[str] = frozenset()

    # -- words ------------------------------------------------------------------------------------

    def type(self, dtype: DType) -> str:
        return self.types[dtype] if dtype in self.types else self.unsupported(f"dtype {dtype.name}")

    def unsupported(self, construct: str) -> NoReturn:
        raise UnsupportedError(f"{self.name}: no word for {construct}")

    def literal(self, value: int | float | bool | complex, dtype: DType) -> Text:
        self.type(dtype)
        if dtype.category is Category.BOOL:
            return Text("true" if value else "false")
        if dtype.category is Category.INT:
            return self.integer(int(value.real), dtype)
        if dtype in self.widened:
            return Text(self.widened[dtype][1].format(x=self.number(float(value.real), dtypes.float32)))
        return self.number(float(value.real), dtype)

    def integer(self, value: int, dtype: DType) -> Text:
        return Text(str(value), UNARY if value < 0 else PRIMARY)

    def number(self, value: float, dtype: DType) -> Text:
        """A finite or infinite float32 or float64 literal."""
        text = str(dtype.numpy.type(abs(value)))
        text = text if "." in text or "e" in text else f"{text}.0"
        sign = "-" if np.signbit(value) else ""
        return Text(f"{sign}{text}{self.suffixes[dtype]}", UNARY if sign else PRIMARY)

    def maths(self, fn: str, dtype: DType) -> str:
        """The library's name of a scalar function."""
        return f"{words.MATHS[fn]}{self.suffixes[dtype]}"

    def loop(self, loop: k.For, header: str) -> list[str]:
        """The lines that open ``loop``; ``header`` is the plain ``for`` (its brace comes after)."""
        return [f"{header} {{"]

    def barrier(self) -> str:
        return self.unsupported("a barrier")

    # -- names ------------------------------------------------------------------------------------

    def identifier(self, name: str, taken: Iterable[str]) -> str:
        """A name that the target allows and that is not in ``taken``."""
        base = _NOT_A_NAME.sub("_", name)
        base = base if base and not base[0].isdigit() else f"v{base}"
        used = {*taken, *self.helpers}
        found, count = base, 0
        while found in used or found in self.types.values() or words.is_reserved(found):
            count += 1
            found = f"{base}_{count}"
        return found

    def define(self, name: str) -> str:
        found = self.identifier(name, self.scope.values())
        self.scope = self.scope | {name: found}
        return found

    # -- kernels ----------------------------------------------------------------------------------

    def source(self, kernels: Iterable[Kernel]) -> str:
        """A whole source text: prelude, the helpers used, the kernels."""
        functions = [self.function(kernel) for kernel in kernels]
        return "\n".join([self.prelude(), *self.helpers.values(), *functions]).lstrip("\n")

    def prelude(self) -> str:
        """Lines before everything else."""
        return ""

    def signature(self, kernel: Kernel, name: str, params: str) -> str:
        return f"void {name}({params})"

    def function(self, kernel: Kernel, name: str | None = None) -> str:
        """One kernel as a function; ``name`` if it is not to have the kernel's own."""
        self.scope = {}
        self.positions = Positions(kernel)
        self.positive = self.positions.loops
        self.mutable = frozenset(s.var.name for s in k.walk(kernel) if isinstance(s, k.Local))
        stored = {s.buffer for s in k.walk(kernel) if isinstance(s, k.Store)}
        params = ", ".join(self.parameter(p, p in stored) for p in kernel.params)
        name = self.identifier(kernel.name, self.scope.values()) if name is None else name
        head = self.signature(kernel, name, params or "void")
        body = self.begin(kernel) + [self.scratch(b) for b in kernel.scratch] + self.block(kernel.body)
        if len(head) > 117:
            head = head.replace("(" + params, "(\n    " + params.replace(", ", ",\n    "), 1)
        lines = [f"// kernel {kernel.name}", f"{head} {{", *indented(body), "}"]
        return "\n".join(lines) + "\n"

    def begin(self, kernel: Kernel) -> list[str]:
        """Lines before the body."""
        return []

    def parameter(self, param: Buffer | Var, is_stored: bool) -> str:
        if isinstance(param, Var):
            return f"{self.type(param.dtype)} {self.define(param.name)}"
        qualifier = "" if is_stored else "const "
        return self.pointer.format(const=qualifier, type=self.type(param.dtype), name=self.define(param.name))

    def scratch(self, buffer: Buffer) -> str:
        return f"{self.spaces[buffer.space]}{self.type(buffer.dtype)} {self.define(buffer.name)}[{buffer.size}];"

    # -- statements -------------------------------------------------------------------------------

    def block(self, body: Iterable[k.Stmt]) -> list[str]:
        outer, positive = self.scope, self.positive
        lines = [line for stmt in body for line in self.statement(stmt)]
        self.scope, self.positive = outer, positive
        return lines

    def statement(self, stmt: k.Stmt) -> list[str]:
        match stmt:
            case k.Let(var, value):
                return [self.let(var, value)]
            case k.Local(var, init):
                text = self.expr(init)
                return [f"{self.type(var.dtype)} {self.define(var.name)} = {text};"]
            case k.Assign(var, value):
                return [f"{self.scope[var.name]} = {self.expr(value)};"]
            case k.Store(buffer, position, value):
                return [f"{self.scope[buffer.name]}[{self.index(position)}] = {self.expr(value)};"]
            case k.For():
                return self.for_(stmt)
            case k.If(test, then, orelse):
                lines = [f"if ({self.expr(test)}) {{", *indented(self.block(then)), "}"]
                return lines if not orelse else [*lines[:-1], "} else {", *indented(self.block(orelse)), "}"]
            case k.Prefetch():
                return []  # no word for it is common to the compilers of C
            case k.Barrier():
                return [self.barrier()]
        return self.unsupported(f"statement {type(stmt).__name__}")

    def let(self, var: Var, value: Expr) -> str:
        if var.name not in self.positions.lets:
            text = self.expr(value)
            return f"const {self.type(var.dtype)} {self.define(var.name)} = {text};"
        text = self.index(value)
        if is_negative_never(value, self.positive):
            self.positive |= {var.name}
        return f"const {self.type(self.index_type)} {self.define(var.name)} = {text};"

    def for_(self, loop: k.For) -> list[str]:
        outer = self.scope
        extent = self.extent(loop.extent)
        name, type_ = self.define(loop.var.name), self.type(self.index_type)
        if self.may_change(loop.extent):
            end = self.define(f"{name}_end")
            header = f"for ({type_} {name} = 0, {end} = {extent}; {name} < {end}; ++{name})"
        else:
            header = f"for ({type_} {name} = 0; {name} < {extent.within(10)}; ++{name})"
        lines = [*self.loop(loop, header), *indented(self.block(loop.body)), "}"]
        self.scope = outer
        return lines

    def may_change(self, extent: Expr) -> bool:
        """Whether a loop's body could change the value of its extent, which is fixed when the loop begins."""
        return any(isinstance(e, Load) or (isinstance(e, Var) and e.name in self.mutable) for e in k.walk(extent))

    # -- expressions ------------------------------------------------------------------------------

    def index(self, e: Expr) -> Text:
        """``e`` as a place in a buffer."""
        return self.arithmetic(e, True) if is_arithmetic(e) else self.expr(e)

    def extent(self, e: Expr) -> Text:
        """``e`` as a number of iterations or elements, in 64 bits."""
        return self.arithmetic(e, self.positions.is_position(e)) if is_arithmetic(e) else self.expr(e)

    def is_narrow(self, name: str) -> bool:
        """Whether a variable is held in `index_type` rather than in its own dtype."""
        return name in self.positions.lets or name in self.positions.loops

    def arithmetic(self, e: Expr, narrow: bool) -> Text:
        """Index arithmetic in plain operators; ``narrow`` brings other variables down to `index_type`."""
        match e:
            case Const(value, dtype):
                return self.integer(int(value.real), self.index_type if narrow else dtype)
            case Var(name):
                text, target = Text(self.scope[name]), self.index_type if narrow else INDEX
                if self.index_type is INDEX or narrow == self.is_narrow(name):
                    return text
                return Text(f"({self.type(target)}){text}", UNARY)
            case Call("add" | "sub" | "mul" as fn, (x, y)):
                return self.infix(words.INFIX[fn], self.arithmetic(x, narrow), self.arithmetic(y, narrow))
            case Call(_, args) if (
                narrow and self.index_type is not INDEX and not all(map(self.positions.is_position, args))
            ):
                # What is divided or clamped must be computed in full.
                return Text(f"({self.type(self.index_type)}){self.arithmetic(e, False).within(UNARY - 1)}", UNARY)
            case Call("floordiv" | "mod" as fn, (x, Const(int(divisor)))) if divisor > 0 and is_negative_never(
                x, self.positive
            ):
                symbol = "/" if fn == "floordiv" else "%"
                return self.infix((symbol, 13), self.arithmetic(x, narrow), Text(str(divisor)))
            case Call(fn, args):
                return self.helper(fn, self.index_type if narrow else INDEX, [self.arithmetic(a, narrow) for a in args])
        return self.expr(e)

    def expr(self, e: Expr) -> Text:
        """``e`` as a value, with the total meaning of `jitorch.ir.scalars`."""
        match e:
            case Const(value, dtype):
                return self.literal(value, dtype)
            case Var(name, dtype):
                text = Text(self.scope[name])
                if dtype is INDEX and self.index_type is not INDEX and self.is_narrow(name):
                    return Text(f"({self.type(dtype)}){text}", UNARY)
                return text
            case Load(buffer, position):
                return Text(f"{self.scope[buffer.name]}[{self.index(position)}]")
            case Call("cast", (x,), dtype):
                return self.cast(self.expr(x), x.dtype, dtype)
            case Call("where", (test, x, y)):
                tested, chosen, other = self.expr(test), self.expr(x), self.expr(y)
                return Text(f"{tested.within(TERNARY)} ? {chosen.within(TERNARY)} : {other.within(TERNARY)}", TERNARY)
            case Call(fn, args) if fn in COMPARISONS and all(map(self.positions.is_comparable, args)):
                x, y = (Text(self.scope[a.name]) if isinstance(a, Var) else self.arithmetic(a, True) for a in args)
                return self.infix(words.INFIX[fn], x, y)
            case Call() if self.positions.is_position(e):
                text = self.arithmetic(e, True)
                return (
                    text if self.index_type is INDEX else Text(f"({self.type(INDEX)}){text.within(UNARY - 1)}", UNARY)
                )
            case Call(fn, args) if fn in scalars.TABLE:
                return self.call(fn, args[0].dtype, [self.expr(a) for a in args])
        return self.unsupported(f"expression {e}")

    def infix(self, operator: tuple[str, int], x: Text, y: Text) -> Text:
        symbol, level = operator
        left = str(x) if x.level >= level and _groups(x.level, level) else f"({x})"
        right = str(y) if y.level > level and _groups(y.level, level) else f"({y})"
        return Text(f"{left} {symbol} {right}", level)

    def call(self, fn: str, dtype: DType, args: list[Text]) -> Text:
        """A scalar function of operands of ``dtype``."""
        self.type(dtype)
        if dtype in self.widened:
            return self.widened_call(fn, dtype, args)
        if dtype.category is Category.BOOL:
            return self.bool_call(fn, args)
        if dtype.is_floating_point and fn in words.MATHS:
            return Text(f"{self.maths(fn, dtype)}({', '.join(map(str, args))})")
        if self.is_plain(fn, dtype):
            return self.infix(words.INFIX[fn], *args)
        if fn == "neg" and dtype.is_floating_point:
            return Text(f"-{args[0].within(UNARY)}", UNARY)
        if fn == "not":
            return Text(f"({self.type(dtype)})~{args[0].within(UNARY)}", UNARY)
        if fn in _SAME_WHEN_NOT_SIGNED and not dtype.is_signed:
            return args[0]
        return self.helper(fn, dtype, args)

    def is_plain(self, fn: str, dtype: DType) -> bool:
        """Whether C's operator has the meaning of ``fn``: wide unsigned integers wrap by themselves."""
        if fn not in words.INFIX or (fn == "div" and not dtype.is_floating_point):
            return False
        if fn not in ("add", "sub", "mul"):
            return True
        return dtype.is_floating_point or (not dtype.is_signed and dtype.itemsize >= 4)

    def bool_call(self, fn: str, args: list[Text]) -> Text:
        if fn in ("abs", "sign"):
            return args[0]
        if fn == "not":
            return Text(f"!{args[0].within(UNARY - 1)}", UNARY)
        if fn not in words.INFIX_BOOL:
            return self.unsupported(f"{fn} of bool")
        return self.infix(words.INFIX_BOOL[fn], *args)

    def widened_call(self, fn: str, dtype: DType, args: list[Text]) -> Text:
        """Computed in float32 and rounded, as NumPy does."""
        widen, narrow = self.widened[dtype]
        result = self.call(fn, dtypes.float32, [Text(widen.format(x=a)) for a in args])
        entry = scalars.TABLE[fn]
        return result if entry.to_bool or entry.to_bits else Text(narrow.format(x=result))

    def cast(self, x: Text, source: DType, target: DType) -> Text:
        self.type(source)
        type_ = self.type(target)
        if source in self.widened:
            x, source = Text(self.widened[source][0].format(x=x)), dtypes.float32
            if target is source:
                return x
        if target in self.widened:
            return self.narrowed(x, source, target)
        if target.category is Category.BOOL:
            return Text(f"{x.within(9)} != 0", 9)
        if source.is_floating_point and target.category is Category.INT:
            return self.saturating(x, source, target)
        return Text(f"({type_}){x.within(UNARY - 1)}", UNARY)

    def narrowed(self, x: Text, source: DType, target: DType) -> Text:
        """A conversion to a float without arithmetic of its own, by way of float32."""
        return Text(self.widened[target][1].format(x=self.cast(x, source, dtypes.float32)))

    # -- helpers ----------------------------------------------------------------------------------

    def helper(self, fn: str, dtype: DType, args: list[Text]) -> Text:
        body = words.helper(fn, dtype)
        if body is None or (fn == "philox" and dtype is not INDEX):
            return self.unsupported(f"{fn} of {dtype.name}")
        names = words.PARAMETERS.get(fn, ("x", "y")[: len(args)])
        unsigned = _UNSIGNED.get(dtype, dtype)
        parts = {"T": self.type(dtype), "U": self.type(unsigned), "f": self.suffixes.get(dtype, ""), "bits": dtype.bits}
        if fn == "philox":
            parts["U32"] = self.type(dtypes.uint32)
        result = scalars.TABLE[fn].result(dtype)
        if fn == "bits":
            parts |= {"R": self.type(result), "nan": scalars.TABLE[fn].numpy(np.array(np.nan, dtype.numpy))}
        return self.use(f"{fn}_{dtype.short}", dtype, result, names, body.format(**parts), args)

    def saturating(self, x: Text, source: DType, target: DType) -> Text:
        info = np.iinfo(target.numpy)
        parts = {
            "R": self.type(target),
            "min": self.integer(int(info.min), target),
            "max": self.integer(int(info.max), target),
            "low": self.number(float(info.min), source),
            # One more than the greatest integer is a power of two, which every float has exactly.
            "high": self.number(float(int(info.max) + 1), source),
        }
        body = words.saturate().format(**parts)
        return self.use(f"cast_{source.short}_{target.short}", source, target, ("x",), body, [x])

    def use(self, name: str, dtype: DType, result: DType, params: tuple[str, ...], body: str, args: list[Text]) -> Text:
        """Call helper ``name``, and have it written out."""
        if name not in self.helpers:
            head = ", ".join(f"{self.type(dtype)} {p}" for p in params)
            head = f"{self.inline} {self.type(result)} {name}({head})"
            lines = body.splitlines()
            one_line = f"{head} {{ {body} }}"
            is_short = len(lines) == 1 and len(one_line) <= 120
            self.helpers[name] = f"{one_line}\n" if is_short else "\n".join([f"{head} {{", *indented(lines), "}\n"])
        return Text(f"{name}({', '.join(map(str, args))})")


def indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" if line and not line.startswith("#") else line for line in lines]


def _groups(inner: int, outer: int) -> bool:
    """Whether a reader knows that ``inner`` binds tighter: not across shifts, bits and logic, nor among comparisons."""
    if inner >= UNARY or inner == outer:
        return outer not in (9, 10) or inner >= UNARY
    return outer >= 12 or (outer in (9, 10) and inner >= 12) or (outer in (4, 5) and inner >= 9)
