"""Function -> syntax tree, by an index of the file; a file that changed since is detected.

The tree is taken only if compiling it again gives the very byte code of the function, so the source
on disk is what runs.  What `eval` and `exec` made without a file is read from its byte code, under the same condition.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jitorch.frontend.python.decompile import Unknown, decompile

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

FUTURE_FLAGS = 0
for _name in __future__.all_feature_names:
    FUTURE_FLAGS |= getattr(__future__, _name).compiler_flag

# Fields that every definition has since Python 3.12.
_TYPE_PARAMETERS: dict[str, Any] = {"type_params": []} if sys.version_info >= (3, 12) else {}
_MAKER = "_jitorch_maker"
# pytest rewrites the asserts of test modules before they are compiled.
_ASSERT_REWRITING = "@pytest_ar"


class NoSource(Exception):
    """There is no source for a function, or it is not what was compiled."""


@dataclass(frozen=True, slots=True)
class Source:
    """A function's tree (shared: copy before changing) and the class whose body it stands in."""

    node: FunctionNode
    class_name: str | None


@dataclass(frozen=True, slots=True)
class _File:
    lines: list[str]
    index: dict[tuple[str, int], list[Source]]
    imported: tuple[str, ...]  # names that the module's own statements import


_files: dict[str, _File] = {}


def find(code: types.CodeType) -> Source:
    """The source of the function whose code this is.  Raises `NoSource`."""
    name = code.co_filename
    if not linecache.getlines(name):
        return _from_bytecode(code)
    found = _search(_read(name), code)
    if found is None:
        # The file may be a notebook cell or a reloaded module that was indexed in an earlier state.
        linecache.checkcache(name)
        _files.pop(name, None)
        found = _search(_read(name), code)
    if found is None:
        raise NoSource(f"the source of {code.co_qualname} is not what was compiled")
    return found


def _from_bytecode(code: types.CodeType) -> Source:
    try:
        arguments, body = decompile(code)
    except Unknown as unknown:
        raise NoSource(f"no source file {code.co_filename}, and its byte code is not plain") from unknown
    node: FunctionNode
    if code.co_name != "<lambda>":
        node = function_definition(code.co_name, arguments, body)
    elif len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
        node = ast.Lambda(arguments, body[0].value)
    else:
        raise NoSource(f"no source file {code.co_filename}, and its byte code is not plain")
    node.lineno, node.col_offset = code.co_firstlineno, 0
    found = Source(ast.fix_missing_locations(node), None)
    if not _compiles_to(found, code, ()):
        raise NoSource(f"no source file {code.co_filename}, and its byte code is not plain")
    return found


def _read(name: str) -> _File:
    lines = linecache.getlines(name)
    known = _files.get(name)
    if known is not None and known.lines is lines:
        return known
    try:
        tree = ast.parse("".join(lines), name)
    except SyntaxError as error:
        raise NoSource(f"{name} is no longer valid Python") from error
    index: dict[tuple[str, int], list[Source]] = {}
    _index(tree, None, index)
    _files[name] = _File(lines, index, tuple(_imported(tree)))
    return _files[name]


def _imported(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in child.names if alias.name != "*")
        elif not isinstance(child, (ast.ClassDef, ast.expr, *_FUNCTIONS)):
            yield from _imported(child)


