"""Assignments: what variables, attributes and items become, and of which types they are afterwards."""

from __future__ import annotations

import ast
from abc import abstractmethod
from typing import Any

from jitorch.frontend.script import relations, tables
from jitorch.frontend.script.conditions import Conditions
from jitorch.frontend.script.frame import Known
from jitorch.frontend.script.relations import UNKNOWN, fits, is_tuple_like, parts
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.ir.graph import Value
from jitorch.ir.types import ANY, NONE, DictType, ListType, OptionalType, RecordType, Type, UnionType


class Assignments(Conditions):
    """See the module's docstring."""

    @abstractmethod
    def annotation(self, node: ast.expr) -> Type:
        """The type that an annotation's tree stands for."""

    @abstractmethod
    def set_field(self, receiver: Value, name: str, value: Value, node: ast.AST) -> None:
        """Check that a class has a field of this type, or give it one."""

    @abstractmethod
    def declare_field(self, receiver: Value, name: str, type: Type) -> None:
        """``self.name: type = ...`` in the constructor of a class."""

    # -- target = value

    def _do_assign(self, node: ast.Assign) -> None:
        first = node.targets[0]
        expected = self.declared.get(first.id) if isinstance(first, ast.Name) else self._field_type(first)
        meaning = self.meaning(node.value, expected)
        if isinstance(meaning, Known) and isinstance(first, ast.Name) and _is_static(meaning.object):
            for target in node.targets:
                if not isinstance(target, ast.Name):
                    raise self.error(f"{meaning.name} is held by what is no variable", node=target,
                                     hint="give it a name of its own, or call it where it is used")  # fmt: skip
                self.variables[target.id] = meaning
            return
        value = meaning if isinstance(meaning, Value) else self.expr(node.value)
        for target in node.targets:
            self.assign(target, value)

    def _field_type(self, target: ast.expr) -> Type | None:
        if not isinstance(target, ast.Attribute):
            return None
        with self.attempt():
            base = self.meaning(target.value)
        if not isinstance(base, Value) or not isinstance(base.type, RecordType):
            return None
        record = self.program.classes.get(base.type.name)
        return None if record is None else record.fields.get(target.attr)

    def assign(self, target: ast.expr, value: Value) -> None:
        """``target = value``"""
        match target:
            case ast.Name():
                self.emit("assign", [value], target=self.bind(target, value.type))
            case ast.Attribute():
                receiver = self.expr(target.value)
                self.set_field(receiver, target.attr, value, target)
                self.emit("set_attribute", [receiver, value], name=target.attr)
            case ast.Subscript():
                self._assign_item(target, value)
            case ast.Tuple() | ast.List():
                self._unpack(target, value)
            case _:
                raise self.error(f"an assignment to {type(target).__name__}", node=target)

    def _assign_item(self, target: ast.Subscript, value: Value) -> None:
        base = self.expr(target.value)
        key = self.index(base, target.slice)
        element = self._stored_item(base, key, value, target)
        if not fits(value.type, element, self.program.inherits):
            raise self.error("the item has the wrong type", "type-mismatch", target, expected=spell(element),
                             actual=spell(value.type))  # fmt: skip
        self.emit("set_item", [base, key, value])

    def _stored_item(self, base: Value, key: Value, value: Value, node: ast.Subscript) -> Type:
        """The type that an item must have; the first one of an empty dict says it."""
        if base.type == relations.TENSOR:
            return UnionType((relations.TENSOR, *relations.NUMBERS))
        if isinstance(base.type, DictType) and base.type.key == UNKNOWN:
            self.settle(base, DictType(key.type, value.type))
            return value.type
        if isinstance(base.type, ListType) and key.node is not None and key.node.op.name == "slice":
            return base.type
        if isinstance(base.type, (ListType, DictType)):
            return self.item_type(base, key, node)
        if self._overloaded(base, "__setitem__") is not None:
            return ANY
        raise self.error(f"the items of {with_article(spell(base.type))} cannot be set", "type-mismatch", node)

    def settle(self, container: Value, type: Type) -> None:
        """An empty container that a variable holds got its first element: its type is known from now on."""
        node = container.node
        if node is not None and node.op.name == "local":
            self.variables[node.attrs["name"]] = type

    # -- names

    def _unpack(self, target: ast.Tuple | ast.List, value: Value) -> None:
        plain = (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.Load, ast.Store)
        if all(isinstance(part, plain) for part in ast.walk(target)):
            self.emit("assign", [value], target=self.bind(target, value.type))
            return
        for i, (part, kind) in enumerate(zip(target.elts, self._unpacked(target, value.type))):
            self.assign(part, self.emit("item", [value, self.constant(i)], kind))

    def bind(self, target: ast.expr, type: Type) -> Any:
        """Make the names of ``target`` variables of these types; its form in a graph."""
        if isinstance(target, ast.Name):
            self.variables[target.id] = self._declared_type(target, type)
            return target.id
        if not isinstance(target, (ast.Tuple, ast.List)):
            hint = "use a variable, and assign it inside"
            raise self.error("a loop sets what is no variable", node=target, hint=hint)
        bound = []
        for part, kind in zip(target.elts, self._unpacked(target, type)):
            if isinstance(part, ast.Starred):
                assert isinstance(part.value, ast.Name)
                bound.append("*" + self.bind(part.value, kind))
            else:
                bound.append(self.bind(part, kind))
        return tuple(bound)

    def _unpacked(self, target: ast.Tuple | ast.List, type: Type) -> list[Type]:
        """The types of the parts of ``target``, to which a value of ``type`` is given."""
        count = len(target.elts)
        star = next((i for i, part in enumerate(target.elts) if isinstance(part, ast.Starred)), None)
        if not is_tuple_like(type):
            element = _element(type)
            if element is None:
                hint = "test that it is not None first" if NONE in relations.members(type) else None
                raise self.error(f"{with_article(spell(type))} cannot be unpacked", "type-mismatch", target, hint=hint)
            return [ListType(element) if i == star else element for i in range(count)]
        found = list(parts(type))
        if star is None and len(found) != count:
            raise self.error("wrong number of values", "type-mismatch", target, expected=count, actual=len(found))
        if star is None:
            return found
        after = count - star - 1
        if len(found) < count - 1:
            raise self.error("too few values", "type-mismatch", target, expected=count - 1, actual=len(found))
        middle = self._common(found[star : len(found) - after], None, target)
        return [*found[:star], ListType(middle), *found[len(found) - after :]]

    def _declared_type(self, target: ast.Name, type: Type) -> Type:
        """What is known of a variable after an assignment; its declared type is checked."""
        declared = self.declared.get(target.id)
        if declared is None:
            return type
        if not fits(type, declared, self.program.inherits):
            raise self.error(
                f"{target.id} was declared with another type", "type-mismatch", target, expected=spell(declared),
                actual=spell(type), hint="use another variable",
            )  # fmt: skip
        narrower = isinstance(declared, (OptionalType, UnionType)) and not relations.has_unknown(type)
        return type if narrower and type != relations.NUMBER else declared

    def _do_annassign(self, node: ast.AnnAssign) -> None:
        type = self.annotation(node.annotation)
        if isinstance(node.target, ast.Name):
            self.declared[node.target.id] = type
        if node.value is None:
            return
        value = self.expr(node.value, type)
        self.expect(value, type, "the value", node.value)
        if isinstance(node.target, ast.Attribute):
            with self.attempt():
                receiver = self.expr(node.target.value)
            self.declare_field(receiver, node.target.attr, type)
        self.assign(node.target, value)

    # -- target += value, del target

    def _do_augassign(self, node: ast.AugAssign) -> None:
        match node.target:
            case ast.Name() as target:
                self._augment_name(node, target)
            case ast.Attribute() as target:
                self._augment_attribute(node, target)
            case ast.Subscript() as target:
                self._augment_item(node, target)

    def _augment_name(self, node: ast.AugAssign, target: ast.Name) -> None:
        if target.id not in self.variables:
            raise self.error(f"{target.id} is not defined", "undefined", target)
        with self.attempt():
            old = self.read(target.id, target)
        value = self.expr(node.value, old.type if isinstance(old, Value) else None)
        kind = self.binary_type(type(node.op).__name__, old, value, node)
        self.variables[target.id] = self._declared_type(target, kind)
        self.emit("augment", [value], target=target.id, name=_operator(node))

    def _augment_attribute(self, node: ast.AugAssign, target: ast.Attribute) -> None:
        base = self.expr(target.value)
        with self.attempt():
            old = self.attribute(base, target.attr, target)
        if not isinstance(old, Value):
            raise self.error(f"{target.attr} is no attribute that can change", "type-mismatch", target)
        value = self.expr(node.value)
        kind = self.binary_type(type(node.op).__name__, old, value, node)
        if not fits(kind, old.type):
            raise self.error("the result has another type", "type-mismatch", node, expected=spell(old.type),
                             actual=spell(kind))  # fmt: skip
        self.emit("augment_attribute", [base, value], attribute=target.attr, name=_operator(node))

    def _augment_item(self, node: ast.AugAssign, target: ast.Subscript) -> None:
        base = self.expr(target.value)
        key = self.index(base, target.slice)
        with self.attempt():
            old = self.emit("item", [base, key], self.item_type(base, key, target))
        value = self.expr(node.value)
        kind = self.binary_type(type(node.op).__name__, old, value, node)
        if not fits(kind, old.type, self.program.inherits):
            raise self.error("the item has the wrong type", "type-mismatch", node, expected=spell(old.type),
                             actual=spell(kind))  # fmt: skip
        self.emit("augment_item", [base, key, value], name=_operator(node))

    def _do_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                with self.attempt():
                    self.read(target.id, target)
                del self.variables[target.id]
                self.emit("delete", [], target=target.id)
            elif isinstance(target, ast.Subscript):
                base = self.expr(target.value)
                key = self.index(base, target.slice)
                self.item_type(base, key, target)
                self.emit("delete_item", [base, key])
            else:
                raise self.error("scripts have no del of an attribute", node=target, hint="set it to None")


def _operator(node: ast.AugAssign) -> str:
    return tables.BINARY[type(node.op).__name__][0]


def _is_static(found: Any) -> bool:
    return callable(found) or isinstance(found, ast.AST) or type(found).__name__ == "module"


def _element(type: Type) -> Type | None:
    match type:
        case ListType(element):
            return element
        case DictType(key, _):
            return key
    return type if type in (relations.STR, relations.TENSOR) else None
