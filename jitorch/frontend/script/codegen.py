"""Script graphs -> Python: what ``.code`` shows, and what runs.

Nodes stand in the order of the source, so an expression's tree is what a stack makes of them: a value that is used
once, by the next node that asks for one, stands where it is used; any other gets a variable.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jitorch.errors import Location, ParseError
from jitorch.frontend.script import tables
from jitorch.frontend.script.program import Class, Function, Parameter, Program
from jitorch.frontend.script.relations import UNKNOWN
from jitorch.frontend.script.spelling import HEADER, annotation, literal
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import (
    NONE,
    DictType,
    ListType,
    OptionalType,
    TupleType,
    UnionType,
)

_DEPTH = 40  # how deep expressions nest before a variable is made: Python's own compiler has limits
_ATOMS = frozenset({"constant", "named", "local"})
_OPERATORS = {name: cls for cls, (name, _) in {**tables.BINARY, **tables.UNARY}.items()}
_COMPARISONS = {name: cls for cls, (name, _) in tables.COMPARE.items()}


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
    writer = _Writer(program)
    for line in HEADER:
        writer.write(0, line)
    for record in program.classes.values():
        if record.kind == "module" or (classes and record.kind in ("class", "dataclass", "namedtuple", "enum")):
            writer.class_(record)
    for function in program.functions.values():
        if function.graph is not None:
            writer.function(function, 0)
    return Code(tuple(writer.lines), writer.origins)


def generate_function(program: Program, function: Function) -> Code:
    """The code of one function."""
    writer = _Writer(program)
    writer.function(function, 0)
    return Code(tuple(line for line in writer.lines if line), writer.origins)


class _Writer:
    """Writes definitions, statements and expressions."""

    def __init__(self, program: Program):
        self.program = program
        self.lines: list[str] = []
        self.origins: dict[int, Location] = {}
        self.shadowed: frozenset[str] = frozenset()
        self.temporaries = 0

    def write(self, indent: int, text: str, location: Location | None = None) -> None:
        self.lines.append("    " * indent + text)
        if location is not None:
            self.origins[len(self.lines)] = location

    # -- definitions

    def class_(self, record: Class) -> None:
        name = record.name
        if record.kind == "enum":
            self.write(0, f"class {name}(enum.Enum):")
            for member, value in record.constants.items():
                self.write(1, f"{member} = {ast.unparse(literal(value))}")
            self.write(0, "")
            return
        if record.kind == "namedtuple":
            fields, defaults = (
                list(record.fields),
                [record.constants[n] for n in record.fields if n in record.constants],
            )
            self.write(
                0, f"{name} = collections.namedtuple({name!r}, {fields!r}, defaults={ast.unparse(literal(defaults))})"
            )
            self.write(0, "")
            return
        if record.kind == "dataclass":
            self.write(0, "@dataclasses.dataclass")
        base = "torch.jit.ScriptModule" if record.kind == "module" else ", ".join(record.bases)
        self.write(0, f"class {name}({base}):" if base else f"class {name}:")
        before = len(self.lines)
        for field, type in record.fields.items():
            if field.isidentifier() and field != "training":
                self.write(1, f"{field}: {annotation(type)}{self._default(record, field)}")
        for method, function in record.methods.items():
            if function.graph is not None:
                self._decorators(record, method)
                self.function(function, 1)
        if len(self.lines) == before:
            self.write(1, "pass")
        self.write(0, "")

    def _default(self, record: Class, field: str) -> str:
        if record.kind != "dataclass" or field not in record.defaults:
            return ""
        value = record.defaults[field]
        if isinstance(value, (list, dict)):
            return f" = dataclasses.field(default_factory={type(value).__name__})"
        return f" = {ast.unparse(literal(value))}"

    def _decorators(self, record: Class, method: str) -> None:
        if method in record.static:
            self.write(1, "@staticmethod")
        if method in record.properties:
            self.write(1, "@property")

    def function(self, function: Function, indent: int) -> None:
        graph = function.graph
        assert graph is not None
        # The parameters of a static method begin with a self that it does not have.
        static = len(graph.inputs) < len(function.parameters)
        parameters = function.parameters[1:] if static else function.parameters
        names = {p.name for p in parameters} | set(_assigned(graph))
        self.shadowed = frozenset(names & tables.BUILTINS)
        self.temporaries = 0
        spelled = []
        for i, parameter in enumerate(parameters):
            if parameter.keyword_only and not any(p.keyword_only for p in parameters[:i]):
                spelled.append("*")
            spelled.append(self._parameter(parameter, i == 0 and "." in function.name and not static))
        name = function.name.rpartition(".")[2]
        self.write(indent, f"def {name}({', '.join(spelled)}) -> {annotation(function.result)}:")
        count = len(self.lines)
        _Block(self, graph, indent + 1).run()
        if len(self.lines) == count:
            self.write(indent + 1, "pass")
        self.write(0, "")

    def _parameter(self, parameter: Parameter, is_self: bool) -> str:
        text = parameter.name if is_self else f"{parameter.name}: {annotation(parameter.type)}"
        return f"{text} = {ast.unparse(literal(parameter.default))}" if parameter.has_default else text

    def temporary(self) -> str:
        self.temporaries += 1
        return f"_{self.temporaries}"


class _Block:
    """The statements of one region."""

    def __init__(self, writer: _Writer, graph: Graph, indent: int, statements: bool = True):
        self.writer, self.graph, self.indent, self.statements = writer, graph, indent, statements
        self.trees: dict[Value, ast.expr] = {}
        self.depths: dict[Value, int] = {}
        self.waiting: list[Value] = []  # values without a variable, in the order in which they are computed

    def run(self) -> None:
        for node in self.graph.nodes:
            self._node(node)
        self._spill()

    def expression(self) -> ast.expr:
        """The one expression that the region is."""
        for node in self.graph.nodes:
            self._node(node)
        (output,) = self.graph.outputs
        waiting = [v for v in self.waiting if v is not output]
        if waiting or output not in self.trees:
            raise ParseError("a region that must be an expression holds more")
        return self.trees[output]

    def _line(self, tree: ast.AST, node: Node) -> None:
        if not self.statements:
            raise ParseError("a region that must be an expression holds a statement", actual=node.op.name)
        self.writer.write(self.indent, ast.unparse(tree), node.loc)

    def _spill(self) -> None:
        """Give every value that waits a variable, in order."""
        for value in self.waiting:
            self._store(value)
        self.waiting = []

    def _store(self, value: Value) -> None:
        assert value.node is not None
        name = self.writer.temporary()
        self._line(_assign(ast.Name(name, ast.Store()), _standalone(self.trees[value])), value.node)
        self.trees[value], self.depths[value] = ast.Name(name, ast.Load()), 0

    def _operands(self, node: Node) -> list[ast.expr | None]:
        """The trees of a node's operands; what waits and does not come next gets a variable first."""
        wanted = [v for v in node.operands if v in self.waiting]
        if wanted:
            if self.waiting[len(self.waiting) - len(wanted) :] == wanted:
                del self.waiting[len(self.waiting) - len(wanted) :]
            else:
                self._spill()
        return [None if v is None else self.trees[v] for v in node.inputs]

    def _node(self, node: Node) -> None:
        name = node.op.name
        if name in _ATOMS:
            self.trees[node.output], self.depths[node.output] = self._atom(node), 0
            return
        operands = self._operands(node)
        statement = _STATEMENTS.get(name)
        if statement is not None:
            self._spill()
            statement(self, node, operands)
            return
        tree = _EXPRESSIONS[name](self, node, operands)
        value = node.output
        self.trees[value] = tree
        self.depths[value] = 1 + max((self.depths[v] for v in node.operands), default=0)
        uses = len(value.uses) + self.graph.outputs.count(value)
        if uses == 0:
            self._spill()
            self._line(ast.Expr(_standalone(tree)), node)
        elif uses > 1 or self.depths[value] > _DEPTH:
            self._spill()
            self._store(value)
        else:
            self.waiting.append(value)

    # -- expressions

    def _atom(self, node: Node) -> ast.expr:
        if node.op.name == "constant":
            return literal(node.attrs["value"])
        if node.op.name == "local":
            return ast.Name(node.attrs["name"], ast.Load())
        return self.dotted(node.attrs["name"])

    def dotted(self, name: str) -> ast.expr:
        """The expression for a public name."""
        if name == "Ellipsis":
            return ast.Constant(...)
        if name in self.writer.shadowed:
            name = f"builtins.{name}"
        first, *rest = name.split(".")
        tree: ast.expr = ast.Name(first, ast.Load())
        for part in rest:
            tree = ast.Attribute(tree, part, ast.Load())
        return tree

    def inner(self, region: Graph) -> ast.expr:
        return _Block(self.writer, region, self.indent, statements=False).expression()

    def nested(self, region: Graph) -> None:
        """The statements of a region, one step further in."""
        count = len(self.writer.lines)
        _Block(self.writer, region, self.indent + 1).run()
        if len(self.writer.lines) == count:
            self.writer.write(self.indent + 1, "pass")

    def arguments(self, trees: list[Any], node: Node, skip: int = 0) -> tuple[list[ast.expr], list[ast.keyword]]:
        keywords, stars = node.attrs["keywords"], node.attrs["stars"]
        count = len(trees) - len(keywords)
        positional: list[ast.expr] = [
            ast.Starred(t, ast.Load()) if i in stars else t for i, t in enumerate(trees[:count])
        ]
        return positional[skip:], [ast.keyword(k, _standalone(t)) for k, t in zip(keywords, trees[count:])]


