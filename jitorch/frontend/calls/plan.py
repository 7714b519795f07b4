"""Plans of calls: how machine code serves a call of a compiled function, from its guards to its results.

`jitorch.frontend.calls.code` has the layout and the code.  A plan is made for a trace whose guards, inputs and results
are all of the kinds known there; every other call goes through `Jitted` in Python, which is also what runs where no
machine code can be made.  What a plan refers to is kept alive by it.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitorch import allocator, dtypes
from jitorch.backends import registry
from jitorch.backends.cpu import extension
from jitorch.backends.cpu.native import NativeFunction
from jitorch.backends.kernels import ALIGNMENT, EMPTY_ADDRESS, ProgramExecutable, raise_status
from jitorch.compiler import Compiled
from jitorch.dims import Dim
from jitorch.frontend.calls.code import FUNCTIONS, Code, Input, Word, template, text
from jitorch.frontend.calls.modes import disabled
from jitorch.frontend.python import Guard, Path, paths
from jitorch.frontend.trace.results import Output
from jitorch.ir.graph import Graph
from jitorch.ir.types import ScalarType, TensorType
from jitorch.ops import dispatch
from jitorch.tensor import Storage, Tensor

_HELD_WITHOUT_RELEASE = 1 << 15
"""Bytes of inputs and results up to which a program is so short that others need not get the GIL meanwhile."""
_MOST_PAIRS = 600  # comparisons of a guard that objects are distinct


class NoPlan(Exception):
    """This trace has no plan; the message says why, for people who debug."""


class Plan:
    """The words of one plan, and what they point to."""

    def __init__(self) -> None:
        self.words = np.zeros(len(Word), np.int64)
        self.kept: list[Any] = []

    def address(self, value: Any) -> int:
        """Of an object that the plan keeps."""
        self.kept.append(value)
        return id(value)

    def table(self, numbers: Sequence[int]) -> int:
        """Of numbers that the plan keeps."""
        array = np.array([*numbers, 0], np.int64)
        self.kept.append(array)
        return array.ctypes.data

    def take_calls(self) -> int:
        """How many calls this plan served since this was last asked."""
        calls = int(self.words[Word.CALLS])
        self.words[Word.CALLS] -= calls
        return calls


class _Writer:
    """Instructions under construction; registers are numbered by path."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.code: list[int] = []
        self.registers: dict[Path, int] = {}
        self.count = 0

    def emit(self, code: Code, *operands: int) -> None:
        self.code += [code, *operands, *[0] * (4 - len(operands))]

    def register(self) -> int:
        self.count += 1
        return self.count - 1

    def path(self, path: Path) -> int:
        """The register of the value at ``path``."""
        known = self.registers.get(path)
        if known is None:
            known = self.registers[path] = self._read(path)
        return known

    def constant(self, value: Any) -> int:
        register = self.register()
        self.emit(Code.OBJECT, register, self.plan.address(value))
        return register

    def attribute(self, base: int, name: str) -> int:
        register = self.register()
        self.emit(Code.ATTRIBUTE, register, base, self.plan.address(name))
        return register

    def item(self, base: int, key: Any) -> int:
        register = self.register()
        self.emit(Code.ITEM, register, base, self.plan.address(key))
        return register

    def _read(self, path: Path) -> int:
        base: Any = path.base
        key: Any = path.key
        known_key = not isinstance(path.key, Path)
        match path.kind:
            case "arg":
                register = self.register()
                self.emit(Code.ARGUMENT, register, key)
                return register
            case "const":
                return self.constant(base)
            case "attr":
                return self.attribute(self.path(base), key)
            case "item" if known_key:
                return self.item(self.path(base), key)
            case "cell":
                cell = self.item(self.attribute(self.path(base), "__closure__"), key[0])
                return self.attribute(cell, "cell_contents")
            case "default":
                return self.item(self.attribute(self.path(base), "__defaults__"), key[0])
            case "op" if len(base) == 2:
                left, right = (self.path(x) if isinstance(x, Path) else self.constant(x) for x in base)
                register = self.register()
                self.emit(Code.APPLY, register, self.plan.address(key.function), left, right)
                return register
            case "item":
                # A key that is an object of the program, such as a parameter in an optimizer's state.
                left, right = self.path(base), self.path(key)
                register = self.register()
                self.emit(Code.APPLY, register, self.plan.address(_getitem), left, right)
                return register
        raise NoPlan(f"a path of kind {path.kind}")

    def guard(self, guard: Guard) -> None:
        value = self.path(guard.path)
        expected: Any = guard.expected
        known = not isinstance(guard.expected, Path)
        address = self.plan.address
        match guard.kind:
            case "type":
                self.emit(Code.TYPE, value, address(expected))
            case "is":
                self.emit(Code.IS, value, address(expected))
            case "eq":
                compared = type(expected) in (int, str) or (type(expected) is float and abs(expected) > 0)
                if compared:
                    self.emit(Code.EQUAL, value, address(expected))
                else:
                    # The object that is there now is asked for: the twin sees to equal ones.
                    self.emit(Code.IS, value, address(self._now(guard.path)))
            case "func":
                # Another function object of the same code is left to the twin.
                self.emit(Code.IS, self.attribute(value, "__code__"), address(expected.code))
                self.emit(Code.IS, value, address(self._now(guard.path)))
            case "same":
                self.emit(Code.SAME, value, self.path(expected))
            case "len":
                self.emit(Code.LENGTH, value, expected)
            case "has" | "lacks" if known:
                self.emit(Code.HAS if guard.kind == "has" else Code.LACKS, value, address(expected))
            case "keys" if all(type(key) is str for key in expected):
                self.emit(Code.KEYS, value, address(expected))
            case "unshadowed":
                names = self.path(paths.attr(guard.path, "__dict__"))
                self.emit(Code.LACKS, names, address(expected))
            case "distinct":
                self._distinct([value, *map(self.path, expected)])
            case "tensor":
                self._tensor(value, expected)
            case _:
                raise NoPlan(f"a guard of kind {guard.kind}")

    arguments: tuple[Any, ...] = ()

    def _now(self, path: Path) -> Any:
        return paths.evaluate(path, self.arguments, {})

    def _distinct(self, registers: list[int]) -> None:
        pairs = [(a, b) for i, a in enumerate(registers) for b in registers[:i]]
        if len(pairs) > _MOST_PAIRS:
            raise NoPlan("too many objects that must be distinct")
        for a, b in pairs:
            self.emit(Code.OTHER, a, b)

    def _tensor(self, value: int, expected: Any) -> None:
        if not isinstance(expected, tuple) or len(expected) != 5 or expected[3:] != (None, None):
            raise NoPlan("a tensor that is a view, has hooks, or is of symbolic size")
        type_, requires_grad, is_leaf, _, _ = expected
        if type(requires_grad) is not bool:
            raise NoPlan("requires_grad is no bool")
        address = self.plan.address
        self.emit(Code.TENSOR, value, address(type_), address(requires_grad), int(is_leaf))


