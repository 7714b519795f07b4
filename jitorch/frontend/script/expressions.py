"""Expressions: a syntax tree becomes nodes, and the type of its value is found on the way."""

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
from jitorch.frontend.script.frame import Frame, Known, Member, Test, Variables
from jitorch.frontend.script.operators import as_number, element_of, iterated_type, members_of, operator_type
from jitorch.frontend.script.program import Class
from jitorch.frontend.script.relations import NUMBER, UNKNOWN, is_tuple_like
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.ir.graph import Value
from jitorch.ir.types import (
    ANY,
    BOOL,
    COMPLEX,
    DEVICE,
    DTYPE,
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
    UnionType,
)

Meaning = Value | Known | Member

_ORDER = frozenset("lt le gt ge".split())
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
    """Names, attributes, literals and operators; items and calls have modules of their own."""

    @abstractmethod
    def scope(self, name: str) -> Any:
        """The Python object behind a name that is no variable; raises KeyError."""

    @abstractmethod
    def call(self, node: ast.Call, expected: Type | None) -> Value | Known:
        """The value of a call."""

    @abstractmethod
    def condition(self, node: ast.expr) -> Test:
        """What a test says."""

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

    # -- operators

    def _unaryop(self, node: ast.UnaryOp, expected: Type | None) -> Value:
        if isinstance(node.op, ast.Not):
            return self._test_value(node)
        name, symbol = tables.UNARY[type(node.op).__name__]
        value = self.expr(node.operand, expected)
        number = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if isinstance(number, (int, float)) and not isinstance(number, bool) and name in ("neg", "pos"):
            self.drop_since(len(self.blocks[-1].nodes) - 1)
            return self.constant(-number if name == "neg" else number)
        kind = INT if value.type == BOOL else value.type
        if kind not in (TENSOR, INT, FLOAT, COMPLEX, NUMBER) or (name == "invert" and kind not in (TENSOR, INT)):
            kind = self._overloaded(value, {"neg": "__neg__", "pos": "__pos__", "invert": "__invert__"}[name])
            if kind is None:
                raise self.error(f"no {symbol} of {with_article(spell(value.type))}", "type-mismatch", node)
        return self.emit("operator", [value], kind, name=name)

    def _overloaded(self, value: Value, method: str) -> Any:
        """The result of an operator that a class defines."""
        record = self.program.classes.get(value.type.name) if isinstance(value.type, RecordType) else None
        function = None if record is None else self.method_of(record, method)
        return None if function is None else function.result

    def _binop(self, node: ast.BinOp, expected: Type | None) -> Value:
        left, right = self.expr(node.left), self.expr(node.right)
        return self.binary(type(node.op).__name__, left, right, node)

    def binary(self, operator: str, left: Value, right: Value, node: ast.AST) -> Value:
        """``left + right`` and its like."""
        name, _ = tables.BINARY[operator]
        return self.emit("operator", [left, right], self.binary_type(operator, left, right, node), name=name)

    def binary_type(self, operator: str, left: Value, right: Value, node: ast.AST) -> Type:
        """The type of ``left + right`` and its like."""
        name, symbol = tables.BINARY[operator]
        kind = self._overloaded(left, f"__{name}__") or operator_type(name, left, right, self.constants)
        if kind is None:
            for side, text in ((left, "left"), (right, "right")):
                if NONE in relations.members(side.type):
                    what = f"the {text} side of {symbol} may be None"
                    raise self.error(
                        what, "type-mismatch", node, actual=spell(side.type), hint="test it for None first"
                    )
            what = f"no {symbol} of {spell(left.type)} and {spell(right.type)}"
            hint = "str() makes text of a number" if STR in (left.type, right.type) else None
            raise self.error(what, "type-mismatch", node, hint=hint)
        return kind

    def _compare(self, node: ast.Compare, expected: Type | None) -> Value:
        return self._test_value(node)

    def _boolop(self, node: ast.BoolOp, expected: Type | None) -> Value:
        return self._test_value(node)

    def _test_value(self, node: ast.expr) -> Value:
        test = self.condition(node)
        return self.constant(test.decided) if test.value is None else test.value

    def comparison(self, node: ast.Compare) -> Value:
        """A comparison, chained or not, that is not decided."""
        operands = [self._names_of_modules(self.expr(side)) for side in (node.left, *node.comparators)]
        names = [tables.COMPARE[type(op).__name__][0] for op in node.ops]
        kind: Type = BOOL
        for name, a, b, op in zip(names, operands, operands[1:], node.ops):
            kind = self._compared(name, a, b, tables.COMPARE[type(op).__name__][1], node)
        return self.emit("compare", operands, kind, names=tuple(names))

    def _names_of_modules(self, value: Value) -> Value:
        """A ModuleDict is asked for names only, and these are known."""
        record = self.modules_in(value.type)
        if record is None or record.holds != "dict":
            return value
        names = [self.constant(name) for name in record.children]
        made = self.emit("list", names, ListType(STR))
        self._keep_constant(made, names, tuple)
        return made

    def _compared(self, name: str, a: Value, b: Value, symbol: str, node: ast.AST) -> Type:
        if name in ("is", "is_not"):
            return BOOL
        if name in ("in", "not_in"):
            if iterated_type(b.type) is None and b.type != STR and b.type != TENSOR:
                raise self.error(f"{spell(b.type)} is no container", "type-mismatch", node)
            return BOOL
        overloaded = self._overloaded(a, f"__{name}__")
        if overloaded is not None:
            return overloaded
        kinds = {as_number(a.type), as_number(b.type)}
        if TENSOR in kinds and kinds <= {TENSOR, INT, FLOAT, BOOL, COMPLEX, NUMBER}:
            return TENSOR
        if name in _ORDER:
            number = kinds <= {INT, FLOAT, BOOL, NUMBER}
            if (
                not number
                and not (a.type == b.type and isinstance(a.type, (ListType, TupleType)))
                and (a.type != STR or b.type != STR)
            ):
                raise self.error(f"no {symbol} of {spell(a.type)} and {spell(b.type)}", "type-mismatch", node)
        return BOOL

    def _ifexp(self, node: ast.IfExp, expected: Type | None) -> Value:
        test = self.condition(node.test)
        if test.value is None:
            with self.assuming(test.true if test.decided else test.false):
                return self.expr(node.body if test.decided else node.orelse, expected)
        regions, found = [], []
        for name, branch, known in (("then", node.body, test.true), ("orelse", node.orelse, test.false)):
            with self.region(name) as region, self.assuming(known):
                value = self.expr(branch, expected)
            region.outputs = [value]
            regions.append(region)
            found.append(value.type)
        kind = relations.join(found[0], found[1], self.program.inherits)
        if kind is None and expected is not None and all(relations.fits(t, expected) for t in found):
            kind = expected
        if kind is None:
            what = "the two cases have different types"
            raise self.error(what, "type-mismatch", node, expected=spell(found[0]), actual=spell(found[1]))
        return self.emit("choose", [test.value], kind, then=regions[0], orelse=regions[1])

    def assuming(self, known: Variables) -> Any:
        """While this lasts, variables have the types that a test has shown."""
        return _Assuming(self, known)

    def _lambda(self, node: ast.Lambda, expected: Type | None) -> Meaning:
        return Known(node, "<lambda>")

    def _call(self, node: ast.Call, expected: Type | None) -> Meaning:
        return self.call(node, expected)


class _Assuming:
    """See `Expressions.assuming`."""

    def __init__(self, frame: Frame, known: Variables):
        self.frame, self.known = frame, known

    def __enter__(self) -> None:
        self.before = dict(self.frame.variables)
        self.frame.variables |= self.known

    def __exit__(self, *_: object) -> None:
        self.frame.variables = self.before


def _spoken(node: ast.AST) -> str:
    names = {
        "NamedExpr": ":= inside of an expression", "Set": "sets", "SetComp": "sets", "Yield": "generators",
        "YieldFrom": "generators", "Await": "await", "Starred": "* in this place",
    }  # fmt: skip
    kind = type(node).__name__
    return names.get(kind, kind)
