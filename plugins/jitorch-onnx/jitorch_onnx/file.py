"""An ONNX file under construction: typed nodes and initializers, each distinct one once.

`File.node` asks ONNX's own schema for the types of the outputs, so every tensor of the file has a
known dtype and what ONNX does not allow is refused where it is written.  Equal nodes are one node,
and what no output needs is left out at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
from onnx import TensorProto, TypeProto, helper

from jitorch import dims, dtypes
from jitorch.dims import Dim
from jitorch.dtypes import DType
from jitorch.errors import CompilerBug, UnsupportedError
from jitorch.ir.types import ArrayType

_ELEMENT_TYPES = {
    dtypes.bool_: TensorProto.BOOL,
    dtypes.uint8: TensorProto.UINT8,
    dtypes.uint16: TensorProto.UINT16,
    dtypes.uint32: TensorProto.UINT32,
    dtypes.uint64: TensorProto.UINT64,
    dtypes.int8: TensorProto.INT8,
    dtypes.int16: TensorProto.INT16,
    dtypes.int32: TensorProto.INT32,
    dtypes.int64: TensorProto.INT64,
    dtypes.float16: TensorProto.FLOAT16,
    dtypes.bfloat16: TensorProto.BFLOAT16,
    dtypes.float32: TensorProto.FLOAT,
    dtypes.float64: TensorProto.DOUBLE,
    dtypes.complex64: TensorProto.COMPLEX64,
    dtypes.complex128: TensorProto.COMPLEX128,
}
_DTYPES = {element: dtype for dtype, element in _ELEMENT_TYPES.items()}

Shape = tuple[Dim, ...]


def element_type(dtype: DType) -> TensorProto.DataType:
    """ONNX's number for ``dtype``."""
    return _ELEMENT_TYPES[dtype]


def type_proto(type: ArrayType) -> TypeProto:
    """``type`` as ONNX writes it; a symbolic size is named by its text."""
    sizes = [d if isinstance(d, int) else str(d) for d in type.shape]
    return helper.make_tensor_type_proto(element_type(type.dtype), sizes)


