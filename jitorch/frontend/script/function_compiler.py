"""One Python function -> one graph: its parameters, its names, and its body."""

from __future__ import annotations

import ast
import builtins
import enum
import inspect
import itertools
import linecache
import re
import types
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jitorch.errors import CompileError, Location
from jitorch.frontend.python import source
from jitorch.frontend.script import marks, relations
from jitorch.frontend.script.annotations import NotAType, type_of_annotation
from jitorch.frontend.script.calls import Calls
from jitorch.frontend.script.loops import Loop
from jitorch.frontend.script.program import Class, Function, Member, Parameter
from jitorch.frontend.script.relations import fits
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import NONE, TENSOR, OptionalType, RecordType, Type, UnionType
from jitorch.tensor import Tensor

if TYPE_CHECKING:
    from jitorch.frontend.script.compiler import Compiler

_SIGNATURE_COMMENT = re.compile(r"#\s*type:\s*\((.*)\)\s*->\s*(.+?)\s*$")
# Type comments may use these without an import, as in PyTorch.
_COMMENT_NAMES = {name: getattr(typing, name) for name in "Any Dict List Optional Tuple Union".split()}
_COMMENT_NAMES["Tensor"] = Tensor
_COMMENT = re.compile(r"#\s*type:\s*(?!ignore)(.+?)\s*$")


class Scope:
    """Where a function finds the names that are not its own, and its annotations their types."""

    def __init__(self, function: types.FunctionType):
        self.file = function.__code__.co_filename
        self.globals = function.__globals__
        self.cells: dict[str, Any] = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            # A cell without contents is a function that is not defined yet: this one, while it is decorated.
            if cell != types.CellType():
                self.cells[name] = cell.cell_contents

    def __getitem__(self, name: str) -> Any:
        if name in self.cells:
            return self.cells[name]
        if name in self.globals:
            return self.globals[name]
        return builtins.__dict__[name]

    def evaluate(self, text: str, known: Mapping[str, Any] = MappingProxyType({})) -> Any:
        """The object that an annotation of the user's own source means; ``known`` are names that need no import."""
        return eval(text, {**known, **self.globals}, dict(self.cells))


def tree_of(function: types.FunctionType) -> ast.FunctionDef | ast.Lambda:
    """The syntax tree of a function, with the lines and columns of its file.  CompileError if there is none."""
    code = function.__code__
    try:
        found = source.find(code).node
    except source.NoSource as error:
        raise CompileError(
            f"the source of {function.__qualname__} cannot be read: {error}", "no-source",
            hint="define it in a file or a notebook cell", where=Location(code.co_filename, code.co_firstlineno),
        ) from None  # fmt: skip
    if isinstance(found, ast.AsyncFunctionDef):
        where = Location(code.co_filename, found.lineno, found.col_offset, 1 << 20)
        raise CompileError("scripts have no coroutines", "unsupported", hint="leave async and await out", where=where)
    return found


