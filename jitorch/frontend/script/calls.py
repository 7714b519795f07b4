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
from jitorch.frontend.script.program import Class, Function, Parameter
from jitorch.frontend.script.relations import NUMBER, UNKNOWN, fits, is_tuple_like, spell
from jitorch.frontend.script.statements import Statements
from jitorch.ir.graph import Value
from jitorch.ir.types import (
    ANY,
    BOOL,
    COMPLEX,
    FLOAT,
    INT,
    NONE,
    STR,
    TENSOR,
    DictType,
    ListType,
    OptionalType,
    RecordType,
    TupleType,
    Type,
)
from jitorch.ops.registry import KEYWORD_ALIASES

_CONVERSIONS: dict[str, Type] = {
    "int": INT, "float": FLOAT, "bool": BOOL, "str": STR, "complex": COMPLEX, "repr": STR, "hex": STR, "oct": STR,
    "bin": STR, "len": INT, "ord": INT, "chr": STR, "any": BOOL, "all": BOOL, "print": NONE,
}  # fmt: skip
_PARAMETER_TYPES: dict[str, tuple[Type, ...]] = {
    "Tensor": (TENSOR,), "int": (INT, NUMBER, TENSOR), "bool": (BOOL,), "str": (STR,), "float": (FLOAT, TENSOR),
    "Number": (relations.NUMBER, COMPLEX, TENSOR), "Operand": (TENSOR, FLOAT, BOOL, COMPLEX, relations.NUMBER),
}  # fmt: skip
_CONTEXT_CLASSES = {"no_grad", "enable_grad", "set_grad_enabled", "inference_mode"}


