"""What backends share that make kernels of a region: whether they can, and how a program's native function is called.

A kernel backend lowers a region by `jitorch.lower.program`, renders and compiles it, and gives the result to
`ProgramExecutable` with a manifest by `program_manifest`.  The native function is

    int32_t NAME(void **args, const int64_t *scalars, void *arena)

``args``: the arrays that go in, then those that come out; ``scalars``: one 8-byte slot each for sizes, then Python
numbers (bool and int as int64, float as the bits of a double); ``arena``: scratch memory, aligned to 64 bytes.  It
returns 0, or a status that `raise_status` turns into the error eager would have raised.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from jitorch import allocator, dtypes
from jitorch.backends.base import Accept, Decompose, Reject, Verdict
from jitorch.dtypes import DType
from jitorch.errors import BackendError, CheckFailed, CompilerBug, KernelError, TensorIndexError
from jitorch.ir import kernel as k
from jitorch.ir.graph import Graph, Node
from jitorch.ir.program import Program
from jitorch.ir.types import TensorType
from jitorch.lower.control import CHECK_FAILED
from jitorch.lower.memory.arena import ALIGNMENT
from jitorch.lower.program import can_lower, takes_whole
from jitorch.lower.pull import OUT_OF_RANGE
from jitorch.lower.source.render import OUT_OF_MEMORY
from jitorch.ops.control import inner_graphs

NativeCall = Callable[[int | bytes, int | bytes, int], int]
"""The native function: its three parameters, each an address or the bytes it would point to; gives its status."""


def kernel_verdict(node: Node, dtypes: Collection[DType], control: bool = False, composites: bool = False) -> Verdict:
    """What a backend says of ``node`` that makes kernels over ``dtypes``; ``control``: its programs branch and loop.

    ``composites``: it takes those as they are that have a recipe, which are made for processors.
    """
    if node.op.lowering in ("control", "effect"):
        return _control_verdict(node, dtypes) if control else Reject("no kernels in branches and loops")
    if node.op.body is not None and not (composites and takes_whole(node)):
        return Decompose("composite")
    if not can_lower(node.op.name, node.op.lowering):
        return Reject(f"no kernel recipe for {node.op.name}")
    types = [v.type for v in (*node.operands, *node.outputs) if isinstance(v.type, TensorType)]
    strange = next((t.dtype for t in types if t.dtype not in dtypes), None)
    return Accept() if strange is None else Reject(f"no kernels over {strange.name}")


def _control_verdict(node: Node, dtypes: Collection[DType]) -> Verdict:
    """Control flow is taken with all that is in it or not at all."""
    for graph in inner_graphs(node):
        for inner in graph.nodes:
            verdict = kernel_verdict(inner, dtypes, control=True)
            if isinstance(verdict, Reject):
                return Reject(f"in its {graph.name}: {inner.op.name}: {verdict.reason}")
    types = [v.type for v in (*node.operands, *node.outputs) if isinstance(v.type, TensorType)]
    strange = next((t.dtype for t in types if t.dtype not in dtypes), None)
    return Accept() if strange is None else Reject(f"no kernels over {strange.name}")


def program_manifest(region: Graph, program: Program, symbol: str) -> dict[str, Any]:
    """What `ProgramExecutable` must know of a program to call it, as JSON values."""
    kinds = ["tensor" if isinstance(v.type, TensorType) else str(v.type) for v in region.inputs]
    prepared = len(program.inputs) - kinds.count("tensor")
    return {
        "name": program.name,
        "symbol": symbol,
        "inputs": [*kinds, *["tensor"] * prepared],
        "symbols": [s.name for s in region.symbols],
        "outputs": len(program.outputs),
        "kernels": len(program.kernels),
        "arena": 0 if program.arena is None else encode_size(program.arena),
    }


def preparing_manifest(program: Program, symbol: str) -> dict[str, Any]:
    """What `Preparation` must know of a program that only takes and gives memory of known sizes, as JSON values."""
    return {
        "name": program.name,
        "symbol": symbol,
        "inputs": ["tensor"] * len(program.inputs),
        "symbols": [],
        "outputs": len(program.outputs),
        "arena": 0 if program.arena is None else encode_size(program.arena),
        "results": [[encode_size(program.sizes[b.name]), b.dtype.name] for b in program.outputs],
    }


class ProgramExecutable:
    """Implements `jitorch.backends.Executable` by calling the native function of one region.

    ``arena``: bytes of scratch memory, or how they are computed from the sizes called ``symbols``.
    """

    def __init__(self, function: NativeCall, manifest: Mapping[str, Any]):
        self.function = function
        self.name: str = manifest["name"]
        self._kinds: list[str] = manifest["inputs"]
        self.symbols: list[str] = manifest["symbols"]
        self.arena: Any = manifest["arena"]
        tensors = sum(kind == "tensor" for kind in self._kinds)
        # Packed into a bytes object, which ctypes passes as its address: faster than an array of ctypes.
        self._pack_pointers = struct.Struct(f"{max(1, tensors + manifest['outputs'])}N").pack
        self._pack_numbers = struct.Struct("q" * (len(self.symbols) + len(self._kinds) - tensors)).pack
        self._only_tensors = tensors == len(self._kinds) and not self.symbols
        self._no_pointers = tensors + manifest["outputs"] == 0

    def run(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[np.ndarray[Any, Any]],
        dims: Mapping[str, int],
        stream: Any = None,
    ) -> None:
        if len(inputs) != len(self._kinds):
            raise CompilerBug("a program has another number of inputs", expected=len(self._kinds), actual=len(inputs))
        numbers: bytes = _NOTHING
        if self._only_tensors:
            addresses = [address_of(x) if x.size else EMPTY_ADDRESS for x in inputs]
        else:
            addresses, numbers = self._split(inputs, dims)
        addresses += map(address_of, outputs)
        if self._no_pointers:
            addresses.append(0)
        arena = self.arena
        if arena:
            arena = _arenas.at_least(arena if isinstance(arena, int) else evaluate_size(arena, dims))
        status = self.function(self._pack_pointers(*addresses), numbers, arena)
        if status:
            raise_status(status, self.name)

    def for_sizes(self, dims: Mapping[str, int]) -> ProgramExecutable:
        """The same for runs with these sizes alone, in which nothing is left to count."""
        made = copy(self)
        if made.arena and not isinstance(made.arena, int):
            made.arena = evaluate_size(made.arena, dims)
        return made

    def _split(self, inputs: Sequence[Any], dims: Mapping[str, int]) -> tuple[list[int], bytes]:
        """The addresses of the arrays among ``inputs``, and the program's scalars."""
        addresses: list[int] = []
        numbers: list[int] = [dims[s] for s in self.symbols]
        for kind, value in zip(self._kinds, inputs):
            if kind == "tensor":
                addresses.append(address_of(value) if value.size else EMPTY_ADDRESS)
            elif kind == "float":
                numbers.append(_BITS.unpack(_DOUBLE.pack(value))[0])
            else:
                numbers.append(int(value))
        return addresses, self._pack_numbers(*numbers)


