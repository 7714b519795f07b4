"""A graph as Python that a reader knows: what ``f.code`` shows.

The text is valid Python and computes what the graph does, op by op.  Broadcasts and casts that Python's operators make
by themselves are left out, numbers stand where they are used, and each line ends with the user's line it came from.
"""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jitorch.dims import Symbol, SymDim, fold
from jitorch.dtypes import DType, promote_types
from jitorch.errors import UnsupportedError
from jitorch.ir.graph import Graph, Node, Value, identity
from jitorch.ir.literal import Literal
from jitorch.ir.op import ELEMENTWISE
from jitorch.ir.types import ScalarType, TensorType
from jitorch.passes.clean import dce

BINARY = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "remainder": "%", "floor_divide": "//",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "matmul_batched": "@",
    "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^",
}  # fmt: skip
METHODS = {"reduce_sum": "sum", "reduce_max": "amax", "reduce_min": "amin"}
INDENT = "    "
WIDTH = 88  # where the comment with the user's line begins


def python_code(graph: Graph) -> str:
    """A module that defines a function called as ``graph`` is; of several results it gives a tuple."""
    writer, graph = _Writer(), graph.copy()
    dce(graph)
    lines = list(writer.function(graph, _identifier(graph.name, set()), ""))
    imports = ["import jitorch"] + (["from jitorch.ops import OPS"] if writer.uses_table else [])
    return "\n".join([*imports, "", "", *lines]) + "\n"


def _identifier(name: str, taken: set[str]) -> str:
    """``name``, or where that is no identifier or taken, one like it: ``weight`` of ``_parameters['weight']``."""
    words = re.findall(r"[^\W\d]\w*", name)
    plain = words[-1] if words and not keyword.iskeyword(words[-1]) else "x"
    names = itertools.chain([plain], (f"{plain}_{i}" for i in itertools.count(1)))
    return next(name for name in names if name not in taken)


def _has_another(user: Node, place: int) -> bool:
    """Whether an operand of the elementwise ``user`` besides this one has the whole type by itself."""
    first = 1 if user.op.scalar == "where" else 0
    if place < first:
        return False
    others = [v for j, v in enumerate(user.inputs) if j != place and j >= first and v is not None]
    return any(v.node is None or v.node.op.name not in ("broadcast_to", "cast", "constant") for v in others)


