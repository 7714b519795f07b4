"""Expressions: a syntax tree becomes nodes, and the type of its value is found on the way.

Here are names, attributes and literals; operators, items and calls have modules of their own.
"""

from __future__ import annotations

import ast
import enum
import types
from abc import abstractmethod
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from jitorch.devices import Device
from jitorch.dtypes import DType
from jitorch.frontend.script import relations, tables
from jitorch.frontend.script.frame import Frame, Known, Member
from jitorch.frontend.script.operators import element_of, members_of
from jitorch.frontend.script.program import Class
from jitorch.frontend.script.relations import UNKNOWN, is_tuple_like
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.ir.graph import Value
from jitorch.ir.types import (
    ANY,
    DEVICE,
    DTYPE,
    NONE,
    STR,
    TENSOR,
    DictType,
    ListType,
    OptionalType,
    RecordType,
    TupleType,
    Type,
    UnionType,
)

Meaning = Value | Known | Member

_HINTS = {
    ast.Set: "use a list or a dict",
    ast.SetComp: "use a list or a dict",
    ast.NamedExpr: "assign on a line of its own",
    ast.Await: "leave async and await out",
    ast.Yield: "append to a list and return it",
    ast.YieldFrom: "append to a list and return it",
    ast.Starred: "write the elements out",
}


