"""Text -> graph: reads what `jitorch.ir.printer` writes, ``Graph.parse(str(g), ops) == g``.

The grammar is beside this file in ``graph.lark``; lark is imported when text is first read.  Text
names ops, it holds no code: reading runs nothing.  Whether a graph is well formed in other respects
than its text is for `jitorch.ir.verify` to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jitorch import dims, dtypes
from jitorch.dims import Dim, Guard, Symbol
from jitorch.errors import Location, ParseError, ShapeError
from jitorch.ir import types
from jitorch.ir.literal import Literal
from jitorch.ir.op import Op
from jitorch.ir.printer import is_symbol_name
from jitorch.ir.syntax import Source, Token, Tree
from jitorch.ir.types import TensorType, Type

if TYPE_CHECKING:
    from jitorch.ir.graph import Graph, Value

G = TypeVar("G", bound="Graph")

_DTYPES = {d.short: d for d in dtypes.ALL}
_SCALARS: dict[str, Type] = {
    str(t): t
    for t in (
        *types.PYTHON_TYPES.values(), types.EFFECT, types.TENSOR, types.COMPLEX, types.DEVICE, types.DTYPE, types.ANY,
    )
}  # fmt: skip
_WORDS = {"True": True, "False": False, "None": None, "none": None}
_LOCATION = re.compile(r"[ \t]*// (\S[^\n]*):([0-9]{1,9})[ \t]*(?:\n|$)")


def parse_graph(
    text: str,
    ops: Mapping[str, Op],
    graph: type[G],
    literals: Mapping[str, np.ndarray[Any, Any] | Literal] | None = None,
) -> G:
    """The graph that ``text`` stands for.

    ``ops`` maps names to ops; ``literals`` maps digests to the arrays that the text names by digest
    alone (`Graph.literals` gives them).  Attributes that are left out take the op's defaults.
    Raises `ParseError`, whose ``where`` is the line and column, for any text that is not a graph.
    """
    source = Source(text)
    tree = source.tree("graph")
    return _guarded(source, lambda: _GraphReader(source, ops, graph, literals or {}).read(tree))


def parse_type(text: str, symbols: Mapping[str, Symbol] | None = None) -> Type:
    """The type that ``text`` stands for, such as ``f32[B, 4*T]`` or ``dict[str, list[int]]``.

    ``symbols`` gives the symbolic sizes by name.  Raises `ParseError`.
    """
    source = Source(text)
    tree = source.tree("type")
    return _guarded(source, lambda: _TypeReader(source, symbols or {}).type(tree))


def _guarded(source: Source, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RecursionError:
        # MAX_DEPTH is meant for a stack that is nearly empty when reading begins.
        raise source.error("nested too deeply for the stack that is left") from None


class _TypeReader:
    """Reads sizes and types over some symbols; equal texts are read once."""

    def __init__(self, source: Source, symbols: Mapping[str, Symbol]):
        self.source, self.symbols = source, symbols
        self._dims: dict[str, Dim] = {}
        self._types: dict[str, Type] = {}

    def dim(self, tree: Tree) -> Dim:
        text = self.source.slice(tree)
        if text not in self._dims:
            if "//" in text:
                raise self.source.error("a comment inside of a size", tree)
            try:
                self._dims[text] = dims.parse(text, self.symbols)
            except (ParseError, ShapeError) as error:
                raise self.source.error(error.what, tree, expected=error.expected, actual=error.actual) from None
        return self._dims[text]

    def type(self, tree: Tree) -> Type:
        text = self.source.slice(tree)
        if text not in self._types:
            self._types[text] = self._type(tree.children[0])
        return self._types[text]

    def tensor(self, tree: Tree) -> TensorType:
        dtype, *shape = tree.children
        if dtype not in _DTYPES:
            raise self.source.unknown("dtype", (dtype), _DTYPES)
        return TensorType(_DTYPES[dtype], tuple(self.dim(d) for d in _present(shape)))

    def _type(self, tree: Tree) -> Type:
        children = tree.children
        match tree.data:
            case "tensor":
                return self.tensor(tree)
            case "scalar":
                return self._scalar(children[0])
            case "tuple_type":
                return types.TupleType(tuple(map(self.type, _present(children))))
            case "union":
                return types.UnionType(tuple(map(self.type, _present(children))))
            case "record":
                return types.RecordType(self.name(children[0]), tuple(map(self._field, _present(children[1:]))))
        make: Any = {"list": types.ListType, "dict": types.DictType, "optional": types.OptionalType}[tree.data]
        return make(*map(self.type, _present(children)))

    def _scalar(self, name: Token) -> Type:
        if name in _DTYPES and name not in _SCALARS:
            raise self.source.error("a tensor type needs a shape", name, hint=f"{name}[] has no axes")
        if name not in _SCALARS:
            raise self.source.unknown("type", name, [*_SCALARS, *_DTYPES])
        return _SCALARS[name]

    def _field(self, tree: Tree) -> tuple[str, Type]:
        return self.name(tree.children[0]), self.type(tree.children[1])

    def name(self, token: Token) -> str:
        """A name, or the string that stands for one."""
        return self.string(token) if token.startswith('"') else str(token)

    def string(self, token: Token) -> str:
        try:
            return json.loads(token)
        except ValueError as error:
            raise self.source.error("not a JSON string", token, actual=str(error)) from None


class _GraphReader:
    """Reads one graph; a graph inside of it gets a reader of its own, as it sees nothing of this one."""

    def __init__(
        self,
        source: Source,
        ops: Mapping[str, Op],
        graph: type[G],
        literals: Mapping[str, np.ndarray[Any, Any] | Literal],
    ):
        self.source, self.ops, self.make, self.literals = source, ops, graph, literals
        self.symbols: dict[str, Symbol] = {}
        self.types = _TypeReader(source, self.symbols)
        self.values: dict[str, Value] = {}

    def read(self, tree: Tree) -> Any:
        name, symbols, inputs, writes, facts, *nodes, outputs = tree.children
        for symbol in _present([] if symbols is None else symbols.children):
            self._symbol(symbol)
        graph = self.make(self._graph_name(name))
        for i, declared in enumerate(_present(inputs.children)):
            token, type = declared.children
            value = graph.add_input(self.types.type(type), token[1:] if token != f"%in{i}" else None)
            self._define(token, value)
        for node in _present(nodes):
            self._node(graph, node)
        graph.outputs = [self._value(v) for v in _present(outputs.children)]
        if writes is not None:
            graph.writes = tuple(self._write(graph, w) for w in _present(writes.children))
        if facts is not None:
            graph.facts = tuple(map(self._fact, _present(facts.children)))
        return graph

    def _graph_name(self, token: Token) -> str:
        if not token.startswith('@"'):
            return token[1:]
        return self.types.string(token.update(value=token[1:]))

    def _symbol(self, tree: Tree) -> None:
        name, low, high, computed = tree.children
        if not is_symbol_name(name):
            raise self.source.error(f"{str(name)!r} cannot be the name of a size", name)
        if name in self.symbols:
            raise self.source.error(f"the size {name} is declared twice", name)
        symbol = Symbol(str(name), int(low), None if high is None else int(high), computed=computed is not None)
        if symbol.high is not None and symbol.high < symbol.low:
            raise self.source.error(f"the size {name} has an empty range", tree)
        self.symbols[symbol.name] = symbol

    def _write(self, graph: Graph, tree: Tree) -> tuple[int, int]:
        i, o = (int(t) for t in _present(tree.children))
        if i >= len(graph.inputs) or o >= len(graph.outputs):
            raise self.source.error(
                "a write names an input or output that is not there", tree,
                expected=f"input: output, of {len(graph.inputs)} and {len(graph.outputs)}",
            )  # fmt: skip
        return i, o

    def _fact(self, tree: Tree) -> Guard:
        left, relation, right = tree.children
        return Guard(str(relation), self.types.dim(left), self.types.dim(right))

    # -- values ----------------------------------------------------------------------------------
    def _define(self, token: Token, value: Value) -> None:
        if token in self.values:
            raise self.source.error(f"{token} is defined twice", token)
        self.values[str(token)] = value

    def _value(self, token: Token) -> Value:
        if token not in self.values:
            raise self.source.unknown("value", token, self.values)
        return self.values[token]

    # -- nodes -----------------------------------------------------------------------------------
    def _node(self, graph: Graph, tree: Tree) -> None:
        results, name, *arguments = tree.children
        op = self._op(name)
        operands: list[Value | None] = []
        attrs: dict[str, Any] = {}
        for argument in _present(arguments):
            if argument.data == "attribute":
                key, value = argument.children
                self._check_attribute(op, key, attrs)
                attrs[str(key)] = self._attribute(value)
            elif attrs:
                raise self.source.error("operands come before attributes", argument)
            else:
                token = argument.children[0]
                operands.append(None if token.type == "ABSENT" else self._value(token))
        self._check_arguments(op, tree, operands, attrs)
        declared = [r.children for r in _present([] if results is None else results.children)]
        result_types = [self.types.type(type) for _, type in declared]
        node = graph.append(op, operands, attrs, result_types, self._location(tree))
        for (token, _), value in zip(declared, node.outputs, strict=True):
            self._define(token, value)

    def _op(self, name: Token) -> Op:
        if name not in self.ops:
            raise self.source.unknown("op", name, self.ops)
        return self.ops[name]

    def _check_attribute(self, op: Op, key: Token, attrs: dict[str, Any]) -> None:
        if key in attrs:
            raise self.source.error(f"{op.name}: attribute {str(key)!r} given twice", key)
        if all(key != p.name for p in op.attrs):
            raise self.source.unknown(f"attribute of {op.name}", key, [p.name for p in op.attrs])

    def _check_arguments(self, op: Op, tree: Tree, operands: list[Any], attrs: dict[str, Any]) -> None:
        count = len(op.operands) - (op.variadic is not None)
        if len(operands) < count or (op.variadic is None and len(operands) > count):
            raise self.source.error(
                f"{op.name}: wrong number of operands", tree,
                expected=f"{count}{'' if op.variadic is None else ' or more'} of {op.name}{op.signature}",
                actual=len(operands),
                hint="an optional operand that is absent is written none",
            )  # fmt: skip
        for p in op.attrs:
            if p.name not in attrs:
                if p.is_required:
                    what = f"{op.name}: missing attribute {p.name!r}"
                    raise self.source.error(what, tree, expected=f"{op.name}{op.signature}")
                attrs[p.name] = p.default

    def _location(self, tree: Tree) -> Location | None:
        match = _LOCATION.match(self.source.text, self.source.after(tree))
        return None if match is None else Location(match[1], int(match[2]))

    # -- attributes ------------------------------------------------------------------------------
    def _attribute(self, tree: Tree) -> Any:
        children = tree.children
        match tree.data:
            case "dim":
                return self._dim_or_dtype(tree)
            case "number":
                return self._number(tree)
            case "word":
                return _WORDS[str(children[0])]
            case "string":
                return self.types.string(children[0])
            case "tuple":
                return tuple(map(self._attribute, _present(children)))
            case "type_value":
                return self.types.type(children[0])
            case "array":
                return self._literal(tree)
        return _GraphReader(self.source, self.ops, self.make, self.literals).read(tree)

    def _dim_or_dtype(self, tree: Tree) -> Any:
        text = self.source.slice(tree)
        if text in _DTYPES:
            return _DTYPES[text]
        if text.isidentifier() and text not in self.symbols:
            raise self.source.unknown("word", tree.children[-1], [*self.symbols, *_DTYPES, *_WORDS])
        return self.types.dim(tree)

    def _number(self, tree: Tree) -> float | complex:
        if isinstance(tree.children[-1], str):
            sign, digits = tree.children
            return -float(digits) if sign else float(digits)
        real, imaginary = (self._number(part) for part in _present(tree.children))
        return complex(real, imaginary)

    def _literal(self, tree: Tree) -> Literal:
        header, *items = _present(tree.children)
        type = self.types.tensor(header)
        if not all(isinstance(d, int) and d >= 0 for d in type.shape):
            raise self.source.error("an array's sizes are numbers", header)
        if items and items[0].data == "digest":
            return self._literal_by_digest(type, items[0].children[0])
        if type.size != len(items):
            raise self.source.error("wrong number of elements", tree, expected=type.size, actual=len(items))
        try:
            return Literal.of(type, [self._item(item) for item in items])
        except (OverflowError, TypeError, ValueError) as error:
            raise self.source.error(f"not elements of {type}", tree, actual=str(error)) from None

    def _item(self, tree: Tree) -> Any:
        *sign, last = tree.children
        if not isinstance(last, str):
            return self._number(last)
        if last in _WORDS:
            return _WORDS[last]
        return -int(last) if sign[0] else int(last)

    def _literal_by_digest(self, type: TensorType, digest: Token) -> Literal:
        if digest not in self.literals:
            raise self.source.error(f"no array with the digest {digest} was given", digest)
        given = self.literals[digest]
        literal = given if isinstance(given, Literal) else Literal(np.asarray(given))
        if literal.type != type or literal.digest != digest:
            raise self.source.error(
                "the array given for this digest is another one", digest,
                expected=f"{type} {digest}", actual=f"{literal.type} {literal.digest}",
            )  # fmt: skip
        return literal


def _present(children: list[Any]) -> list[Any]:
    """The children that are there."""
    return [child for child in children if child is not None]