class _Writer:
    def __init__(self) -> None:
        self.uses_table = False
        self.names: dict[Value, str] = {}  # what an expression calls a value: a name, or the expression itself
        self.simple: set[Value] = set()  # those whose text needs no brackets
        self.taken = {"jitorch", "OPS"}
        self.count = 0
        self.results: set[Value] = set()  # what graphs return
        self.sizes: dict[Symbol, str] = {}  # the names of symbolic sizes
        self.read_sizes: set[Symbol] = set()  # those that the code uses

    # -- functions -------------------------------------------------------------------------------
    def function(self, graph: Graph, name: str, indent: str) -> Iterator[str]:
        self.taken.add(name)
        given = [*graph.input_names, *[""] * len(graph.inputs)]
        for value, hint in zip(graph.inputs, given):
            self.name(value, hint or "x")
        yield f"{indent}def {name}("
        for value in graph.inputs:
            yield f"{indent}{INDENT}{self.names[value]},  # {value.type}"
        yield f"{indent}):"
        for symbol in graph.symbols:
            self.sizes[symbol] = _identifier(symbol.name, self.taken)
            self.taken.add(self.sizes[symbol])
        body = list(self.block(graph, indent + INDENT))
        yield from self._shapes(graph, indent + INDENT)
        yield from body
        for i, o in graph.writes:
            target, source = self.names[graph.inputs[i]], self.text(graph.outputs[o])
            if target != source:
                yield f"{indent}{INDENT}{target}.copy_({source})"
        written = {o for _, o in graph.writes}
        results = [self.text(v) for o, v in enumerate(graph.outputs) if o not in written]
        yield f"{indent}{INDENT}return {results[0] if len(results) == 1 else self._tuple(results)}"

    def _shapes(self, graph: Graph, indent: str) -> Iterator[str]:
        """The symbolic sizes that the code uses, read from the inputs that show them."""
        for symbol in graph.symbols:
            places = (
                (value, axis)
                for value in graph.inputs
                for axis, dim in enumerate(getattr(value.type, "shape", ()))
                if dim == symbol.dim
            )
            if symbol in self.read_sizes:
                value, axis = next(places)
                yield f"{indent}{self.sizes[symbol]} = {self.names[value]}.shape[{axis}]"

    def block(self, graph: Graph, indent: str) -> Iterator[str]:
        self.results.update(graph.outputs)
        for node in graph.nodes:
            yield from self.statement(node, indent)

    def name(self, value: Value, hint: str = "") -> str:
        if not hint:
            self.count += 1
            hint = f"t{self.count}"
        found = _identifier(hint, self.taken)
        self.taken.add(found)
        self.names[value] = found
        self.simple.add(value)
        return found

    # -- statements ------------------------------------------------------------------------------
    def statement(self, node: Node, indent: str) -> Iterator[str]:
        control = _CONTROL.get(node.op.name)
        if control is not None:
            yield from control(self, node, indent)
            return
        value = self.expression(node)
        if len(node.outputs) == 1 and self._is_inline(node):
            self.names[node.output] = value
            return
        names = [self.name(v) for v in node.outputs]
        yield self._located(f"{indent}{', '.join(names)} = {value}" if names else f"{indent}{value}", node)

    def _located(self, line: str, node: Node) -> str:
        return line if node.loc is None else f"{line:<{WIDTH}}  # {node.loc}".rstrip()

    def _is_inline(self, node: Node) -> bool:
        """Numbers, constants, and what Python's operators would do by themselves."""
        is_constant = node.op.name in ("number", "constant", "begin")
        if not is_constant and not (node.op.name in ("broadcast_to", "cast") and self.is_implied(node.output)):
            return False
        if node.op.name == "cast" and not _is_weaker(node.inputs[0], node.attrs["dtype"]):
            return False
        if is_constant or node.inputs[0] in self.simple:
            self.simple.add(node.output)
        return True

    def is_implied(self, value: Value) -> bool:
        """Whether each user broadcasts and promotes what this value is made of without being told."""
        if value in self.results or not value.uses:
            return False
        return all(
            (user.op.name == "broadcast_to" and self.is_implied(user.output))
            or (user.op.kind == ELEMENTWISE and _has_another(user, i))
            for user, i in value.uses
        )

    # -- expressions -----------------------------------------------------------------------------
    def text(self, value: Value | None) -> str:
        return "None" if value is None else self.names[value]

    def operand(self, value: Value | None) -> str:
        """The text of a value where an operator or a dot stands beside it."""
        text = self.text(value)
        return text if value is None or (value in self.simple and not text.startswith("-")) else f"({text})"

    def expression(self, node: Node) -> str:
        name, attrs = node.op.name, node.attrs
        if name in BINARY and len(node.inputs) == 2 and not attrs:
            a, b = map(self.operand, node.inputs)
            return f"{a} {BINARY[name]} {b}"
        special = _SPECIAL.get(name)
        if special is not None and (found := special(self, node)) is not None:
            return found
        if name in METHODS and set(attrs) == {"axes"}:
            return f"{self.operand(node.inputs[0])}.{METHODS[name]}({self.value(attrs['axes'])})"
        groups = node.op.group([self.text(v) for v in node.inputs])
        texts = [self._tuple(g) if isinstance(g, (list, tuple)) else g for g in groups]
        arguments = [f"{p.name}={t}" if p.keyword_only else t for p, t in zip(node.op.operands, texts)]
        defaults = {p.name: p.default for p in node.op.attrs if not p.is_required}
        told = {k: v for k, v in attrs.items() if k not in defaults or identity(v) != identity(defaults[k])}
        arguments += [f"{k}={self.value(v)}" for k, v in told.items()]
        return f"{self._callable(node)}({', '.join(arguments)})"

    def _callable(self, node: Node) -> str:
        places = getattr(node.op, "places", ())
        if "torch" in places:
            return f"jitorch.{node.op.name}"
        if "nn" in places:
            return f"jitorch.nn.functional.{node.op.name}"
        self.uses_table = True
        return f'OPS["{node.op.name}"]'

    def value(self, value: Any) -> str:
        """An attribute as Python."""
        if isinstance(value, DType):
            return f"jitorch.{value.name}"
        if isinstance(value, tuple):
            return self._tuple([self.value(v) for v in value])
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return f'float("{value}")'
        if isinstance(value, SymDim):
            return fold(value, self._size, _sized)
        if isinstance(value, Literal):
            return f"jitorch.tensor({value.array.tolist()!r}, dtype=jitorch.{value.type.dtype.name})"
        return repr(value)

    def _size(self, leaf: Symbol | int) -> str:
        """A symbolic size by the name that it has in the code."""
        if isinstance(leaf, int):
            return str(leaf)
        if leaf not in self.sizes:
            raise UnsupportedError("a size that a loop finds out has no Python form", actual=leaf)
        self.read_sizes.add(leaf)
        return self.sizes[leaf]

    @staticmethod
    def _tuple(items: Sequence[str]) -> str:
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"

    # -- control flow ----------------------------------------------------------------------------
    def enter(self, graph: Graph, values: Sequence[Value | None]) -> None:
        """The inputs of an inner graph are values of the outer one."""
        for inner, outer in zip(graph.inputs, values):
            self.names[inner] = self.text(outer)
            if outer in self.simple:
                self.simple.add(inner)

    def leave(self, graph: Graph, names: Sequence[str], indent: str) -> str:
        """The assignment of an inner graph's results to the names they have outside."""
        results = ", ".join(self.text(v) for v in graph.outputs[: len(names)])
        return f"{indent}{', '.join(names)} = {results}" if names else f"{indent}pass"


