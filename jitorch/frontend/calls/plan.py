"""Plans of calls: how machine code serves a call of a compiled function, from its guards to its results.

`jitorch.frontend.calls.layout` says how plans look, `jitorch.frontend.calls.code` has the code.  A plan is made for a
trace whose guards, inputs and results are all of the kinds known there; every other call goes through `Jitted` in
Python, which is also what runs where no machine code can be made.  What a plan refers to is kept alive by it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitorch import allocator, dtypes
from jitorch.backends import registry
from jitorch.backends.counted import Counted
from jitorch.backends.cpu import extension
from jitorch.backends.cpu.native import NativeFunction
from jitorch.backends.kernels import ALIGNMENT, EMPTY_ADDRESS, ProgramExecutable
from jitorch.compiler import Compiled
from jitorch.dims import Dim
from jitorch.frontend.calls.code import FUNCTIONS, text
from jitorch.frontend.calls.instructions import NoPlan, Plan, Writer
from jitorch.frontend.calls.layout import MOST_AXES, OUTPUT, Code, Input, Kind, Output, Word
from jitorch.frontend.calls.modes import disabled
from jitorch.frontend.calls.objects_text import template
from jitorch.frontend.python import Path
from jitorch.frontend.trace import results
from jitorch.ir.graph import Graph
from jitorch.ir.types import ScalarType, TensorType
from jitorch.ops import dispatch
from jitorch.passes.counts import MOST_BYTES
from jitorch.tensor import Storage, Tensor, type_of_array

_HELD_WITHOUT_RELEASE = 1 << 15
"""Bytes of inputs and results up to which a program is so short that others need not get the GIL meanwhile."""


def _clear_gradient(tensor: Tensor, nothing: None) -> None:
    tensor._grad = nothing


def make(entry: Any, inputs: Sequence[Any], args: tuple[Any, ...]) -> Plan:
    """The plan for calls like this one, whose guards hold; raises `NoPlan`."""
    compiled, executable = _program(entry, inputs)
    plan = Plan()
    writer = Writer(plan)
    writer.arguments = args
    _write_modes(writer, entry.modes)
    staged = entry.traced.staged
    for guard in staged.guards:
        writer.guard(guard)
    words = plan.words
    table, registers = _input_table(writer, compiled, staged.inputs)
    for path in entry.traced.cleared:
        target, nothing = writer.path(path), writer.constant(None)
        writer.emit(Code.APPLY, writer.register(), plan.address(_clear_gradient), target, nothing)
    writer.emit(Code.END)
    words[Word.ARGUMENTS] = len(args)
    words[Word.HELD] = writer.count
    words[Word.REGISTERS] = writer.count + len(table) // 2
    words[Word.INSTRUCTIONS] = plan.table(writer.code)
    words[Word.INPUTS], words[Word.INPUT_TABLE] = len(table) // 2, plan.table(table)
    outputs, memory = _outputs(plan, compiled, executable)
    words[Word.OUTPUTS], words[Word.OUTPUT_TABLE] = len(outputs), plan.table([x for output in outputs for x in output])
    words[Word.RESULTS] = len(compiled.returned)
    writes = [registers[i] for i, _ in compiled.graph.writes]
    words[Word.WRITES], words[Word.WRITE_TABLE] = len(writes), plan.table(writes)
    _write_program(plan, compiled, executable, memory)
    finish = staged.finish if entry.direct else _through_outputs(entry.traced.outputs, staged.finish)
    trivial = entry.direct and _returns_the_first(staged.finish_source)
    words[Word.FINISH] = 0 if trivial else plan.address(finish)
    plan.kept.append(compiled)
    return plan


def _program(entry: Any, inputs: Sequence[Any]) -> tuple[Compiled, ProgramExecutable]:
    """The one native program that serves the entry's calls."""
    function = entry.function
    if function is None or entry.symbolic or entry.traced.facts:
        raise NoPlan("sizes are symbolic")
    if any(output.stored for output in entry.traced.outputs):
        raise NoPlan("a result is a view of an input")
    if function.wanted(inputs):
        raise NoPlan("a gradient is recorded")
    compiled = function.plain
    executable = compiled.executable
    if isinstance(executable, Counted):
        executable = executable.inner
    if not isinstance(executable, ProgramExecutable) or not isinstance(executable.function, NativeFunction):
        raise NoPlan("the program is not native")
    if executable.symbols or not isinstance(executable.arena, int) or len(compiled.steps) != 1:
        raise NoPlan("sizes are symbolic")
    return compiled, executable