def _clear_gradient(tensor: Tensor, nothing: None) -> None:
    tensor._grad = nothing


def _getitem(base: Any, key: Any) -> Any:
    return base[key]


def make(entry: Any, inputs: Sequence[Any], args: tuple[Any, ...]) -> Plan:
    """The plan for calls like this one, whose guards hold; raises `NoPlan`."""
    compiled = _program(entry, inputs)
    plan = Plan()
    writer = _Writer(plan)
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
    results = _result_table(plan, compiled)
    words[Word.RESULTS], words[Word.RESULT_TABLE] = len(compiled.returned), plan.table(results)
    writes = [registers[i] for i, _ in compiled.graph.writes]
    words[Word.WRITES], words[Word.WRITE_TABLE] = len(writes), plan.table(writes)
    _write_program(plan, compiled)
    finish = staged.finish if entry.direct else _through_outputs(entry.traced.outputs, staged.finish)
    trivial = entry.direct and _returns_the_first(staged.finish_source)
    words[Word.FINISH] = 0 if trivial else plan.address(finish)
    plan.kept.append(compiled)
    return plan


def _program(entry: Any, inputs: Sequence[Any]) -> Compiled:
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
    if not isinstance(executable, ProgramExecutable) or not isinstance(executable.function, NativeFunction):
        raise NoPlan("the program is not native")
    if executable.symbols or not isinstance(executable.arena, int) or len(compiled.steps) != 1:
        raise NoPlan("sizes are symbolic")
    if any(not isinstance(v.type, TensorType) for v in compiled.returned):
        raise NoPlan("a result is a number")
    return compiled


def _write_modes(writer: _Writer, modes: tuple[Any, ...]) -> None:
    """What `jitted.modes` asks for, and that nothing else runs ops in this context."""
    grad_enabled, default_dtype, backend = modes
    address = writer.plan.address
    writer.emit(Code.MODE, 0, address(dispatch.entered_variable), 0)
    writer.emit(Code.MODE, 0, address(disabled), address(False))
    writer.emit(Code.MODE, 0, address(dispatch.grad_variable), address(grad_enabled))
    writer.emit(Code.MODE, 0, address(registry.default_variable), address(backend))
    writer.emit(Code.IS, writer.item(writer.constant(dtypes.default_cell), 0), address(default_dtype))


def _input_table(writer: _Writer, compiled: Compiled, inputs: Sequence[Path]) -> tuple[list[int], list[int]]:
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


def _result_table(plan: Plan, compiled: Compiled) -> list[int]:
    table: list[int] = []
    for value in compiled.returned:
        type_: Any = value.type
        dtype, shape = type_.dtype.numpy, tuple(type_.shape)
        large = type_.size * dtype.itemsize >= allocator.SMALLEST
        asked = plan.address((shape, dtype)) if large else 0
        table += [plan.address(dtype), len(shape), plan.table(shape), asked, plan.address(template(type_))]
    return table


def _write_program(plan: Plan, compiled: Compiled) -> None:
    executable: Any = compiled.executable
    graph = compiled.graph
    words = plan.words
    words[Word.PROGRAM] = executable.function.address
    words[Word.ARENA] = executable.arena
    if executable.arena:
        _scratch.at_least(executable.arena)
    types: list[Any] = [v.type for v in (*graph.inputs, *graph.outputs) if isinstance(v.type, TensorType)]
    touched = sum(t.size * t.dtype.itemsize for t in types)
    words[Word.RELEASE] = touched > _HELD_WITHOUT_RELEASE or may_be_long(compiled)
    words[Word.FAIL] = plan.address(functools.partial(raise_status, name=executable.name))


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


def _through_outputs(outputs: Sequence[Output], finish: Callable[..., Any]) -> Callable[..., Any]:
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
        "allocate": allocator.empty, "no_names": (),
    }  # fmt: skip
    found = extension.load(
        text(extension.slot_offset(cls, slot)), ("jitted_call",), objects, {**extra, "scratch": _scratch.address}
    )
    type.__setattr__(cls, "__call__", extension.method(cls, "__call__", found["jitted_call"], keywords=True))
    return True