class Expressions(Frame):
    """See the module's docstring."""

    @abstractmethod
    def scope(self, name: str) -> Any:
        """The Python object behind a name that is no variable; raises KeyError."""

    @abstractmethod
    def call(self, node: ast.Call, expected: Type | None) -> Value | Known:
        """The value of a call."""

    @abstractmethod
    def bind(self, target: ast.expr, type: Type) -> Any:
        """Make the names of ``target`` variables of these types; its form in a graph."""

    @abstractmethod
    def invoke_method(self, receiver: Value, name: str, node: ast.AST) -> Value:
        """Call a method that takes no arguments."""

    # -- entry

    def expr(self, node: ast.expr, expected: Type | None = None) -> Value:
        """The value of an expression; ``expected`` says what an empty list or a literal is to be."""
        meaning = self.meaning(node, expected)
        if isinstance(meaning, Value):
            return meaning
        if isinstance(meaning, Known):
            return self.embed(meaning, node)
        raise self.error(f"the method {meaning.name} is used as a value", node=node, hint="call it")

    def meaning(self, node: ast.expr, expected: Type | None = None) -> Meaning:
        """The value of an expression, or the module, function, class or method that it names."""
        before, self.at = self.at, node
        try:
            handler: Callable[..., Meaning] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
            if handler is None:
                what = f"scripts have no {_spoken(node)}"
                raise self.error(what, node=node, hint=_HINTS.get(type(node)))
            return handler(node, expected)
        finally:
            self.at = before

    def embed(self, known: Known, node: ast.AST) -> Value:
        """A Python object that the script found, as a constant."""
        value = self._embedded(known.object, known.name)
        if value is None:
            kind = type(known.object).__name__
            what = f"{known.name} is {with_article(kind)}, which is no value of scripts"
            raise self.error(what, node=node, hint="pass it as an argument, or make it an attribute of a module")
        return value

    def _embedded(self, value: Any, name: str) -> Value | None:
        if isinstance(value, enum.Enum):
            record = self.class_of(type(value))
            return self.emit("named", [], record.type, name=f"{record.name}.{value.name}")
        if value is None or type(value) in (bool, int, float, str, complex):
            return self.constant(value)
        if isinstance(value, DType):
            return self.emit("named", [], DTYPE, name=f"torch.{value.name}")
        if isinstance(value, Device):
            return self.emit("call", [self.constant(str(value))], DEVICE, name="torch.device")
        if type(value) in (tuple, list) or type(value).__name__ == "Size":
            found = [self._embedded(item, name) for item in value]
            if None in found:
                return None
            items: list[Value] = found  # type: ignore[assignment]
            kind = relations.type_of(value)
            if kind is not None:
                return self.emit("list" if isinstance(kind, ListType) else "tuple", items, kind)
            return self.emit("tuple", items, TupleType(tuple(v.type for v in items)))
        for spelled in ("torch.strided", "torch.contiguous_format", "torch.preserve_format", "torch.channels_last"):
            if tables.constant(spelled) is value:
                return self.emit("named", [], ANY, name=spelled)
        return None

    @abstractmethod
    def class_of(self, kind: type) -> Class:
        """The class of a script that stands for a Python class."""

    # -- names and attributes

    def _name(self, node: ast.Name, expected: Type | None) -> Meaning:
        if node.id in self.variables:
            return self.read(node.id, node)
        try:
            found = self.scope(node.id)
        except KeyError:
            near = get_close_matches(node.id, self.variables, 1)
            hint = f"did you mean {near[0]}?" if near else "assign it, or pass it as an argument"
            raise self.error(f"{node.id} is not defined", "undefined", node, hint=hint) from None
        value = self._embedded(found, node.id) if not isinstance(found, enum.EnumMeta) else None
        return Known(found, node.id) if value is None else value

    def _attribute(self, node: ast.Attribute, expected: Type | None) -> Meaning:
        base = self.meaning(node.value)
        if isinstance(base, Known):
            return self._static_attribute(base, node)
        if isinstance(base, Member):
            raise self.error(f"an attribute of the method {base.name}", node=node)
        return self.attribute(base, node.attr, node)

    def _static_attribute(self, base: Known, node: ast.Attribute) -> Meaning:
        try:
            found = getattr(base.object, node.attr)
        except AttributeError:
            near = get_close_matches(node.attr, dir(base.object), 1)
            what = f"{base.name} has no {node.attr}"
            raise self.error(what, "unknown-member", node, hint=f"did you mean {near[0]}?" if near else None) from None
        if isinstance(found, types.FunctionType) and isinstance(base.object, type):
            found = base.object.__dict__.get(node.attr, found)
            found = found.__func__ if isinstance(found, staticmethod) else found
        name = f"{base.name}.{node.attr}"
        value = self._embedded(found, name)
        return Known(found, name) if value is None else value

    def attribute(self, base: Value, name: str, node: ast.AST) -> Meaning:
        """``base.name``"""
        kind = base.type
        if kind == TENSOR:
            return self._tensor_attribute(base, name, node)
        if isinstance(kind, RecordType):
            return self._record_attribute(base, kind, name, node)
        attributes, methods = members_of(kind)
        if name in attributes:
            return self.emit("attribute", [base], attributes[name], name=name)
        if name in methods:
            return Member(base, name)
        if isinstance(kind, (OptionalType, UnionType)):
            text = ast.unparse(node.value) if isinstance(node, ast.Attribute) else "it"
            test = f"{text} is not None" if NONE in relations.members(kind) else f"isinstance({text}, ...)"
            what = f"{text} is {spell(kind)}, which has no {name}"
            raise self.error(
                what, "type-mismatch", node, hint=f"test {test} first; an attribute goes to a variable first"
            )
        raise self._unknown(kind, name, [*attributes, *methods], node)

    def _tensor_attribute(self, base: Value, name: str, node: ast.AST) -> Value | Member:
        found = tables.TENSOR_ATTRIBUTES.get(name)
        if found is not None:
            value = self.emit("attribute", [base], found, name=name)
            return self.emit("call", [value], found, name="list") if name == "shape" else value
        if tables.tensor_method(name) is None:
            names = [n for n in dir(relations.Tensor) if not n.startswith("_") and tables.tensor_method(n) is not None]
            raise self._unknown(TENSOR, name, [*names, *tables.TENSOR_ATTRIBUTES], node)
        return Member(base, name)

    def _record_attribute(self, base: Value, kind: RecordType, name: str, node: ast.AST) -> Meaning:
        if kind.fields:
            fields = dict(kind.fields)
            if name in fields and is_tuple_like(kind):
                return self.emit("attribute", [base], fields[name], name=name)
            raise self._unknown(kind, name, list(fields), node)
        record = self.program.classes[kind.name]
        if record.kind == "enum" and name in ("name", "value"):
            return self.emit("attribute", [base], STR if name == "name" else record.fields["value"], name=name)
        if name in record.fields:
            value = self.emit("attribute", [base], record.fields[name], name=name)
            if name in record.constants:
                self.constants[value] = record.constants[name]
            return value
        if name in record.properties:
            return self.invoke_method(base, name, node)
        if name in record.functions:
            return Known(record.functions[name], name)
        if self.method_of(record, name) is not None:
            return Member(base, name)
        found = self.static_member(record, name)
        value = None if found is None else self._embedded(found, name)
        if value is not None:
            return value
        raise self._unknown(kind, name, [*record.fields, *record.methods], node)

    @abstractmethod
    def method_of(self, record: Class, name: str) -> Any:
        """The function of a method, compiled when it is first asked for; None if there is none."""

    @abstractmethod
    def static_member(self, record: Class, name: str) -> Any:
        """A class attribute of the Python class, or None."""

    def _unknown(self, kind: Type, name: str, known: list[str], node: ast.AST) -> Exception:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else None
        return self.error(f"{spell(kind)} has no attribute {name}", "unknown-member", node, hint=hint)

    # -- literals

    def _constant(self, node: ast.Constant, expected: Type | None) -> Value:
        if node.value is Ellipsis:
            return self.emit("named", [], ANY, name="Ellipsis")
        if isinstance(node.value, bytes):
            raise self.error("scripts have no bytes", node=node, hint="use a str or a tensor of uint8")
        return self.constant(node.value)

    def _tuple(self, node: ast.Tuple, expected: Type | None) -> Value:
        wanted = expected.elements if isinstance(expected, TupleType) else ()
        given = (*wanted, *[None] * len(node.elts))
        items = [self.expr(item, hint) for item, hint in zip(node.elts, given)]
        made = self.emit("tuple", items, TupleType(tuple(v.type for v in items)))
        self._keep_constant(made, items, tuple)
        return made

    def _keep_constant(self, made: Value, items: list[Value], kind: Callable[..., Any]) -> None:
        if all(v in self.constants for v in items):
            self.constants[made] = kind(self.constants[v] for v in items)

    def _list(self, node: ast.List, expected: Type | None) -> Value:
        wanted = element_of(expected)
        items = [self.expr(item, wanted) for item in node.elts]
        element = self._common([v.type for v in items], wanted, node)
        made = self.emit("list", items, ListType(element))
        self._keep_constant(made, items, tuple)
        return made

    def _common(self, found: list[Type], wanted: Type | None, node: ast.AST) -> Type:
        """The type of the elements of a display."""
        if wanted is not None and all(relations.fits(t, wanted, self.program.inherits) for t in found):
            return wanted
        element: Type = UNKNOWN
        for kind in found:
            joined = relations.join(element, kind, self.program.inherits)
            if joined is None:
                raise self.error(
                    "the elements have different types", "type-mismatch", node, expected=spell(element),
                    actual=spell(kind), hint="make it a tuple, or annotate it as a List[Union[...]]",
                )  # fmt: skip
            element = joined
        return element

    def _dict(self, node: ast.Dict, expected: Type | None) -> Value:
        key, item = (expected.key, expected.value) if isinstance(expected, DictType) else (None, None)
        items: list[Value] = []
        for k, v in zip(node.keys, node.values):
            if k is None:
                raise self.error("scripts have no ** in a dict", node=v, hint="use update()")
            items += [self.expr(k, key), self.expr(v, item)]
        found = [self._common([v.type for v in items[i::2]], (key, item)[i], node) for i in (0, 1)]
        return self.emit("dict", items, DictType(*found))

    def _joinedstr(self, node: ast.JoinedStr, expected: Type | None) -> Value:
        described: list[Any] = []
        values: list[Value] = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                described.append(part.value)
                continue
            assert isinstance(part, ast.FormattedValue)
            values.append(self.expr(part.value))
            described.append((part.conversion, self._format(part.format_spec)))
        return self.emit("format", values, STR, parts=tuple(described))

    def _format(self, node: ast.expr | None) -> str:
        if node is None:
            return ""
        assert isinstance(node, ast.JoinedStr)
        if not all(isinstance(part, ast.Constant) for part in node.values):
            raise self.error("scripts have no computed format in an f-string", node=node, hint="write the format out")
        return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))

    def _lambda(self, node: ast.Lambda, expected: Type | None) -> Meaning:
        return Known(node, "<lambda>")

    def _call(self, node: ast.Call, expected: Type | None) -> Meaning:
        return self.call(node, expected)


def _spoken(node: ast.AST) -> str:
    names = {
        "NamedExpr": ":= inside of an expression", "Set": "sets", "SetComp": "sets", "Yield": "generators",
        "YieldFrom": "generators", "Await": "await", "Starred": "* in this place",
    }  # fmt: skip
    kind = type(node).__name__
    return names.get(kind, kind)
