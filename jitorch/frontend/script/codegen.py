"""Script programs -> Python: what ``.code`` shows, and what runs."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from jitorch.errors import Location
from jitorch.frontend.script.program import Class, Function, Parameter, Program
from jitorch.frontend.script.regions import Writer, assigned
from jitorch.frontend.script.spelling import HEADER, annotation, literal


@dataclass(frozen=True)
class Code:
    """Lines of Python, and for those that came from a user's line, which."""

    lines: tuple[str, ...]
    origins: dict[int, Location]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def generate(program: Program, classes: bool = True) -> Code:
    """The code of a whole program; without ``classes`` only that of modules and functions."""
    writer = Writer()
    for line in HEADER:
        writer.write(0, line)
    for record in program.classes.values():
        if record.kind == "module" or classes:
            _class(writer, record)
    for function in program.functions.values():
        if function.graph is not None:
            _function(writer, function, 0)
    return Code(tuple(writer.lines), writer.origins)


def generate_function(function: Function) -> Code:
    """The code of one function."""
    writer = Writer()
    _function(writer, function, 0)
    return Code(tuple(line for line in writer.lines if line), writer.origins)


# -- classes


def _class(writer: Writer, record: Class) -> None:
    match record.kind:
        case "enum":
            members = [f"{member} = {_spelled(value)}" for member, value in record.constants.items()]
            _simple_class(writer, f"class {record.name}(enum.Enum):", members)
        case "exception":
            _simple_class(writer, f"class {record.name}({', '.join(record.bases)}):", ["pass"])
        case "namedtuple":
            defaults = [record.constants[n] for n in record.fields if n in record.constants]
            fields = f"{record.name!r}, {list(record.fields)!r}, defaults={_spelled(defaults)}"
            _simple_class(writer, f"{record.name} = collections.namedtuple({fields})", [])
        case "class" | "dataclass" | "module":
            _class_with_methods(writer, record)


def _simple_class(writer: Writer, head: str, lines: list[str]) -> None:
    writer.write(0, head)
    for line in lines:
        writer.write(1, line)
    writer.write(0, "")


def _class_with_methods(writer: Writer, record: Class) -> None:
    if record.kind == "dataclass":
        writer.write(0, "@dataclasses.dataclass")
    bases = [f"torch.nn.{base}" for base in record.bases] if record.kind == "module" else record.bases
    base = ", ".join(["torch.jit.ScriptModule", *bases] if record.kind == "module" else bases)
    writer.write(0, f"class {record.name}({base}):" if base else f"class {record.name}:")
    before = len(writer.lines)
    for field, type in record.fields.items():
        if field.isidentifier() and field != "training":
            writer.write(1, f"{field}: {annotation(type)}{_default(record, field)}")
    for method, function in record.methods.items():
        if function.graph is None:
            continue
        if method in record.static:
            writer.write(1, "@staticmethod")
        if method in record.properties:
            writer.write(1, "@property")
        _function(writer, function, 1)
    if len(writer.lines) == before:
        writer.write(1, "pass")
    writer.write(0, "")


def _default(record: Class, field: str) -> str:
    if record.kind != "dataclass" or field not in record.defaults:
        return ""
    value = record.defaults[field]
    if isinstance(value, (list, dict)):
        return f" = dataclasses.field(default_factory={type(value).__name__})"
    return f" = {_spelled(value)}"


# -- functions


def _function(writer: Writer, function: Function, indent: int) -> None:
    graph = function.graph
    assert graph is not None
    # The parameters of a static method begin with a self that it does not have.
    static = len(graph.inputs) < len(function.parameters)
    parameters = function.parameters[1:] if static else function.parameters
    writer.begin({p.name for p in parameters} | set(assigned(graph)))
    spelled = []
    for i, parameter in enumerate(parameters):
        if parameter.keyword_only and not any(p.keyword_only for p in parameters[:i]):
            spelled.append("*")
        is_self = i == 0 and "." in function.name and not static
        spelled.append(parameter.name if is_self else _parameter(parameter))
    name = function.name.rpartition(".")[2]
    writer.write(indent, f"def {name}({', '.join(spelled)}) -> {annotation(function.result)}:")
    writer.block(indent + 1, graph)
    writer.write(0, "")


def _parameter(parameter: Parameter) -> str:
    text = f"{parameter.name}: {annotation(parameter.type)}"
    return f"{text} = {_spelled(parameter.default)}" if parameter.has_default else text


def _spelled(value: object) -> str:
    return ast.unparse(literal(value))
