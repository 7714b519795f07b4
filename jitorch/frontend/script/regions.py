"""The code of one region of a script graph: its nodes become statements, and expressions as deep as they can be.

Nodes stand in the order of the source, so an expression's tree is what a stack makes of them: a value that is used
once, by the next node that asks for one, stands where it is used; any other gets a variable.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from jitorch.errors import Location, ParseError
from jitorch.frontend.script import tables
from jitorch.frontend.script.relations import UNKNOWN
from jitorch.frontend.script.spelling import annotation, literal
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.types import NONE, DictType, ListType, OptionalType, TupleType, UnionType

_DEPTH = 40  # how deep expressions nest before a variable is made: Python's own compiler has limits
_ATOMS = frozenset({"constant", "named", "local"})
_OPERATORS = {name: cls for cls, (name, _) in {**tables.BINARY, **tables.UNARY}.items()}
_COMPARISONS = {name: cls for cls, (name, _) in tables.COMPARE.items()}


class Writer:
    """Lines of Python, and for those that came from a user's line, which; with the names of the function in hand."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.origins: dict[int, Location] = {}
        self.names: set[str] = set()  # parameters and variables of the function that is being written
        self._temporaries = 0

    def begin(self, names: set[str]) -> None:
        """Begin a function that has these parameters and variables."""
        self.names, self._temporaries = names, 0

    def write(self, indent: int, text: str, location: Location | None = None) -> None:
        self.lines.append("    " * indent + text)
        if location is not None:
            self.origins[len(self.lines)] = location

    def block(self, indent: int, graph: Graph) -> None:
        """The statements of a region; ``pass`` where there are none."""
        count = len(self.lines)
        Block(self, graph, indent).run()
        if len(self.lines) == count:
            self.write(indent, "pass")

    def temporary(self) -> str:
        """A variable that the function does not have."""
        self._temporaries += 1
        name = f"_{self._temporaries}"
        return self.temporary() if name in self.names else name


class Block:
    """The statements of one region."""

    def __init__(self, writer: Writer, graph: Graph, indent: int, statements: bool = True):
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
        if name in tables.BUILTINS and name in self.writer.names:
            name = f"builtins.{name}"
        first, *rest = name.split(".")
        tree: ast.expr = ast.Name(first, ast.Load())
        for part in rest:
            tree = ast.Attribute(tree, part, ast.Load())
        return tree

    def inner(self, region: Graph) -> ast.expr:
        return Block(self.writer, region, self.indent, statements=False).expression()

    def nested(self, region: Graph) -> None:
        """The statements of a region, one step further in."""
        self.writer.block(self.indent + 1, region)

    def otherwise(self, region: Graph | None) -> None:
        """The ``else`` of a statement, if it has one."""
        if region is not None and region.nodes:
            self.writer.write(self.indent, "else:")
            self.nested(region)

    def arguments(self, trees: list[Any], node: Node, skip: int = 0) -> tuple[list[ast.expr], list[ast.keyword]]:
        keywords, stars = node.attrs["keywords"], node.attrs["stars"]
        count = len(trees) - len(keywords)
        positional: list[ast.expr] = [
            ast.Starred(t, ast.Load()) if i in stars else t for i, t in enumerate(trees[:count])
        ]
        return positional[skip:], [ast.keyword(k, _standalone(t)) for k, t in zip(keywords, trees[count:])]


Tree = Callable[[Block, Node, list[Any]], ast.expr]


def _call(block: Block, node: Node, operands: list[Any]) -> ast.expr:
    args, keywords = block.arguments(operands, node)
    if node.attrs["name"] == "len":
        args = [_bare(arg) for arg in args]
    return ast.Call(block.dotted(node.attrs["name"]), args, keywords)


def _method(block: Block, node: Node, operands: list[Any]) -> ast.expr:
    args, keywords = block.arguments(operands, node, 1)
    name = node.attrs["name"]
    function = ast.Attribute(operands[0], name, ast.Load()) if name else operands[0]
    return ast.Call(function, args, keywords)


