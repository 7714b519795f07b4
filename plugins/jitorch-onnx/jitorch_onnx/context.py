"""What an ONNX rule works with: the operands of a node, and the file to write to.

A rule is ``rule(ctx, node)`` and returns the name of the output tensor (a tuple of names for several
outputs), or None to decline; an op that declines, or has no rule, is written by its body.

    @my_op.rule("onnx")
    def _(ctx, node):
        x, y = ctx.inputs(node)
        return ctx.node("Mul", x, ctx.node("Sigmoid", y))

Operands that are constants are computed here and not by the file, and a broadcast is written only
where ONNX does not broadcast by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from jitorch import dims, dtypes
from jitorch.dims import Dim, Symbol, SymDim
from jitorch.dtypes import DType
from jitorch.errors import CompilerBug, Location, UnsupportedError
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.interpret import as_type
from jitorch.ir.types import ArrayType
from jitorch.passes.control import is_control
from jitorch.passes.decompose import expand
from jitorch_onnx.file import File, element_type
from jitorch_onnx.scalars import SCALARS

_FOLD_LIMIT = 1024
"""Elements of the largest array that is computed here from smaller ones."""


@dataclass(eq=False, slots=True)
class Known:
    """What is known of one value.

    ``name``: its tensor in the file, once it is there.  ``array``: its elements, if they are constant.
    ``narrow``: it is this value, repeated to ``type.shape``.
    """

    type: ArrayType
    name: str | None = None
    array: np.ndarray[Any, Any] | None = None
    narrow: Known | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An operation that cannot be written, and why."""

    op: str
    reason: str
    where: Location | None

    def __str__(self) -> str:
        if self.where is None:
            return f"{self.op}: {self.reason}"
        source = "".join(f"   {line}" for line in self.where.excerpt()[:1])
        return f"{self.op}: {self.reason}\n    at {self.where}{source}"