class Preparation:
    """The program that makes of constants what another one takes."""

    def __init__(self, function: NativeCall, manifest: Mapping[str, Any]):
        self._executable = ProgramExecutable(function, manifest)
        self._results = [(size, dtypes.by_name(name).numpy) for size, name in manifest["results"]]

    def results(self, constants: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Arrays of one axis, in memory of their own."""
        made = [allocator.empty((size,), dtype) for size, dtype in self._results]
        self._executable.run(constants, made, {})
        return made


def _through_ctypes(array: np.ndarray[Any, Any]) -> int:
    """The address of an array's first element, by NumPy's public way, which takes a microsecond."""
    return array.ctypes.data


_DATA = 16  # where CPython's array object holds its data pointer: behind the reference count and the type
_word_at = ctypes.c_void_p.from_address


def _through_memory(array: np.ndarray[Any, Any]) -> int:
    """The same, read from the array object itself."""
    return _word_at(id(array) + _DATA).value  # type: ignore[return-value]


def _choose_address_of() -> Callable[[np.ndarray[Any, Any]], int]:
    if sys.implementation.name != "cpython":
        return _through_ctypes
    samples = [np.zeros(n, np.float32) for n in (1, 7, 100)]
    return _through_memory if all(_through_memory(x) == x.ctypes.data for x in samples) else _through_ctypes


address_of = _choose_address_of()
"""The address of an array's first element."""


def raise_status(status: int, name: str) -> None:
    """Turn a program's status into the error eager would have raised."""
    if status >= CHECK_FAILED:
        raise CheckFailed(status - CHECK_FAILED)
    if status == OUT_OF_RANGE:
        raise TensorIndexError(
            "index out of range in compiled code", actual=f"program {name}",
            hint="run the function eagerly to see the index: jitorch.jit.disable()",
        )  # fmt: skip
    if status == OUT_OF_MEMORY:
        raise KernelError(f"out of memory in program {name}")
    raise KernelError(f"program {name} stopped", actual=f"status {status}")


class _Arenas(threading.local):
    """Scratch memory, one piece a thread, grown to the largest program that ran in it."""

    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)
        self.address = 0

    def at_least(self, size: int) -> int:
        if self.memory.size < size + ALIGNMENT:
            self.memory = allocator.scratch(size + ALIGNMENT)
            self.address = (address_of(self.memory) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        return self.address


_arenas = _Arenas()


def release_arena() -> None:
    """Free this thread's scratch memory; the next program that needs some gets it anew."""
    _arenas.__init__()


_EMPTY = np.zeros(ALIGNMENT, np.uint8)
"""What an input without elements points to: predicated loads may read element 0."""
EMPTY_ADDRESS = _EMPTY.ctypes.data
_NOTHING = bytes(8)
_DOUBLE, _BITS = struct.Struct("d"), struct.Struct("q")


def encode_size(e: k.Expr) -> Any:
    """A size expression as JSON: a number, a name, or [function, operands]."""
    match e:
        case k.Const(int(value)):
            return value
        case k.Var(name):
            return name
        case k.Call(fn, args) if fn in _ARITHMETIC:
            return [fn, *map(encode_size, args)]
    raise BackendError(f"a size cannot be computed from {e}")


_ARITHMETIC: Mapping[str, Callable[[int, int], int]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "maximum": max,
    "minimum": min,
}


def evaluate_size(e: Any, dims: Mapping[str, int]) -> int:
    """What `encode_size` gave, as a number."""
    if isinstance(e, int):
        return e
    if isinstance(e, str):
        return dims[e]
    fn, x, y = e
    return _ARITHMETIC[fn](evaluate_size(x, dims), evaluate_size(y, dims))
