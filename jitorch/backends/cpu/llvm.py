"""Kernels and programs as LLVM IR text.

One module per `Program`: each kernel an internal function, and one exported function

    int32 SYMBOL(void **args, int64 *scalars, void *arena)

``args`` are the inputs, then the outputs; ``scalars`` slots of eight bytes (integers and bools as
int64, floats as the bits of a double); ``arena`` the memory of `Place`, 64-byte aligned.  The
result is 0, the code that a kernel left in the status buffer, or `OUT_OF_MEMORY`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from jitorch.backends.cpu import codegen, words
from jitorch.backends.cpu.chains import copies
from jitorch.backends.cpu.expressions import (
    Scope,
    Slot,
    Value,
    at,
    evaluate,
    evaluate_place,
    index,
    prefetch,
    store,
    widen,
)
from jitorch.backends.cpu.host import HostWriter, entry_symbol
from jitorch.backends.cpu.profile import Profiler
from jitorch.backends.cpu.regions import only_reads, share
from jitorch.backends.cpu.text import Function, Module, loops_group, register_type, scratch, suffix, symbol, unsupported
from jitorch.dtypes import Category
from jitorch.errors import CompilerBug
from jitorch.ir.kernel import (
    INDEX,
    Assign,
    Barrier,
    Buffer,
    Call,
    Const,
    Expr,
    For,
    If,
    Kernel,
    Let,
    Local,
    Prefetch,
    Stmt,
    Store,
    Var,
    parts,
    walk,
)
from jitorch.ir.program import Program

# The name of a kernel's function until its text is known.
_UNNAMED = "kernel.unnamed"

# Scratch buffers lie on the stack; a thread of macOS has 512 KiB.
_MAX_SCRATCH = 256 * 1024

# A reduction over lanes: our function, the intrinsic for integers and the one for floats.
_ACROSS = {
    "add": ("add", "fadd"), "mul": ("mul", "fmul"), "maximum": ("smax", "fmaximum"), "minimum": ("smin", "fminimum"),
    "and": ("and", ""), "or": ("or", ""), "xor": ("xor", ""),
}  # fmt: skip


def render(program: Program) -> str:
    """The module of ``program``; its exported function is `entry_symbol`."""
    module = Module()
    symbols: dict[Kernel, str] = {}
    for kernel in program.kernels:
        # Two kernels of one name are two functions.
        name = f"kernel.{kernel.name}"
        if name in module.functions:
            name = f"{name}.{len(symbols)}"
        symbols[kernel] = add_kernel(module, kernel, name)
    HostWriter(module, program, symbols).write(entry_symbol(program.name))
    return module.text()


@dataclass(frozen=True)
class Modules:
    """A program as modules that are compiled one by one and linked.

    ``kernels`` gives the text of each by the function it defines, ``names`` the kernels that this function is.
    """

    host: str
    kernels: dict[str, str]
    names: dict[str, list[str]]

    def __str__(self) -> str:
        parts = [f"; {', '.join(self.names[symbol])}\n{text}" for symbol, text in self.kernels.items()]
        return "\n".join([*parts, self.host])


def modules(
    program: Program,
    ready: Callable[[str, str], object] | None = None,
    profiler: Profiler | None = None,
    prepare: Program | None = None,
) -> Modules:
    """The modules of ``program``: kernels that are the same code, whatever their buffers are called, are one.

    Those of ``prepare``, which makes some of its inputs, are among them.

    ``ready`` is called with the function and the text of each kernel's module as soon as there is one.

    A kernel's function is named by the digest of its text, so programs that share kernels share their objects.
    """
    symbols: dict[Kernel, str] = {}
    kernels: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    host = Module()
    for kernel in dict.fromkeys((*program.kernels, *(() if prepare is None else prepare.kernels))):
        module = Module()
        add_kernel(module, kernel, _UNNAMED, linkage="")
        text = (codegen.SIMPLE if _is_explicit(kernel.body) else "") + module.text()
        name = f"kernel.{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        if name not in kernels:
            kernels[name] = text.replace(_UNNAMED, name)
            if ready is not None:
                ready(name, kernels[name])
        names.setdefault(name, []).append(kernel.name)
        types = ", ".join("ptr" if isinstance(p, Buffer) else register_type(p.dtype) for p in kernel.params)
        symbols[kernel] = host.declare(name, "void", types)
    HostWriter(host, program, symbols, profiler).write(entry_symbol(program.name))
    if prepare is not None:
        HostWriter(host, prepare, symbols).write(entry_symbol(prepare.name))
    return Modules(host.text(), kernels, names)


def _is_explicit(body: tuple[Stmt, ...]) -> bool:
    """Whether the innermost loops are vector loops, so that none is left to vectorise."""
    loops = [stmt for stmt in body if isinstance(stmt, For)]
    branches = [stmt for stmt in body if isinstance(stmt, If)]
    return all(loop.kind == "vector" or (_has_loop(loop.body) and _is_explicit(loop.body)) for loop in loops) and all(
        _is_explicit(branch) for stmt in branches for branch in (stmt.then, stmt.orelse)
    )


def _has_loop(body: tuple[Stmt, ...]) -> bool:
    return any(isinstance(part, For) for part in parts(body))


def render_kernel(kernel: Kernel) -> str:
    """A module with one exported function ``void NAME(params...)``, for tests and to look at."""
    module = Module()
    add_kernel(module, kernel, kernel.name, linkage="")
    return module.text()


def add_kernel(module: Module, kernel: Kernel, name: str, linkage: str = "internal ") -> str:
    """Add ``kernel`` to ``module`` as function ``name``; gives its symbol.

    Buffers are ``noalias``: a launch never passes one buffer twice.
    """
    function = Function(module)
    scope = Scope()
    params = []
    parallel = any(isinstance(stmt, For) and stmt.kind == "parallel" for stmt in parts(kernel))
    for number, param in enumerate(kernel.params):
        if isinstance(param, Buffer):
            scope.pointers[param.name] = f"%p{number}"
            # A parallel loop leaves buffers in a frame for other threads: they are captured.
            captures = "" if parallel else "captures(none) "
            params.append(f"ptr noalias {captures}align {param.dtype.itemsize} %p{number}")
        else:
            type = register_type(param.dtype)
            scope.variables[param.name] = Value(f"%p{number}", param.dtype)
            params.append(f"{type} %p{number}")
    _add_scratch(function, scope, kernel)
    module.functions[name] = ""  # helpers come after, so that a kernel reads as it is written
    KernelWriter(function, (kernel, name)).block(kernel.body, scope)
    function.leave()
    # Not inlined, so that the buffers stay known to be distinct.
    group = loops_group(function.is_heavy or only_reads(kernel.body), bool(kernel.scratch))
    module.functions[name] = function.text(f"{linkage}void {symbol(name)}({', '.join(params)}) #{group}")
    return symbol(name)


def _add_scratch(function: Function, scope: Scope, kernel: Kernel) -> None:
    total = 0
    for buffer in kernel.scratch:
        if buffer.size is None:
            raise CompilerBug(f"scratch buffer {buffer.name} has no size", ir=kernel)
        total += buffer.size * buffer.dtype.itemsize
        scope.pointers[buffer.name] = scratch(function, buffer)
    if total > _MAX_SCRATCH:
        raise CompilerBug(
            f"kernel {kernel.name} has too much scratch memory: make it a parameter",
            expected=f"at most {_MAX_SCRATCH} bytes",
            actual=f"{total} bytes",
        )


class KernelWriter:
    """Statements of a kernel, into one function.

    ``home`` is the kernel and its function's name where parallel loops may run on several threads.
    """

    def __init__(self, function: Function, home: tuple[Kernel, str] | None = None):
        self.function = function
        self.home = home
        self._threads = 0  # thread loops around, whose iterations would have to meet at a barrier

    def block(self, body: tuple[Stmt, ...], scope: Scope) -> None:
        for stmt in body:
            self._statement(stmt, scope)

    def _statement(self, stmt: Stmt, scope: Scope) -> None:
        match stmt:
            case Let(var, value):
                scope.variables[var.name] = evaluate(self.function, scope, value)
            case Local(var, init):
                self._local(var, init, scope)
            case Assign(var, value):
                self._assign(var, value, scope)
            case Store(buffer, place, value, streamed):
                result = evaluate(self.function, scope, value)
                store(self.function, scope, buffer, evaluate_place(self.function, scope, place), result, streamed)
            case If(test, then, orelse):
                self._if(test, then, orelse, scope)
            case For():
                self._for(stmt, scope)
            case Prefetch(buffer, place, written):
                prefetch(self.function, scope, buffer, evaluate_place(self.function, scope, place), written)
            case Barrier():
                if self._threads:
                    raise unsupported("a barrier inside a thread loop")
            case _:
                raise unsupported(f"statement {type(stmt).__name__}")

    def _local(self, var: Var, init: Expr, scope: Scope) -> None:
        value = evaluate(self.function, scope, init)
        type = register_type(var.dtype, scope.lanes)
        slot = Slot(self.function.alloca(type, 64 if scope.lanes > 1 else 8), var.dtype, scope.lanes)
        scope.variables[var.name] = slot
        self._set(slot, value)

    def _assign(self, var: Var, expr: Expr, scope: Scope) -> None:
        slot = scope.variables.get(var.name)
        if not isinstance(slot, Slot):
            raise CompilerBug(f"{var.name} is assigned but is not a Local")
        if slot.lanes == scope.lanes:
            self._set(slot, evaluate(self.function, scope, expr))
            return
        # A variable from outside of the vector loop: the lanes are reduced into it.
        match expr:
            case Call(fn, (Var(name), x), _, True) if name == var.name and fn in _ACROSS and not _reads(x, var):
                self._reduce_lanes(slot, fn, evaluate(self.function, scope, x), scope.lanes)
            case Call(fn, (x, Var(name)), _, True) if name == var.name and fn in _ACROSS and not _reads(x, var):
                self._reduce_lanes(slot, fn, evaluate(self.function, scope, x), scope.lanes)
            case _:
                raise CompilerBug(f"the lanes of a vector loop assign {var.name}, which is not reordered into", ir=expr)

    def _reduce_lanes(self, slot: Slot, fn: str, value: Value, lanes: int) -> None:
        function, dtype = self.function, slot.dtype
        vector, type = register_type(dtype, lanes), register_type(dtype)
        text = widen(function, value, lanes)
        word = at(function, dtype, 1, reassociate=True)
        old = function.op(f"load {type}, ptr {slot.pointer}")
        integer, floating = _ACROSS[fn]
        if dtype.is_floating_point and fn in ("add", "mul"):
            start = word.const(-0.0 if fn == "add" else 1.0)
            callee = function.module.declare(
                f"llvm.vector.reduce.{floating}.{suffix(type, lanes)}", type, f"{type}, {vector}"
            )
            across = function.op(f"call reassoc contract {type} {callee}({type} {start}, {vector} {text})")
            across = words.round_half(word, across, dtype)
        else:
            name = floating if dtype.is_floating_point else integer
            if not dtype.is_signed and name in ("smax", "smin"):
                name = "u" + name[1:]
            if dtype.category is Category.BOOL:
                name = {"add": "or", "umax": "or", "mul": "and", "umin": "and"}.get(name, name)
            callee = function.module.declare(f"llvm.vector.reduce.{name}.{suffix(type, lanes)}", type, vector)
            across = function.op(f"call {type} {callee}({vector} {text})")
        self._set(slot, Value(words.say(word, fn, old, across), dtype))

    def _set(self, slot: Slot, value: Value) -> None:
        text = value.text if value.is_uniform and slot.lanes == 1 else widen(self.function, value, slot.lanes)
        self.function.do(f"store {register_type(slot.dtype, slot.lanes)} {text}, ptr {slot.pointer}")

    def _if(self, test: Expr, then: tuple[Stmt, ...], orelse: tuple[Stmt, ...], scope: Scope) -> None:
        function = self.function
        condition = evaluate(function, scope, test)
        if not condition.is_uniform:
            raise unsupported("an If whose test differs between the lanes of a vector loop")
        yes, no, end = function.name("then"), function.name("else"), function.name("end")
        function.branch(condition.text, yes, no if orelse else end)
        function.start(yes)
        self.block(then, scope.inner())
        function.jump(end)
        if orelse:
            function.start(no)
            self.block(orelse, scope.inner())
            function.jump(end)
        function.start(end)

    def _for(self, loop: For, scope: Scope) -> None:
        match loop.kind:
            case "parallel" if self.home and scope.lanes == 1 and share(self.function, scope, *self.home, loop, _range):
                return
            case "serial" | "parallel" | "block":
                self._counted(loop, scope)
            case "thread":
                self._threads += 1
                self._counted(loop, scope)
                self._threads -= 1
            case "unroll":
                for number in range(_constant(loop)):
                    inner = scope.inner()
                    inner.variables[loop.var.name] = index(number)
                    self.block(loop.body, inner)
            case "vector":
                self._vector(loop, scope)
            case _:
                raise unsupported(f"a {loop.kind} loop")

    def _vector(self, loop: For, scope: Scope) -> None:
        lanes = _constant(loop)
        if scope.lanes > 1:
            raise unsupported("a vector loop inside a vector loop")
        inner = scope.inner(lanes)
        if lanes > 1:
            inner.variables[loop.var.name] = Value("0", INDEX, 1, 1, 0)
        else:
            inner.variables[loop.var.name] = index(0)
        if lanes > 0:
            self.block(loop.body, inner)

    def _counted(self, loop: For, scope: Scope) -> None:
        extent = evaluate(self.function, scope, loop.extent)
        if not extent.is_uniform:
            raise unsupported("a loop whose extent differs between the lanes of a vector loop")
        if extent.number is not None and extent.number <= 1:
            inner = scope.inner()
            inner.variables[loop.var.name] = index(0)
            if extent.number == 1:
                self.block(loop.body, inner)
            return
        self.range(loop, scope, "0", extent.text)

    def range(self, loop: For, scope: Scope, low: str, high: str) -> None:
        """The iterations of ``loop`` from ``low`` to ``high``."""
        function, inner = self.function, scope.inner()
        head, body, end = function.name("loop"), function.name("body"), function.name("done")
        before, var, following = function.block, f"%{function.name('i')}", f"%{function.name('next')}"
        latch = function.name("latch")
        function.jump(head)
        function.start(head)
        function.do(f"{var} = phi i64 [ {low}, %{before} ], [ {following}, %{latch} ]")
        function.branch(function.op(f"icmp slt i64 {var}, {high}"), body, end)
        function.start(body)
        inner.variables[loop.var.name] = Value(var, INDEX)
        self.block(loop.body, inner)
        function.jump(latch)
        function.start(latch)
        function.do(f"{following} = add nuw nsw i64 {var}, 1")
        side_by_side = copies(loop)
        if side_by_side > 1:
            function.do(f"br label %{head}, !llvm.loop {function.module.interleaved(side_by_side)}")
        else:
            function.jump(head)
        function.start(end)


def _range(function: Function, scope: Scope, before: tuple[Stmt, ...], loop: For) -> None:
    """What a thread runs of a parallel loop, behind the statements ``before``."""
    writer = KernelWriter(function)
    writer.block(before, scope)
    writer.range(loop, scope, "%low", "%high")


def _constant(loop: For) -> int:
    if not isinstance(loop.extent, Const):
        raise CompilerBug(f"{loop.kind} loop over {loop.var.name}: its extent is not a constant", ir=loop)
    return int(loop.extent.value)  # type: ignore[arg-type]


def _reads(expr: Expr, var: Var) -> bool:
    return any(part == var for part in walk(expr))