def _write_modes(writer: Writer, modes: tuple[Any, ...]) -> None:
    """What `jitted.modes` asks for, and that nothing else runs ops in this context."""
    grad_enabled, default_dtype, backend = modes
    address = writer.plan.address
    writer.emit(Code.MODE, 0, address(dispatch.entered_variable), 0)
    writer.emit(Code.MODE, 0, address(disabled), address(False))
    writer.emit(Code.MODE, 0, address(dispatch.grad_variable), address(grad_enabled))
    writer.emit(Code.MODE, 0, address(registry.default_variable), address(backend))
    writer.emit(Code.IS, writer.item(writer.constant(dtypes.default_cell), 0), address(default_dtype))


def _input_table(writer: Writer, compiled: Compiled, inputs: Sequence[Path]) -> tuple[list[int], list[int]]:
    """Kind and value of each input, and the register of each."""
    table: list[int] = []
    registers: list[int] = []
    kinds = {"float": Input.FLOAT, "int": Input.INT, "bool": Input.INT}
    for path, value in zip(inputs, compiled.graph.inputs, strict=True):
        register = writer.path(path)
        registers.append(register)
        if isinstance(value.type, ScalarType):
            table += [kinds[value.type.name], register]
        elif isinstance(value.type, TensorType) and value.type.size == 0:
            table += [Input.ADDRESS, EMPTY_ADDRESS]
        else:
            table += [Input.TENSOR, register]
    for array in compiled.constants:
        writer.plan.kept.append(array)
        table += [Input.ADDRESS, array.ctypes.data if array.size else EMPTY_ADDRESS]
    return table, registers


_NUMBERS = {"int": Kind.INT, "float": Kind.FLOAT, "bool": Kind.BOOL}