class File:
    """The nodes, initializers, inputs and outputs of one ONNX graph.  Tensors are known by name."""

    def __init__(self, opset: int, reserved: Iterable[str] = ()):
        self.opset = opset
        self.symbols: dict[str, tuple[str, int]] = {}
        """For each symbolic size the input and axis that show it."""
        self._imports = [helper.make_opsetid("", opset)]
        self._ir_version = helper.find_min_ir_version_for(self._imports)
        self._inputs: dict[str, TypeProto] = {}
        self._initializers: dict[str, np.ndarray[Any, Any]] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._types: dict[str, TypeProto] = {}
        self._same_node: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self._same_constant: dict[tuple[Any, ...], str] = {}
        self._taken = set(reserved)
        self._count = 0

    # -- what is in it ---------------------------------------------------------------------------
    def dtype(self, name: str) -> DType:
        """The dtype of the tensor called ``name``."""
        return _DTYPES[self._types[name].tensor_type.elem_type]  # pyright: ignore[reportArgumentType]

    def array(self, name: str) -> np.ndarray[Any, Any] | None:
        """The elements of the tensor called ``name``, if it is an initializer."""
        return self._initializers.get(name)

    def describe(self, name: str, type: ArrayType) -> None:
        """Note that the tensor called ``name`` has ``type``; CompilerBug if ONNX infers another one."""
        wanted = type_proto(type)
        found = self._types[name].tensor_type
        if not _agree(found, wanted.tensor_type):
            raise CompilerBug(f"the ONNX type of {name} is not what the graph says", expected=type, actual=found)
        self._types[name] = wanted

    # -- writing ---------------------------------------------------------------------------------
    def add_input(self, name: str, type: ArrayType) -> str:
        """Declare a graph input; its bare symbolic sizes can then be read from it."""
        self._taken.add(name)
        self._inputs[name] = self._types[name] = type_proto(type)
        for axis, dim in enumerate(type.shape):
            for symbol in dims.symbols(dim):
                if dim == symbol.dim:
                    self.symbols.setdefault(symbol.name, (name, axis))
        return name

    def add_parameter(self, name: str, array: np.ndarray[Any, Any]) -> str:
        """An initializer called ``name``, or if that is taken, by a name made from it."""
        if name in self._taken:
            name = self._fresh(name)
        self._taken.add(name)
        self._initializers[name] = array
        self._types[name] = _array_type(array)
        return name

    def constant(self, array: np.ndarray[Any, Any]) -> str:
        """An initializer; equal arrays are one."""
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._same_constant:
            self._same_constant[key] = self.add_parameter("constant", array)
        return self._same_constant[key]

    def placeholder(self, type: ArrayType) -> str:
        """A name for a tensor that could not be written, so that the rest can be looked at."""
        name = self._fresh("missing")
        self._types[name] = type_proto(type)
        return name

    def node(
        self, op_type: str, inputs: Sequence[str], outputs: int, where: str, attrs: dict[str, Any]
    ) -> tuple[str, ...]:
        """Append a node, or find the equal one; returns the names of its outputs.

        ``""`` is an absent optional input.  UnsupportedError if the opset lacks the operator, or
        ONNX does not define it for these dtypes.
        """
        key = (op_type, tuple(inputs), outputs, tuple(sorted((k, repr(v)) for k, v in attrs.items())))
        if key not in self._same_node:
            self._same_node[key] = self._append(op_type, inputs, outputs, where, attrs)
        return self._same_node[key]

    def control(
        self, op_type: str, inputs: Sequence[str], types: Sequence[ArrayType], where: str, attrs: dict[str, Any]
    ) -> tuple[str, ...]:
        """Append a node that holds graphs; its outputs have ``types``.

        Such graphs read tensors of the graph around them, so that ONNX's inference for one node does not apply.
        """
        name = self._fresh(op_type)
        names = tuple(f"{name}_{i}" for i in range(len(types)))
        self._nodes.append(helper.make_node(op_type, inputs, names, name=name, doc_string=where or None, **attrs))
        self._types.update((n, type_proto(t)) for n, t in zip(names, types))
        return names

    def subgraph(
        self,
        name: str,
        inputs: Sequence[ArrayType],
        write: Callable[[list[str]], Sequence[tuple[str, ArrayType]]],
    ) -> onnx.GraphProto:
        """A graph within this one: ``write`` is given the names of its inputs, and gives its outputs.

        Nodes that ``write`` appends are part of it, and so are only known inside; constants stay in the file's graph.
        """
        outer, known = self._nodes, self._same_node
        self._nodes, self._same_node = [], dict(known)
        try:
            given = [self._fresh("in") for _ in inputs]
            self._types.update((n, type_proto(t)) for n, t in zip(given, inputs))
            results = [self._own_output(n, t) for n, t in write(given)]
            nodes = _needed(self._nodes, [n for n, _ in results])
        finally:
            self._nodes, self._same_node = outer, known
        return helper.make_graph(
            nodes,
            name,
            [helper.make_value_info(n, type_proto(t)) for n, t in zip(given, inputs)],
            [helper.make_value_info(n, type_proto(t)) for n, t in results],
        )

    def _own_output(self, name: str, type: ArrayType) -> tuple[str, ArrayType]:
        """A tensor of the present graph itself, once: what a graph gives is made in it, and has one name."""
        (made,) = self._append("Identity", [name], 1, "", {})
        return made, type

    def _append(
        self, op_type: str, inputs: Sequence[str], outputs: int, where: str, attrs: dict[str, Any]
    ) -> tuple[str, ...]:
        name = self._fresh(op_type)
        names = (name,) if outputs == 1 else tuple(f"{name}_{i}" for i in range(outputs))
        node = helper.make_node(op_type, inputs, names, name=name, doc_string=where or None, **attrs)
        self._types.update(self._infer(node))
        self._nodes.append(node)
        return names

    def _infer(self, node: onnx.NodeProto) -> dict[str, TypeProto]:
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        except onnx.defs.SchemaError:
            raise UnsupportedError(f"opset {self.opset} has no operator {node.op_type}") from None
        known = {name: self._types[name] for name in node.input if name}
        try:
            return onnx.shape_inference.infer_node_outputs(
                schema, node, known, opset_imports=self._imports, ir_version=self._ir_version
            )
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise UnsupportedError(f"ONNX's {node.op_type} of opset {self.opset}: {error}") from None

    def _fresh(self, stem: str) -> str:
        while True:
            self._count += 1
            name = f"{stem}_{self._count}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    # -- finishing -------------------------------------------------------------------------------
    def finish(self, graph_name: str, outputs: Sequence[tuple[str, str, ArrayType]]) -> onnx.ModelProto:
        """The model whose outputs are ``(public name, tensor, type)``."""
        renamed: dict[str, str] = {}
        produced = {name for node in self._nodes for name in node.output}
        for public, name, _ in outputs:
            if name in produced and name not in renamed:
                renamed[name] = public
            else:
                self._nodes.append(helper.make_node("Identity", [name], [public], name=self._fresh("Identity")))
        nodes = _needed(_renamed(self._nodes, renamed), [public for public, _, _ in outputs])
        read = {name for node in nodes for name in _reads(node)}
        graph = helper.make_graph(
            nodes,
            graph_name,
            [helper.make_value_info(name, proto) for name, proto in self._inputs.items()],
            [helper.make_value_info(public, type_proto(type)) for public, _, type in outputs],
            [_tensor(name, array) for name, array in self._initializers.items() if name in read],
        )
        return helper.make_model(graph, opset_imports=self._imports, ir_version=self._ir_version)


