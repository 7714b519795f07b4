"""The function that is being compiled: its open regions, what is known of its variables, and its errors."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jitorch.errors import CompileError, Location
from jitorch.frontend.script import relations
from jitorch.frontend.script.ops import SCRIPT_OPS
from jitorch.frontend.script.program import Class, Program
from jitorch.frontend.script.relations import fits
from jitorch.frontend.script.spelling import spell
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import INT, STR, RecordType, Type

Variables = dict[str, Any]
"""What is known of each variable: a `Type`, a `Known` object, or a `Conflict`."""


@dataclass(frozen=True)
class Known:
    """What an expression stands for while a script is compiled, and no value at run time: a module, a function, ..."""

    object: Any
    name: str


@dataclass(frozen=True)
class Member:
    """A method that is about to be called."""

    receiver: Value
    name: str


@dataclass(frozen=True)
class Made:
    """A variable that stands for an expression, made anew where it is read: a module of an unrolled loop."""

    make: Callable[[], Any]


@dataclass(frozen=True)
class Conflict:
    """A variable that no read may meet: ``why`` says so."""

    why: str
    hint: str | None = None


@dataclass
class Test:
    """A condition: its value (None where it is decided), and what holds of the variables in either case."""

    value: Value | None
    decided: bool | None = None
    true: Variables = field(default_factory=dict)
    false: Variables = field(default_factory=dict)


class Frame:
    """State and helpers that statements and expressions share."""

    def __init__(self, program: Program, graph: Graph, file: str):
        self.program, self.graph, self.file = program, graph, file
        self.blocks: list[Graph] = [graph]
        self.variables: Variables = {}
        self.declared: dict[str, Type] = {}
        self.constants: dict[Value, Any] = {}
        self.left = False  # whether what comes next in this region cannot be reached
        self.at: ast.AST | None = None

    # -- nodes

    def location(self, node: ast.AST | None) -> Location | None:
        if node is None or not hasattr(node, "lineno"):
            return None
        one_line = node.lineno == node.end_lineno  # type: ignore[attr-defined]
        columns = (node.col_offset, node.end_col_offset) if one_line else (node.col_offset, 1 << 20)  # type: ignore[attr-defined]
        return Location(self.file, node.lineno, *columns)  # type: ignore[attr-defined]

    def emit(self, op: str, inputs: Sequence[Value | None], type: Type | None = None, **attrs: Any) -> Value:
        """Append a node; its value, or for a statement nothing that may be used."""
        record = SCRIPT_OPS[op]
        full = {p.name: attrs.get(p.name, p.default) for p in record.attrs}
        types = [] if type is None else [type]
        node = self.blocks[-1].append(record, inputs, full, types, self.location(self.at))
        return node.output if types else None  # type: ignore[return-value]

    def constant(self, value: Any) -> Value:
        type = relations.type_of(value)
        assert type is not None
        made = self.emit("constant", [], type, value=value)
        self.constants[made] = value
        return made

    @contextmanager
    def region(self, name: str) -> Iterator[Graph]:
        """What is emitted inside goes into a graph of its own."""
        graph = Graph(name)
        self.blocks.append(graph)
        try:
            yield graph
        finally:
            self.blocks.pop()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is emitted inside is dropped again."""
        block = self.blocks[-1]
        count = len(block.nodes)
        try:
            yield
        finally:
            self.drop_since(count)

    def drop_since(self, count: int) -> None:
        block = self.blocks[-1]
        for node in block.nodes[count:]:
            node.drop()
        del block.nodes[count:]

    def modules_in(self, kind: Type) -> Class | None:
        """The class of a ModuleList, ModuleDict or Sequential, or of a subclass of one; None for other types."""
        record = self.program.classes.get(kind.name) if isinstance(kind, RecordType) else None
        return record if record is not None and record.holds is not None else None

    def is_interface(self, kind: Type) -> bool:
        """Whether ``kind`` is an interface, which any class with its methods fits."""
        record = self.program.classes.get(kind.name) if isinstance(kind, RecordType) else None
        return record is not None and record.kind == "interface"

    # -- variables

    def read(self, name: str, node: ast.AST) -> Any:
        """The value or object of a variable."""
        found = self.variables[name]
        if isinstance(found, Conflict):
            raise self.error(found.why, "undefined", node, hint=found.hint)
        if isinstance(found, Made):
            return found.make()
        return found if isinstance(found, Known) else self.emit("local", [], found, name=name)

    def merge(self, before: Variables, branches: Sequence[tuple[Variables, str]]) -> Variables:
        """What is known after branches that can be left at their end: each with how to call it."""
        if not branches:
            return before
        result: Variables = {}
        for name in dict.fromkeys(n for variables, _ in branches for n in variables):
            missing = next((where for variables, where in branches if name not in variables), None)
            if missing is not None:
                hint = f"assign {name} before, or in every branch"
                result[name] = Conflict(f"{name} has no value if {missing}", hint)
                continue
            found = [variables[name] for variables, _ in branches]
            result[name] = self._merged(name, found, branches)
        return result

    def _merged(self, name: str, found: list[Any], branches: Sequence[tuple[Variables, str]]) -> Any:
        merged = found[0]
        for other, (_, where) in zip(found[1:], branches[1:]):
            if isinstance(merged, Conflict) or merged == other:
                continue
            if isinstance(other, Conflict):
                merged = other
                continue
            if isinstance(merged, (Known, Made)) or isinstance(other, (Known, Made)):
                return Conflict(f"{name} is another object if {where}")
            declared = self.declared.get(name)
            joined = declared if declared is not None else relations.join(merged, other, self.program.inherits)
            if joined is None:
                why = f"{name} is {spell(merged)} or, if {where}, {spell(other)}"
                return Conflict(why, f"use two variables, or declare {name}: Union[{spell(merged)}, {spell(other)}]")
            merged = joined
        return merged

    # -- errors

    def error(
        self,
        what: str,
        code: str = "unsupported",
        node: ast.AST | None = None,
        *,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
    ) -> CompileError:
        where = self.location(node if node is not None else self.at)
        return CompileError(what, code, expected=expected, actual=actual, hint=hint, where=where)

    def expect(self, value: Value, type: Type, what: str, node: ast.AST) -> Value:
        """``value``, which must be of ``type``."""
        if fits(value.type, type, self.program.inherits):
            return value
        raise self.error(
            f"{what} has the wrong type", "type-mismatch", node, expected=spell(type), actual=spell(value.type),
            hint=_conversion(value.type, type, node),
        )  # fmt: skip


def _conversion(actual: Type, expected: Type, node: ast.AST) -> str | None:
    """What to write to get from one type to the other."""
    text = ast.unparse(node) if isinstance(node, ast.expr) else "it"
    rest = relations.without(actual, lambda t: t == relations.NONE)
    if rest is not None and rest != actual and fits(rest, expected):
        named = text if isinstance(node, ast.Name) else "it, held in a variable,"
        return f"it may be None: test that {named} is not None first"
    if actual == relations.TENSOR and expected in relations.NUMBERS:
        return f"{expected}({text}) takes the number out of a tensor"
    if expected == STR:
        return f"str({text})"
    if expected == INT and actual in (relations.FLOAT, relations.STR):
        return f"int({text})"
    if expected == relations.TENSOR and actual in relations.NUMBERS:
        return f"torch.tensor({text})"
    return None