class FunctionCompiler(Calls):
    """Compiles one function; see the modules of its base classes."""

    def __init__(self, compiler: Compiler, graph: Graph, scope: Scope):
        super().__init__(compiler.program, graph, scope.file)
        self.compiler, self.names = compiler, scope
        self.loops: list[Loop] = []
        self.returns = self.found_returns = None
        self.constructs: Class | None = None  # the class whose constructor this is
        self._lines: list[str] | None = None
        self._taken: set[str] = set()  # names that the source uses

    # -- signature

    def parameters(
        self, function: types.FunctionType, tree: ast.FunctionDef | ast.Lambda, owner: Type | None
    ) -> tuple[tuple[Parameter, ...], Type | None]:
        """The parameters and the declared result; without an annotation a parameter is a tensor."""
        args = tree.args
        for variadic, stars, hint in ((args.vararg, "*", "pass a list"), (args.kwarg, "**", "pass a dict")):
            if variadic is not None:
                what = f"scripts have no {stars}{variadic.arg} in a parameter list"
                raise self.error(what, node=variadic, hint=hint)
        comment = self._signature_comment(tree, owner is not None)
        plain = [*args.posonlyargs, *args.args]
        defaults = function.__defaults__ or ()
        given: dict[str, Any] = dict(zip([a.arg for a in plain[len(plain) - len(defaults) :]], defaults))
        given |= function.__kwdefaults__ or {}
        keyword_only = {a.arg for a in args.kwonlyargs}
        found = []
        for i, arg in enumerate([*plain, *args.kwonlyargs]):
            kind = owner if i == 0 and owner is not None else self._parameter_type(function, arg, given, comment)
            has = arg.arg in given
            if has:
                self._check_default(arg, given[arg.arg], kind)
            if isinstance(given.get(arg.arg), enum.Enum):
                given[arg.arg] = Member(self.class_of(type(given[arg.arg])).name, given[arg.arg].name)
            found.append(Parameter(arg.arg, kind, has, given.get(arg.arg), arg.arg in keyword_only))
        if comment is not None:
            return tuple(found), comment["return"]
        declared = None
        if "return" in function.__annotations__ and isinstance(tree, ast.FunctionDef):
            declared = self._annotated(function.__annotations__["return"], tree.returns or tree)
        return tuple(found), declared

    def _parameter_type(
        self, function: types.FunctionType, arg: ast.arg, given: dict[str, Any], comment: dict[str, Type] | None
    ) -> Type:
        if comment is not None and arg.arg in comment:
            return comment[arg.arg]
        if arg.arg in function.__annotations__:
            return self._annotated(function.__annotations__[arg.arg], arg.annotation or arg)
        inferred = relations.type_of(given[arg.arg]) if arg.arg in given else None
        return TENSOR if inferred in (None, NONE) else inferred

    def _check_default(self, arg: ast.arg, default: Any, kind: Type) -> None:
        found = relations.type_of(default)
        if found is None and isinstance(default, enum.Enum):
            found = self.record_type(type(default))
        if found is None or not fits(found, kind, self.program.inherits):
            spelled = type(default).__name__ if found is None else spell(found)
            hint = f"annotate it with Optional[{spell(kind)}]" if default is None else None
            raise self.error(f"the default of {arg.arg} has another type", "type-mismatch", arg,
                             expected=spell(kind), actual=spelled, hint=hint)  # fmt: skip

    def _annotated(self, annotation: Any, node: ast.AST) -> Type:
        try:
            value = self.names.evaluate(annotation) if isinstance(annotation, str) else annotation
            return type_of_annotation(value, self.record_type)
        except NotAType as error:
            raise self.error(str(error), "annotation", node, hint=error.hint) from None
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            raise self.error(f"the annotation cannot be read: {error}", "annotation", node) from None

    def _signature_comment(self, tree: ast.FunctionDef | ast.Lambda, is_method: bool) -> dict[str, Type] | None:
        """PyTorch's ``# type: (Tensor, int) -> Tensor`` under the ``def``."""
        if isinstance(tree, ast.Lambda):
            return None
        for line in self.lines[tree.lineno - 1 : tree.body[0].lineno]:
            match = _SIGNATURE_COMMENT.search(line)
            if match is not None:
                return self._read_comment(tree, match[1], match[2], is_method)
        return None

    def _read_comment(self, tree: ast.FunctionDef, arguments: str, result: str, is_method: bool) -> dict[str, Type]:
        names = [a.arg for a in tree.args.args][is_method:]
        evaluated = self._annotated_comment(f"({arguments},)" if arguments.strip() else "()", tree)
        if len(evaluated) != len(names):
            what = "the type comment has another number of parameters"
            raise self.error(what, "annotation", tree, expected=len(names), actual=len(evaluated))
        found = {name: self._annotated(kind, tree) for name, kind in zip(names, evaluated)}
        return found | {"return": self._annotated(self._annotated_comment(result, tree), tree)}

    def _annotated_comment(self, text: str, node: ast.AST) -> Any:
        try:
            return self.names.evaluate(text, _COMMENT_NAMES)
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            raise self.error(f"the type comment cannot be read: {error}", "annotation", node) from None

    @property
    def lines(self) -> list[str]:
        """The lines of the file."""
        if self._lines is None:
            self._lines = linecache.getlines(self.file)
        return self._lines

    def _do_assign(self, node: ast.Assign) -> None:
        """An assignment may have PyTorch's ``# type: List[int]`` at its end."""
        line = self.lines[node.lineno - 1] if node.lineno <= len(self.lines) else ""
        match = _COMMENT.search(line)
        target = node.targets[0]
        if match is not None and isinstance(target, ast.Name) and "->" not in match[1]:
            self.declared[target.id] = self._annotated(self._annotated_comment(match[1], node), node)
        super()._do_assign(node)

    # -- body

    def run(self, function: Function, tree: ast.FunctionDef | ast.Lambda) -> None:
        """Fill the graph of ``function`` from its tree."""
        self.returns = function.returns
        self._taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {p.name for p in function.parameters}
        for parameter in function.parameters:
            self.variables[parameter.name] = parameter.type
            if isinstance(parameter.type, (OptionalType, UnionType)):
                self.declared[parameter.name] = parameter.type
        if isinstance(tree, ast.Lambda):
            value = self.expr(tree.body, self.returns)
            self.check_return(value, tree.body)
            self.emit("finish", [value])
        else:
            self.body(tree.body)
            self._end(tree)
        if function.returns is None:
            function.returns = self.found_returns if self.found_returns is not None else NONE

    def _end(self, tree: ast.FunctionDef) -> None:
        if self.left:
            return
        if self.returns is not None and not fits(NONE, self.returns):
            raise self.error(
                f"{tree.name} may end without a return", "type-mismatch", tree.body[-1], expected=spell(self.returns),
                actual="None", hint="return a value, or raise, at the end",
            )  # fmt: skip
        if self.returns is None and self.found_returns is not None:
            with self.attempt():
                self.check_return(self.constant(None), tree.body[-1])

    # -- what the statements and expressions ask for

    def scope(self, name: str) -> Any:
        return self.names[name]

    def free_variable(self, wanted: str) -> str:
        name = next(n for n in (f"{wanted}{i or ''}" for i in itertools.count()) if n not in self._taken)
        self._taken.add(name)
        return name

    def evaluate(self, node: ast.expr) -> Any:
        try:
            return self.names.evaluate(ast.unparse(node))
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            raise self.error(f"the type cannot be read: {error}", "annotation", node) from None

    def annotation(self, node: ast.expr) -> Type:
        return self._annotated(self.evaluate(node), node)

    def record_type(self, kind: type) -> Type | None:
        record = self.compiler.classes.of(kind)
        return None if record is None else record.type

    def class_of(self, kind: type) -> Class:
        record = self.compiler.classes.of(kind)
        if record is None:
            raise self.error(f"{kind.__qualname__} is no class of scripts",
                             hint="scripts know classes with source, dataclasses, named tuples and enums")  # fmt: skip
        return record

    def exception_name(self, found: Any) -> str | None:
        return self.compiler.classes.exception(found)

    def method_of(self, record: Class, name: str) -> Function | None:
        return self.compiler.classes.method(record, name)

    def static_member(self, record: Class, name: str) -> Any:
        kind = record.source if isinstance(record.source, type) else type(record.source)
        found = inspect.getattr_static(kind, name, None)
        return None if callable(found) or isinstance(found, property) else found

    def set_field(self, receiver: Value, name: str, value: Value, node: ast.AST) -> None:
        kind = receiver.type
        if kind == TENSOR and name in ("data", "grad", "requires_grad"):
            return
        record = self.program.classes.get(kind.name) if isinstance(kind, RecordType) and not kind.fields else None
        if record is None or record.kind in ("enum", "library", "interface"):
            raise self.error(f"attributes of {with_article(spell(kind))} cannot be set", "type-mismatch", node)
        if name in record.constants:
            raise self.error(f"{name} is a constant", node=node, hint="leave Final and __constants__ away")
        if name not in record.fields and self.constructs is record:
            record.fields[name] = value.type
            return
        if name not in record.fields:
            hint = "set it in __init__ first"
            raise self.error(f"{record.name} has no attribute {name}", "unknown-member", node, hint=hint)
        field = record.fields[name]
        if relations.has_unknown(field) and self.constructs is record:
            record.fields[name] = field = value.type
        if not fits(value.type, field, self.program.inherits):
            raise self.error(f"the attribute {name} has another type", "type-mismatch", node, expected=spell(field),
                             actual=spell(value.type))  # fmt: skip

    def declare_field(self, receiver: Value, name: str, type: Type) -> None:
        if self.constructs is not None and receiver.type == self.constructs.type:
            self.constructs.fields[name] = type

    def compiler_signature(self, function: types.FunctionType, name: str) -> Function:
        found = self.compiler.signature_only(function, name, None)
        found.returns = TENSOR if found.returns is None else found.returns
        return found

    def known(self, function: Function, node: ast.AST) -> Function:
        is_open = function.graph is None and not function.python and function.returns is None
        if is_open and not marks.scripted_overloads(function.source):
            what = f"{function.name.rpartition('.')[2]} calls itself before its result is known"
            raise self.error(what, "annotation", node, hint="annotate its result: def f(...) -> Tensor:")
        return function

    def function_of(self, function: types.FunctionType, node: ast.AST) -> Function:
        return self.known(self.compiler.function(function), node)

    def nested_function(self, tree: ast.FunctionDef | ast.Lambda, name: str, types_: dict[str, Type]) -> Function:
        return self.compiler.nested(self, tree, name, types_)

    def overloaded_function(self, function: Function, node: ast.Call, record: Class | None, name: str) -> Function:
        declared = marks.scripted_overloads(function.source) if isinstance(function.source, types.FunctionType) else []
        if not declared:
            return function
        reasons = []
        for i, signature in enumerate(declared):
            candidate = self.compiler.overload(function, signature, i, record)
            try:
                with self.attempt():
                    self.arguments(candidate.parameters[1 if record is not None else 0 :], node, name)
            except CompileError as error:
                reasons.append(f"{', '.join(spell(p.type) for p in candidate.parameters)}: {error.what}")
                continue
            return self.compiler.filled(candidate)
        raise self.error(f"no overload of {name} takes these arguments", "arguments", node, expected="; ".join(reasons))
