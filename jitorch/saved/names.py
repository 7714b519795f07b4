"""Methods under other names in a file, where theirs are taken by what built-in values have inside."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from jitorch.frontend.script import tables
from jitorch.frontend.script.program import Class, Function, Program
from jitorch.ir.graph import Graph
from jitorch.ir.types import RecordType

_OWN = ("module", "class", "dataclass", "interface")


def with_free_names(program: Program, entries: Collection[str]) -> Program:
    """``program`` with each method that no file may name called otherwise; ``entries`` are called from outside."""
    renames = {name: _renames(record, entries) for name, record in program.classes.items() if record.kind in _OWN}
    if not any(renames.values()):
        return program
    classes = {name: _class(record, renames) for name, record in program.classes.items()}
    functions = {name: _function(made, name, renames) for name, made in program.functions.items()}
    return replace(program, classes=classes, functions=functions)


Renames = dict[str, dict[str, str]]


def _renames(record: Class, entries: Collection[str]) -> dict[str, str]:
    """New names by old ones; the same for a name in every class, so that interfaces and bases agree."""
    found = {}
    for name in record.methods.keys() - record.properties - set(entries):
        free = f"method_{name.strip('_')}"
        is_operator = name.startswith("__") and name.endswith("__")
        if not is_operator and not tables.is_member(name) and free not in record.methods.keys() | record.fields.keys():
            found[name] = free
    return found


def _class(record: Class, renames: Renames) -> Class:
    names = renames.get(record.name, {})
    methods = {}
    for name, made in record.methods.items():
        new = names.get(name, name)
        methods[new] = _function(made, f"{record.name}.{new}", renames)
    return replace(record, methods=methods, static=frozenset(names.get(name, name) for name in record.static))


def _function(made: Function, name: str, renames: Renames) -> Function:
    return replace(made, name=name, graph=None if made.graph is None else _graph(made.graph, renames))


def _graph(graph: Graph, renames: Renames) -> Graph:
    copy = graph.copy()
    _rename(copy, renames)
    return copy


def _rename(graph: Graph, renames: Renames) -> None:
    for node in graph.nodes:
        receiver = node.inputs[0] if node.op.name == "method" else None
        if receiver is not None and isinstance(receiver.type, RecordType):
            name = node.attrs["name"]
            node.attrs["name"] = renames.get(receiver.type.name, {}).get(name, name)
    for region in graph.subgraphs():
        _rename(region, renames)
