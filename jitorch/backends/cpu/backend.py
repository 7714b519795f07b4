"""The ``cpu`` backend: a region becomes one native function, made by LLVM."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jitorch.backends.base import (
    API,
    HOST_MEMORY,
    Accept,
    Artifact,
    Available,
    Decompose,
    Options,
    Reject,
    Unavailable,
    Verdict,
)
from jitorch.backends.cpu import host, llvm, native
from jitorch.dtypes import Category
from jitorch.errors import BackendError, KernelError, TensorIndexError
from jitorch.ir import kernel as k
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.program import Program
from jitorch.ir.types import TensorType
from jitorch.lower.program import can_lower, program
from jitorch.lower.pull import OUT_OF_RANGE

ARENA_ALIGNMENT = 64


class _Arenas(threading.local):
    """Scratch memory, one piece a thread, grown to the largest program that ran in it."""

    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)
        self.address = 0

    def at_least(self, size: int) -> int:
        if self.memory.size < size + ARENA_ALIGNMENT:
            self.memory = np.empty(size + ARENA_ALIGNMENT, np.uint8)
            self.address = (self.memory.ctypes.data + ARENA_ALIGNMENT - 1) // ARENA_ALIGNMENT * ARENA_ALIGNMENT
        return self.address


_arenas = _Arenas()
_EMPTY = np.zeros(ARENA_ALIGNMENT, np.uint8)
"""What an input without elements points to: predicated loads may read element 0."""


def raise_status(status: int, name: str) -> None:
    """Turn a program's status into the error eager would have raised."""
    if status == OUT_OF_RANGE:
        raise TensorIndexError(
            "index out of range in compiled code", actual=f"program {name}",
            hint="run the function eagerly to see the index: jitorch.jit.disable()",
        )  # fmt: skip
    if status == host.OUT_OF_MEMORY:
        raise KernelError(f"out of memory in program {name}")
    raise KernelError(f"program {name} stopped", actual=f"status {status}")


class CpuExecutable:
    """Calls the native function of one region.

    The manifest holds, for each input, whether it is an array or the type of a number, and the arena
    size as a number or as kernel text over the sizes.
    """

    def __init__(self, function: Any, manifest: Mapping[str, Any]):
        self._function = function
        self.name: str = manifest["name"]
        self._kinds: list[str] = manifest["inputs"]
        self._symbols: list[str] = manifest["symbols"]
        self._arena: int | None = manifest["arena"]
        self._arena_terms: list[list[Any]] = manifest["arena_terms"]
        self._outputs: int = manifest["outputs"]
        tensors = sum(kind == "tensor" for kind in self._kinds)
        self._pointers = ctypes.c_void_p * max(1, tensors + self._outputs)
        self._scalars = ctypes.c_int64 * max(1, len(self._symbols) + len(self._kinds) - tensors)

    def run(
        self, inputs: Sequence[Any], outputs: Sequence[np.ndarray[Any, Any]], dims: Mapping[str, int], stream: Any = None
    ) -> None:
        addresses: list[int] = []
        numbers: list[int] = [dims[s] for s in self._symbols]
        for kind, value in zip(self._kinds, inputs, strict=True):
            if kind == "tensor":
                addresses.append(value.ctypes.data if value.size else _EMPTY.ctypes.data)
            elif kind == "float":
                numbers.append(np.float64(value).view(np.int64).item())
            else:
                numbers.append(int(value))
        addresses.extend(array.ctypes.data for array in outputs)
        size = self._arena if self._arena is not None else self._arena_size(dims)
        arena = _arenas.at_least(size)
        pointers, scalars = self._pointers(*addresses), self._scalars(*numbers)
        status = self._function(ctypes.addressof(pointers), ctypes.addressof(scalars), arena)
        if status:
            raise_status(status, self.name)

    def _arena_size(self, dims: Mapping[str, int]) -> int:
        """Buffers of symbolic size lie one after the other: (elements as nested terms, bytes an element)."""
        total = 0
        for fixed, size, itemsize in self._arena_terms:
            total = total + fixed if size is None else total + _round_up(_evaluate(size, dims) * itemsize)
        return total


def _round_up(size: int) -> int:
    return (size + ARENA_ALIGNMENT - 1) // ARENA_ALIGNMENT * ARENA_ALIGNMENT


def _encode(e: k.Expr) -> Any:
    """A size expression as JSON: a number, a name, or [function, operands]."""
    match e:
        case k.Const(value):
            return value
        case k.Var(name):
            return name
        case k.Call(fn, args):
            return [fn, *map(_encode, args)]
    raise BackendError(f"a size cannot be computed from {e}")


def _evaluate(e: Any, dims: Mapping[str, int]) -> int:
    if isinstance(e, int):
        return e
    if isinstance(e, str):
        return dims[e]
    fn, *args = e
    values = [_evaluate(a, dims) for a in args]
    match fn:
        case "add":
            return values[0] + values[1]
        case "sub":
            return values[0] - values[1]
        case "mul":
            return values[0] * values[1]
        case "floordiv":
            return values[0] // values[1]
        case "mod":
            return values[0] % values[1]
        case "maximum":
            return max(values)
        case "minimum":
            return min(values)
    raise BackendError(f"a size cannot be computed by {fn}")


class CpuBackend:
    """Implements `jitorch.backends.Backend`."""

    api = API
    name = "cpu"
    memory = HOST_MEMORY

    def probe(self) -> Available | Unavailable:
        try:
            return Available(native.host().cpu)
        except (ImportError, OSError, RuntimeError) as error:
            return Unavailable(f"llvmlite does not work here: {error}")

    def verdict(self, node: Node, target: Any = None) -> Verdict:
        if node.op.body is not None:
            return Decompose("composite")
        if not can_lower(node.op.name, node.op.lowering):
            return Reject(f"no kernel recipe for {node.op.name}")
        if any(_is_complex(v) for v in (*node.operands, *node.outputs)):
            return Reject("complex numbers have no kernels yet")
        return Accept()

    def compile(self, region: Graph, options: Options) -> Artifact:
        lowered = program(region, region.name)
        text = llvm.render(lowered)
        payload = native.compile_text(text, opt=options.opt)
        manifest = self._manifest(region, lowered)
        sources = {"kernels": "\n".join(map(str, lowered.kernels)), "program": str(lowered), "llvm": text}
        return Artifact(self.name, payload, manifest, sources)

    def _manifest(self, region: Graph, lowered: Program) -> dict[str, Any]:
        arena = lowered.arena
        return {
            "name": lowered.name,
            "symbol": host.entry_symbol(lowered.name),
            "inputs": ["tensor" if isinstance(v.type, TensorType) else str(v.type) for v in region.inputs],
            "symbols": [s.name for s in region.symbols],
            "outputs": len(lowered.outputs),
            "kernels": len(lowered.kernels),
            "arena": arena.value if isinstance(arena, k.Const) else None,
            "arena_terms": [] if arena is None or isinstance(arena, k.Const) else [[0, _encode(arena), 1]],
        }

    def load(self, artifact: Artifact) -> CpuExecutable:
        return CpuExecutable(native.load_object(artifact.payload, artifact.manifest["symbol"]), artifact.manifest)

    def fingerprint(self) -> str:
        return native.fingerprint()


def _is_complex(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.category is Category.COMPLEX


backend = CpuBackend()