def _index(node: ast.AST, class_name: str | None, index: dict[tuple[str, int], list[Source]]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            decorators = getattr(child, "decorator_list", ())
            line = min([child.lineno, *(d.lineno for d in decorators)])
            index.setdefault((getattr(child, "name", "<lambda>"), line), []).append(Source(child, class_name))
        _index(child, child.name if isinstance(child, ast.ClassDef) else class_name, index)


def _search(file: _File, code: types.CodeType) -> Source | None:
    candidates = file.index.get((code.co_name, code.co_firstlineno), [])
    matching = [s for s in candidates if _compiles_to(s, code, file.imported)]
    if len(matching) > 1:  # equal lambdas on one line: it does not matter which, unless columns say so
        matching = [s for s in matching if _spans(s.node, code)] or matching
    return matching[0] if matching else None


def _spans(node: FunctionNode, code: types.CodeType) -> bool:
    columns = [start for line, _, start, _ in code.co_positions() if line is not None and start]
    end = node.end_col_offset or 0
    return bool(columns) and node.col_offset <= min(columns) and max(columns) <= end


def _compiles_to(candidate: Source, code: types.CodeType, imported: tuple[str, ...]) -> bool:
    """Whether the tree, compiled with the function's free variables around it, is this code."""
    body: list[ast.stmt] = [_without_surroundings(candidate.node)]
    if candidate.class_name is not None:
        body = [class_definition(candidate.class_name, body)]
    free = [name for name in code.co_freevars if name != "__class__"]
    # A module's function or class sees its own name as a global, not as a variable of the maker.
    defined = {candidate.class_name or code.co_name} - {"<lambda>", *free}
    outer: list[ast.stmt] = [ast.Global(sorted(defined))] if defined else []
    maker = function_definition(_MAKER, parameters(*free), outer + body)
    # The compiler calls methods of an imported name in another way than those of other names.
    imports = ast.Import([ast.alias("_", name) for name in imported or ("_",)])
    module = ast.Module([ast.copy_location(imports, candidate.node), ast.copy_location(maker, candidate.node)], [])
    ast.fix_missing_locations(module)
    try:
        compiled = compile(module, code.co_filename, "exec", code.co_flags & FUTURE_FLAGS, dont_inherit=True)
        again = nested(compiled, _MAKER)
        if candidate.class_name is not None:
            again = nested(again, candidate.class_name)
        return _same(nested(again, code.co_name), code)
    except (SyntaxError, NoSource):
        return False


def _without_surroundings(node: FunctionNode) -> ast.stmt:
    """The definition without decorators, defaults and annotations: they run outside of its code."""
    plain = parameters()
    plain.posonlyargs = [ast.arg(a.arg) for a in node.args.posonlyargs]
    plain.args = [ast.arg(a.arg) for a in node.args.args]
    plain.vararg = node.args.vararg and ast.arg(node.args.vararg.arg)
    plain.kwonlyargs = [ast.arg(a.arg) for a in node.args.kwonlyargs]
    plain.kw_defaults = [None for _ in node.args.kw_defaults]
    plain.kwarg = node.args.kwarg and ast.arg(node.args.kwarg.arg)
    if isinstance(node, ast.Lambda):
        return ast.Expr(ast.Lambda(plain, node.body))
    return function_definition(node.name, plain, node.body, type(node))


def parameters(*names: str) -> ast.arguments:
    """The parameter list of plain ``names``."""
    args = [ast.arg(name) for name in names]
    return ast.arguments(posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=[])


def function_definition(
    name: str,
    args: ast.arguments,
    body: list[ast.stmt],
    kind: type[ast.FunctionDef] | type[ast.AsyncFunctionDef] = ast.FunctionDef,
) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """A ``def`` without decorators and annotations."""
    return kind(name=name, args=args, body=body, decorator_list=[], **_TYPE_PARAMETERS)


def class_definition(name: str, body: list[ast.stmt]) -> ast.ClassDef:
    """A class statement without bases."""
    return ast.ClassDef(name=name, bases=[], keywords=[], body=body, decorator_list=[], **_TYPE_PARAMETERS)


def nested(code: types.CodeType, name: str) -> types.CodeType:
    """The code object called ``name`` that ``code`` makes a function or class of."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name == name:
            return constant
    raise NoSource(f"{code.co_name} defines no {name}")


def _same(a: types.CodeType, b: types.CodeType) -> bool:
    if a.co_varnames[: _arity(a)] != b.co_varnames[: _arity(b)] or a.co_freevars != b.co_freevars:
        return False
    if _ASSERT_REWRITING in b.co_names:
        return True
    if (a.co_code, a.co_names, a.co_varnames, a.co_cellvars) != (b.co_code, b.co_names, b.co_varnames, b.co_cellvars):
        return False
    return len(a.co_consts) == len(b.co_consts) and all(map(_same_constant, a.co_consts, b.co_consts))


def _same_constant(a: object, b: object) -> bool:
    if isinstance(a, types.CodeType) and isinstance(b, types.CodeType):
        # The body of a class holds its qualified name, which the surroundings settle.
        is_function = a.co_flags & inspect.CO_OPTIMIZED
        return _same(a, b) if is_function else a.co_name == b.co_name
    if isinstance(a, frozenset):  # equal sets may be shown in different orders
        return a == b
    # `repr` tells 0.0 from -0.0, and 1 from True inside of tuples.
    return type(a) is type(b) and repr(a) == repr(b)


def _arity(code: types.CodeType) -> int:
    variadic = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_argcount + code.co_kwonlyargcount + variadic