Tree = Callable[[_Block, Node, list[Any]], ast.expr]


def _call(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
    args, keywords = block.arguments(operands, node)
    if node.attrs["name"] == "len":
        args = [_bare(arg) for arg in args]
    return ast.Call(block.dotted(node.attrs["name"]), args, keywords)


def _method(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
    args, keywords = block.arguments(operands, node, 1)
    name = node.attrs["name"]
    function = ast.Attribute(operands[0], name, ast.Load()) if name else operands[0]
    return ast.Call(function, args, keywords)


def _operator(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
    operator = getattr(ast, _OPERATORS[node.attrs["name"]])()
    if len(operands) == 1:
        return ast.UnaryOp(operator, operands[0])
    return ast.BinOp(operands[0], operator, operands[1])


def _compare(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
    return ast.Compare(operands[0], [getattr(ast, _COMPARISONS[n])() for n in node.attrs["names"]], operands[1:])


def _logical(operator: type[ast.boolop]) -> Tree:
    def make(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
        return ast.BoolOp(operator(), [operands[0], block.inner(node.attrs["right"])])

    return make


def _choose(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
    return ast.IfExp(operands[0], block.inner(node.attrs["then"]), block.inner(node.attrs["orelse"]))


def _comprehend(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
    tests = [] if node.attrs["test"] is None else [block.inner(node.attrs["test"])]
    generator = ast.comprehension(_target(node.attrs["target"]), operands[0], tests, 0)
    element = block.inner(node.attrs["element"])
    if node.attrs["kind"] == "dict":
        assert isinstance(element, ast.Tuple)
        return ast.DictComp(element.elts[0], element.elts[1], [generator])
    return (ast.ListComp if node.attrs["kind"] == "list" else ast.GeneratorExp)(element, [generator])


def _format(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
    values = iter(operands)
    made: list[ast.expr] = []
    for part in node.attrs["parts"]:
        if isinstance(part, str):
            made.append(ast.Constant(part))
            continue
        conversion, spec = part
        spelled = ast.JoinedStr([ast.Constant(spec)]) if spec else None
        made.append(ast.FormattedValue(next(values), conversion, spelled))
    return ast.JoinedStr(made)


def _isinstance(block: _Block, node: Node, operands: list[Any]) -> ast.expr:
    types = node.attrs["types"]
    bare = {ListType(UNKNOWN): "list", DictType(UNKNOWN, UNKNOWN): "dict", TupleType((UNKNOWN,)): "tuple"}
    spelled = [bare.get(t, "type(None)" if t == NONE else annotation(t)) for t in types]
    plain = all(t in bare or not isinstance(t, (ListType, DictType, TupleType, OptionalType, UnionType)) for t in types)
    kinds = ast.parse(spelled[0] if len(spelled) == 1 else f"({', '.join(spelled)})", mode="eval").body
    function = block.dotted("isinstance" if plain else "torch.jit.isinstance")
    return ast.Call(function, [operands[0], kinds], [])


_EXPRESSIONS: dict[str, Tree] = {
    "tuple": lambda block, node, operands: ast.Tuple(operands, ast.Load()),
    "list": lambda block, node, operands: ast.List(operands, ast.Load()),
    "dict": lambda block, node, operands: ast.Dict(operands[::2], operands[1::2]),
    "slice": lambda block, node, operands: ast.Slice(*operands),  # type: ignore[arg-type,return-value]
    "format": _format,
    "operator": _operator,
    "compare": _compare,
    "both": _logical(ast.And),
    "either": _logical(ast.Or),
    "choose": _choose,
    "comprehend": _comprehend,
    "call": _call,
    "method": _method,
    "attribute": lambda block, node, operands: ast.Attribute(operands[0], node.attrs["name"], ast.Load()),
    "item": lambda block, node, operands: ast.Subscript(_bare(operands[0], operands[1]), operands[1], ast.Load()),
    "isinstance": _isinstance,
}

Statement = Callable[[_Block, Node, list[Any]], None]


def _augmented(target: ast.expr, node: Node, value: ast.expr) -> ast.stmt:
    operator = getattr(ast, _OPERATORS[node.attrs["name"]])()
    return ast.AugAssign(target, operator, value)  # type: ignore[arg-type]


def _plain(make: Callable[[Node, list[Any]], ast.AST]) -> Statement:
    def write(block: _Block, node: Node, operands: list[Any]) -> None:
        block._line(make(node, operands), node)

    return write


def _raise(node: Node, operands: list[Any]) -> ast.AST:
    return ast.Raise(ast.Call(ast.Name(node.attrs["name"], ast.Load()), operands, []), None)


def _assignment(node: Node, operands: list[Any]) -> ast.AST:
    target, value = node.attrs["target"], _standalone(operands[0])
    return _assign(_target(target), _bare(value) if isinstance(target, tuple) else value)


def _if(block: _Block, node: Node, operands: list[Any]) -> None:
    _open(block, "if", operands[0], node)
    block.nested(node.attrs["then"])
    if node.attrs["orelse"].nodes:
        block.writer.write(block.indent, "else:")
        block.nested(node.attrs["orelse"])


def _while(block: _Block, node: Node, operands: list[Any]) -> None:
    _open(block, "while", block.inner(node.attrs["test"]), node)
    block.nested(node.attrs["body"])


def _for(block: _Block, node: Node, operands: list[Any]) -> None:
    target = ast.unparse(_target(node.attrs["target"]))
    _open(block, f"for {target} in", operands[0], node)
    block.nested(node.attrs["body"])


def _with(block: _Block, node: Node, operands: list[Any]) -> None:
    _open(block, "with", operands[0], node)
    block.nested(node.attrs["body"])


def _open(block: _Block, words: str, tree: ast.expr, node: Node) -> None:
    if not block.statements:
        raise ParseError("a region that must be an expression holds a statement", actual=node.op.name)
    block.writer.write(block.indent, f"{words} {ast.unparse(tree)}:", node.loc)


_STATEMENTS: dict[str, Statement] = {
    "assign": _plain(_assignment),
    "augment": _plain(lambda node, ops: _augmented(ast.Name(node.attrs["target"], ast.Store()), node, ops[0])),
    "set_attribute": _plain(
        lambda node, ops: _assign(ast.Attribute(ops[0], node.attrs["name"], ast.Store()), _standalone(ops[1]))
    ),
    "augment_attribute": _plain(
        lambda node, ops: _augmented(ast.Attribute(ops[0], node.attrs["attribute"], ast.Store()), node, ops[1])
    ),
    "set_item": _plain(lambda node, ops: _assign(ast.Subscript(ops[0], ops[1], ast.Store()), ops[2])),
    "augment_item": _plain(lambda node, ops: _augmented(ast.Subscript(ops[0], ops[1], ast.Store()), node, ops[2])),
    "delete_item": _plain(lambda node, ops: ast.Delete([ast.Subscript(ops[0], ops[1], ast.Del())])),
    "delete": _plain(lambda node, ops: ast.Delete([ast.Name(node.attrs["target"], ast.Del())])),
    "break": _plain(lambda node, ops: ast.Break()),
    "continue": _plain(lambda node, ops: ast.Continue()),
    "finish": _plain(lambda node, ops: ast.Return(_standalone(ops[0]))),
    "raise": _plain(_raise),
    "assert": _plain(lambda node, ops: ast.Assert(ops[0], ops[1])),
    "if": _if,
    "while": _while,
    "for": _for,
    "with": _with,
}


def _assign(target: ast.expr, value: ast.expr) -> ast.stmt:
    return ast.fix_missing_locations(ast.Assign([target], value))


def _target(target: Any) -> ast.expr:
    if isinstance(target, tuple):
        return ast.Tuple([_target(t) for t in target], ast.Store())
    if target.startswith("*"):
        return ast.Starred(ast.Name(target[1:], ast.Store()), ast.Store())
    return ast.Name(target, ast.Store())


def _bare(tree: ast.expr, key: ast.expr | None = None) -> ast.expr:
    """``x.shape`` in the place of ``list(x.shape)``, where it is only read."""
    match tree:
        case ast.Call(
            ast.Name("list"), [ast.Attribute(_, "shape") | ast.Call(ast.Attribute(_, "size"), []) as size], []
        ):
            return tree if isinstance(key, ast.Slice) else size
    return tree


def _standalone(tree: ast.expr) -> ast.expr:
    """``tree`` outside of brackets, where a slice is a call."""
    if isinstance(tree, ast.Slice):
        bounds = [ast.Constant(None) if b is None else b for b in (tree.lower, tree.upper, tree.step)]
        return ast.Call(ast.Name("slice", ast.Load()), bounds, [])
    if isinstance(tree, ast.Tuple):
        return ast.Tuple([_standalone(t) for t in tree.elts], ast.Load())
    return tree


def _assigned(graph: Graph) -> Iterator[str]:
    """The variables that a graph and the graphs in it set."""
    for node in graph.nodes:
        if "target" in node.attrs:
            yield from _names(node.attrs["target"])
    for region in graph.subgraphs():
        yield from _assigned(region)


def _names(target: Any) -> Iterator[str]:
    if isinstance(target, tuple):
        for part in target:
            yield from _names(part)
    else:
        yield target.lstrip("*")