def _renamed(nodes: Iterable[onnx.NodeProto], names: dict[str, str]) -> list[onnx.NodeProto]:
    result = []
    for node in nodes:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copied.input[:] = [names.get(name, name) for name in node.input]
        copied.output[:] = [names.get(name, name) for name in node.output]
        for graph in _graphs(copied):
            inner = _renamed(graph.node, names)
            del graph.node[:]
            graph.node.extend(inner)
        result.append(copied)
    return result


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    live = set(outputs)
    kept = []
    for node in reversed(nodes):
        if live.intersection(node.output):
            live.update(_reads(node))
            kept.append(node)
    return kept[::-1]


def _graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]


def _reads(node: onnx.NodeProto) -> set[str]:
    """The tensors that a node reads, also in the graphs that it holds."""
    found = set(node.input)
    for graph in _graphs(node):
        for inner in graph.node:
            found |= _reads(inner)
    return found


def _agree(found: Any, wanted: Any) -> bool:
    """Whether two tensor types can be one: same dtype, and no size that differs where both are numbers."""
    if found.elem_type != wanted.elem_type:
        return False
    if not found.HasField("shape"):
        return True
    if len(found.shape.dim) != len(wanted.shape.dim):
        return False
    pairs = zip(found.shape.dim, wanted.shape.dim)
    return all(a.dim_value == b.dim_value for a, b in pairs if a.HasField("dim_value") and b.HasField("dim_value"))


def _array_type(array: np.ndarray[Any, Any]) -> TypeProto:
    return helper.make_tensor_type_proto(element_type(dtypes.from_numpy(array.dtype)), array.shape)


def _tensor(name: str, array: np.ndarray[Any, Any]) -> TensorProto:
    # ONNX stores little-endian bytes.
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return helper.make_tensor(name, element_type(dtypes.from_numpy(array.dtype)), array.shape, raw, raw=True)