class Context:
    """Writes the nodes of one graph to ``file``.  The body of an op has a context of its own."""

    def __init__(self, file: File, problems: dict[Problem, None], where: Location | None = None):
        self.file, self.problems = file, problems
        self._where = where
        self._values: dict[Value, Known] = {}

    @property
    def opset(self) -> int:
        """The version of the ONNX operators written."""
        return self.file.opset

    # -- for rules -------------------------------------------------------------------------------
    def inputs(self, node: Node) -> list[str]:
        """The tensors of all operands; ``""`` for one that is absent."""
        return ["" if value is None else self.input(value) for value in node.inputs]

    def input(self, value: Value) -> str:
        """The tensor of one operand, written if it is not there yet."""
        return self._written(self._values[value])

    def broadcast_inputs(self, node: Node) -> list[str]:
        """The operands of an operator that broadcasts: those repeated by `broadcast_to` before their repetition."""
        known = [self._values[value] for value in node.operands]
        narrow = [k if k.narrow is None else k.narrow for k in known]
        if not _reaches([k.type.shape for k in narrow], node.outputs[0].type.shape):  # type: ignore[attr-defined]
            narrow[0] = known[0]
        return [self._written(k) for k in narrow]

    def value(self, operand: Value | None) -> Any:
        """The Python number that ``operand`` is, or None where it is not constant (or not one number)."""
        array = None if operand is None else self._values[operand].array
        return array.item() if array is not None and array.size == 1 else None

    def attribute(self, operand: Value | None, x: str) -> float | None:
        """The number that ``operand`` is, for an attribute of an operator on the tensor ``x``.

        None where it is not constant, or ``x`` is float64 and would feel that ONNX holds it as float32.
        """
        value = self.value(operand)
        if value is None or (self.file.dtype(x) is dtypes.float64 and float(np.float32(value)) != value):
            return None
        return float(value)

    def node(self, op_type: str, *inputs: str, **attrs: Any) -> str:
        """Write an ONNX node with one output; returns its name."""
        return self.nodes(op_type, *inputs, outputs=1, **attrs)[0]

    def nodes(self, op_type: str, *inputs: str, outputs: int, **attrs: Any) -> tuple[str, ...]:
        """Write an ONNX node with several outputs."""
        return self.file.node(op_type, inputs, outputs, str(self._where or ""), attrs)

    def constant(self, value: Any, dtype: DType) -> str:
        """A constant tensor: a number is 0-d, a list 1-d, and so on."""
        return self.file.constant(np.asarray(value).astype(dtype.numpy))

    def like(self, value: Any, name: str) -> str:
        """A 0-d constant of the dtype of the tensor ``name``."""
        return self.constant(value, self.file.dtype(name))

    def integers(self, *values: int) -> str:
        """A 1-d int64 constant, as axes, shapes and indices are given."""
        return self.constant(np.array(values, np.int64), dtypes.int64)

    def cast(self, name: str, dtype: DType) -> str:
        """``name`` in another dtype; nothing is written where it has it already."""
        return name if self.file.dtype(name) is dtype else self.node("Cast", name, to=element_type(dtype))

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        """The axes of ``name`` in the order ``perm``."""
        return name if list(perm) == list(range(len(perm))) else self.node("Transpose", name, perm=list(perm))

    def reshape(self, name: str, old: Sequence[Dim], new: Sequence[Dim]) -> str:
        """``name``, of shape ``old``, in row-major order with shape ``new``."""
        if tuple(old) == tuple(new):
            return name
        if 0 not in new:
            # In ONNX 0 stands for "as in the input" and one -1 for "what is left".
            sizes = [0 if i < len(old) and old[i] == d and not isinstance(d, int) else d for i, d in enumerate(new)]
            unknown = [i for i, d in enumerate(sizes) if not isinstance(d, int)]
            if len(unknown) <= 1:
                return self.node("Reshape", name, self.integers(*(d if isinstance(d, int) else -1 for d in sizes)))
        return self.node("Reshape", name, self.shape(new), **({"allowzero": 1} if self.opset >= 14 else {}))

    def shape(self, sizes: Sequence[Dim]) -> str:
        """``sizes`` as a 1-d int64 tensor, computed where one is symbolic."""
        if all(isinstance(d, int) for d in sizes):
            return self.integers(*sizes)  # type: ignore[arg-type]
        parts = [self.size(d) for d in sizes]
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)

    def size(self, dim: Dim) -> str:
        """``dim`` as an int64 tensor of shape [1]."""
        return dims.fold(dim, self._leaf, self._apply)

    def scalar_size(self, dim: Dim) -> str:
        """``dim`` as a 0-d int64 tensor."""
        if isinstance(dim, int):
            return self.constant(dim, dtypes.int64)
        return self.node("Squeeze", self.size(dim), self.integers(0))

    def ramp(self, start: Dim, stop: Dim, step: int = 1) -> str:
        """``start, start + step, ...`` up to but without ``stop``, as a 1-d int64 tensor."""
        if isinstance(start, int) and isinstance(stop, int):
            return self.integers(*range(start, stop, step))
        return self.node("Range", self.scalar_size(start), self.scalar_size(stop), self.scalar_size(step))

    def _leaf(self, leaf: Symbol | int) -> str:
        if isinstance(leaf, int):
            return self.integers(leaf)
        if leaf.name not in self.file.symbols:
            raise CompilerBug(f"no input shows the size {leaf}")
        source, axis = self.file.symbols[leaf.name]
        if self.opset >= 15:
            return self.node("Shape", source, start=axis, end=axis + 1)
        return self.node("Gather", self.node("Shape", source), self.integers(axis))

    def _apply(self, function: str, x: str, y: str) -> str:
        match function:
            case "floordiv":
                # Integer division truncates in ONNX, its remainder has the sign of the divisor.
                return self.node("Div", self.node("Sub", x, self.node("Mod", x, y)), y)
            case "add" | "mul" | "mod":
                return self.node(function.capitalize(), x, y)
            case "minimum" | "maximum":
                return self.node(function.capitalize()[:3], x, y)
        raise CompilerBug(f"no ONNX operator for {function} of sizes")

    # -- graphs ----------------------------------------------------------------------------------
    def run(self, graph: Graph, inputs: Sequence[Known]) -> list[str]:
        """Write ``graph`` for operands ``inputs``; returns the tensors of its outputs."""
        with graph.assumed():
            return [self._written(k) for k in self._run(graph, inputs)]

    def _run(self, graph: Graph, inputs: Sequence[Known]) -> list[Known]:
        self._values = dict(zip(graph.inputs, inputs, strict=True))
        outer = self._where
        for node in graph.nodes:
            self._where = node.loc or outer
            self._define(node)
        self._where = outer
        return [self._values[v] for v in graph.outputs]

    def _define(self, node: Node) -> None:
        if node.op.name == "broadcast_to":
            self._values[node.output] = _repeated(self._values[node.operands[0]], node.output.type)  # type: ignore[arg-type]
            return
        arrays = self._fold(node)
        if arrays is not None:
            self._values.update((v, Known(v.type, array=a)) for v, a in zip(node.outputs, arrays))  # type: ignore[arg-type]
            return
        try:
            results = self._write(node)
        except UnsupportedError as error:
            self.problems[Problem(node.op.name, error.what, self._where)] = None
            results = [Known(v.type, name=self.file.placeholder(v.type)) for v in node.outputs]  # type: ignore[arg-type]
        self._values.update(zip(node.outputs, results, strict=True))

    def _write(self, node: Node) -> list[Known]:
        result = self._by_rule(node)
        if result is not None:
            return self._results(node, (result,) if isinstance(result, str) else result)
        if node.op.body is None:
            raise UnsupportedError("has no counterpart in ONNX")
        inner = Context(self.file, self.problems, self._where)
        return inner._run(expand(node), [self._values[v] for v in node.operands])

    def _by_rule(self, node: Node) -> str | Sequence[str] | None:
        rule = node.op.rules.get("onnx")
        if rule is None:
            return SCALARS[node.op.scalar](self, *self.broadcast_inputs(node)) if node.op.scalar in SCALARS else None
        try:
            return rule(self, node)
        except UnsupportedError:
            if node.op.body is None:
                raise
            # The operator does not exist for these dtypes or in this opset, but the body may.
            return None

    def _results(self, node: Node, names: Sequence[str]) -> list[Known]:
        results = []
        for value, name in zip(node.outputs, names, strict=True):
            self.file.describe(name, value.type)  # type: ignore[arg-type]
            results.append(Known(value.type, name=name))  # type: ignore[arg-type]
        return results

    # -- control flow ----------------------------------------------------------------------------
    def branch(self, graph: Graph, operands: Sequence[Value]) -> onnx.GraphProto:
        """An inner graph without inputs: it reads its operands from the graph around it."""
        known = [self._outside(v) for v in operands]
        return self.file.subgraph(graph.name, [], lambda _: self._inner(graph, known))

    def body(
        self,
        graph: Graph,
        carried: Sequence[Value],
        constants: Sequence[Value],
        *,
        given: Sequence[ArrayType] = (),
        first: Callable[[list[str], list[str]], Sequence[tuple[str, ArrayType]]] | None = None,
        rows: int = 0,
    ) -> onnx.GraphProto:
        """An inner graph that takes ``given``, what is carried, and ``rows`` rows; it reads constants from outside.

        ``first(inputs, results)`` gives outputs that go before the results.
        """
        fixed = [self._outside(v) for v in constants]
        taken = [v.type for v in graph.inputs[: len(carried) + rows]]

        def write(names: list[str]) -> list[tuple[str, ArrayType]]:
            own = [Known(t, name=n) for n, t in zip(names[len(given) :], taken)]  # type: ignore[arg-type]
            results = self._inner(graph, [*own, *fixed])
            before = [] if first is None else first(names, [n for n, _ in results])
            return [*before, *results]

        return self.file.subgraph(graph.name, [*given, *taken], write)  # type: ignore[list-item]

    def written(self, graph: Graph, names: Sequence[str], constants: Sequence[Value]) -> str:
        """The one output of an inner graph for carried values ``names``, written here."""
        known = [Known(v.type, name=n) for v, n in zip(graph.inputs, names)]  # type: ignore[arg-type]
        ((name, _),) = self._inner(graph, [*known, *map(self._outside, constants)])
        return name

    def control(
        self, op_type: str, inputs: Sequence[str], types: Sequence[Any], attrs: dict[str, Any]
    ) -> tuple[str, ...]:
        """Write a node that holds graphs."""
        return self.file.control(op_type, inputs, types, str(self._where or ""), attrs)

    def _inner(self, graph: Graph, inputs: Sequence[Known]) -> list[tuple[str, ArrayType]]:
        inner = Context(self.file, self.problems, self._where)
        names = inner.run(graph, inputs)
        return list(zip(names, (v.type for v in graph.outputs)))  # type: ignore[arg-type]

    def _outside(self, value: Value) -> Known:
        """What an inner graph knows of a value of this one, which is written here."""
        known = self._values[value]
        narrow = known.narrow
        if narrow is not None:
            narrow = Known(narrow.type, name=self._written(narrow), array=narrow.array)
        return Known(known.type, name=self._written(known), array=known.array, narrow=narrow)

    # -- constants -------------------------------------------------------------------------------
    def _fold(self, node: Node) -> list[np.ndarray[Any, Any]] | None:
        """The outputs as arrays, where they depend on constants only and are not too large."""
        if is_control(node) or any(isinstance(d, SymDim) for d in _sizes_of(node)):
            return None
        if all(0 in v.type.shape for v in node.outputs):  # type: ignore[attr-defined]
            return [np.empty(v.type.shape, v.type.dtype.numpy) for v in node.outputs]  # type: ignore[attr-defined]
        if "numpy" not in node.op.rules:
            return None
        operands = [None if v is None else self._values[v].array for v in node.inputs]
        if any(array is None and v is not None for array, v in zip(operands, node.inputs)):
            return None
        if node.inputs and sum(v.type.size for v in node.outputs) > _FOLD_LIMIT:  # type: ignore[attr-defined]
            return None
        with np.errstate(all="ignore"):
            result = node.op.rules["numpy"](*node.op.group(operands), **node.attrs)
        results = result if isinstance(result, tuple) else (result,)
        return [np.asarray(as_type(r, v.type)).astype(v.type.dtype.numpy) for r, v in zip(results, node.outputs)]  # type: ignore[attr-defined]

    def _written(self, known: Known) -> str:
        if known.name is None:
            if known.narrow is not None:
                known.name = self._expanded(known, known.narrow)
            elif known.array is not None:
                known.name = self.file.constant(known.array)
            else:
                raise CompilerBug("a value is neither written nor constant nor a broadcast")
        return known.name

    def _expanded(self, known: Known, narrow: Known) -> str:
        name = self._written(narrow)
        if narrow.type.shape == known.type.shape:
            return name
        result = self.node("Expand", name, self.shape(known.type.shape))
        self.file.describe(result, known.type)
        return result


def _repeated(operand: Known, type: ArrayType) -> Known:
    """``operand`` broadcast to ``type``."""
    is_static = all(isinstance(d, int) for d in type.shape)
    array = None if operand.array is None or not is_static else np.broadcast_to(operand.array, type.shape)  # type: ignore[arg-type]
    return Known(type, array=array, narrow=operand.narrow or operand)


def _sizes_of(node: Node) -> Iterator[Any]:
    for value in node.outputs:
        yield from value.type.shape  # type: ignore[attr-defined]
    for attr in node.attrs.values():
        yield from attr if isinstance(attr, tuple) else (attr,)


def _reaches(shapes: Sequence[tuple[Dim, ...]], result: tuple[Dim, ...]) -> bool:
    """Whether ``shapes`` broadcast to ``result``: each axis has its full size in at least one."""
    return all(
        any(len(shape) + axis >= 0 and shape[axis] == result[axis] for shape in shapes)
        for axis in range(-len(result), 0)
    )
