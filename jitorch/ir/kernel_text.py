"""Text -> Kernel and Program: ``parse_kernel(str(k)) == k`` and ``parse_program(str(p)) == p``.

    kernel @scale(x: f32*, y: f32*, n: i64) {
      for i in parallel(n) {
        let t0: f32 = x[i] * 2.0
        y[i] = t0
      }
    }

    program @main {
      input x: f32* of n
      output y: f32* of n
      scalar n: i64
      alloc t: f32* of n
      launch @scale(x, t, n)
      launch @scale(t, y, n)
      free t
    }

The grammar is in ``kernel.lark`` beside this file; `jitorch.ir.notation` says how names, literals and
operators are spelt.  ``fn~(x, y)`` is a call that may be reassociated.  Reading keeps the tree as
written: nothing is simplified.  lark is imported only when something is read.
"""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NoReturn

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import ParseError
from jitorch.ir import kernel as k
from jitorch.ir import notation, program, scalars
from jitorch.ir.kernel import Buffer, Const, Expr, Kernel, Load, Var
from jitorch.ir.program import Program

if TYPE_CHECKING:
    from lark import Lark, Token

Tree = Any
"""A lark tree; its children are trees, tokens and None, which lark's own types do not tell apart."""

_FUNCTIONS = {symbol: fn for fn, (symbol, _) in notation.INFIX.items()}


def parse_kernel(text: str) -> Kernel:
    """Read one kernel; `ParseError` says the line, the column and what was expected there."""
    return _Builder().kernel(_tree(text, "kernel_text").children[0])


def parse_program(text: str) -> Program:
    """Read the kernels of a program and the program."""
    *kernels, main = _tree(text, "program_text").children
    builder = _Builder()
    for tree in kernels:
        found = builder.kernel(tree)
        if found.name in builder.kernels:
            _fail(tree, f"kernel @{found.name} is defined twice")
        builder.kernels[found.name] = found
    return builder.program(main)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    from lark import Lark

    grammar = resources.files("jitorch.ir").joinpath("kernel.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", start=["kernel_text", "program_text"], propagate_positions=True)


def _tree(text: str, start: str) -> Tree:
    from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

    try:
        return _parser().parse(text, start=start)
    except UnexpectedInput as error:
        allowed: set[str] = set()
        actual = "the end of the text"
        if isinstance(error, UnexpectedToken):
            allowed = error.accepts or error.expected
            actual = actual if error.token.type == "$END" else repr(str(error.token))
        elif isinstance(error, UnexpectedCharacters):
            allowed = error.allowed or set()
            actual = repr(text[error.pos_in_stream])
        elif isinstance(error, UnexpectedEOF):
            allowed = set(error.expected)
        place = f"line {error.line}, column {error.column}" if error.line > 0 else f"line {len(text.splitlines())}"
        raise ParseError(f"{place}: this is not kernel text", expected=_spelt(allowed), actual=actual) from error


_MEANING = {
    "NAME": "a name", "QUOTED": "a quoted name", "INT": "an integer", "FLOAT": "a number", "HEX": "a number",
    "$END": "the end", "SPACE": "a space (shared, local, global)", "COMPARE": "a comparison",
    "SHIFT": "a shift", "OVER": "/ // %",
}  # fmt: skip


def _spelt(terminals: set[str]) -> str:
    patterns = {t.name: t.pattern.value for t in _parser().terminals}
    return ", ".join(sorted({_MEANING.get(t) or repr(patterns.get(t, t)) for t in terminals}))


def _fail(at: Any, what: str, expected: object = None) -> NoReturn:
    place = getattr(at, "meta", at)
    line, column = getattr(place, "line", None), getattr(place, "column", None)
    raise ParseError(what if line is None else f"line {line}, column {column}: {what}", expected=expected)


def _name(token: Token) -> str:
    if token.type != "QUOTED":
        return str(token)
    try:
        return json.loads(token)
    except ValueError as error:
        raise ParseError(f"line {token.line}, column {token.column}: not a quoted name: {token}") from error


def _dtype(token: Token) -> DType:
    try:
        return dtypes.by_short(str(token))
    except KeyError:
        _fail(token, f"{token} is not a dtype", ", ".join(d.short for d in dtypes.ALL))


def _float(tree: Any, dtype: DType) -> float:
    """The value of a number; decimals of float32 are the shortest that name it, so they are rounded to it."""
    if tree is not None and tree.data == "nan_bits":
        return struct.unpack("<d", struct.pack("<Q", int(tree.children[1]) & (2**64 - 1)))[0]
    if tree is None or tree.data != "number":
        _fail(tree, "expected a number")
    minus, token = tree.children
    if token.type == "HEX":
        value = float.fromhex(token)
    else:
        value = float(dtypes.float32.numpy.type(str(token)) if dtype is dtypes.float32 else float(token))
    return value if minus is None else -value


