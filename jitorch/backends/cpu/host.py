"""The host side of a program: its one exported function, from `jitorch.ir.program`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from jitorch import dtypes
from jitorch.backends.cpu import helpers, words
from jitorch.backends.cpu.cost import UNKNOWN_EXTENT, cost
from jitorch.backends.cpu.expressions import Scope, Slot, Value, at, evaluate
from jitorch.backends.cpu.profile import Profiler
from jitorch.backends.cpu.regions import fork
from jitorch.backends.cpu.text import Function, Module, register_type, symbol, unsupported
from jitorch.dtypes import Category, DType
from jitorch.errors import CompilerBug
from jitorch.ir import program as ir
from jitorch.ir.kernel import INDEX, Buffer, Call, Const, Expr, Kernel, Var, loads, walk

OUT_OF_MEMORY = -1

# Names that mean something to the C library or its linker; a program may well be called `exp`.
_PREFIX = "jitorch_"

_PARAMETERS = ("%args", "%scalars", "%arena")
"""Of the function of a program."""


def entry_symbol(name: str) -> str:
    """The exported symbol of a program called ``name``."""
    return _PREFIX + name


class HostWriter:
    """Statements of a program, into its exported function."""

    def __init__(
        self, module: Module, program: ir.Program, kernels: dict[Kernel, str], profiler: Profiler | None = None
    ):
        self.profiler = profiler
        self.program = program
        self.kernels = kernels
        self.function = Function(module)
        self.scope = Scope()
        self.name = ""
        self.result = ""  # where the status code is
        self.owned: dict[str, str] = {}  # allocated buffers: the slot that holds the memory
        self.placed: dict[str, str] = {}

    def write(self, name: str) -> None:
        """Add the function to the module under ``name``."""
        self.name = name
        self._parameters()
        self._variables(self.program.body)
        self._block(self.program.body)
        self._finish()
        if self.profiler is not None:
            self.profiler.finish(self.function)
        head = f"i32 {symbol(name)}(ptr %args, ptr %scalars, ptr %arena) #0"
        self.function.module.functions[name] = self.function.text(head)

    def _parameters(self) -> None:
        function, program = self.function, self.program
        for number, buffer in enumerate((*program.inputs, *program.outputs)):
            slot = function.op(f"getelementptr inbounds ptr, ptr %args, i64 {number}")
            self.scope.pointers[buffer.name] = function.op(f"load ptr, ptr {slot}, align 8")
        for number, var in enumerate(program.scalars):
            slot = function.op(f"getelementptr inbounds i64, ptr %scalars, i64 {number}")
            self.scope.variables[var.name] = Value(self._unpacked(slot, var.dtype), var.dtype)
        self.result = function.alloca("i32", 4, "status")
        function.at_entry(f"store i32 0, ptr {self.result}, align 4")
        if program.status is not None:
            if program.status.dtype is not dtypes.int32:
                raise CompilerBug(f"the status buffer is {program.status.dtype.name}, not int32")
            self.scope.pointers[program.status.name] = self.result

    def _unpacked(self, slot: str, dtype: DType) -> str:
        """The scalar in an eight-byte slot."""
        function = self.function
        if dtype.is_complex:
            raise unsupported(f"a scalar of dtype {dtype.name}")
        if dtype.is_floating_point:
            wide = function.op(f"load double, ptr {slot}, align 8")
            return words.cast(at(function, dtypes.float64), wide, dtype)
        whole = function.op(f"load i64, ptr {slot}, align 8")
        if dtype.category is Category.BOOL:
            return function.op(f"icmp ne i64 {whole}, 0")
        return whole if dtype.bits == 64 else function.op(f"trunc i64 {whole} to {register_type(dtype)}")

    def _variables(self, body: tuple[ir.Stmt, ...]) -> None:
        """Memory for what statements set: host scalars, and the addresses of buffers."""
        for stmt in ir.walk(body):
            match stmt:
                case ir.Scalar(var):
                    known = self.scope.variables.get(var.name)
                    if isinstance(known, Slot):
                        continue
                    slot = Slot(self.function.alloca(register_type(var.dtype), 8, "scalar"), var.dtype)
                    if known is not None:
                        self._set(slot, known)
                    self.scope.variables[var.name] = slot
                case ir.Alloc(buffer):
                    self._address(self.owned, buffer)
                case ir.Place(buffer) | ir.View(buffer):
                    self._address(self.placed, buffer)
        both = self.owned.keys() & self.placed.keys()
        if both:
            raise CompilerBug(f"buffers {', '.join(sorted(both))} are both allocated and placed")

    def _address(self, slots: dict[str, str], buffer: Buffer) -> None:
        if buffer.name not in slots:
            slots[buffer.name] = self.function.alloca("ptr", 8, "address")
            self.function.at_entry(f"store ptr null, ptr {slots[buffer.name]}, align 8")

    def _block(self, body: tuple[ir.Stmt, ...]) -> None:
        for stmt in body:
            self._statement(stmt)

    def _statement(self, stmt: ir.Stmt) -> None:
        function = self.function
        match stmt:
            case ir.Alloc(buffer, size):
                self._allocate(buffer, size)
            case ir.Place(buffer, _, offset):
                place = function.op(f"getelementptr inbounds i8, ptr %arena, i64 {self._value(offset).text}")
                function.do(f"store ptr {place}, ptr {self.placed[buffer.name]}, align 8")
            case ir.View(buffer, source, _, offset):
                scope = self._scope(source)
                start = self._bytes(offset, buffer.dtype)
                part = function.op(f"getelementptr inbounds i8, ptr {self._pointer(source, scope)}, i64 {start}")
                function.do(f"store ptr {part}, ptr {self.placed[buffer.name]}, align 8")
            case ir.Free(buffer):
                if buffer.name in self.owned:
                    function.do(f"call void {self._helper(helpers.free())}(ptr {self.owned[buffer.name]})")
                elif buffer.name not in self.placed:
                    raise CompilerBug(f"buffer {buffer.name} is freed but was not allocated here")
            case ir.Launch(kernel, args):
                self._timed(kernel.name, lambda: self._launch(kernel, args))
            case ir.Copy(target, source, size):
                self._timed(f"copy to {target.name}", lambda: self._copy(target, source, size))
            case ir.Scalar(var, value):
                slot = self.scope.variables[var.name]
                if not isinstance(slot, Slot):
                    raise CompilerBug(f"host scalar {var.name} has no slot")
                self._set(slot, self._value(value))
            case ir.If(test, then, orelse):
                self._if(test, then, orelse)
            case ir.While(before, test, body):
                self._while(before, test, body)
            case ir.Parallel():
                kernels = dict.fromkeys(s.kernel.name for s in ir.walk(stmt.body) if isinstance(s, ir.Launch))
                self._timed(", ".join(kernels), lambda: self._parallel(stmt))
            case ir.Return():
                function.jump("leave")
                function.start(function.name("unreached"))
            case ir.Stop(code):
                function.do(f"store i32 {code}, ptr {self.result}, align 4")
                function.jump("leave")
                function.start(function.name("unreached"))
            case _:
                raise unsupported(f"statement {type(stmt).__name__} of a program")

    def _timed(self, name: str, write: Callable[[], None]) -> None:
        if self.profiler is None:
            write()
        else:
            self.profiler.around(self.function, name, write)

    def _allocate(self, buffer: Buffer, size: Expr) -> None:
        function = self.function
        count = self._bytes(size, buffer.dtype)
        got = function.op(f"call i1 {self._helper(helpers.allocate())}(ptr {self.owned[buffer.name]}, i64 {count})")
        failed, end = function.name("failed"), function.name("allocated")
        function.branch(got, end, failed)
        function.start(failed)
        function.do(f"store i32 {OUT_OF_MEMORY}, ptr {self.result}, align 4")
        function.jump("leave")
        function.start(end)

    def _launch(self, kernel: Kernel, args: tuple[Buffer | Expr, ...]) -> None:
        if len(args) != len(kernel.params):
            raise CompilerBug(f"launch of {kernel.name}", expected=len(kernel.params), actual=len(args))
        operands, status = [], False
        scope = self._scope(*(a for a in args if isinstance(a, Buffer)))
        for param, arg in zip(kernel.params, args):
            if isinstance(arg, Buffer) != isinstance(param, Buffer) or arg.dtype is not param.dtype:
                raise CompilerBug(f"launch of {kernel.name}: parameter {param.name}", expected=param, actual=arg)
            if isinstance(arg, Buffer):
                operands.append(f"ptr {self._pointer(arg, scope)}")
                status = status or arg == self.program.status
            else:
                operands.append(f"{register_type(arg.dtype)} {self._value(arg).text}")
        self.function.do(f"call void {self.kernels[kernel]}({', '.join(operands)})")
        if status:
            self._leave_on_error()

    def _leave_on_error(self) -> None:
        function = self.function
        code = function.op(f"load i32, ptr {self.result}, align 4")
        good = function.name("good")
        function.branch(function.op(f"icmp eq i32 {code}, 0"), good, "leave")
        function.start(good)

    def _copy(self, target: Buffer, source: Buffer, size: Expr) -> None:
        if target.dtype is not source.dtype:
            raise CompilerBug(f"copy of {source.dtype.name} to {target.dtype.name}")
        scope = self._scope(target, source)
        callee = self.function.module.declare("llvm.memcpy.p0.p0.i64", "void", "ptr, ptr, i64, i1")
        to, from_ = self._pointer(target, scope), self._pointer(source, scope)
        count = self._bytes(size, target.dtype)
        align = f"align {target.dtype.itemsize}"
        self.function.do(f"call void {callee}(ptr {align} {to}, ptr {align} {from_}, i64 {count}, i1 false)")

    def _if(self, test: Expr, then: tuple[ir.Stmt, ...], orelse: tuple[ir.Stmt, ...]) -> None:
        function = self.function
        yes, no, end = function.name("then"), function.name("else"), function.name("end")
        function.branch(self._value(test).text, yes, no)
        function.start(yes)
        self._block(then)
        function.jump(end)
        function.start(no)
        self._block(orelse)
        function.jump(end)
        function.start(end)

    def _while(self, before: tuple[ir.Stmt, ...], test: Expr, body: tuple[ir.Stmt, ...]) -> None:
        function = self.function
        head, inside, end = function.name("while"), function.name("do"), function.name("done")
        function.jump(head)
        function.start(head)
        self._block(before)
        function.branch(self._value(test).text, inside, end)
        function.start(inside)
        self._block(body)
        function.jump(head)
        function.start(end)

    def _parallel(self, stmt: ir.Parallel) -> None:
        """Let the pool call a function for ranges of ``stmt``; what that names is told through a frame, both ways."""
        function, module = self.function, self.function.module
        names = [name for name in dict.fromkeys(_names(stmt.body)) if name in self._slots()]
        count = sum(1 for other in module.functions if other.startswith(f"{self.name}.strands"))
        task = f"{self.name}.strands{count}"
        _RangeWriter(module, self.program, self.kernels).write_range(task, stmt, names)
        frame = function.alloca(f"[{len(_PARAMETERS) + len(names)} x i64]", 16, "frame")
        total, work = (self._value(e).text for e in (stmt.extent, stmt.extent * _work(stmt.body)))

        def described() -> None:
            for number, parameter in enumerate(_PARAMETERS):
                function.do(f"store ptr {parameter}, ptr {_cell(function, frame, number)}, align 8")
            self._leave_in(frame, names)

        def alone() -> None:
            described()
            function.do(f"call void {symbol(task)}(ptr {frame}, i64 0, i64 {total})")

        fork(function, symbol(task), frame, (total, "1", work), described, alone)
        self._take_from(frame, names)

    def _slots(self) -> dict[str, Slot]:
        """Where names are that statements set."""
        variables = {name: slot for name, slot in self.scope.variables.items() if isinstance(slot, Slot)}
        return variables | {name: Slot(slot, INDEX) for name, slot in (self.owned | self.placed).items()}

    def _leave_in(self, frame: str, names: list[str]) -> None:
        """Write into a frame what ``names`` mean."""
        self._exchange(names, lambda slot, number: (slot, _cell(self.function, frame, number)))

    def _take_from(self, frame: str, names: list[str]) -> None:
        """Let ``names`` mean what a frame says."""
        self._exchange(names, lambda slot, number: (_cell(self.function, frame, number), slot))

    def _exchange(self, names: list[str], places: Callable[[str, int], tuple[str, str]]) -> None:
        slots = self._slots()
        for number, name in enumerate(names, len(_PARAMETERS)):
            source, target = places(slots[name].pointer, number)
            type = "ptr" if name in self.owned or name in self.placed else register_type(slots[name].dtype)
            value = self.function.op(f"load {type}, ptr {source}, align 8")
            self.function.do(f"store {type} {value}, ptr {target}, align 8")

    def _finish(self) -> None:
        function = self.function
        function.jump("leave")
        function.start("leave")
        for slot in self.owned.values():
            function.do(f"call void {self._helper(helpers.free())}(ptr {slot})")
        function.do(f"ret i32 {function.op(f'load i32, ptr {self.result}, align 4')}")

    def _scope(self, *buffers: Buffer) -> Scope:
        """The scope with the present addresses of ``buffers``, which statements may have changed."""
        scope = Scope(self.scope.variables, dict(self.scope.pointers))
        for buffer in buffers:
            slot = self.owned.get(buffer.name) or self.placed.get(buffer.name)
            if slot is not None:
                scope.pointers[buffer.name] = self.function.op(f"load ptr, ptr {slot}, align 8")
        return scope

    def _pointer(self, buffer: Buffer, scope: Scope) -> str:
        pointer = scope.pointers.get(buffer.name)
        if pointer is None:
            raise CompilerBug(f"buffer {buffer.name} is used but neither a parameter nor allocated", ir=self.program)
        return pointer

    def _value(self, expr: Expr) -> Value:
        return evaluate(self.function, self._scope(*_buffers(expr)), expr)

    def _bytes(self, size: Expr, dtype: DType) -> str:
        count = self._value(size)
        if count.number is not None:
            return str(count.number * dtype.itemsize)
        return self.function.op(f"mul i64 {count.text}, {dtype.itemsize}")

    def _set(self, slot: Slot, value: Value) -> None:
        self.function.do(f"store {register_type(slot.dtype)} {value.text}, ptr {slot.pointer}")

    def _helper(self, helper: helpers.Helper) -> str:
        return self.function.module.helper(*helper)


class _RangeWriter(HostWriter):
    """The function that runs a parallel statement for a range of its variable."""

    def write_range(self, name: str, stmt: ir.Parallel, names: list[str]) -> None:
        """Add the function to the module under ``name``.  ``names`` have cells in its frame, behind the parameters.

        A range that begins when the first has ended reads what that has left, and does not use it: a body sets its
        names before it reads them.
        """
        function = self.function
        for number, parameter in enumerate(_PARAMETERS):
            function.at_entry(f"{parameter}.cell = getelementptr i64, ptr %frame, i64 {number}")
            function.at_entry(f"{parameter} = load ptr, ptr {parameter}.cell, align 8")
        self._parameters()
        self._variables(self.program.body)
        self.placed, self.owned = self.placed | self.owned, {}
        self._take_from("%frame", names)
        strand = self.scope.variables[stmt.var.name] = Slot(function.alloca("i64", 8, "strand"), INDEX)
        self._set(strand, Value("%low", INDEX))
        high = Var(function.name("high"))
        self.scope.variables[high.name] = Value("%high", INDEX)
        self._while((), stmt.var < high, (*stmt.body, ir.Scalar(stmt.var, stmt.var + 1)))
        first, end = function.name("first"), function.name("end")
        function.branch(function.op("icmp eq i64 %low, 0"), first, end)
        function.start(first)
        self._leave_in("%frame", names)
        function.jump(end)
        function.start(end)
        function.do("ret void")
        head = f"internal void {symbol(name)}(ptr %frame, i64 %low, i64 %high) #0"
        function.module.functions[name] = function.text(head)


def _names(body: Iterable[ir.Stmt]) -> Iterator[str]:
    """What ``body`` sets and reads: host scalars and buffers, each once or more."""
    for stmt in ir.walk(body):
        match stmt:
            case ir.Scalar(var):
                yield var.name
            case ir.View(buffer):
                yield buffer.name
        yield from (buffer.name for buffer in ir.used(stmt))
        yield from (part.name for e in ir.expressions(stmt) for part in walk(e) if isinstance(part, Var))


def _work(body: Iterable[ir.Stmt]) -> int:
    """Picoseconds for one run of ``body``, about; what is not known counts as `UNKNOWN_EXTENT`."""
    total = 0
    for stmt in body:
        match stmt:
            case ir.Launch(kernel):
                found = cost(kernel.body, ())
                total += int(found.value.real) if isinstance(found, Const) else 0
            case ir.While(_, Call("lt", (_, Const(turns))), inner):
                total += int(turns.real) * _work(inner)
            case ir.While(_, _, inner):
                total += UNKNOWN_EXTENT * _work(inner)
    return total


def _cell(function: Function, frame: str, number: int) -> str:
    return function.op(f"getelementptr i64, ptr {frame}, i64 {number}")


def _buffers(expr: Expr) -> Iterator[Buffer]:
    return (load.buffer for load in loads(expr))
