"""Byte code -> syntax tree, for functions that have no file: what `eval` and `exec` made.

Only code without branches, loops and inner functions is known: expressions, assignments to variables, ``return``.  The
caller compiles the tree again and compares (`jitorch.frontend.python.source`), so a tree that means something else is
never used.
"""

from __future__ import annotations

import ast
import dis
import inspect
import sys
import types
from collections.abc import Callable


class Unknown(Exception):
    """An instruction that cannot be expressed; the message names it."""


class _Null(ast.expr):
    """What the interpreter puts beside a function that is not a method."""


_Handler = Callable[["_Stack", dis.Instruction], None]
_HANDLERS: dict[str, _Handler] = {}
_BINARY: dict[str, ast.operator] = {
    "+": ast.Add(), "-": ast.Sub(), "*": ast.Mult(), "/": ast.Div(), "//": ast.FloorDiv(), "%": ast.Mod(),
    "**": ast.Pow(), "@": ast.MatMult(), "&": ast.BitAnd(), "|": ast.BitOr(), "^": ast.BitXor(), "<<": ast.LShift(),
    ">>": ast.RShift(),
}  # fmt: skip
_COMPARE: dict[str, ast.cmpop] = {
    "<": ast.Lt(), "<=": ast.LtE(), "==": ast.Eq(), "!=": ast.NotEq(), ">": ast.Gt(), ">=": ast.GtE(),
}  # fmt: skip
_UNARY: dict[str, ast.unaryop] = {
    "UNARY_NEGATIVE": ast.USub(), "UNARY_POSITIVE": ast.UAdd(), "UNARY_INVERT": ast.Invert(), "UNARY_NOT": ast.Not(),
}  # fmt: skip
_POSITIVE = 5  # CALL_INTRINSIC_1: unary plus
_KEYWORDS_FLAG = 1  # CALL_FUNCTION_EX, before 3.14


def decompile(code: types.CodeType) -> tuple[ast.arguments, list[ast.stmt]]:
    """The parameters, without defaults, and the body of the function whose code this is.  Raises `Unknown`."""
    stack = _Stack(code.co_consts)
    for instruction in dis.get_instructions(code):
        handler = _HANDLERS.get(instruction.opname)
        if handler is None:
            raise Unknown(instruction.opname)
        handler(stack, instruction)
    return _parameters(code), stack.body


def _parameters(code: types.CodeType) -> ast.arguments:
    names = [ast.arg(name) for name in code.co_varnames]
    positional, keyword = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    rest = iter(names[keyword:])
    return ast.arguments(
        posonlyargs=names[: code.co_posonlyargcount],
        args=names[code.co_posonlyargcount : positional],
        vararg=next(rest) if code.co_flags & inspect.CO_VARARGS else None,
        kwonlyargs=names[positional:keyword],
        kw_defaults=[None] * code.co_kwonlyargcount,
        kwarg=next(rest) if code.co_flags & inspect.CO_VARKEYWORDS else None,
        defaults=[],
    )


class _Stack:
    """Expressions in place of the values on the interpreter's stack, and the statements so far."""

    def __init__(self, constants: tuple[object, ...]) -> None:
        self.constants = constants
        self.values: list[ast.expr] = []
        self.body: list[ast.stmt] = []
        self.keywords: tuple[str, ...] = ()  # of the next call

    def push(self, value: ast.expr) -> None:
        self.values.append(value)

    def pop(self) -> ast.expr:
        if not self.values:
            raise Unknown("an empty stack")
        return self.values.pop()

    def take(self, count: int) -> list[ast.expr]:
        """The last ``count`` values, in order."""
        return [self.pop() for _ in range(count)][::-1]

    def call(self, count: int, names: tuple[str, ...]) -> None:
        """Call with ``count`` arguments, the last of which have ``names``."""
        arguments = self.take(count)
        positional = count - len(names)
        keywords = [ast.keyword(name, value) for name, value in zip(names, arguments[positional:])]
        self.push(ast.Call(self.function(), arguments[:positional], keywords))

    def function(self) -> ast.expr:
        """What is called: below or above it lies a mark, or the object of a method, which is part of it here."""
        function, other = self.pop(), self.pop()
        return other if isinstance(function, _Null) else function