class Calls(Statements):
    """See the module's docstring."""

    # -- who is called

    def call(self, node: ast.Call, expected: Type | None) -> Value | Known:
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.error("** in a call", "arguments", node=keyword.value, hint="write the arguments out")
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
            raise self.error(f"a {spell(kind)} cannot be called", "type-mismatch", node.func)
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
                raise self.error("* of what is no tuple", "arguments", arg, hint="write the arguments out")
            for i, kind in enumerate(relations.parts(value.type)):
                found.append(Made(self._part_maker(value, i, kind)))
        return found

    def _part_maker(self, value: Value, i: int, kind: Type) -> Callable[[], Value]:
        return lambda: self.emit("item", [value, self.constant(i)], kind)

    def _loose_arguments(self, node: ast.Call) -> tuple[list[Value], tuple[str, ...], tuple[int, ...]]:
        """Arguments of a call whose parameters are not typed here."""
        values, stars = [], []
        for i, arg in enumerate(node.args):
            if isinstance(arg, ast.Starred):
                stars.append(i)
                values.append(self.expr(arg.value))
            else:
                values.append(self.expr(arg))
        values += [self.expr(keyword.value) for keyword in node.keywords]
        return values, tuple(str(k.arg) for k in node.keywords), tuple(stars)

    def _plain_call(self, name: str, node: ast.Call, result: Type | None) -> Value:
        values, keywords, stars = self._loose_arguments(node)
        return self.emit("call", values, result, name=name, keywords=keywords, stars=stars)

    # -- functions of the library

    def _call_public(self, name: str, entry: Any, node: ast.Call) -> Value:
        values, keywords, stars = self._loose_arguments(node)
        kind = self._public_result(name.removeprefix("torch."), entry, values, keywords, stars, node, None)
        made = self.emit("call", values, kind, name=name, keywords=keywords, stars=stars)
        return self._as_list(made, entry)

    def _as_list(self, made: Value, entry: Any) -> Value:
        """Functions that give a tuple of any length give lists in scripts."""
        if isinstance(made.type, ListType) and hasattr(entry, "signature"):
            return self.emit("call", [made], made.type, name="list")
        return made

    def _public_result(
        self,
        name: str,
        entry: Any,
        values: list[Value],
        keywords: tuple[str, ...],
        stars: tuple[int, ...],
        node: ast.Call,
        receiver: Value | None,
    ) -> Type:
        """The result of a call of an op or public function; its arguments are checked against the signature."""
        given = [] if receiver is None else [receiver]
        count = len(values) - len(keywords)
        given += values[:count]
        named = dict(zip(keywords, values[count:]))
        known = entry.signature.parameters
        named = {KEYWORD_ALIASES.get(k, k) if k not in known else k: v for k, v in named.items()}
        out = named.pop("out", None) if "out" not in known else None
        if stars:
            bound_types: dict[str, Type] = {}
            return tables.result(entry, name, bound_types, {})
        try:
            bound = entry.signature.bind(*given, **named)
        except TypeError as error:
            spelled = f"{name}{entry.signature}"
            raise self.error(f"{name}: {error}", "arguments", node, expected=spelled) from None
        trees = dict(zip(values, [*node.args, *[k.value for k in node.keywords]]))
        for key, value in bound.arguments.items():
            if isinstance(value, Value):
                self._check_public(name, key, known[key], value, trees.get(value, node))
        types_ = {k: v.type for k, v in bound.arguments.items() if isinstance(v, Value)}
        constants = {k: self.constants[v] for k, v in bound.arguments.items()
                     if isinstance(v, Value) and v in self.constants}  # fmt: skip
        return tables.result(entry, name, types_, constants) if out is None else out.type

    def _check_public(self, name: str, key: str, parameter: Any, value: Value, node: ast.AST) -> None:
        annotation = str(parameter.annotation)
        wanted = _PARAMETER_TYPES.get(annotation.removesuffix(" | None"))
        if wanted is None or value.type == ANY or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            return
        optional = (NONE,) if annotation.endswith(" | None") else ()
        if not any(fits(value.type, relations.union((w, *optional)), self.program.inherits) for w in wanted):
            self.expect(value, relations.union((wanted[0], *optional)), f"argument {key} of {name}", node)

    def _call_math(self, name: str, node: ast.Call) -> Value:
        if name not in tables.MATH:
            raise self.error(f"scripts have no math.{name}", node=node.func)
        for arg in node.args:
            with self.attempt():
                self.expect(self.expr(arg), FLOAT, f"the argument of math.{name}", arg)
        return self._plain_call(f"math.{name}", node, tables.MATH[name])

    # -- built-ins

    def _call_builtin(self, name: str, node: ast.Call, expected: Type | None) -> Value:
        if name == "getattr":
            return self._getattr(node)
        if name in ("isinstance", "hasattr"):
            return self._test_value(node)
        if name not in tables.BUILTINS:
            raise self.error(f"scripts have no {name}", node=node.func)
        if name == "list" and not node.args:
            kind = expected if isinstance(expected, ListType) else ListType(UNKNOWN)
            return self.emit("call", [], kind, name="list")
        if name == "dict" and not node.args and not node.keywords:
            kind = expected if isinstance(expected, DictType) else DictType(UNKNOWN, UNKNOWN)
            return self.emit("call", [], kind, name="dict")
        if name == "len":
            folded = self._length_of_modules(node)
            if folded is not None:
                return folded
        values, keywords, stars = self._loose_arguments(node)
        kind = self._builtin_result(name, values[: len(values) - len(keywords)], node)
        return self.emit("call", values, kind, name=name, keywords=keywords, stars=stars)

    def _length_of_modules(self, node: ast.Call) -> Value | None:
        if len(node.args) != 1:
            return None
        with self.attempt():
            value = self.expr(node.args[0])
        record = self._module_container(value.type)
        return None if record is None else self.constant(len(record.fields))

    def _builtin_result(self, name: str, values: list[Value], node: ast.Call) -> Type:
        first = values[0].type if values else NONE
        if not values and name not in ("print", "zip", "str", "int", "float"):
            raise self.error(f"{name} without an argument", "arguments", node)
        match name:
            case "int" | "float" | "bool" | "complex" if NONE in relations.members(first) and values:
                self.expect(values[0], relations.FLOAT, f"the argument of {name}", node.args[0])
            case "len" if first not in (STR, TENSOR) and not isinstance(first, (ListType, DictType, TupleType)):
                if self._overloaded(values[0], "__len__") is None and not is_tuple_like(first):
                    raise self.error(f"a {spell(first)} has no length", "type-mismatch", node.args[0])
            case "range":
                for value, tree in zip(values, node.args):
                    self.expect(value, INT, "the argument of range", tree)
                return relations.iterator(INT)
            case "enumerate":
                return relations.iterator(TupleType((INT, self.iterated(values[0], node.args[0]))))
            case "zip":
                found = tuple(self.iterated(v, n) for v, n in zip(values, node.args))
                return relations.iterator(TupleType(found))
            case "reversed":
                return relations.iterator(self.iterated(values[0], node.args[0]))
            case "sorted" | "list":
                return ListType(self.iterated(values[0], node.args[0]))
            case "tuple":
                if not is_tuple_like(first):
                    raise self.error("the length of the tuple is not known", node=node, hint="use a list")
                return first
            case "dict":
                return self._dict_of(values[0], node)
            case "min" | "max":
                if len(values) == 1:
                    return self.iterated(values[0], node.args[0])
                return (
                    TENSOR if TENSOR in [v.type for v in values] else self._common([v.type for v in values], None, node)
                )
            case "sum":
                return self._sum(values, node)
            case "abs":
                return INT if first == BOOL else first
            case "round":
                return TENSOR if first == TENSOR else INT if len(values) == 1 else FLOAT
            case "divmod" | "pow":
                both = self._common([v.type for v in values[:2]], None, node)
                return TupleType((both, both)) if name == "divmod" else both
        return _CONVERSIONS[name]

    def _sum(self, values: list[Value], node: ast.Call) -> Type:
        element = self.iterated(values[0], node.args[0])
        start = values[1].type if len(values) > 1 else INT
        if TENSOR in (element, start):
            return TENSOR
        return INT if element == BOOL else self._common([element, start], None, node) if len(values) > 1 else element

    def _dict_of(self, value: Value, node: ast.Call) -> Type:
        if isinstance(value.type, DictType):
            return value.type
        element = self.iterated(value, node.args[0])
        if isinstance(element, TupleType) and len(element.elements) == 2:
            return DictType(*element.elements)
        raise self.error("dict of what holds no pairs", "type-mismatch", node, actual=spell(value.type))

    def _getattr(self, node: ast.Call) -> Value:
        if len(node.args) < 2 or not isinstance(node.args[1], ast.Constant):
            raise self.error("getattr needs a name that is written out", "arguments", node)
        tree = ast.copy_location(ast.Attribute(node.args[0], str(node.args[1].value), ast.Load()), node)
        if len(node.args) == 3 and not self._has(ast.Call(node.func, node.args[:2], [])):
            return self.expr(node.args[2])
        return self.expr(tree)

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
            function = self.overloaded_function(function, node, record, name)
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
            what = "format of a text that is computed, or reads attributes"
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

    def _call_tensor_method(self, receiver: Value, name: str, node: ast.Call, expected: Type | None) -> Value:
        entry = tables.tensor_method(name)
        values, keywords, stars = self._loose_arguments(node)
        if name == "size":
            kind: Type = INT if values else ListType(INT)
        elif name == "tolist":
            if expected is None or expected == ANY:
                what = "the type of tolist() depends on the tensor"
                raise self.error(what, "annotation", node, hint="annotate it: values: List[int] = x.tolist()")
            kind = expected
        elif name == "type":
            kind = TENSOR if values else STR
        elif isinstance(entry, relations.Type):
            kind = entry
        else:
            kind = self._public_result(name, entry, values, keywords, stars, node, receiver)
        made = self.emit("method", [receiver, *values], kind, name=name, keywords=keywords,
                         stars=tuple(i + 1 for i in stars))  # fmt: skip
        if name == "size" and not values:
            return self.emit("call", [made], kind, name="list")
        return self._as_list(made, entry)

    def _call_list_method(self, receiver: Value, kind: ListType, name: str, node: ast.Call) -> Value:
        hint = kind.element if kind.element != UNKNOWN else None
        values = [self.expr(arg, kind if name == "extend" else hint) for arg in node.args]
        element = kind.element
        if name in ("append", "insert", "extend", "remove", "index", "count") and values:
            item = values[-1]
            found = self.iterated(item, node.args[-1]) if name == "extend" else item.type
            if element == UNKNOWN:
                element = found
                self.settle(receiver, ListType(found))
            elif not fits(found, element, self.program.inherits):
                raise self.error(
                    f"{name} to a list of another type", "type-mismatch", node.args[-1], expected=spell(element),
                    actual=spell(found), hint=f"annotate the list where it is made, as in x: List[{spell(found)}] = []",
                )  # fmt: skip
        values += [self.expr(k.value) for k in node.keywords]
        result = {"E": element, "S": kind}.get(tables.LIST_METHODS[name], tables.LIST_METHODS[name])
        keywords = tuple(str(k.arg) for k in node.keywords)
        return self.emit("method", [receiver, *values], result, name=name, keywords=keywords)

    def _call_dict_method(self, receiver: Value, kind: DictType, name: str, node: ast.Call) -> Value:
        values = [self.expr(arg, kind.value if i else None) for i, arg in enumerate(node.args)]
        key, value = kind.key, kind.value
        if name in ("get", "pop", "setdefault") and values:
            if key == UNKNOWN and name == "setdefault" and len(values) == 2:
                key, value = values[0].type, values[1].type
                self.settle(receiver, DictType(key, value))
            self.expect(values[0], key, "the key", node.args[0])
        if name == "update" and key == UNKNOWN and isinstance(values[0].type, DictType):
            self.settle(receiver, values[0].type)
        default: Type = OptionalType(value) if value not in (NONE, ANY) else value
        if len(values) > 1:
            default = self._common([value, values[1].type], None, node)
        letters: dict[Any, Type] = {
            "K": ListType(key), "V": value, "V?": default, "S": kind, "KV": ListType(TupleType((key, value))),
            "KV1": TupleType((key, value)),
        }  # fmt: skip
        result = letters.get(tables.DICT_METHODS[name], NONE)
        if name == "values":
            result = ListType(value)
        made = self.emit("method", [receiver, *values], result, name=name)
        return self.emit("call", [made], result, name="list") if name in tables.LISTS_OF else made

    # -- functions and classes of the user

    @abstractmethod
    def compiler_signature(self, function: types.FunctionType, name: str) -> Function:
        """The types of a function that is not compiled."""

    @abstractmethod
    def function_of(self, function: types.FunctionType, node: ast.AST) -> Function:
        """The script of a Python function."""

    @abstractmethod
    def nested_function(self, tree: ast.FunctionDef | ast.Lambda, name: str, types_: dict[str, Type]) -> Function:
        """The script of a function inside of this one; ``types_`` are those of its parameters and captured variables."""

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
            raise self.error("a nested function takes plain positional arguments", "arguments", node)
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

    # -- loops over modules, which are written out

    def unrolled(self, node: ast.expr) -> list[Any] | None:
        match node:
            case ast.Call(ast.Name("enumerate"), [inner, *rest]):
                found = self.unrolled(inner)
                start = self._start_of(rest, node)
                return None if found is None else [(self._number_maker(i + start), m) for i, m in enumerate(found)]
            case ast.Call(ast.Name("reversed"), [inner]):
                found = self.unrolled(inner)
                return None if found is None else found[::-1]
            case ast.Call(ast.Name("zip"), inners):
                return self._unrolled_zip(inners)
            case ast.Call(
                ast.Attribute(base, "items" | "values" | "keys" | "children" | "named_children" as method), []
            ):
                return self._unrolled_modules(base, method)
        return self._unrolled_modules(node, "iter")

    def _start_of(self, rest: list[ast.expr], node: ast.Call) -> int:
        tree = rest[0] if rest else node.keywords[0].value if node.keywords else None
        return int(tree.value) if isinstance(tree, ast.Constant) and isinstance(tree.value, int) else 0

    def _number_maker(self, number: Any) -> Callable[[], Value]:
        return lambda: self.constant(number)

    def _unrolled_zip(self, inners: list[ast.expr]) -> list[Any] | None:
        found = [self.unrolled(inner) for inner in inners]
        if all(f is None for f in found):
            return None
        count = min(len(f) for f in found if f is not None)
        columns = [
            f[:count] if f is not None else [self._item_maker(inner, i) for i in range(count)]
            for f, inner in zip(found, inners)
        ]
        return [tuple(column[i] for column in columns) for i in range(count)]

    def _item_maker(self, tree: ast.expr, i: int) -> Callable[[], Value]:
        item = ast.copy_location(ast.Subscript(tree, ast.copy_location(ast.Constant(i), tree), ast.Load()), tree)
        return lambda: self.expr(item)

    def _unrolled_modules(self, node: ast.expr, method: str) -> list[Any] | None:
        if not isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            return None
        with self.attempt():
            meaning = self.meaning(node)
        kind = meaning.type if isinstance(meaning, Value) else None
        record = self.program.classes.get(kind.name) if isinstance(kind, RecordType) else None
        if record is None or record.kind not in ("list", "dict", "sequential"):
            return None
        names = list(record.fields)
        keys = [n if record.kind == "dict" or method != "iter" else int(n) if n.isdigit() else i
                for i, n in enumerate(names)]  # fmt: skip
        if record.kind == "dict" and method in ("iter", "keys"):
            return [self._number_maker(n) for n in names]
        if record.kind != "dict":
            keys = list(range(len(names)))
        makers = [self._module_maker(node, key) for key in keys]
        if method in ("items", "named_children"):
            return [(self._number_maker(n), m) for n, m in zip(names, makers)]
        return makers

    def _module_maker(self, node: ast.expr, key: Any) -> Callable[[], Value]:
        tree = ast.copy_location(ast.Subscript(node, ast.copy_location(ast.Constant(key), node), ast.Load()), node)
        return lambda: self.expr(tree)

    def substitute(self, target: ast.expr, make: Any) -> None:
        if isinstance(target, ast.Name):
            self.variables[target.id] = Made(make)
            return
        if (
            not isinstance(target, (ast.Tuple, ast.List))
            or not isinstance(make, tuple)
            or len(make) != len(target.elts)
        ):
            raise self.error("the target of a loop over modules does not fit", "type-mismatch", target)
        for part, maker in zip(target.elts, make):
            self.substitute(part, maker)


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
