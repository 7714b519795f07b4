"""Calls: of built-ins, of public functions and methods, of other scripts, of classes and modules."""

from __future__ import annotations

import ast
import builtins
import math
import types
import typing
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from jitorch.frontend.jitted import Jitted
from jitorch.frontend.script import marks, relations, tables
from jitorch.frontend.script.frame import Known, Made, Member
from jitorch.frontend.script.library_calls import LibraryCalls
from jitorch.frontend.script.program import Class, Function, Parameter
from jitorch.frontend.script.relations import is_tuple_like
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.ir.graph import Value
from jitorch.ir.types import (
    ANY,
    STR,
    TENSOR,
    DictType,
    ListType,
    RecordType,
    Type,
)

_CONTEXT_CLASSES = {"no_grad", "enable_grad", "set_grad_enabled", "inference_mode"}


class Calls(LibraryCalls):
    """See the module's docstring."""

    # -- who is called

    def call(self, node: ast.Call, expected: Type | None) -> Value | Known:
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.error(
                    "scripts have no ** in a call", "arguments", keyword.value, hint="write the arguments out"
                )
        special = self._super_call(node)
        if special is not None:
            return special
        callee = self.meaning(node.func)
        if isinstance(callee, Member):
            return self._call_method(callee, node, expected)
        if isinstance(callee, Known):
            return self._call_known(callee, node, expected)
        return self._call_value(callee, node)

    def _call_known(self, known: Known, node: ast.Call, expected: Type | None) -> Value | Known:
        found = known.object
        if isinstance(found, (ast.FunctionDef, ast.Lambda)):
            return self._call_nested(found, known.name, node)
        special = _SPECIAL.get(found) if getattr(found, "__hash__", None) is not None else None
        if special is not None:
            return special(self, node, expected)
        if isinstance(found, types.BuiltinFunctionType) and getattr(math, found.__name__, None) is found:
            return self._call_math(found.__name__, node)
        name = getattr(found, "__name__", "")
        if getattr(builtins, name, None) is found:
            return self._call_builtin(name, node, expected)
        public = tables.public_names().get(id(found))
        if public is not None:
            return self._call_public(public, found, node)
        if name in _CONTEXT_CLASSES or name in ("Device", "Size", "Generator", "is_grad_enabled"):
            spelled = f"torch.{ {'Device': 'device'}.get(name, name) }"
            if getattr(found, "__module__", "").startswith("jitorch") and tables.other(spelled) is not None:
                return self._plain_call(spelled, node, tables.other(spelled))
        if isinstance(found, type):
            return self._construct(found, node)
        if isinstance(found, Jitted):
            found = found.__jit_wrapped__
        if isinstance(found, types.MethodType):
            raise self.error(f"{known.name} is a bound method", node=node, hint="pass the object as an argument")
        if isinstance(found, types.FunctionType):
            return self._call_function(found, node, known.name)
        raise self.error(f"{known.name} cannot be called in a script", node=node.func,
                         hint="mark a Python function with @jit.ignore to call it as it is")  # fmt: skip

    def _call_value(self, callee: Value, node: ast.Call) -> Value:
        kind = callee.type
        record = self.program.classes.get(kind.name) if isinstance(kind, RecordType) else None
        if record is not None and record.kind in ("module", "sequential", "library", "interface"):
            function = self.method_of(record, "forward")
            if function is not None:
                values, keywords = self.arguments(function.parameters[1:], node, function.name)
                return self.emit("method", [callee, *values], function.result, name="", keywords=keywords)
        function = None if record is None else self.method_of(record, "__call__")
        if function is None:
            raise self.error(f"{with_article(spell(kind))} cannot be called", "type-mismatch", node.func)
        values, keywords = self.arguments(function.parameters[1:], node, function.name)
        return self.emit("method", [callee, *values], function.result, name="", keywords=keywords)

    # -- arguments

    def arguments(
        self, parameters: Sequence[Parameter], node: ast.Call, name: str
    ) -> tuple[list[Value], tuple[str, ...]]:
        """The arguments of a call of a function whose parameters are known, checked, in the order of the source."""
        by_name = {p.name: p for p in parameters}
        positional = [p for p in parameters if not p.keyword_only]
        trees = self._expanded(node.args)
        if len(trees) > len(positional):
            raise self.error(
                f"{name} takes {len(positional)} positional arguments", "arguments", node, actual=len(trees)
            )  # fmt: skip
        values, given = [], set()
        for parameter, tree in zip(positional, trees):
            values.append(self._argument(parameter, tree, name))
            given.add(parameter.name)
        for keyword in node.keywords:
            parameter = by_name.get(str(keyword.arg))
            if parameter is None or parameter.name in given:
                what = (
                    f"{name} has no parameter {keyword.arg}" if parameter is None else f"{keyword.arg} is given twice"
                )
                raise self.error(what, "arguments", keyword.value, expected=", ".join(by_name))
            values.append(self._argument(parameter, keyword.value, name))
            given.add(parameter.name)
        missing = [p for p in parameters if p.name not in given and not p.has_default]
        if missing:
            what = f"{name}: argument {missing[0].name} is missing"
            raise self.error(what, "arguments", node, expected=f"{missing[0].name}: {spell(missing[0].type)}")
        return values, tuple(str(k.arg) for k in node.keywords)

    def _argument(self, parameter: Parameter, tree: ast.expr | Made, name: str) -> Value:
        if isinstance(tree, Made):
            value = tree.make()
            return self.expect(value, parameter.type, f"argument {parameter.name} of {name}", self.at or ast.Pass())
        value = self.expr(tree, parameter.type)
        return self.expect(value, parameter.type, f"argument {parameter.name} of {name}", tree)

    def _expanded(self, args: list[ast.expr]) -> list[ast.expr | Made]:
        """The positional arguments with ``*tuple`` written out."""
        found: list[ast.expr | Made] = []
        for arg in args:
            if not isinstance(arg, ast.Starred):
                found.append(arg)
                continue
            value = self.expr(arg.value)
            if not is_tuple_like(value.type):
                raise self.error(
                    "scripts have no * of what is no tuple", "arguments", arg, hint="write the arguments out"
                )
            for i, kind in enumerate(relations.parts(value.type)):
                found.append(Made(self._part_maker(value, i, kind)))
        return found

    def _part_maker(self, value: Value, i: int, kind: Type) -> Callable[[], Value]:
        return lambda: self.emit("item", [value, self.constant(i)], kind)

    # -- methods

    def _call_method(self, member: Member, node: ast.Call, expected: Type | None) -> Value:
        receiver, name = member.receiver, member.name
        kind = receiver.type
        if kind == TENSOR:
            return self._call_tensor_method(receiver, name, node, expected)
        if isinstance(kind, RecordType):
            record = self.program.classes[kind.name]
            function = self.method_of(record, name)
            if function is None:
                raise self._unknown(kind, name, [*record.methods], node)
            if function.python and marks.mark_of(function.source) == "unused":
                return self._refuse_call(name, function.result, node)
            function = self.overloaded_function(self.known(function, node), node, record, name)
            values, keywords = self.arguments(function.parameters[1:], node, name)
            spelled = function.name.rpartition(".")[2]
            return self.emit("method", [receiver, *values], function.result, name=spelled, keywords=keywords)
        if isinstance(kind, ListType):
            return self._call_list_method(receiver, kind, name, node)
        if isinstance(kind, DictType):
            return self._call_dict_method(receiver, kind, name, node)
        values, keywords, _ = self._loose_arguments(node)
        result = tables.STR_METHODS.get(name, ANY) if kind == STR else tables.TUPLE_METHODS[name]
        if name == "format" and not tables.is_plain_format(self.constants.get(receiver)):
            what = "scripts have no format() of a text that is computed, or that reads attributes"
            raise self.error(what, node=node, hint="use an f-string")
        if name == "join":
            self.expect(values[0], ListType(STR), "the argument of join", node.args[0])
        return self.emit("method", [receiver, *values], result, name=name, keywords=keywords)

    @abstractmethod
    def overloaded_function(self, function: Function, node: ast.Call, record: Class | None, name: str) -> Function:
        """The function itself, or of an overloaded one what fits the arguments."""

    def invoke_method(self, receiver: Value, name: str, node: ast.AST) -> Value:
        """Read a property."""
        assert isinstance(receiver.type, RecordType)
        function = self.method_of(self.program.classes[receiver.type.name], name)
        assert function is not None
        return self.emit("attribute", [receiver], function.result, name=name)

    # -- functions and classes of the user

    @abstractmethod
    def compiler_signature(self, function: types.FunctionType, name: str) -> Function:
        """The types of a function that is not compiled."""

    @abstractmethod
    def known(self, function: Function, node: ast.AST) -> Function:
        """``function``, whose result must be known by now."""

    @abstractmethod
    def function_of(self, function: types.FunctionType, node: ast.AST) -> Function:
        """The script of a Python function."""

    @abstractmethod
    def nested_function(self, tree: ast.FunctionDef | ast.Lambda, name: str, types_: dict[str, Type]) -> Function:
        """The script of a function inside of this one; ``types_``: of its parameters and what it captures."""

    def _call_function(self, function: types.FunctionType, node: ast.Call, name: str) -> Value:
        mark = marks.mark_of(function)
        if mark == "unused":
            return self._refuse_call(name, self.compiler_signature(function, name).result, node)
        script = self.overloaded_function(self.function_of(function, node), node, None, name)
        values, keywords = self.arguments(script.parameters, node, name)
        return self.emit("call", values, script.result, name=script.name, keywords=keywords)

    def _refuse_call(self, name: str, result: Type, node: ast.Call) -> Value:
        """A call of what is marked unused: the script raises, and what follows is not reached."""
        self.emit("raise", [self.constant(f"{name} is marked unused, so that no script runs it")], name="RuntimeError")
        self.left = True
        return self.emit("constant", [], result, value=None)

    def _call_nested(self, tree: ast.FunctionDef | ast.Lambda, name: str, node: ast.Call) -> Value:
        names = [a.arg for a in tree.args.args]
        if tree.args.vararg or tree.args.kwarg or tree.args.kwonlyargs or tree.args.posonlyargs or node.keywords:
            hint = "pass the arguments by position, or define the function outside"
            raise self.error("a nested function takes plain positional arguments", "arguments", node, hint=hint)
        own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} | set(names)
        used = {n.id: None for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        captured = [n for n in used if n not in own and isinstance(self.variables.get(n), relations.Type)]
        values = [self.read(n, node) for n in captured]
        values += [self.expr(arg) for arg in node.args]
        first = len(names) - len(tree.args.defaults)
        values += (
            [self.expr(d) for d in tree.args.defaults[len(node.args) - first :]] if len(node.args) >= first else []
        )
        if len(values) != len(captured) + len(names):
            raise self.error(f"{name} takes {len(names)} arguments", "arguments", node, actual=len(node.args))
        known = {n: v.type for n, v in zip([*captured, *names], values)}
        function = self.nested_function(tree, name, known)
        for parameter, value in zip(function.parameters, values):
            self.expect(value, parameter.type, f"argument {parameter.name} of {name}", node)
        return self.emit("call", values, function.result, name=function.name)

    def _construct(self, kind: type, node: ast.Call) -> Value:
        record = self.class_of(kind)
        if record.kind == "enum":
            values, keywords, _ = self._loose_arguments(node)
            return self.emit("call", values, record.type, name=record.name, keywords=keywords)
        if record.kind == "interface":
            raise self.error(f"{record.name} is an interface", node=node, hint="pass an object that has its methods")
        function = self.method_of(record, "__init__")
        parameters = function.parameters[1:] if function is not None else ()
        values, keywords = self.arguments(parameters, node, record.name)
        return self.emit("call", values, record.type, name=record.name, keywords=keywords)

    def _super_call(self, node: ast.Call) -> Value | None:
        """``super().__init__()`` of a class without bases, which does nothing."""
        match node.func:
            case ast.Attribute(ast.Call(ast.Name("super")), "__init__") if not node.args:
                return self.constant(None)
        return None


# -- functions with a meaning of their own


def _annotate(self: Calls, node: ast.Call, expected: Type | None) -> Value:
    type = self.annotation(node.args[0])
    value = self.expr(node.args[1], type)
    self.expect(value, type, "the annotated value", node.args[1])
    value.type = type
    return value


def _cast(self: Calls, node: ast.Call, expected: Type | None) -> Value:
    value = self.expr(node.args[1])
    value.type = self.annotation(node.args[0])
    return value


def _decided(self: Calls, node: ast.Call, expected: Type | None) -> Value:
    return self._test_value(node)


_SPECIAL: dict[Any, Callable[[Calls, ast.Call, Type | None], Value | Known]] = {
    marks.annotate: _annotate,
    typing.cast: _cast,
    marks.is_scripting: _decided,
    marks.is_tracing: _decided,
    marks.isinstance_: _decided,
}
