"""Python functions, classes and modules -> a script program."""

from __future__ import annotations

import ast
import types
from typing import Any

from jitorch.frontend.script import marks
from jitorch.frontend.script.classes import Classes
from jitorch.frontend.script.function_compiler import FunctionCompiler, Scope, tree_of
from jitorch.frontend.script.modules import Modules
from jitorch.frontend.script.program import Class, Function, Parameter, Program
from jitorch.ir.graph import Graph
from jitorch.ir.types import TENSOR, Type


class Compiler:
    """Compiles what one scripted function or module needs, each function once."""

    def __init__(self) -> None:
        self.program = Program()
        self.classes = Classes(self)
        self.modules = Modules(self)
        self.program.find_method = self.classes.method
        self._functions: dict[Any, Function] = {}
        self._pending: dict[int, tuple[types.FunctionType, Class | None]] = {}

    def type_of_class(self, kind: type) -> Type | None:
        """The type of a user's class."""
        record = self.classes.of(kind)
        return None if record is None else record.type

    # -- functions

    def function(self, function: types.FunctionType) -> Function:
        """The script of a plain function; its graph is missing while it is being compiled."""
        if function in self._functions:
            return self._functions[function]
        mark = marks.mark_of(function)
        name = self.program.free_name(_plain_name(function.__name__))
        if mark == "ignore":
            made = self.signature_only(function, name, None)
            made.python, made.returns = True, TENSOR if made.returns is None else made.returns
            self.program.objects[name] = function
            self._functions[function] = made
            return made
        if marks.scripted_overloads(function):
            self._functions[function] = Function(name, (), None, source=function)
            return self._functions[function]
        return self._compiled(function, name, None, self.program.functions, name, function)

    def _compiled(
        self,
        function: types.FunctionType,
        name: str,
        owner: Class | None,
        table: dict[str, Function],
        key: str,
        known: Any,
        static: bool = False,
    ) -> Function:
        tree = tree_of(function)
        scope = Scope(function)
        graph = Graph(name)
        frame = FunctionCompiler(self, graph, scope)
        parameters, returns = frame.parameters(function, tree, None if owner is None or static else owner.type)
        if static and owner is not None:
            parameters = (Parameter("self", owner.type), *parameters)
        made = Function(name, parameters, returns, source=function)
        table[key] = self._functions[known] = made
        if owner is not None and key == "__init__":
            frame.constructs = owner
        self._fill(frame, made, tree, static)
        return made

    def _fill(self, frame: FunctionCompiler, made: Function, tree: ast.FunctionDef | ast.Lambda, static: bool) -> None:
        inputs = made.parameters[1:] if static else made.parameters
        for parameter in inputs:
            frame.graph.add_input(parameter.type, parameter.name)
        own = Function(made.name, inputs, made.returns)
        frame.run(own, tree)
        made.returns, made.graph = own.returns, frame.graph

    def signature_only(self, function: types.FunctionType, name: str, owner: Type | None) -> Function:
        """A function of which only the types count."""
        tree = tree_of(function)
        frame = FunctionCompiler(self, Graph(name), Scope(function))
        parameters, returns = frame.parameters(function, tree, owner)
        return Function(name, parameters, returns, source=function)

    def method(self, record: Class, name: str, function: types.FunctionType, static: bool) -> Function:
        """The script of a method of a class or module."""
        mark = marks.mark_of(function)
        full = f"{record.name}.{name}"
        if mark in ("ignore", "unused"):
            made = self.signature_only(function, full, record.type)
            made.python = True
            made.returns = TENSOR if made.returns is None else made.returns
            record.methods[name] = made
            return made
        if marks.scripted_overloads(function):
            record.methods[name] = Function(full, (Parameter("self", record.type),), None, source=function)
            return record.methods[name]
        return self._compiled(function, full, record, record.methods, name, (record.name, name), static)

    def nested(
        self, frame: FunctionCompiler, tree: ast.FunctionDef | ast.Lambda, name: str, types_: dict[str, Type]
    ) -> Function:
        """A function inside of another: captured variables come first, as parameters."""
        key = (tree, tuple(types_.items()))
        if key in self._functions:
            return self._functions[key]
        graph = Graph(self.program.free_name(_plain_name(f"{frame.graph.name.split('.')[-1]}_{name}")))
        inner = FunctionCompiler(self, graph, frame.names)
        inner.variables = {n: v for n, v in frame.variables.items() if not isinstance(v, Type)}
        annotated = {a.arg: inner.annotation(a.annotation) for a in tree.args.args if a.annotation is not None}
        parameters = tuple(Parameter(n, annotated.get(n, t)) for n, t in types_.items())
        declared = tree.returns if isinstance(tree, ast.FunctionDef) else None
        made = Function(graph.name, parameters, None if declared is None else inner.annotation(declared))
        self._functions[key] = self.program.functions[graph.name] = made
        self._fill(inner, made, tree, False)
        return made

    # -- overloads

    def overload(self, function: Function, signature: Any, number: int, record: Class | None) -> Function:
        """One declared signature of an overloaded function, not compiled yet."""
        key = (function.source, number, None if record is None else record.name)
        if key not in self._functions:
            owner = None if record is None else record.type
            made = self.signature_only(signature, f"{function.name}__{number}", owner)
            made.source = function.source
            self._functions[key] = made
            self._pending[id(made)] = (function.source, record)
        return self._functions[key]

    def filled(self, candidate: Function) -> Function:
        """The overload with its body compiled for its types."""
        if candidate.graph is not None or id(candidate) not in self._pending:
            return candidate
        source, record = self._pending.pop(id(candidate))
        tree = tree_of(source)
        frame = FunctionCompiler(self, Graph(candidate.name), Scope(source))
        defaults = {p.name: p for p in frame.parameters(source, tree, None if record is None else record.type)[0]}
        candidate.parameters = tuple(
            Parameter(p.name, p.type, True, defaults[p.name].default) if not p.has_default and p.name in defaults
            and defaults[p.name].has_default else p for p in candidate.parameters
        )  # fmt: skip
        table = self.program.functions if record is None else record.methods
        table[candidate.name.rpartition(".")[2]] = candidate
        self._fill(frame, candidate, tree, False)
        return candidate


def _plain_name(name: str) -> str:
    safe = "".join(c if c.isalnum() or c == "_" else "_" for c in name).strip("_")
    return safe or "function"