def _operator(block: Block, node: Node, operands: list[Any]) -> ast.expr:
    operator = getattr(ast, _OPERATORS[node.attrs["name"]])()
    if len(operands) == 1:
        return ast.UnaryOp(operator, operands[0])
    return ast.BinOp(operands[0], operator, operands[1])


def _compare(block: Block, node: Node, operands: list[Any]) -> ast.expr:
    return ast.Compare(operands[0], [getattr(ast, _COMPARISONS[n])() for n in node.attrs["names"]], operands[1:])


def _logical(operator: type[ast.boolop]) -> Tree:
    def make(block: Block, node: Node, operands: list[Any]) -> ast.expr:
        return ast.BoolOp(operator(), [operands[0], block.inner(node.attrs["right"])])

    return make


def _choose(block: Block, node: Node, operands: list[Any]) -> ast.expr:
    return ast.IfExp(operands[0], block.inner(node.attrs["then"]), block.inner(node.attrs["orelse"]))


def _comprehend(block: Block, node: Node, operands: list[Any]) -> ast.expr:
    tests = [] if node.attrs["test"] is None else [block.inner(node.attrs["test"])]
    generator = ast.comprehension(_target(node.attrs["target"]), operands[0], tests, 0)
    element = block.inner(node.attrs["element"])
    if node.attrs["kind"] == "dict":
        assert isinstance(element, ast.Tuple)
        return ast.DictComp(element.elts[0], element.elts[1], [generator])
    return (ast.ListComp if node.attrs["kind"] == "list" else ast.GeneratorExp)(element, [generator])


def _format(block: Block, node: Node, operands: list[Any]) -> ast.expr:
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


def _isinstance(block: Block, node: Node, operands: list[Any]) -> ast.expr:
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

Statement = Callable[[Block, Node, list[Any]], None]


def _augmented(target: ast.expr, node: Node, value: ast.expr) -> ast.stmt:
    operator = getattr(ast, _OPERATORS[node.attrs["name"]])()
    return ast.AugAssign(target, operator, value)  # type: ignore[arg-type]


def _plain(make: Callable[[Node, list[Any]], ast.AST]) -> Statement:
    def write(block: Block, node: Node, operands: list[Any]) -> None:
        block._line(make(node, operands), node)

    return write


def _raise(node: Node, operands: list[Any]) -> ast.AST:
    return ast.Raise(ast.Call(ast.Name(node.attrs["name"], ast.Load()), operands, []), None)


def _assignment(node: Node, operands: list[Any]) -> ast.AST:
    target, value = node.attrs["target"], _standalone(operands[0])
    return _assign(_target(target), _bare(value) if isinstance(target, tuple) else value)


def _if(block: Block, node: Node, operands: list[Any]) -> None:
    _open(block, "if", operands[0], node)
    block.nested(node.attrs["then"])
    block.otherwise(node.attrs["orelse"])


def _while(block: Block, node: Node, operands: list[Any]) -> None:
    _open(block, "while", block.inner(node.attrs["test"]), node)
    block.nested(node.attrs["body"])
    block.otherwise(node.attrs["orelse"])


def _for(block: Block, node: Node, operands: list[Any]) -> None:
    target = ast.unparse(_target(node.attrs["target"]))
    _open(block, f"for {target} in", operands[0], node)
    block.nested(node.attrs["body"])
    block.otherwise(node.attrs["orelse"])


def _with(block: Block, node: Node, operands: list[Any]) -> None:
    _open(block, "with", operands[0], node)
    block.nested(node.attrs["body"])


def _open(block: Block, words: str, tree: ast.expr, node: Node) -> None:
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


def assigned(graph: Graph) -> Iterator[str]:
    """The variables that a graph and the graphs in it set."""
    for node in graph.nodes:
        if "target" in node.attrs:
            yield from _names(node.attrs["target"])
    for region in graph.subgraphs():
        yield from assigned(region)


def _names(target: Any) -> Iterator[str]:
    if isinstance(target, tuple):
        for part in target:
            yield from _names(part)
    else:
        yield target.lstrip("*")
