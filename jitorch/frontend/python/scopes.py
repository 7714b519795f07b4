"""Names and control flow of a syntax tree: what is bound where, what leaves a block."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
Node = TypeVar("Node", bound=ast.AST)


@dataclass
class Scope:
    """The local ``names`` of one function, what it ``declared`` global or nonlocal, its first parameter.

    ``rebound`` names may have no value that all paths agree on: their loads ask for it.
    """

    names: set[str]
    declared: dict[str, str] = field(default_factory=dict)
    first: str | None = None
    rebound: set[str] = field(default_factory=set)


@dataclass
class Bindings:
    names: set[str] = field(default_factory=set)
    declared: dict[str, str] = field(default_factory=dict)


def bindings(nodes: Iterable[ast.AST]) -> Bindings:
    """The names that these statements or expressions bind in their own scope, nested functions aside."""
    found = Bindings()
    for node in nodes:
        _bind(node, found)
    return found


def _bind(node: ast.AST, found: Bindings) -> None:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            found.names.add(name)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            found.names.add(name)
            for decorator in node.decorator_list:
                _bind(decorator, found)
            return
        case ast.Lambda():
            return
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            # A comprehension has a scope of its own; only := reaches out of it.
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr):
                    found.names.add(inner.target.id)
            return
        case ast.ExceptHandler(name=str(name)):
            found.names.add(name)
        case ast.Import() | ast.ImportFrom():
            found.names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        case ast.Global():
            found.declared.update((name, "global") for name in node.names)
        case ast.Nonlocal():
            found.declared.update((name, "nonlocal") for name in node.names)
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            found.names.add(name)
        case ast.MatchMapping(rest=str(name)):
            found.names.add(name)
    for child in ast.iter_child_nodes(node):
        _bind(child, found)


def contains(node: ast.AST, kinds: tuple[type[ast.AST], ...]) -> bool:
    """Whether such a node occurs in this one, nested functions and classes aside."""
    if isinstance(node, kinds):
        return True
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return False
    return any(contains(child, kinds) for child in ast.iter_child_nodes(node))


def leaves(statements: Sequence[ast.stmt], in_loop: bool = False) -> bool:
    """Whether these statements may return, or break or continue a loop outside of them."""
    for statement in statements:
        match statement:
            case ast.Return():
                return True
            case ast.Break() | ast.Continue():
                if not in_loop:
                    return True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                continue
            case ast.For() | ast.While():
                if leaves(statement.body, True) or leaves(statement.orelse, in_loop):
                    return True
            case _:
                if any(leaves(block, in_loop) for block in _blocks(statement)):
                    return True
    return False


def _blocks(statement: ast.stmt) -> Iterable[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for name in ("handlers", "cases"):
        for part in getattr(statement, name, []):
            yield part.body


def parameter_names(arguments: ast.arguments) -> set[str]:
    variadic = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *variadic]}


def clone(node: Node) -> Node:
    """A deep copy of a tree, many times faster than `copy.deepcopy`; nodes without fields are shared."""
    if not node._fields:
        return node
    new = node.__class__.__new__(node.__class__)
    for name, value in node.__dict__.items():
        if isinstance(value, list):
            value = [clone(x) if isinstance(x, ast.AST) else x for x in value]
        elif isinstance(value, ast.AST):
            value = clone(value)
        setattr(new, name, value)
    return new


def mangle(node: ast.AST, class_name: str) -> None:
    """Spell private names (``__x`` in the body of a class) as Python itself does, in place."""
    stripped = class_name.lstrip("_")
    if not stripped:  # a class called _ mangles nothing
        return

    def spell(name: Any) -> Any:
        private = isinstance(name, str) and name.startswith("__") and not name.endswith("__") and "." not in name
        return f"_{stripped}{name}" if private else name

    for inner in ast.walk(node):
        for attribute in ("id", "attr", "arg", "name", "asname"):
            if hasattr(inner, attribute):
                setattr(inner, attribute, spell(getattr(inner, attribute)))
        if isinstance(inner, (ast.Global, ast.Nonlocal)):
            inner.names = [spell(name) for name in inner.names]
