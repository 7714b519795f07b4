"""Kernels and programs as C99: readable, portable, with no library but C's own.

`CSource` is complete in itself and made to be subclassed; ``jitorch-c`` is such a subclass.  The C must be compiled
without `-ffast-math` (NaN and infinities have meaning) and needs ``libm``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.errors import UnsupportedError
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.kernel import Buffer, Kernel, Var
from jitorch.ir.program import Program
from jitorch.lower.source.clike import NO_POSITIONS, CLike, Text, indented
from jitorch.lower.source.words import PRIMARY, UNARY

OUT_OF_MEMORY = -1
"""What a program returns when memory could not be had; other codes are the program's own."""


class CSource(CLike):
    """C99.

    >>> print(CSource().source([kernel]))       # kernels as functions, callable from elsewhere
    >>> print(CSource().program(program))       # one function: int32_t NAME(args, scalars, arena)
    """

    name = "C"
    types: Mapping[DType, str] = {
        dtypes.bool_: "bool", dtypes.int8: "int8_t", dtypes.int16: "int16_t", dtypes.int32: "int32_t",
        dtypes.int64: "int64_t", dtypes.uint8: "uint8_t", dtypes.uint16: "uint16_t", dtypes.uint32: "uint32_t",
        dtypes.uint64: "uint64_t", dtypes.float32: "float", dtypes.float64: "double",
    }  # fmt: skip
    pointer = "{const}{type} *restrict {name}"
    linkage = ""
    """What stands before a kernel's function; `program` makes them static."""

    def prelude(self) -> str:
        return "#include <math.h>\n#include <stdbool.h>\n#include <stdint.h>\n"

    def signature(self, kernel: Kernel, name: str, params: str) -> str:
        return f"{self.linkage}void {name}({params})"

    def integer(self, value: int, dtype: DType) -> Text:
        if value in (-(2**63), -(2**31)):
            return Text("INT64_MIN" if value < -(2**31) else "INT32_MIN")
        if value > 2**31 - 1 or value < -(2**31) + 1:
            unsigned = "U" if value > 2**63 - 1 or not dtype.is_signed else ""
            return Text(f"{'-' if value < 0 else ''}{unsigned}INT64_C({abs(value)})", UNARY if value < 0 else PRIMARY)
        return super().integer(value, dtype)

    def number(self, value: float, dtype: DType) -> Text:
        if np.isnan(value):
            return Text("NAN")
        if np.isinf(value):
            return Text("INFINITY") if value > 0 else Text("-INFINITY", UNARY)
        return super().number(value, dtype)

    def function(self, kernel: Kernel, name: str | None = None) -> str:
        if any(isinstance(s, k.Barrier) for s in k.walk(kernel)):
            self.unsupported(f"a barrier (kernel {kernel.name} is scheduled for a GPU)")
        return super().function(kernel, name)

    # -- the host program -------------------------------------------------------------------------

    def program(self, program: Program) -> str:
        """The program and its kernels as one C file.

        The function takes ``args`` (pointers to the inputs, then the outputs), ``scalars`` (one
        8-byte slot each: integers and bools as int64, floats as the bits of a double) and ``arena``
        (as many bytes as ``program.arena`` says).  It returns the status code: 0, the program's own, or
        `OUT_OF_MEMORY`.
        """
        self.linkage = "static "
        return _HostText(self, program).text()

    def symbol(self, program: Program) -> str:
        """The name of the program's C function: the program's own, unless C has another use for it."""
        return self.identifier(program.name, ())

    def declaration(self, program: Program) -> str:
        """The prototype, for a header."""
        return f"int32_t {self.symbol(program)}(void **args, const int64_t *scalars, void *arena)"