def _handles(*names: str) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


@_handles("RESUME", "COPY_FREE_VARS", "PRECALL", "CACHE", "NOP", "TO_BOOL", "EXTENDED_ARG", "NOT_TAKEN")
def _nothing(stack: _Stack, instruction: dis.Instruction) -> None:
    """Nothing that the source says."""


@_handles("PUSH_NULL")
def _null(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.push(_Null())


@_handles("LOAD_CONST", "LOAD_SMALL_INT")
def _constant(stack: _Stack, instruction: dis.Instruction) -> None:
    if isinstance(instruction.argval, types.CodeType):
        raise Unknown("an inner function")
    stack.push(ast.Constant(instruction.argval))


@_handles("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_DEREF", "LOAD_GLOBAL")
def _name(stack: _Stack, instruction: dis.Instruction) -> None:
    if instruction.opname == "LOAD_GLOBAL" and (instruction.arg or 0) & 1:
        stack.push(_Null())
    stack.push(ast.Name(instruction.argval, ast.Load()))


@_handles("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW")
def _two_names(stack: _Stack, instruction: dis.Instruction) -> None:
    for name in instruction.argval:
        stack.push(ast.Name(name, ast.Load()))


@_handles("LOAD_ATTR", "LOAD_METHOD")
def _attribute(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.push(ast.Attribute(stack.pop(), instruction.argval, ast.Load()))
    if instruction.opname == "LOAD_METHOD" or "NULL" in instruction.argrepr:
        stack.push(_Null())


@_handles("BINARY_OP")
def _binary(stack: _Stack, instruction: dis.Instruction) -> None:
    left, right = stack.take(2)
    if instruction.argrepr == "[]":
        stack.push(ast.Subscript(left, right, ast.Load()))
        return
    if instruction.argrepr not in _BINARY:
        raise Unknown(f"BINARY_OP {instruction.argrepr}")
    stack.push(ast.BinOp(left, _BINARY[instruction.argrepr], right))


@_handles("COMPARE_OP")
def _compare(stack: _Stack, instruction: dis.Instruction) -> None:
    left, right = stack.take(2)
    if instruction.argval not in _COMPARE:
        raise Unknown(f"COMPARE_OP {instruction.argval}")
    stack.push(ast.Compare(left, [_COMPARE[instruction.argval]], [right]))


@_handles("IS_OP", "CONTAINS_OP")
def _relation(stack: _Stack, instruction: dis.Instruction) -> None:
    left, right = stack.take(2)
    kinds = (ast.Is, ast.IsNot) if instruction.opname == "IS_OP" else (ast.In, ast.NotIn)
    stack.push(ast.Compare(left, [kinds[bool(instruction.arg)]()], [right]))


@_handles(*_UNARY)
def _unary(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.push(ast.UnaryOp(_UNARY[instruction.opname], stack.pop()))


@_handles("CALL_INTRINSIC_1")
def _intrinsic(stack: _Stack, instruction: dis.Instruction) -> None:
    if instruction.arg != _POSITIVE:
        raise Unknown(f"CALL_INTRINSIC_1 {instruction.argrepr}")
    stack.push(ast.UnaryOp(ast.UAdd(), stack.pop()))


@_handles("BINARY_SUBSCR")
def _subscript(stack: _Stack, instruction: dis.Instruction) -> None:
    value, index = stack.take(2)
    stack.push(ast.Subscript(value, index, ast.Load()))


@_handles("BINARY_SLICE")
def _sliced(stack: _Stack, instruction: dis.Instruction) -> None:
    value, *bounds = stack.take(3)
    stack.push(ast.Subscript(value, _slice(bounds), ast.Load()))


@_handles("BUILD_SLICE")
def _build_slice(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.push(_slice(stack.take(instruction.arg or 0)))


def _slice(bounds: list[ast.expr]) -> ast.Slice:
    """A bound that is not written is None in the byte code."""
    lower, upper, *step = [None if isinstance(b, ast.Constant) and b.value is None else b for b in bounds]
    return ast.Slice(lower, upper, step[0] if step else None)


@_handles("BUILD_TUPLE", "BUILD_LIST", "BUILD_SET")
def _display(stack: _Stack, instruction: dis.Instruction) -> None:
    values = stack.take(instruction.arg or 0)
    if instruction.opname == "BUILD_SET":
        stack.push(ast.Set(values))
    else:
        stack.push((ast.Tuple if instruction.opname == "BUILD_TUPLE" else ast.List)(values, ast.Load()))


@_handles("LIST_EXTEND")
def _constant_list(stack: _Stack, instruction: dis.Instruction) -> None:
    target, values = stack.take(2)
    is_display = isinstance(target, ast.List) and not target.elts and isinstance(values, ast.Constant)
    if not is_display or not isinstance(values.value, tuple):  # type: ignore[attr-defined]
        raise Unknown("LIST_EXTEND")
    stack.push(ast.List([ast.Constant(x) for x in values.value], ast.Load()))  # type: ignore[attr-defined]


@_handles("BUILD_MAP")
def _map(stack: _Stack, instruction: dis.Instruction) -> None:
    items = stack.take(2 * (instruction.arg or 0))
    stack.push(ast.Dict(list(items[::2]), items[1::2]))


@_handles("BUILD_CONST_KEY_MAP")
def _constant_keys(stack: _Stack, instruction: dis.Instruction) -> None:
    keys = stack.pop()
    assert isinstance(keys, ast.Constant)
    stack.push(ast.Dict([ast.Constant(k) for k in keys.value], stack.take(instruction.arg or 0)))  # type: ignore[union-attr]


@_handles("KW_NAMES")
def _names_of_keywords(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.keywords = stack.constants[instruction.arg or 0]  # type: ignore[assignment]


@_handles("CALL")
def _call(stack: _Stack, instruction: dis.Instruction) -> None:
    names, stack.keywords = stack.keywords, ()
    stack.call(instruction.arg or 0, names)


@_handles("CALL_KW")
def _call_with_keywords(stack: _Stack, instruction: dis.Instruction) -> None:
    names = stack.pop()
    assert isinstance(names, ast.Constant)
    stack.call(instruction.arg or 0, names.value)  # type: ignore[arg-type]


@_handles("CALL_FUNCTION_EX")
def _call_with_stars(stack: _Stack, instruction: dis.Instruction) -> None:
    has_keywords = sys.version_info >= (3, 14) or bool((instruction.arg or 0) & _KEYWORDS_FLAG)
    given = stack.pop() if has_keywords else _Null()
    arguments: list[ast.expr] = [ast.Starred(stack.pop(), ast.Load())]
    keywords: list[ast.keyword] = []
    if isinstance(given, ast.Dict):
        keywords = [ast.keyword(_text(key), value) for key, value in zip(given.keys, given.values)]
    stack.push(ast.Call(stack.function(), arguments, keywords))


def _text(key: ast.expr | None) -> str | None:
    """The name of a keyword; None for all that a dict holds."""
    return str(key.value) if isinstance(key, ast.Constant) else None


@_handles("DICT_MERGE")
def _merge(stack: _Stack, instruction: dis.Instruction) -> None:
    target, values = stack.take(2)
    if not isinstance(target, ast.Dict) or target.keys:
        raise Unknown("DICT_MERGE")
    stack.push(ast.Dict([None], [values]))


@_handles("STORE_FAST")
def _store(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.body.append(ast.Assign([ast.Name(instruction.argval, ast.Store())], stack.pop(), lineno=0))


@_handles("POP_TOP")
def _drop(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.body.append(ast.Expr(stack.pop()))


@_handles("RETURN_VALUE")
def _return(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.body.append(ast.Return(stack.pop()))


@_handles("RETURN_CONST")
def _return_constant(stack: _Stack, instruction: dis.Instruction) -> None:
    stack.body.append(ast.Return(ast.Constant(instruction.argval)))