def _outputs(plan: Plan, compiled: Compiled, executable: ProgramExecutable) -> tuple[list[list[int]], int]:
    """What a plan knows of each output of the program, and how much scratch memory program and outputs need."""
    memory: int = executable.arena
    counted = compiled.executable if isinstance(compiled.executable, Counted) else None
    names = [] if counted is None else counted.sizes
    places = {name: ~(len(compiled.returned) + i) for i, name in enumerate(names)}
    made: list[list[int]] = []
    for i, value in enumerate(compiled.returned):
        type_: Any = value.type
        shape = None if counted is None else counted.shapes[i]
        if isinstance(type_, ScalarType):
            made.append(_output(_NUMBERS[type_.name]))
        elif shape is None or counted is None:
            made.append(_known_tensor(plan, type_))
        else:
            memory = -(-memory // ALIGNMENT) * ALIGNMENT
            made.append(_counted_tensor(plan, type_, [places.get(str(d), d) for d in shape], memory))
            memory += (counted.room[i] or 0) * type_.dtype.itemsize
    return made + [_output(Kind.COUNT) for _ in names], memory


def _output(kind: Kind, **fields: int) -> list[int]:
    made = [0] * OUTPUT
    made[Output.KIND] = kind
    for name, value in fields.items():
        made[Output[name]] = value
    return made


def _known_tensor(plan: Plan, type_: TensorType) -> list[int]:
    dtype, shape = type_.dtype.numpy, tuple(type_.shape)
    is_large = type_.size * dtype.itemsize >= allocator.SMALLEST
    return _output(
        Kind.TENSOR, DTYPE=plan.address(dtype), RANK=len(shape), SIZES=plan.table(shape),  # type: ignore[arg-type]
        ASKED=plan.address((shape, dtype)) if is_large else 0, TEMPLATE=plan.address(template(type_)),
    )  # fmt: skip


def _counted_tensor(plan: Plan, type_: TensorType, sizes: Sequence[Any], place: int) -> list[int]:
    if len(sizes) > MOST_AXES or not all(type(d) is int for d in sizes):
        raise NoPlan("the size of a result is computed from what is counted")
    dtype = type_.dtype.numpy
    return _output(
        Kind.COUNTED, DTYPE=plan.address(dtype), RANK=len(sizes), SIZES=plan.table(sizes),
        TEMPLATE=plan.address(template(type_)), PLACE=place, ITEM=dtype.itemsize,
    )  # fmt: skip


def _write_program(plan: Plan, compiled: Compiled, executable: Any, memory: int) -> None:
    graph = compiled.graph
    words = plan.words
    words[Word.PROGRAM] = executable.function.address
    words[Word.ARENA] = memory
    if memory:
        _scratch.at_least(memory)
    types: list[Any] = [v.type for v in (*graph.inputs, *graph.outputs) if isinstance(v.type, TensorType)]
    touched = sum(d * t.dtype.itemsize if isinstance(d := t.size, int) else MOST_BYTES for t in types)
    words[Word.RELEASE] = touched > _HELD_WITHOUT_RELEASE or may_be_long(compiled)


def may_be_long(compiled: Compiled) -> bool:
    """Whether a program may take longer than the sizes of inputs and results say: by loops, or larger values."""
    if compiled.may_be_long is not None:
        return compiled.may_be_long
    return any(
        node.op.lowering not in ("scalar", "pull", "reduce")
        or any(isinstance(value, Graph) for value in node.attrs.values())
        or any(isinstance(v.type, TensorType) and _is_large(v.type.size) for v in node.outputs)
        for node in compiled.graph.nodes
        if node.op.body is None
    )


def _is_large(size: Dim) -> bool:
    return not isinstance(size, int) or size * 8 > _HELD_WITHOUT_RELEASE


def _through_outputs(outputs: Sequence[results.Output], finish: Callable[..., Any]) -> Callable[..., Any]:
    """``finish`` for results of which some are not the program's as they are."""

    def make_and_finish(results: Sequence[Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        made = [output.make(results, (), dict) for output in outputs]
        return finish(made, args, kwargs)

    return make_and_finish


def _returns_the_first(source: str) -> bool:
    """Whether ``finish`` gives its one result as it is."""
    return [line.strip() for line in source.splitlines()[1:]] == ["r1 = R[0]", "return r1"]


class _Scratch:
    """Scratch memory of programs that plans run: one piece of the process, used by one call at a time."""

    def __init__(self) -> None:
        self.state = (ctypes.c_int64 * 3)()  # address, bytes, busy
        self._memory: list[np.ndarray[Any, Any]] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> int:
        return ctypes.addressof(self.state)

    def at_least(self, size: int) -> None:
        """Grow the memory, at least to twice as much: old pieces are kept, for a call may run in one right now."""
        with self._lock:
            if size <= self.state[1]:
                return
            size = max(size, 2 * self.state[1])
            memory = allocator.scratch(size + ALIGNMENT)
            self._memory.append(memory)
            self.state[0] = -(-memory.ctypes.data // ALIGNMENT) * ALIGNMENT
            self.state[1] = size


_scratch = _Scratch()


def install(cls: type, twin: Callable[..., Any], slot: str) -> bool:
    """Make machine code ``cls.__call__``; ``slot`` holds the words of the first plan, ``twin`` does all else."""
    extra = {name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in FUNCTIONS}
    objects = {
        "Tensor": Tensor, "Storage": Storage, "TensorType": TensorType, "zero": 0, "twin": twin,
        "allocate": allocator.empty, "type_of_array": type_of_array, "no_names": (),
        "user_class": "_user_class",
    }  # fmt: skip
    found = extension.load(
        text(extension.slot_offset(cls, slot)), ("jitted_call",), objects, {**extra, "scratch": _scratch.address}
    )
    type.__setattr__(cls, "__call__", extension.method(cls, "__call__", found["jitted_call"], keywords=True))
    return True
