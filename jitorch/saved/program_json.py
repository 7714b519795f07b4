"""A script program <-> JSON and text: signatures and classes are JSON, the graphs stand in a text of their own."""

from __future__ import annotations

from typing import Any

from jitorch.errors import ParseError, SavedModelError
from jitorch.frontend.script.ops import SCRIPT_OPS
from jitorch.frontend.script.program import Class, Function, Parameter, Program
from jitorch.frontend.script.verify import verify_program
from jitorch.ir.graph import Graph
from jitorch.ir.parser import parse_type
from jitorch.ir.types import Type
from jitorch.saved.values import DefaultDecoder, Encoder

SEPARATOR = "\n\n"


def pack_program(program: Program, encoder: Encoder) -> tuple[dict[str, Any], list[str]]:
    """The JSON of a program, and its graphs as texts."""
    graphs: list[str] = []

    def function(made: Function) -> dict[str, Any]:
        parameters = [
            [p.name, str(p.type), p.keyword_only, *([encoder.encode(p.default)] if p.has_default else [])]
            for p in made.parameters
        ]
        described: dict[str, Any] = {"name": made.name, "parameters": parameters, "returns": str(made.result)}
        if made.graph is not None:
            described["graph"] = len(graphs)
            graphs.append(str(made.graph))
        return described

    classes = {
        name: {
            "kind": record.kind,
            "fields": {n: str(t) for n, t in record.fields.items()},
            "constants": {n: encoder.encode(v) for n, v in record.constants.items()},
            "defaults": {n: encoder.encode(v) for n, v in record.defaults.items()},
            "bases": list(record.bases),
            "static": sorted(record.static),
            "properties": sorted(record.properties & record.methods.keys()),
            "methods": {n: function(f) for n, f in record.methods.items()},
        }
        for name, record in program.classes.items()
    }
    functions = {name: function(made) for name, made in program.functions.items()}
    return {"functions": functions, "classes": classes}, graphs


def unpack_program(described: Any, texts: str) -> Program:
    """The program, verified; SavedModelError where it is none."""
    graphs = texts.split(SEPARATOR) if texts else []
    reader = _Reader(graphs)
    try:
        program = reader.program(described)
        if reader.used != set(range(len(graphs))):
            raise SavedModelError("a graph belongs to no function, or to more than one")
        verify_program(program)
    except ParseError as error:
        raise SavedModelError(f"the program is none that a script compiler made: {error.what}",
                              expected=error.expected, actual=error.actual) from None  # fmt: skip
    return program


def joined(graphs: list[str]) -> str:
    """The text of all graphs."""
    return SEPARATOR.join(graphs)


class _Reader:
    def __init__(self, graphs: list[str]):
        self.graphs, self.decoder = graphs, DefaultDecoder()
        self.used: set[int] = set()

    def program(self, described: Any) -> Program:
        functions, classes = _take(described, "the program", {"functions": dict, "classes": dict})
        program = Program()
        for name, entry in classes.items():
            program.classes[name] = self._class(name, entry)
        for name, entry in functions.items():
            program.functions[name] = self._function(entry, name)
        for name, entry in classes.items():
            record = program.classes[name]
            record.methods = {n: self._function(f, f"{name}.{n}") for n, f in entry["methods"].items()}
        return program

    def _class(self, name: str, entry: Any) -> Class:
        kind, fields, constants, defaults, bases, static, properties, methods = _take(
            entry, f"class {name}",
            {"kind": str, "fields": dict, "constants": dict, "defaults": dict, "bases": list, "static": list,
             "properties": list, "methods": dict},
        )  # fmt: skip
        if not all(isinstance(n, str) for n in (*bases, *static, *properties)):
            raise SavedModelError(f"class {name} is not described")
        return Class(
            name, kind, {n: _type(t) for n, t in fields.items()}, {},
            {n: self.decoder.decode(v) for n, v in constants.items()},
            {n: self.decoder.decode(v) for n, v in defaults.items()},
            tuple(bases), None, frozenset(static) & methods.keys(), frozenset(properties) & methods.keys(),
        )  # fmt: skip

    def _function(self, entry: Any, name: str) -> Function:
        if not isinstance(entry, dict):
            raise SavedModelError(f"function {name} is not described")
        optional = {"graph": int} if "graph" in entry else {}
        spelled, parameters, returns, *number = _take(
            entry, f"function {name}", {"name": str, "parameters": list, "returns": str, **optional}
        )
        if spelled != name:
            raise SavedModelError("a function has two names", expected=name, actual=spelled[:80])
        found = tuple(self._parameter(p, name) for p in parameters)
        made = Function(name, found, _type(returns))
        if number:
            made.graph = self._graph(number[0], name)
        return made

    def _parameter(self, entry: Any, name: str) -> Parameter:
        if not isinstance(entry, list) or len(entry) not in (3, 4) or not isinstance(entry[0], str):
            raise SavedModelError(f"function {name}: a parameter is not described", actual=str(entry)[:80])
        if not isinstance(entry[1], str) or not isinstance(entry[2], bool):
            raise SavedModelError(f"function {name}: a parameter is not described", actual=str(entry)[:80])
        has = len(entry) == 4
        return Parameter(entry[0], _type(entry[1]), has, self.decoder.decode(entry[3]) if has else None, entry[2])

    def _graph(self, number: int, name: str) -> Graph:
        if number not in range(len(self.graphs)) or number in self.used:
            raise SavedModelError(f"function {name} has no graph of its own", actual=number)
        self.used.add(number)
        return Graph.parse(self.graphs[number], SCRIPT_OPS)


def _type(text: Any) -> Type:
    if not isinstance(text, str):
        raise SavedModelError("this is no type", actual=str(text)[:80])
    return parse_type(text)


def _take(entry: Any, what: str, kinds: dict[str, type]) -> list[Any]:
    """The values of exactly these keys, each of its kind; SavedModelError otherwise."""
    if not isinstance(entry, dict) or set(entry) != set(kinds):
        found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise SavedModelError(f"{what} is not described", expected=sorted(kinds), actual=str(found)[:200])
    for key, kind in kinds.items():
        if type(entry[key]) is not kind:
            raise SavedModelError(f"{what}: {key} is of the wrong kind", expected=kind.__name__,
                                  actual=type(entry[key]).__name__)  # fmt: skip
    return [entry[key] for key in kinds]


take = _take