def _sized(function: str, x: str, y: str) -> str:
    """One operation on sizes."""
    if function in ("minimum", "maximum"):
        return f"{function[:3]}({x}, {y})"
    return f"({x} {_SIZE_OPERATORS[function]} {y})"


_SIZE_OPERATORS = {"add": "+", "mul": "*", "floordiv": "//", "mod": "%"}


def _cond(writer: _Writer, node: Node, indent: str) -> Iterator[str]:
    names = [writer.name(v) for v in node.outputs]
    for word, key in ((f"if {writer.text(node.inputs[0])}", "then"), ("else", "orelse")):
        graph: Graph = node.attrs[key]
        yield writer._located(f"{indent}{word}:", node) if key == "then" else f"{indent}{word}:"
        writer.enter(graph, node.inputs[1:])
        yield from writer.block(graph, indent + INDENT)
        yield writer.leave(graph, names, indent + INDENT)


def _while_loop(writer: _Writer, node: Node, indent: str) -> Iterator[str]:
    test, body = node.attrs["test"], node.attrs["body"]
    carried = len(node.outputs)
    names = [writer.name(v) for v in node.outputs]
    if names:
        yield f"{indent}{', '.join(names)} = {', '.join(writer.text(v) for v in node.inputs[:carried])}"
    values = [*node.outputs, *node.inputs[carried:]]
    yield writer._located(f"{indent}while True:", node)
    writer.enter(test, values)
    yield from writer.block(test, indent + INDENT)
    yield f"{indent}{INDENT}if not {writer.operand(test.outputs[0])}:"
    yield f"{indent}{INDENT}{INDENT}break"
    writer.enter(body, values)
    yield from writer.block(body, indent + INDENT)
    yield writer.leave(body, names, indent + INDENT)


def _scan(writer: _Writer, node: Node, indent: str) -> Iterator[str]:
    body, carried, stacked = node.attrs["body"], node.attrs["carried"], node.attrs["stacked"]
    names = [writer.name(v) for v in node.outputs]
    if carried:
        yield f"{indent}{', '.join(names[:carried])} = {', '.join(writer.text(v) for v in node.inputs[:carried])}"
    for name in names[carried:]:
        yield f"{indent}{name} = []"
    index = _identifier("step", writer.taken)
    writer.taken.add(index)
    length = writer.value(node.attrs["length"])
    steps = f"reversed(range({length}))" if node.attrs["reverse"] else f"range({length})"
    yield writer._located(f"{indent}for {index} in {steps}:", node)
    rows = [f"{writer.operand(v)}[{index}]" for v in node.inputs[carried : carried + stacked]]
    writer.enter(body, [*node.outputs[:carried], *node.inputs[carried:]])
    for inner, row in zip(body.inputs[carried : carried + stacked], rows):
        writer.names[inner] = row
        writer.simple.add(inner)
    yield from writer.block(body, indent + INDENT)
    appended = [writer.text(v) for v in body.outputs[carried:]]
    for name, text in zip(names[carried:], appended):
        yield f"{indent}{INDENT}{name}.append({text})"
    if carried or not appended:
        yield writer.leave(body, names[:carried], indent + INDENT)
    for name, value in zip(names[carried:], node.outputs[carried:]):
        rows_text = f"{name}[::-1]" if node.attrs["reverse"] else name
        type_: Any = value.type
        empty = f"jitorch.empty({writer.value(type_.shape)}, dtype=jitorch.{type_.dtype.name})"
        stack = f"jitorch.stack([jitorch.as_tensor(row, dtype=jitorch.{type_.dtype.name}) for row in {rows_text}])"
        yield f"{indent}{name} = {stack} if {name} else {empty}"


