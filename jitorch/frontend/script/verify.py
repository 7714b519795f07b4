"""Whether a script graph that was read from text may run: every name in it is out of a closed table.

The types in the text are not trusted; what they would allow is harmless for a value of any type, as the names of
members are those of the tables, or names that no built-in value has (`tables.is_member`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jitorch.errors import ParseError
from jitorch.frontend.script import tables
from jitorch.frontend.script.program import KINDS, Class, Function, Member, Program
from jitorch.frontend.script.spelling import HEADER
from jitorch.ir.graph import Graph, Node

RESERVED = frozenset({word for line in HEADER for word in line.replace(",", " ").replace(".", " ").split()}) | {
    "super", "eval", "exec", "open", "compile", "globals", "locals", "vars", "input", "breakpoint", "setattr",
    "delattr", "getattr", "type", "object", "classmethod", "staticmethod", "property",
}  # fmt: skip
"""Names that generated code uses for itself, or that no script has."""

MAGIC = frozenset(
    "__init__ __post_init__ __call__ __len__ __getitem__ __setitem__ __contains__ __neg__ __pos__ __invert__ __eq__ "
    "__ne__ __lt__ __le__ __gt__ __ge__ __str__ __repr__ __bool__ __int__ __float__ __abs__".split()
    + [f"__{name}__" for name, _ in tables.BINARY.values()]
    + [f"__r{name}__" for name, _ in tables.BINARY.values()]
    + [f"__i{name}__" for name, _ in tables.BINARY.values()]
)
"""Methods of classes that operators call."""

_CONVERSIONS = (-1, ord("r"), ord("s"), ord("a"))
_DEPTH = 60


def verify_program(program: Program) -> None:
    """Raise a ParseError for the first thing in ``program`` that no script compiler could have made."""
    for name, function in program.functions.items():
        _refuse_unless(_is_own_name(name), "a function", name)
        _verify_function(program, function)
    for name, record in program.classes.items():
        _verify_class(program, name, record)


def _verify_class(program: Program, name: str, record: Class) -> None:
    _refuse_unless(_is_own_name(name) or record.kind in ("library", "list", "dict", "sequential"), "a class", name)
    _refuse_unless(record.kind in KINDS, "a kind of class", record.kind)
    for field in record.fields:
        _refuse_unless(_is_field(field, record), f"a field of {name}", field)
    for base in record.bases:
        if record.kind == "exception" and base in tables.EXCEPTIONS:
            continue
        if record.kind == "module":
            _refuse_unless(base in ("ModuleDict", "ModuleList", "Sequential"), "a base class", base)
            continue
        found = program.classes.get(base)
        kinds = ("exception",) if record.kind == "exception" else ("class", "dataclass")
        earlier = list(program.classes).index(base) < list(program.classes).index(name) if found else False
        _refuse_unless(found is not None and found.kind in kinds and earlier, "a base class", base)
    if record.kind == "exception":
        _refuse_unless(bool(record.bases) and not record.fields and not record.methods, "an exception", name)
    for default in record.defaults.values():
        _verify_default(program, default)
    for member in record.constants if record.kind == "enum" else ():
        _refuse_unless(tables.is_name(member) and not member.startswith("_"), f"a member of {name}", member)
    for method, function in record.methods.items():
        allowed = method in MAGIC and record.kind in ("class", "dataclass", "namedtuple")
        _refuse_unless(allowed or tables.is_member(method), f"a method of {name}", method)
        _verify_function(program, function)


def _is_field(name: str, record: Class) -> bool:
    if record.kind in ("list", "dict", "sequential", "library"):
        return isinstance(name, str)
    return is_field(name, record) and not (record.kind == "namedtuple" and name.startswith("_"))


def is_field(name: str, record: Class) -> bool:
    """Whether an object may have a field of this name; what is no identifier can only be the key of a module in it."""
    holds_modules = record.kind == "module" and bool(record.bases)
    return tables.is_member(name) or (holds_modules and isinstance(name, str) and not name.isidentifier())


def _is_own_name(name: str) -> bool:
    return tables.is_name(name) and name not in RESERVED | tables.BUILTINS | tables.EXCEPTIONS


def _verify_function(program: Program, function: Function) -> None:
    names = [p.name for p in function.parameters]
    for name in names:
        _refuse_unless(tables.is_name(name) and name not in ("torch", "math", "builtins"), "a parameter", name)
    _refuse_unless(len(set(names)) == len(names), "parameters of", function.name)
    for parameter in function.parameters:
        _verify_default(program, parameter.default)
    defaults = [p.has_default for p in function.parameters if not p.keyword_only]
    _refuse_unless(defaults == sorted(defaults), "the order of the parameters of", function.name)
    kinds = [p.keyword_only for p in function.parameters]
    _refuse_unless(kinds == sorted(kinds), "the order of the parameters of", function.name)
    if function.graph is not None:
        fits = len(names) - len(function.graph.inputs) in (0, 1) and not function.graph.outputs
        _refuse_unless(fits, "a graph with other inputs or outputs", function.name)
        _Verifier(program).graph(function.graph, 0, False)


def _verify_default(program: Program, default: Any) -> None:
    if isinstance(default, Member):
        record = program.classes.get(default.kind)
        known = record is not None and record.kind == "enum" and default.name in record.constants
        _refuse_unless(known, "a default", default)
    elif isinstance(default, (list, tuple)):
        for item in default:
            _verify_default(program, item)
    elif isinstance(default, dict):
        for key, item in default.items():
            _verify_default(program, key)
            _verify_default(program, item)


def _refuse_unless(holds: bool, what: str, name: Any) -> None:
    if not holds:
        raise ParseError(f"the script has {what} that no script has", actual=repr(name)[:80])


class _Verifier:
    def __init__(self, program: Program):
        self.program = program
        classes = program.classes.values()
        self.methods = {n for c in classes for n in c.methods if n not in c.properties}
        self.fields = {n for c in classes for n in (*c.fields, *c.properties)}

    def graph(self, graph: Graph, depth: int, in_loop: bool) -> None:
        _refuse_unless(depth < _DEPTH, "a depth of regions", depth)
        for node in graph.nodes:
            # Parameters are variables like others: only `local` reads them.
            _refuse_unless(all(v.node is not None for v in node.operands), "an operand of", node.op.name)
            check = _CHECKS.get(node.op.name)
            if check is not None:
                check(self, node)
            if node.op.name in ("break", "continue"):
                _refuse_unless(in_loop, "a place for", node.op.name)
            is_loop = node.op.name in ("while", "for")
            for name, region in node.attrs.items():
                if isinstance(region, Graph):
                    _refuse_unless(not region.inputs, "a region with inputs", region.name)
                    self.graph(region, depth + 1, in_loop or (is_loop and name == "body"))

    def target(self, target: Any) -> None:
        if isinstance(target, tuple):
            _refuse_unless(bool(target), "a target", target)
            _refuse_unless(sum(isinstance(t, str) and t.startswith("*") for t in target) <= 1, "a target", target)
            for part in target:
                self.target(part)
            return
        name = target.removeprefix("*") if isinstance(target, str) else target
        _refuse_unless(tables.is_name(name) and name not in ("torch", "math", "builtins"), "a variable", name)


def _attribute(kind: Any, *names: str) -> Callable[[_Verifier, Node], None]:
    def check(verifier: _Verifier, node: Node) -> None:
        for name in names:
            _refuse_unless(
                isinstance(node.attrs[name], kind), f"an attribute {name} of {node.op.name}", node.attrs[name]
            )

    return check


def _constant(verifier: _Verifier, node: Node) -> None:
    value = node.attrs["value"]
    _refuse_unless(value is None or type(value) in (bool, int, float, str, complex), "a constant", type(value).__name__)


def _named(verifier: _Verifier, node: Node) -> None:
    name = node.attrs["name"]
    if name in tables.CONSTANTS or name == "Ellipsis":
        return
    kind, _, member = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    record = verifier.program.classes.get(kind)
    _refuse_unless(record is not None and record.kind == "enum" and member in record.constants, "a constant", name)


def _local(verifier: _Verifier, node: Node) -> None:
    verifier.target(node.attrs["name"])
    _refuse_unless(isinstance(node.attrs["name"], str), "a variable", node.attrs["name"])


def _target(verifier: _Verifier, node: Node) -> None:
    target = node.attrs["target"]
    verifier.target(target)
    if node.op.name in ("augment", "delete"):
        _refuse_unless(isinstance(target, str), "a variable", target)
    _refuse_unless(not (isinstance(target, str) and target.startswith("*")), "a variable", target)


def _call(verifier: _Verifier, node: Node) -> None:
    name, program = node.attrs["name"], verifier.program
    known = isinstance(name, str) and (
        name in tables.BUILTINS
        or name in program.functions
        or (name in program.classes and program.classes[name].kind in ("class", "dataclass", "namedtuple", "enum"))
        or tables.public(name) is not None
        or tables.other(name) is not None
        or (name.startswith("math.") and name.removeprefix("math.") in tables.MATH)
    )
    _refuse_unless(known, "a function", name)
    _arguments(node, 0)


def _method(verifier: _Verifier, node: Node) -> None:
    name = node.attrs["name"]
    own = name in verifier.methods and tables.is_member(name)
    known = name == "" or name in tables.METHODS or own or (isinstance(name, str) and _is_of_tensors(name))
    _refuse_unless(known and bool(node.inputs), "a method", name)
    if name == "format":
        receiver = node.inputs[0].node if node.inputs[0] is not None else None
        text = receiver.attrs["value"] if receiver is not None and receiver.op.name == "constant" else None
        _refuse_unless(tables.is_plain_format(text), "a format", text)
    _arguments(node, 1)


def _is_of_tensors(name: str) -> bool:
    return name.isidentifier() and tables.tensor_method(name) is not None


def _arguments(node: Node, first: int) -> None:
    keywords, stars = node.attrs["keywords"], node.attrs["stars"]
    fits = isinstance(keywords, tuple) and len(keywords) + first <= len(node.inputs)
    _refuse_unless(fits and len(set(keywords)) == len(keywords), "keywords", keywords)
    for name in keywords:
        _refuse_unless(tables.is_name(name), "a keyword", name)
    positions = range(first, len(node.inputs) - len(keywords))
    _refuse_unless(isinstance(stars, tuple) and all(type(i) is int and i in positions for i in stars), "stars", stars)


def _member(verifier: _Verifier, node: Node) -> None:
    key = "attribute" if node.op.name == "augment_attribute" else "name"
    name = node.attrs[key]
    # A method that is read and not called would be an object of ours.
    own = name in verifier.fields and tables.is_member(name) and name not in verifier.methods
    _refuse_unless(own or name in tables.ATTRIBUTES - verifier.methods, "an attribute", name)
    if key == "attribute":
        _binary(verifier, node)


def _operator(verifier: _Verifier, node: Node) -> None:
    table = tables.UNARY if len(node.inputs) == 1 else tables.BINARY
    known = node.attrs["name"] in [name for name, _ in table.values()] and len(node.inputs) in (1, 2)
    _refuse_unless(known, "an operator", node.attrs["name"])


def _binary(verifier: _Verifier, node: Node) -> None:
    known = node.attrs["name"] in [name for name, _ in tables.BINARY.values()]
    _refuse_unless(known, "an operator", node.attrs["name"])


def _compare(verifier: _Verifier, node: Node) -> None:
    names = node.attrs["names"]
    known = [name for name, _ in tables.COMPARE.values()]
    fits = isinstance(names, tuple) and len(names) == len(node.inputs) - 1 > 0
    _refuse_unless(fits and all(name in known for name in names), "a comparison", names)


def _format(verifier: _Verifier, node: Node) -> None:
    parts = node.attrs["parts"]
    _refuse_unless(isinstance(parts, tuple), "a format", parts)
    described = [p for p in parts if not isinstance(p, str)]
    fits = all(
        isinstance(p, tuple) and len(p) == 2 and p[0] in _CONVERSIONS and isinstance(p[1], str) for p in described
    )  # fmt: skip
    _refuse_unless(fits and len(described) == len(node.inputs), "a format", parts)


def _dict(verifier: _Verifier, node: Node) -> None:
    _refuse_unless(len(node.inputs) % 2 == 0, "a dict", len(node.inputs))


def _comprehend(verifier: _Verifier, node: Node) -> None:
    _target(verifier, node)
    element, test = node.attrs["element"], node.attrs["test"]
    _refuse_unless(node.attrs["kind"] in ("list", "dict", "generator"), "a comprehension", node.attrs["kind"])
    _expression(verifier, node, element, *([] if test is None else [test]))
    pair = element.outputs[0].node
    if node.attrs["kind"] == "dict":
        _refuse_unless(
            pair is not None and pair.op.name == "tuple" and len(pair.inputs) == 2, "a comprehension", "dict"
        )


def _regions(*names: str) -> Callable[[_Verifier, Node], None]:
    def check(verifier: _Verifier, node: Node) -> None:
        _expression(verifier, node, *[node.attrs[name] for name in names])

    return check


def _expression(verifier: _Verifier, node: Node, *regions: Any) -> None:
    for region in regions:
        fits = isinstance(region, Graph) and len(region.outputs) == 1 and region.outputs[0].node is not None
        _refuse_unless(fits, "a region of", node.op.name)


def _blocks(*names: str) -> Callable[[_Verifier, Node], None]:
    def check(verifier: _Verifier, node: Node) -> None:
        for name in names:
            region = node.attrs[name]
            there = isinstance(region, Graph) and not region.outputs
            _refuse_unless(there or (region is None and name == "orelse"), "a region of", node.op.name)
        if node.op.name == "for":
            _target(verifier, node)
        if node.op.name == "while":
            _expression(verifier, node, node.attrs["test"])
        if node.op.name == "with":
            manager = node.inputs[0].node if node.inputs[0] is not None else None
            name = None if manager is None or manager.op.name != "call" else manager.attrs["name"]
            _refuse_unless(name in tables.CONTEXTS, "a context", name)

    return check


def _raise(verifier: _Verifier, node: Node) -> None:
    name = node.attrs["name"]
    record = verifier.program.classes.get(name) if isinstance(name, str) else None
    own = record is not None and record.kind == "exception"
    _refuse_unless(own or name in tables.EXCEPTIONS, "an exception", name)


def _isinstance(verifier: _Verifier, node: Node) -> None:
    from_table = isinstance(node.attrs["types"], tuple) and bool(node.attrs["types"])
    _refuse_unless(from_table and all(hasattr(t, "__dataclass_fields__") for t in node.attrs["types"]), "types",
                   node.attrs["types"])  # fmt: skip


_CHECKS: dict[str, Callable[[_Verifier, Node], None]] = {
    "constant": _constant,
    "named": _named,
    "local": _local,
    "dict": _dict,
    "format": _format,
    "operator": _operator,
    "compare": _compare,
    "both": _regions("right"),
    "either": _regions("right"),
    "choose": _regions("then", "orelse"),
    "comprehend": _comprehend,
    "call": _call,
    "method": _method,
    "attribute": _member,
    "isinstance": _isinstance,
    "assign": _target,
    "augment": lambda verifier, node: (_target(verifier, node), _binary(verifier, node))[0],
    "set_attribute": _member,
    "augment_attribute": _member,
    "augment_item": _binary,
    "delete": _target,
    "if": _blocks("then", "orelse"),
    "while": _blocks("body", "orelse"),
    "for": _blocks("body", "orelse"),
    "with": _blocks("body"),
    "raise": _raise,
}
