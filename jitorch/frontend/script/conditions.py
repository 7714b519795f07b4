"""Tests: which are decided while a script is compiled, and what the others show of the types of variables."""

from __future__ import annotations

import ast
import builtins
import operator
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from jitorch.frontend.script import marks, relations
from jitorch.frontend.script.annotations import NotAType, type_of_annotation
from jitorch.frontend.script.frame import Known, Member, Test, Variables
from jitorch.frontend.script.items import Items
from jitorch.frontend.script.relations import fits
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.ir.graph import Value
from jitorch.ir.types import BOOL, NONE, TENSOR, DictType, ListType, RecordType, TupleType, Type

_DECIDED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "is": operator.is_, "is_not": operator.is_not,
    "in": lambda a, b: a in b, "not_in": lambda a, b: a not in b,
}  # fmt: skip
"""Comparisons of constants that are decided while a script is compiled."""
_DECIDERS: dict[Any, bool] = {marks.is_scripting: True, marks.is_tracing: False}


class Conditions(Items):
    """See the module's docstring."""

    @abstractmethod
    def record_type(self, kind: type) -> Type | None:
        """The type of a Python class."""

    def condition(self, node: ast.expr) -> Test:
        """The test that ``node`` makes; nothing is emitted for one that is decided."""
        count = len(self.blocks[-1].nodes)
        test = self._condition(node)
        if test.value is None:
            self.drop_since(count)
        return test

    def _condition(self, node: ast.expr) -> Test:
        match node:
            case ast.BoolOp():
                return self._and_or(node, node.values)
            case ast.UnaryOp(ast.Not(), operand):
                return self._not(node, operand)
            case ast.Compare(left, [ast.Is() | ast.IsNot() | ast.Eq() | ast.NotEq() as op], [right]):
                for side, other in ((left, right), (right, left)):
                    if isinstance(other, ast.Constant) and other.value is None:
                        return self._is_none(node, side, isinstance(op, (ast.IsNot, ast.NotEq)))
                return self._comparison(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.Call(ast.Name() | ast.Attribute() as function):
                decided = self._question(node, function)
                if decided is not None:
                    return decided
        return self._truth(node)

    def _truth(self, node: ast.expr) -> Test:
        value = self.expr(node)
        if value in self.constants:
            return Test(None, bool(self.constants[value]))
        if NONE in relations.members(value.type) and value.type != NONE:
            what = f"{with_article(spell(value.type))} is used as a condition"
            raise self.error(what, "type-mismatch", node, hint=f"write {ast.unparse(node)} is not None, or compare it")
        if isinstance(value.type, RecordType):
            raise self.error(
                f"{with_article(spell(value.type))} is used as a condition", "type-mismatch", node, hint="compare it"
            )
        return Test(value)

    def _comparison(self, node: ast.Compare) -> Test:
        before, self.at = self.at, node
        value = self.comparison(node)
        self.at = before
        assert value.node is not None
        operands = value.node.operands
        if len(operands) == 2 and all(v in self.constants for v in operands):
            decide = _DECIDED.get(value.node.attrs["names"][0])
            if decide is not None:
                return Test(None, decide(*[self.constants[v] for v in operands]))
        return Test(value)

    def _not(self, node: ast.UnaryOp, operand: ast.expr) -> Test:
        test = self._condition(operand)
        if test.value is None:
            return Test(None, not test.decided)
        self.at = node
        return Test(self.emit("operator", [test.value], BOOL, name="not"), None, test.false, test.true)

    def _and_or(self, node: ast.BoolOp, values: list[ast.expr]) -> Test:
        is_and = isinstance(node.op, ast.And)
        first = self.condition(values[0])
        if len(values) == 1:
            return first
        rest = ast.BoolOp(node.op, values[1:]) if len(values) > 2 else values[1]
        ast.copy_location(rest, values[1])
        rest.end_lineno, rest.end_col_offset = values[-1].end_lineno, values[-1].end_col_offset
        if first.value is None:
            return self.condition(rest) if first.decided is is_and else first
        known = first.true if is_and else first.false
        with self.region("right") as region, self.assuming(known):
            second = self.condition(rest)
            if second.value is not None:
                region.outputs = [second.value]
        if second.value is None:
            # `x and False`: the left side has no effect that could be missed.
            return first if second.decided is is_and else second
        self.at = node
        value = self.join_truths(node, first.value, second.value.type, region)
        if is_and:
            return Test(value, None, {**first.true, **second.true}, {})
        return Test(value, None, {}, {**first.false, **second.false})

    # -- questions about types

    def _is_none(self, node: ast.Compare, side: ast.expr, negated: bool) -> Test:
        meaning = self.meaning(side)
        if not isinstance(meaning, Value):
            return Test(None, negated)
        kind = meaning.type
        if NONE not in relations.members(kind) and kind != relations.ANY:
            return Test(None, negated)
        if kind == NONE:
            return Test(None, not negated)
        self.at = node
        value = self.emit("compare", [meaning, self.constant(None)], BOOL, names=("is_not" if negated else "is",))
        rest = relations.without(kind, lambda t: t == NONE)
        there: Variables = {}
        absent: Variables = {}
        if isinstance(side, ast.Name) and side.id in self.variables and kind != relations.ANY:
            there, absent = {side.id: rest}, {side.id: NONE}
        return Test(value, None, there, absent) if negated else Test(value, None, absent, there)

    def _question(self, node: ast.Call, function: ast.expr) -> Test | None:
        """``isinstance``, ``hasattr`` and the like; None for other calls."""
        with self.attempt():
            known = (
                self.meaning(function) if not isinstance(function, ast.Attribute) or self._is_static(function) else None
            )
        if not isinstance(known, Known):
            return None
        found = known.object
        if _hashable(found) and found in _DECIDERS:
            return Test(None, _DECIDERS[found])
        if found is builtins.isinstance or found is marks.isinstance_:
            return self._isinstance(node)
        if found is builtins.hasattr:
            return Test(None, self._has(node))
        return None

    def _is_static(self, node: ast.expr) -> bool:
        """Whether an attribute is of modules and classes, not of a value."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and not isinstance(self.variables.get(node.id), Type)

    def _has(self, node: ast.Call) -> bool:
        if len(node.args) != 2 or not isinstance(node.args[1], ast.Constant):
            hint = "write the names out, each in a test of its own"
            raise self.error("hasattr needs a name that is written out", "arguments", node, hint=hint)
        name = str(node.args[1].value)
        with self.attempt():
            base = self.meaning(node.args[0])
            if isinstance(base, Known):
                return hasattr(base.object, name)
            if isinstance(base, Member):
                return False
            record = self.program.classes.get(base.type.name) if isinstance(base.type, RecordType) else None
            if record is not None:
                return name in record.fields or self.method_of(record, name) is not None
            return base.type == TENSOR and hasattr(relations.Tensor, name)

    def _isinstance(self, node: ast.Call) -> Test:
        if len(node.args) != 2:
            raise self.error("isinstance takes a value and a type", "arguments", node)
        subject, target = node.args
        value = self.expr(subject)
        types = self._targets(target)
        yes = tuple(m for m in relations.members(value.type) if any(self._is(m, t) for t in types))
        maybe = any(self._could_be(m, t) for m in relations.members(value.type) for t in types)
        if len(yes) == len(relations.members(value.type)):
            return Test(None, True)
        if not yes and not maybe:
            return Test(None, False)
        self.at = node
        test = self.emit("isinstance", [value], BOOL, types=tuple(types))
        if not isinstance(subject, ast.Name) or subject.id not in self.variables:
            return Test(test)
        true = relations.union(yes) if yes and not maybe else relations.union(tuple(types))
        rest = relations.without(value.type, lambda m: m in yes)
        keep = rest is None or (maybe and not yes)
        return Test(test, None, {subject.id: true}, {} if keep else {subject.id: rest})

    def _is(self, member: Type, target: Type) -> bool:
        if isinstance(target, (ListType, DictType)) and target == type(target)(*[relations.UNKNOWN] * _arity(target)):
            return type(member) is type(target)
        if target == TupleType((relations.UNKNOWN,)):
            return isinstance(member, TupleType)
        return member == target or (isinstance(target, RecordType) and fits(member, target, self.program.inherits))

    def _could_be(self, member: Type, target: Type) -> bool:
        """Whether only the value tells: the type is a base of the target, or anything at all."""
        if member in (relations.ANY, relations.NUMBER):
            return True
        return isinstance(member, RecordType) and isinstance(target, RecordType) and fits(
            target, member, self.program.inherits
        )  # fmt: skip

    def _targets(self, node: ast.expr) -> list[Type]:
        trees = node.elts if isinstance(node, ast.Tuple) else [node]
        return [self._target(tree) for tree in trees]

    def _target(self, node: ast.expr) -> Type:
        kind = self.evaluate(node)
        bare = {list: ListType(relations.UNKNOWN), dict: DictType(relations.UNKNOWN, relations.UNKNOWN)}
        if kind in (list, dict):
            return bare[kind]
        if kind is tuple:
            return TupleType((relations.UNKNOWN,))
        try:
            return type_of_annotation(kind, self.record_type)
        except NotAType as error:
            raise self.error(str(error), "annotation", node, hint=error.hint) from None

    @abstractmethod
    def evaluate(self, node: ast.expr) -> Any:
        """The Python object that an annotation's tree stands for."""


def _arity(type: Type) -> int:
    return 2 if isinstance(type, DictType) else 1


def _hashable(value: Any) -> bool:
    return getattr(value, "__hash__", None) is not None