class _HostText:
    """Renders the host language with the words of ``c``."""

    def __init__(self, c: CSource, program: Program):
        self.c, self.program = c, program
        self.functions: dict[Kernel, str] = {}
        self.names: dict[str, str] = {}
        self.uses_memcpy = False
        self.can_leave = False

    def text(self) -> str:
        c, program = self.c, self.program
        head = c.declaration(program)
        kernels = []
        for kernel in program.kernels:
            taken = [*self.functions.values(), c.symbol(program)]
            self.functions[kernel] = c.identifier(kernel.name, taken)
            kernels.append(c.function(kernel, self.functions[kernel]))
        body = self.body()
        includes = "#include <stdlib.h>\n#include <string.h>\n"
        main = "\n".join([f"// program {program.name}", f"{head} {{", *indented(body), "}\n"])
        return "\n".join([c.prelude() + includes, *c.helpers.values(), *kernels, main])

    def body(self) -> list[str]:
        c, program = self.c, self.program
        c.scope, c.positions, c.positive, c.mutable = {}, NO_POSITIONS, frozenset(), frozenset()
        taken = self.functions.values()
        lines = []
        for i, buffer in enumerate((*program.inputs, *program.outputs)):
            lines.append(f"{c.type(buffer.dtype)} *{self.define(buffer.name, taken)} = args[{i}];")
        for i, var in enumerate(program.scalars):
            lines += self.scalar(var, i, taken)
        statements = list(host.walk(program.body))
        if program.status is not None:
            name = self.define(program.status.name, taken)
            lines.append(f"{c.type(program.status.dtype)} {name}[1] = {{0}};")
        lines.append("int32_t result = 0;")
        allocated = dict.fromkeys(s.buffer for s in statements if isinstance(s, host.Alloc))
        for buffer in dict.fromkeys(s.buffer for s in statements if isinstance(s, (host.Alloc, host.Place, host.View))):
            start = " = NULL" if buffer in allocated else ""
            lines.append(f"{c.type(buffer.dtype)} *{self.define(buffer.name, taken)}{start};")
        for var in dict.fromkeys(s.var for s in statements if isinstance(s, (host.Scalar, host.Parallel))):
            if var.name not in c.scope:
                lines.append(f"{c.type(var.dtype)} {self.define(var.name, taken)};")
        lines += [line for stmt in program.body for line in self.statement(stmt)]
        status = [] if program.status is None else [f"result = {c.scope[program.status.name]}[0];"]
        lines += status
        if self.can_leave:
            lines.append("done:")
        lines += [f"free({c.scope[b.name]});" for b in allocated]
        unused = [] if any(isinstance(s, host.Place) for s in statements) else ["(void)arena;"]
        unused += [] if program.scalars else ["(void)scalars;"]
        unused += [] if program.inputs or program.outputs else ["(void)args;"]
        return [*unused, *lines, "return result;"]

    def define(self, name: str, taken: Iterable[str]) -> str:
        found = self.c.identifier(name, (*self.c.scope.values(), *taken, "result"))
        self.c.scope = self.c.scope | {name: found}
        return found

    def scalar(self, var: Var, slot: int, taken: Iterable[str]) -> list[str]:
        type_, name = self.c.type(var.dtype), self.define(var.name, taken)
        if not var.dtype.is_floating_point:
            test = " != 0" if var.dtype is dtypes.bool_ else ""
            cast = f"({type_})" if not test and var.dtype is not dtypes.int64 else ""
            return [f"{type_} {name} = {cast}scalars[{slot}]{test};"]
        bits = self.c.identifier(f"{name}_bits", (*self.c.scope.values(), *taken))
        lines = [f"double {bits};", f"memcpy(&{bits}, &scalars[{slot}], sizeof {bits});"]
        return [*lines, f"{type_} {name} = ({type_}){bits};"]

    def block(self, body: Iterable[host.Stmt]) -> list[str]:
        return indented([line for stmt in body for line in self.statement(stmt)])

    def statement(self, stmt: host.Stmt) -> list[str]:
        c = self.c
        match stmt:
            case host.Alloc(buffer, size):
                name = c.scope[buffer.name]
                self.can_leave = True
                # malloc(0) may give NULL, which here means failure.
                failed = [f"  result = {OUT_OF_MEMORY};", "  goto done;", "}"]
                count = c.extent(size).within(13)
                return [f"{name} = malloc({count} * sizeof *{name} + 1);", f"if ({name} == NULL) {{", *failed]
            case host.Place(buffer, _, offset):
                return [f"{c.scope[buffer.name]} = (void *)((char *)arena + {c.extent(offset).within(12)});"]
            case host.View(buffer, source, _, offset):
                return [f"{c.scope[buffer.name]} = {c.scope[source.name]} + {c.extent(offset).within(12)};"]
            case host.Stop(code):
                self.can_leave = True
                return [f"result = {code};", "goto done;"]
            case host.Free(buffer):
                name = c.scope[buffer.name]
                return [f"free({name});", f"{name} = NULL;"] if self.is_allocated(buffer) else []
            case host.Launch(kernel, args):
                given = ", ".join(c.scope[a.name] if isinstance(a, Buffer) else str(c.expr(a)) for a in args)
                return [f"{self.functions[kernel]}({given});"]
            case host.Copy(target, source, size):
                name = c.scope[target.name]
                count = c.extent(size).within(13)
                return [f"memcpy({name}, {c.scope[source.name]}, {count} * sizeof *{name});"]
            case host.Scalar(var, value):
                return [f"{c.scope[var.name]} = {c.expr(value)};"]
            case host.If(test, then, orelse):
                lines = [f"if ({c.expr(test)}) {{", *self.block(then), "}"]
                return lines if not orelse else [*lines[:-1], "} else {", *self.block(orelse), "}"]
            case host.While(before, test, inner):
                leave = f"  if (!{c.expr(test).within(UNARY - 1)}) break;"
                return ["for (;;) {", *self.block(before), leave, *self.block(inner), "}"]
            case host.Parallel(var, extent, inner):
                name = c.scope[var.name]
                head = f"for ({name} = 0; {name} < {c.extent(extent).within(10)}; ++{name}) {{"
                return [head, *self.block(inner), "}"]
            case host.Return():
                self.can_leave = True
                status = self.program.status
                result = [] if status is None else [f"result = {c.scope[status.name]}[0];"]
                return [*result, "goto done;"]
        raise UnsupportedError(f"{c.name}: no word for host statement {type(stmt).__name__}")

    def is_allocated(self, buffer: Buffer) -> bool:
        return any(isinstance(s, host.Alloc) and s.buffer == buffer for s in host.walk(self.program.body))