def _recomputed(writer: _Writer, node: Node, indent: str) -> Iterator[str]:
    """What a gradient would compute again stands here once."""
    names = [writer.name(v) for v in node.outputs]
    body: Graph = node.attrs["body"]
    writer.enter(body, node.inputs)
    yield from writer.block(body, indent)
    yield writer._located(writer.leave(body, names, indent), node)


def _check(writer: _Writer, node: Node, indent: str) -> Iterator[str]:
    writer.names[node.output] = "None"
    yield writer._located(f"{indent}assert {writer.text(node.inputs[0])}", node)


_CONTROL: dict[str, Callable[[_Writer, Node, str], Iterator[str]]] = {
    "cond": _cond, "while_loop": _while_loop, "scan": _scan, "recomputed": _recomputed, "check": _check,
}  # fmt: skip


# -- ops that have a form of their own -------------------------------------------------------------------------
def _number(writer: _Writer, node: Node) -> str:
    return writer.value(node.attrs["value"])


def _constant(writer: _Writer, node: Node) -> str:
    value, dtype = node.attrs["value"], node.attrs["dtype"]
    if writer.is_implied(node.output):
        return writer.value(value)
    return f"jitorch.tensor({writer.value(value)}, dtype=jitorch.{dtype.name})"


def _is_weaker(x: Value | None, dtype: DType) -> bool:
    """Whether ``x`` beside a tensor of ``dtype`` becomes one of it."""
    if x is None or not isinstance(x.type, (ScalarType, TensorType)):
        return False
    if isinstance(x.type, ScalarType) or not x.type.shape:
        return x.type.dtype.category <= dtype.category
    return promote_types(x.type.dtype, dtype) is dtype


def _cast(writer: _Writer, node: Node) -> str:
    x = node.inputs[0]
    dtype: DType = node.attrs["dtype"]
    if writer.is_implied(node.output) and _is_weaker(x, dtype):
        return writer.text(x)
    if isinstance(node.output.type, ScalarType):
        return f"{node.output.type.name}({writer.text(x)})"
    if x is not None and isinstance(x.type, ScalarType):
        return f"jitorch.tensor({writer.text(x)}, dtype=jitorch.{dtype.name})"
    return f"{writer.operand(x)}.to(jitorch.{dtype.name})"


def _broadcast_to(writer: _Writer, node: Node) -> str:
    source = node.inputs[0]
    if writer.is_implied(node.output):
        return writer.text(source)
    return f"{writer.operand(source)}.expand({writer.value(node.attrs['shape'])})"


def _method(name: str, attribute: str) -> Callable[[_Writer, Node], str]:
    def text(writer: _Writer, node: Node) -> str:
        return f"{writer.operand(node.inputs[0])}.{name}({writer.value(node.attrs[attribute])})"

    return text


def _slice_axes(writer: _Writer, node: Node) -> str:
    attrs, source = node.attrs, node.inputs[0]
    shape = source.type.shape if source is not None and isinstance(source.type, TensorType) else ()
    parts = []
    for start, stop, step, size in zip(attrs["starts"], attrs["stops"], attrs["steps"], shape):
        whole = (start, stop, step) == (0, size, 1)
        text = ":" if whole else f"{writer.value(start)}:{writer.value(stop)}"
        parts.append(text if step == 1 else f"{text}:{step}")
    return f"{writer.operand(source)}[{', '.join(parts)}]"


def _transpose_axes(writer: _Writer, node: Node) -> str:
    perm = node.attrs["perm"]
    if perm == (*range(len(perm) - 2), len(perm) - 1, len(perm) - 2) and len(perm) > 1:
        return f"{writer.operand(node.inputs[0])}.mT"
    return f"{writer.operand(node.inputs[0])}.permute({writer.value(perm)})"


def _negative(writer: _Writer, node: Node) -> str:
    return f"-{writer.operand(node.inputs[0])}"


_SPECIAL: dict[str, Callable[[_Writer, Node], str | None]] = {
    "number": _number,
    "constant": _constant,
    "cast": _cast,
    "broadcast_to": _broadcast_to,
    "reshape_to": _method("reshape", "shape"),
    "slice_axes": _slice_axes,
    "transpose_axes": _transpose_axes,
    "neg": _negative,
    "copy": lambda writer, node: f"{writer.operand(node.inputs[0])}.clone()",
    "detach": lambda writer, node: f"{writer.operand(node.inputs[0])}.detach()",
    "begin": lambda writer, node: "None",
    "size_of": lambda writer, node: writer.value(node.attrs["size"]),
}