class _Builder:
    """Turns lark's trees into ours; ``scope`` knows what each name stands for."""

    def __init__(self) -> None:
        self.scope: dict[str, Buffer | Var] = {}
        self.kernels: dict[str, Kernel] = {}

    def kernel(self, tree: Tree) -> Kernel:
        self.scope = {}
        name, *rest = [c for c in tree.children if c is not None]
        params = tuple(self.param(t) for t in rest if t.data in ("buffer_param", "scalar_param"))
        scratch = tuple(self.buffer(t.children[1], t.children[0]) for t in rest if t.data == "scratch")
        body = self.statements(t for t in rest if t.data not in ("buffer_param", "scalar_param", "scratch"))
        return Kernel(_name(name), params, scratch, body)

    def param(self, tree: Tree) -> Buffer | Var:
        if tree.data == "scalar_param":
            return self.define(*tree.children)
        return self.buffer(tree.children[1], tree.children[0])

    def buffer(self, tree: Tree, space: Any = None) -> Buffer:
        name, dtype, *size = tree.children
        count = int(size[0]) if size else None
        found = Buffer(_name(name), _dtype(dtype), "global" if space is None else str(space), count)
        self.scope[found.name] = found
        return found

    def define(self, name: Token, dtype: Token | None) -> Var:
        var = Var(_name(name), k.INDEX if dtype is None else _dtype(dtype))
        self.scope[var.name] = var
        return var

    def find_var(self, token: Token) -> Var:
        found = self.scope.get(_name(token))
        return found if isinstance(found, Var) else _fail(token, f"no variable {token} is defined here")

    def find_buffer(self, token: Token) -> Buffer:
        found = self.scope.get(_name(token))
        return found if isinstance(found, Buffer) else _fail(token, f"no buffer {token} is defined here")

    def statements(self, trees: Any) -> tuple[Any, ...]:
        """Statements of a block; what they define ends with it."""
        outer = dict(self.scope)
        body = tuple(getattr(self, f"on_{t.data}")(*t.children) for t in trees)
        self.scope = outer
        return body

    def block(self, tree: Tree | None) -> tuple[Any, ...]:
        return () if tree is None else self.statements(tree.children)

    def on_let(self, name: Token, dtype: Token, value: Tree) -> k.Let:
        expr = self.expr(value)
        return k.Let(self.define(name, dtype), expr)

    def on_local(self, name: Token, dtype: Token, init: Tree) -> k.Local:
        expr = self.expr(init)
        return k.Local(self.define(name, dtype), expr)

    def on_assign(self, name: Token, value: Tree) -> k.Assign:
        return k.Assign(self.find_var(name), self.expr(value))

    def on_store(self, name: Token, index: Tree, value: Tree) -> k.Store:
        return k.Store(self.find_buffer(name), self.expr(index), self.expr(value))

    def on_streamed_store(self, name: Token, index: Tree, value: Tree) -> k.Store:
        return k.Store(self.find_buffer(name), self.expr(index), self.expr(value), streamed=True)

    def on_for(self, name: Token, dtype: Token | None, kind: Token, extent: Tree, body: Tree) -> k.For:
        if str(kind) not in k.KINDS:
            _fail(kind, f"{kind} is not a kind of loop", ", ".join(k.KINDS))
        outer, count = dict(self.scope), self.expr(extent)
        loop = k.For(self.define(name, dtype), count, self.block(body), str(kind))
        self.scope = outer
        return loop

    def on_if(self, test: Tree, then: Tree, orelse: Tree | None) -> k.If:
        return k.If(self.expr(test), self.block(then), self.block(orelse))

    def on_prefetch(self, name: Token, index: Tree) -> k.Prefetch:
        return k.Prefetch(self.find_buffer(name), self.expr(index))

    def on_written_prefetch(self, name: Token, index: Tree) -> k.Prefetch:
        return k.Prefetch(self.find_buffer(name), self.expr(index), written=True)

    def on_barrier(self) -> k.Barrier:
        return k.Barrier()

    def program(self, tree: Tree) -> Program:
        self.scope = {}
        name, *rest = tree.children
        parts: dict[str, list[Any]] = {"input": [], "output": [], "scalar": [], "status": [], "arena": []}
        sizes: dict[str, Tree] = {}
        body = []
        for t in rest:
            if t.data not in parts:
                body.append(t)
            elif t.data == "scalar":
                parts["scalar"].append(self.define(*t.children))
            elif t.data == "arena":
                parts["arena"].append(t.children[0])
            else:
                buffer, *size = t.children
                found = self.buffer(buffer)
                parts[t.data].append(found)
                sizes.update((found.name, tree) for tree in size)
        # Sizes come before the scalars that they speak of.
        known = {n: self.expr(size) for n, size in sizes.items()}
        arena = self.expr(parts["arena"][0]) if parts["arena"] else None
        status = parts["status"][0] if parts["status"] else None
        inputs, outputs, given = tuple(parts["input"]), tuple(parts["output"]), tuple(parts["scalar"])
        return Program(_name(name), inputs, outputs, given, self.host(body), status, arena, known)

    def host(self, trees: Any) -> tuple[Any, ...]:
        """Host statements; unlike a kernel's, their names live on after their block."""
        return tuple(getattr(self, f"on_{t.data}")(*t.children) for t in trees)

    def on_alloc(self, buffer: Tree, size: Tree) -> program.Alloc:
        count = self.expr(size)
        return program.Alloc(self.buffer(buffer), count)

    def on_place(self, buffer: Tree, size: Tree, offset: Tree) -> program.Place:
        count, start = self.expr(size), self.expr(offset)
        return program.Place(self.buffer(buffer), count, start)

    def on_view(self, buffer: Tree, size: Tree, source: Token, offset: Tree) -> program.View:
        count, start, whole = self.expr(size), self.expr(offset), self.find_buffer(source)
        return program.View(self.buffer(buffer), whole, count, start)

    def on_stop(self, code: Token) -> program.Stop:
        return program.Stop(int(code))

    def on_free(self, name: Token) -> program.Free:
        return program.Free(self.find_buffer(name))

    def on_launch(self, name: Token, *args: Tree | None) -> program.Launch:
        found = self.kernels.get(_name(name))
        if found is None:
            _fail(name, f"no kernel @{name} stands before the program")
        return program.Launch(found, tuple(self.argument(a) for a in args if a is not None))

    def argument(self, tree: Tree) -> Buffer | Expr:
        if tree.data == "variable" and isinstance(found := self.scope.get(_name(tree.children[0])), Buffer):
            return found
        return self.expr(tree)

    def on_copy(self, target: Token, source: Token, size: Tree) -> program.Copy:
        return program.Copy(self.find_buffer(target), self.find_buffer(source), self.expr(size))

    def on_host_let(self, name: Token, dtype: Token, value: Tree) -> program.Scalar:
        expr = self.expr(value)
        return program.Scalar(self.define(name, dtype), expr)

    def on_host_if(self, test: Tree, then: Tree, orelse: Tree | None) -> program.If:
        otherwise = () if orelse is None else orelse.children
        return program.If(self.expr(test), self.host(then.children), self.host(otherwise))

    def on_loop(self, head: Tree, test: Tree, tail: Tree) -> program.While:
        before = self.host(head.children)
        return program.While(before, self.expr(test), self.host(tail.children))

    def on_strands(self, name: Token, extent: Tree, body: Tree) -> program.Parallel:
        count, outer = self.expr(extent), self.scope.get(_name(name))
        made = program.Parallel(self.define(name, None), count, self.host(body.children))
        if outer is None:
            del self.scope[made.var.name]
        else:
            self.scope[made.var.name] = outer
        return made

    def on_return(self) -> program.Return:
        return program.Return()

    def expr(self, tree: Any) -> Expr:
        match tree.data:
            case "number" if tree.children[1].type == "INT":
                return Const(-int(tree.children[1]) if tree.children[0] else int(tree.children[1]), k.INDEX)
            case "number" | "nan_bits":
                return Const(_float(tree, dtypes.float32), dtypes.float32)
            case "bool":
                return Const(tree.children[0].type == "TRUE", dtypes.bool_)
            case "variable":
                return self.find_var(tree.children[0])
            case "load":
                return Load(self.find_buffer(tree.children[0]), self.expr(tree.children[1]))
            case "infix":
                x, symbol, y = tree.children
                return self.call_of(_FUNCTIONS[str(symbol)], (self.expr(x), self.expr(y)))
        name, tilde, *args, dtype = tree.children
        args = [a for a in args if a is not None]
        if str(name) == "cast":
            return self.cast(name, args, tilde is not None)
        if str(name) in _CONSTANTS:
            return self.constant(name, args)
        if str(name) not in scalars.TABLE and dtype is None:
            _fail(name, f"{name} is not a scalar function")
        operands = tuple(self.expr(a) for a in args)
        return self.call_of(str(name), operands, tilde is not None, None if dtype is None else _dtype(dtype))

    def call_of(self, fn: str, args: tuple[Expr, ...], loose: bool = False, dtype: DType | None = None) -> Expr:
        result = scalars.TABLE[fn].result(*(a.dtype for a in args)) if dtype is None else dtype
        return k.Call(fn, args, result, loose)

    def cast(self, name: Token, args: list[Tree], loose: bool) -> Expr:
        if len(args) != 2 or args[1].data != "variable":
            _fail(name, "cast takes an expression and a dtype", "cast(x, f32)")
        return k.Call("cast", (self.expr(args[0]),), _dtype(args[1].children[0]), loose)

    def constant(self, name: Token, args: list[Tree]) -> Const:
        dtype = _CONSTANTS[str(name)]
        if len(args) != (2 if dtype.is_complex else 1):
            _fail(name, f"a constant of {name} takes {2 if dtype.is_complex else 1} number")
        if dtype.is_complex:
            return Const(complex(_float(args[0], dtype), _float(args[1], dtype)), dtype)
        if dtype.category is Category.FLOAT:
            return Const(_float(args[0], dtype), dtype)
        value = self.expr(args[0])
        if not isinstance(value, Const) or value.dtype is not k.INDEX:
            _fail(name, f"a constant of {name} takes an integer")
        return Const(value.value, dtype)


_CONSTANTS = {d.short: d for d in dtypes.ALL}
