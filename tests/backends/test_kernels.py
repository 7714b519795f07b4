"""What kernel backends share: verdicts, manifests, and calling native code."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.backends import Accept, Decompose, ProgramExecutable, Reject, kernel_verdict, program_manifest
from jitorch.backends.kernels import raise_status
from jitorch.dims import symbol
from jitorch.errors import BackendError, KernelError, TensorIndexError
from jitorch.ir import kernel as k
from jitorch.ir.program import Program
from jitorch.ir.types import BOOL, FLOAT, INT, TensorType
from jitorch.lower import program
from jitorch.lower.pull import OUT_OF_RANGE
from jitorch.lower.source.render import OUT_OF_MEMORY
from jitorch.ops import OPS
from tests.lower.graphs import parse
from tests.samples import trace_types

FLOATS = frozenset({dtypes.float32})


def verdict(text: str) -> Any:
    return kernel_verdict(parse(text).nodes[0], FLOATS)


def test_verdicts() -> None:
    assert verdict("graph @main(%x: f32[2]) { %0: f32[2] = exp(%x) return %0 }") == Accept()
    assert verdict("graph @main(%x: f32[2]) { %0: f32[2] = square(%x) return %0 }") == Decompose("composite")
    assert verdict("graph @main(%x: f64[2]) { %0: f64[2] = exp(%x) return %0 }") == Reject("no kernels over float64")
    text = "graph @main(%x: f32[2]) { %0: i64[2] = reduce_argmax(%x, axes=()) return %0 }"
    assert verdict(text) == Reject("no kernels over int64")
    literal = "graph @main() { %0: f32[1] = literal(value=array<f32[1]: 1.0>) return %0 }"
    assert verdict(literal) == Reject("no kernel recipe for literal")


def test_composites_with_a_recipe() -> None:
    """Taken whole by who asks for it, where sizes are known; else decomposed."""

    def of(composites: bool, *shape: Any) -> Any:
        types = [TensorType(dtypes.float32, shape)] * 3
        graph = trace_types(lambda *x: OPS["blockwise_attention"](*x, None, 0.5, causal=True), types)
        (node,) = (n for n in graph.nodes if n.op.name == "blockwise_attention")
        return kernel_verdict(node, FLOATS, composites=composites)

    assert of(True, 2, 20, 8) == Accept()
    assert of(False, 2, 20, 8) == Decompose("composite")
    assert of(True, 2, symbol("L", 2), 8) == Decompose("composite")
    assert of(True, 2, 20, 0) == Decompose("composite")
    square = parse("graph @main(%x: f32[2]) { %0: f32[2] = square(%x) return %0 }")
    assert kernel_verdict(square.nodes[0], FLOATS, composites=True) == Decompose("composite")


class Recorder:
    """Stands for native code: keeps the first ``pointers`` and ``scalars`` that it is called with."""

    def __init__(self, pointers: int = 0, scalars: int = 0, status: int = 0):
        self.counts, self.status, self.calls = (pointers, scalars), status, 0

    def __call__(self, arguments: Any, scalars: Any, arena: int) -> int:
        self.calls += 1
        pointers, slots = self.counts
        self.pointers = list((_long * pointers).from_buffer_copy(arguments))
        self.scalars = list((_long * slots).from_buffer_copy(scalars))
        self.arena = arena
        return self.status


_long = np.ctypeslib.as_ctypes_type(np.int64)


def test_arrays_sizes_and_numbers_reach_native_code() -> None:
    n = symbol("N")
    types = [TensorType(dtypes.float32, (n,)), FLOAT, TensorType(dtypes.int64, (2,)), INT, BOOL]
    graph = trace_types(lambda x, f, y, i, b: (x * f, y + i), types)
    manifest = json.loads(json.dumps(program_manifest(graph, program(graph), "entry")))
    assert manifest["inputs"] == ["tensor", "float", "tensor", "int", "bool"]
    native = Recorder(pointers=4, scalars=4)
    executable = ProgramExecutable(native, manifest)
    x, y = np.zeros(3, np.float32), np.zeros(2, np.int64)
    outputs = [np.zeros(3, np.float32), np.zeros(2, np.int64)]
    executable.run([x, 0.5, y, -7, True], outputs, {"N": 3})
    assert native.pointers == [a.ctypes.data for a in (x, y, *outputs)]
    assert native.scalars == [3, np.float64(0.5).view(np.int64), -7, 1]
    assert native.arena % 64 == 0


def test_the_arena_is_as_large_as_the_sizes_ask_for() -> None:
    n = symbol("N")
    text = trace_types(
        lambda x: OPS["matmul_batched"](OPS["exp"](x), OPS["exp"](x)), [TensorType(dtypes.float32, (n, n))]
    )
    manifest = json.loads(json.dumps(program_manifest(text, program(text), "entry")))
    assert isinstance(manifest["arena"], list)
    native = Recorder()
    executable = ProgramExecutable(native, manifest)
    x = np.ones((300, 300), np.float32)
    executable.run([x], [np.empty_like(x)], {"N": 300})
    scratch = (_long * (300 * 300 // 2)).from_address(native.arena)
    np.ctypeslib.as_array(scratch)[:] = -1  # the memory is ours to write


@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_size_arithmetic(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    size = k.Var("N")
    arena = k.call("maximum", (size * 4 + 3) // 2 - 1, k.call("minimum", size % 7, k.const(5)))
    graph = trace_types(lambda x: x, [TensorType(dtypes.float32, (symbol("N"),))])
    manifest = program_manifest(graph, Program("main", (), (), (size,), (), None, arena), "main")
    asked: list[int] = []
    monkeypatch.setattr("jitorch.backends.kernels._arenas.at_least", lambda size: asked.append(size) or 0)
    ProgramExecutable(Recorder(), manifest).run([np.zeros(n, np.float32)], [], {"N": n})
    assert asked == [max((n * 4 + 3) // 2 - 1, min(n % 7, 5))]


def test_a_size_that_is_no_arithmetic_is_refused() -> None:
    graph = trace_types(lambda x: x, [TensorType(dtypes.float32, (2,))])
    strange = Program("main", (), (), (), (), None, k.Load(k.Buffer("x", dtypes.int64), k.const(0)))
    with pytest.raises(BackendError, match="a size cannot be computed from"):
        program_manifest(graph, strange, "main")


def test_each_status_is_an_error() -> None:
    graph = parse("graph @main(%x: f32[2]) { %0: f32[2] = exp(%x) return %0 }")
    manifest = program_manifest(graph, program(graph), "entry")
    x = np.zeros(2, np.float32)
    for status, error, words in (
        (OUT_OF_RANGE, TensorIndexError, "index out of range in compiled code"),
        (OUT_OF_MEMORY, KernelError, "out of memory in program main"),
        (77, KernelError, "program main stopped"),
    ):
        native = Recorder(status=status)
        with pytest.raises(error, match=words):
            ProgramExecutable(native, manifest).run([x], [x], {})
        with pytest.raises(error, match=words):
            raise_status(status, "main")
        assert native.calls == 1


def test_empty_inputs_point_at_readable_memory() -> None:
    graph = parse("graph @main(%x: f32[0]) { %0: f32[0] = exp(%x) return %0 }")
    native = Recorder(pointers=1)
    executable = ProgramExecutable(native, program_manifest(graph, program(graph), "entry"))
    x = np.zeros(0, np.float32)
    executable.run([x], [x], {})
    assert _long.from_address(native.pointers[0]).value == 0
