"""Operators: arithmetic, comparisons, ``not``, ``and``, ``or``, and ternaries."""

from __future__ import annotations

import ast
from abc import abstractmethod
from typing import Any

from jitorch.frontend.script import relations, tables
from jitorch.frontend.script.expressions import Expressions
from jitorch.frontend.script.frame import Frame, Test, Variables
from jitorch.frontend.script.operators import as_number, iterated_type, operator_type
from jitorch.frontend.script.relations import NUMBER
from jitorch.frontend.script.spelling import spell, with_article
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import BOOL, COMPLEX, FLOAT, INT, NONE, STR, TENSOR, ListType, RecordType, TupleType, Type

_ORDER = frozenset("lt le gt ge".split())


class Operations(Expressions):
    """See the module's docstring."""

    @abstractmethod
    def condition(self, node: ast.expr) -> Test:
        """What a test says."""

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
        return self._deciding(node, node.values)

    def _deciding(self, node: ast.BoolOp, values: list[ast.expr]) -> Value:
        """The operand that decides an ``and`` or ``or``, which is its value; as a condition, `Conditions` has it."""
        if len(values) == 1:
            return self.expr(values[0])
        is_and = isinstance(node.op, ast.And)
        first = self.condition(values[0])
        known = first.true if is_and else first.false
        if first.value is None and first.decided is not is_and:
            return self.expr(values[0])
        if first.value is None:
            with self.assuming(known):
                return self._deciding(node, values[1:])
        with self.region("right") as region, self.assuming(known):
            second = self._deciding(node, values[1:])
            region.outputs = [second]
        self.at = node
        return self.join_truths(node, first.value, second.type, region)

    def join_truths(self, node: ast.BoolOp, left: Value, right: Type, region: Graph) -> Value:
        """``left and region``, or the same with ``or``; both sides have to have a common type."""
        kind = relations.join(left.type, right, self.program.inherits)
        if kind is None:
            what = "the sides of and / or have different types"
            hint = "compare them, to get bools"
            raise self.error(what, "type-mismatch", node, expected=spell(left.type), actual=spell(right), hint=hint)
        return self.emit("both" if isinstance(node.op, ast.And) else "either", [left], kind, right=region)

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


class _Assuming:
    """See `Expressions.assuming`."""

    def __init__(self, frame: Frame, known: Variables):
        self.frame, self.known = frame, known

    def __enter__(self) -> None:
        self.before = dict(self.frame.variables)
        self.frame.variables |= self.known

    def __exit__(self, *_: object) -> None:
        self.frame.variables = self.before
