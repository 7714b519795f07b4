"""Statements: assignments, branches and loops of a function that is being compiled."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jitorch.frontend.script import relations, tables
from jitorch.frontend.script.conditions import Conditions
from jitorch.frontend.script.frame import Conflict, Known, Test, Variables
from jitorch.frontend.script.relations import UNKNOWN, fits, is_tuple_like, parts, spell
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import ANY, INT, NONE, DictType, ListType, OptionalType, RecordType, Type, UnionType

_REFUSED = {
    "Try": "handle the error outside of the script",
    "TryStar": "handle the error outside of the script",
    "ClassDef": "define the class outside of the function",
    "Global": "pass the value as an argument and return the new one",
    "Nonlocal": "return the new value",
    "Import": "import at the top of the module",
    "ImportFrom": "import at the top of the module",
    "Match": "use if and elif",
    "AsyncFunctionDef": "scripts have no coroutines",
    "AsyncFor": "scripts have no coroutines",
    "AsyncWith": "scripts have no coroutines",
}
_ROUNDS = 4  # the type of a variable widens at most from a type to its optional, and to what was declared


@dataclass
class Loop:
    """What is known where an open loop is left, and where its next turn begins."""

    breaks: list[tuple[Variables, str]] = field(default_factory=list)
    continues: list[tuple[Variables, str]] = field(default_factory=list)
    unrolled: bool = False


class Statements(Conditions):
    """See the module's docstring."""

    returns: Type | None  # what was declared
    found_returns: Type | None  # what was returned so far
    loops: list[Loop]

    @abstractmethod
    def annotation(self, node: ast.expr) -> Type:
        """The type that an annotation's tree stands for."""

    @abstractmethod
    def set_field(self, receiver: Value, name: str, value: Value, node: ast.AST) -> None:
        """Check that a class has a field of this type, or give it one."""

    def body(self, statements: list[ast.stmt]) -> None:
        """Statements in order; what cannot be reached is not compiled."""
        for statement in statements:
            if self.left:
                return
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        self.at = node
        name = type(node).__name__
        if name in _REFUSED:
            raise self.error(f"scripts have no {_spoken(name)}", node=node, hint=_REFUSED[name])
        getattr(self, f"_do_{name.lower()}")(node)

    # -- simple statements

    def _do_pass(self, node: ast.Pass) -> None:
        pass

    def _do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.meaning(node.value)

    def _do_functiondef(self, node: ast.FunctionDef) -> None:
        if node.decorator_list:
            raise self.error("a decorator on a nested function", node=node.decorator_list[0], hint="leave it out")
        self.variables[node.name] = Known(node, node.name)

    def _do_assign(self, node: ast.Assign) -> None:
        first = node.targets[0]
        expected = self.declared.get(first.id) if isinstance(first, ast.Name) else self._field_type(first)
        meaning = self.meaning(node.value, expected)
        if isinstance(meaning, Known) and isinstance(first, ast.Name) and _is_static(meaning.object):
            for target in node.targets:
                assert isinstance(target, ast.Name)
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
        record = self.program.classes.get(base.type.name) if isinstance(base, Value) and isinstance(
            base.type, RecordType) else None  # fmt: skip
        return None if record is None else record.fields.get(target.attr)

    def assign(self, target: ast.expr, value: Value) -> None:
        """``target = value``"""
        match target:
            case ast.Name():
                self.emit("assign", [value], target=self.bind(target, value.type))
            case ast.Attribute():
                self._assign_attribute(target, value)
            case ast.Subscript():
                self._assign_item(target, value)
            case ast.Tuple() | ast.List():
                self._unpack(target, value)
            case _:
                raise self.error(f"an assignment to {type(target).__name__}", node=target)

    def _assign_attribute(self, target: ast.Attribute, value: Value) -> None:
        receiver = self.expr(target.value)
        self.set_field(receiver, target.attr, value, target)
        self.emit("set_attribute", [receiver, value], name=target.attr)

    def _assign_item(self, target: ast.Subscript, value: Value) -> None:
        base = self.expr(target.value)
        key = self.index(base, target.slice)
        element = self._stored_item(base, key, value, target)
        if not fits(value.type, element, self.program.inherits):
            raise self.error(
                "the item has the wrong type", "type-mismatch", target, expected=spell(element),
                actual=spell(value.type),
            )  # fmt: skip
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
        raise self.error(f"the items of a {spell(base.type)} cannot be set", "type-mismatch", node)

    def settle(self, container: Value, type: Type) -> None:
        """An empty container that a variable holds got its first element: its type is known from now on."""
        node = container.node
        if node is not None and node.op.name == "local":
            self.variables[node.attrs["name"]] = type

    def _unpack(self, target: ast.Tuple | ast.List, value: Value) -> None:
        plain = all(isinstance(n, (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.Load, ast.Store))
                    for n in ast.walk(target))  # fmt: skip
        if plain:
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
            raise self.error(
                "a loop sets what is no variable", node=target, hint="use a variable, and assign it inside"
            )
        types = self._unpacked(target, type)
        bound = []
        for part, kind in zip(target.elts, types):
            if isinstance(part, ast.Starred):
                assert isinstance(part.value, ast.Name)
                bound.append("*" + self.bind(part.value, kind))
            else:
                bound.append(self.bind(part, kind))
        return tuple(bound)

    def _unpacked(self, target: ast.Tuple | ast.List, type: Type) -> list[Type]:
        count = len(target.elts)
        star = next((i for i, part in enumerate(target.elts) if isinstance(part, ast.Starred)), None)
        if not is_tuple_like(type):
            element = _element(type)
            if element is None:
                hint = "test that it is not None first" if NONE in relations.members(type) else None
                raise self.error(f"a {spell(type)} cannot be unpacked", "type-mismatch", target, hint=hint)
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
        narrower = isinstance(declared, (OptionalType, UnionType)) and "unknown" not in str(type)
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
            self._declare_field(node.target, type)
        self.assign(node.target, value)

    @abstractmethod
    def declare_field(self, receiver: Value, name: str, type: Type) -> None:
        """``self.name: type = ...`` in the constructor of a class."""

    def _declare_field(self, target: ast.Attribute, type: Type) -> None:
        with self.attempt():
            receiver = self.expr(target.value)
            self.declare_field(receiver, target.attr, type)

    def _do_augassign(self, node: ast.AugAssign) -> None:
        operator = type(node.op).__name__
        name = tables.BINARY[operator][0]
        target = node.target
        if isinstance(target, ast.Name):
            if target.id not in self.variables:
                raise self.error(f"{target.id} is not defined", "undefined", target)
            with self.attempt():
                old = self.read(target.id, target)
            value = self.expr(node.value, old.type if isinstance(old, Value) else None)
            kind = self.binary_type(operator, old, value, node)
            self.variables[target.id] = self._declared_type(target, kind)
            self.emit("augment", [value], target=target.id, name=name)
            return
        if isinstance(target, ast.Attribute):
            base = self.expr(target.value)
            with self.attempt():
                old = self.attribute(base, target.attr, target)
            value = self.expr(node.value)
            assert isinstance(old, Value)
            kind = self.binary_type(operator, old, value, node)
            if not fits(kind, old.type):
                raise self.error("the result has another type", "type-mismatch", node, expected=spell(old.type),
                                 actual=spell(kind))  # fmt: skip
            self.emit("augment_attribute", [base, value], attribute=target.attr, name=name)
            return
        base = self.expr(target.value)
        key = self.index(base, target.slice)
        with self.attempt():
            old = self.emit("item", [base, key], self.item_type(base, key, target))
        value = self.expr(node.value)
        self.binary_type(operator, old, value, node)
        self.emit("augment_item", [base, key, value], name=name)

    def _do_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.read(target.id, target)
                self.drop_since(len(self.blocks[-1].nodes) - 1)
                del self.variables[target.id]
                self.emit("delete", [], target=target.id)
            elif isinstance(target, ast.Subscript):
                base = self.expr(target.value)
                key = self.index(base, target.slice)
                self.item_type(base, key, target)
                self.emit("delete_item", [base, key])
            else:
                raise self.error("del of an attribute", node=target, hint="set it to None")

    def _do_assert(self, node: ast.Assert) -> None:
        test = self.condition(node.test)
        if test.value is None and test.decided:
            return
        value = self.constant(False) if test.value is None else test.value
        message = None if node.msg is None else self.expr(node.msg)
        self.emit("assert", [value, message])
        self.variables |= test.true

    def _do_raise(self, node: ast.Raise) -> None:
        if node.exc is None or node.cause is not None:
            raise self.error("raise without an exception, or with a cause", node=node, hint="raise ValueError(...)")
        call = node.exc if isinstance(node.exc, ast.Call) else None
        named = self.meaning(node.exc if call is None else call.func)
        name = getattr(named.object, "__name__", "") if isinstance(named, Known) else ""
        if name not in tables.EXCEPTIONS:
            what = f"{ast.unparse(node.exc)} is no built-in exception"
            raise self.error(what, node=node.exc, hint=f"one of {', '.join(sorted(tables.EXCEPTIONS)[:6])}, ...")
        args = [] if call is None else [self.expr(arg) for arg in call.args]
        self.emit("raise", args, name=name)
        self.left = True

    def _do_return(self, node: ast.Return) -> None:
        value = self.constant(None) if node.value is None else self.expr(node.value, self.returns)
        self.check_return(value, node.value or node)
        self.emit("finish", [value])
        self.left = True

    def check_return(self, value: Value, node: ast.AST) -> None:
        """The value must be of the declared type, or have one in common with what was returned before."""
        if self.returns is not None:
            self.expect(value, self.returns, "the returned value", node)
            return
        found = value.type
        joined = (
            found if self.found_returns is None else relations.join(self.found_returns, found, self.program.inherits)
        )
        if joined is None:
            before = spell(self.found_returns) if self.found_returns is not None else ""
            raise self.error(
                "returns of different types", "type-mismatch", node, expected=before, actual=spell(found),
                hint=f"annotate the function with -> Union[{before}, {spell(found)}], or return one type",
            )  # fmt: skip
        self.found_returns = joined

    # -- branches

    def _do_if(self, node: ast.If) -> None:
        test = self.condition(node.test)
        if test.value is None:
            self.body(node.body if test.decided else node.orelse)
            return
        before = dict(self.variables)
        then, after_then = self._branch("then", node.body, test.true)
        self.variables = dict(before)
        orelse, after_else = self._branch("orelse", node.orelse, test.false)
        condition = ast.unparse(node.test)
        ends = [(after_then, f"{condition}"), (after_else, f"not ({condition})")]
        reached = [(v, where) for v, where in ends if v is not None]
        self.variables = self.merge(before, reached)  # type: ignore[arg-type]
        self.left = not reached
        self.at = node
        self.emit("if", [test.value], then=then, orelse=orelse)

    def _branch(self, name: str, statements: list[ast.stmt], known: Variables) -> tuple[Graph, Variables | None]:
        """The region, and what is known at its end; None if the end is not reached."""
        with self.region(name) as region:
            self.variables |= known
            self.body(statements)
        reached = None if self.left else self.variables
        self.left = False
        return region, reached

    # -- loops

    def _do_while(self, node: ast.While) -> None:
        if node.orelse:
            raise self.error("else of a loop", node=node.orelse[0], hint="set a flag before break, and test it after")
        decided: list[bool] = []

        def turn() -> tuple[Graph, Graph, Variables]:
            with self.region("test") as test_region:
                test = self.condition(node.test)
                decided[:] = [test.value is None and bool(test.decided)]
                test_region.outputs = [self.constant(bool(test.decided)) if test.value is None else test.value]
            ends = self.variables | test.false
            self.variables = self.variables | test.true
            with self.region("body") as body:
                self.body(node.body)
            return test_region, body, ends

        test, body = self._loop(node, turn, "the loop runs no turn", decided)
        self.at = node
        self.emit("while", [], test=test, body=body)

    def _loop(
        self, node: ast.stmt, turn: Callable[[], tuple[Any, Graph, Variables]], skipped: str, endless: list[bool]
    ) -> tuple[Any, Graph]:
        """Compile a loop's body until the types of its variables do not change from turn to turn."""
        for _ in range(_ROUNDS):
            before = dict(self.variables)
            loop = Loop()
            self.loops.append(loop)
            head, body, ends = turn()
            self.loops.pop()
            again = [*loop.continues] if self.left else [(self.variables, "the loop goes on"), *loop.continues]
            self.left = False
            # What the body alone sets has no value when the next turn begins.
            turns = [({n: v[n] for n in before if n in v}, w) for v, w in again]
            merged = self.merge(before, [(before, skipped), *turns])
            if merged == before or any(isinstance(v, Conflict) for v in merged.values()):
                break
            self.variables = merged
        exits = [*loop.breaks] if endless and endless[0] else [(ends, skipped), *again, *loop.breaks]
        if endless and endless[0]:
            self.left = not loop.breaks
        self.variables = self.merge(before, exits)
        return head, body

    def _do_for(self, node: ast.For) -> None:
        if node.orelse:
            raise self.error("else of a loop", node=node.orelse[0], hint="set a flag before break, and test it after")
        makers = self.unrolled(node.iter)
        if makers is not None:
            self._unrolled_for(node, makers)
            return
        source = self.expr(node.iter)
        element = self.iterated(source, node.iter)
        target: list[Any] = []

        def turn() -> tuple[None, Graph, Variables]:
            before = dict(self.variables)
            with self.region("body") as body:
                target[:] = [self.bind(node.target, element)]
                self.body(node.body)
            return None, body, before

        _, body = self._loop(node, turn, "the loop runs no turn", [])
        self.at = node
        self.emit("for", [source], target=target[0], body=body)

    def _unrolled_for(self, node: ast.For, makers: list[Callable[[], Value]]) -> None:
        self.loops.append(Loop(unrolled=True))
        for make in makers:
            self.substitute(node.target, make)
            self.body(node.body)
            if self.left:
                break
        self.loops.pop()
        for name in (n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)):
            self.variables.pop(name, None)

    def _do_break(self, node: ast.Break) -> None:
        self._open_loop("break", node).breaks.append((dict(self.variables), "the loop breaks"))
        self.emit("break", [])
        self.left = True

    def _do_continue(self, node: ast.Continue) -> None:
        self._open_loop("continue", node).continues.append((dict(self.variables), "the loop continues"))
        self.emit("continue", [])
        self.left = True

    def _open_loop(self, word: str, node: ast.stmt) -> Loop:
        if self.loops[-1].unrolled:
            raise self.error(f"{word} in a loop over modules", node=node, hint="put the rest under an if")
        return self.loops[-1]

    def _do_with(self, node: ast.With) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                raise self.error("with ... as", node=item.optional_vars, hint="leave the name out")
        (first, *rest) = node.items
        manager = self.expr(first.context_expr)
        name = manager.node.attrs.get("name") if manager.node is not None else None
        if name not in tables.CONTEXTS:
            what = f"{ast.unparse(first.context_expr)} is no context of scripts"
            raise self.error(what, node=first.context_expr, hint="scripts know torch.no_grad() and enable_grad()")
        with self.region("body") as body:
            if rest:
                self.statement(ast.copy_location(ast.With(rest, node.body), node))
            else:
                self.body(node.body)
        self.at = node
        self.emit("with", [manager], body=body)

    def conditions_hold(self, test: Test) -> bool:
        """Whether a test was decided to be true."""
        return test.value is None and bool(test.decided)


def _is_static(found: Any) -> bool:
    return callable(found) or isinstance(found, ast.AST) or type(found).__name__ == "module"


def _element(type: Type) -> Type | None:
    match type:
        case ListType(element):
            return element
        case DictType(key, _):
            return key
    return {relations.STR: relations.STR, relations.TENSOR: relations.TENSOR, INT: None}.get(type)


def _spoken(name: str) -> str:
    words = {
        "Try": "try", "TryStar": "try", "ClassDef": "class statements inside of functions", "Global": "global",
        "Nonlocal": "nonlocal", "Import": "import", "ImportFrom": "import", "Match": "match",
    }  # fmt: skip
    return words.get(name, "async")
