"""LLVM IR as text: types, literals, and functions and modules under construction.

Written by hand rather than through ``llvmlite.ir``, which is twenty times slower.  Each dtype has
two types: one in memory, one in registers.

    dtype          memory   registers
    bool           i8       i1
    i8 .. u64      iN       iN
    f16, bf16      half, i16  float, always holding a value that the dtype has
    f32, f64       float, double
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jitorch import dtypes
from jitorch.dtypes import Category, DType
from jitorch.errors import UnsupportedError
from jitorch.ir.kernel import Buffer

NAME = "llvm"

_PLAIN = re.compile(r"[A-Za-z_.$][\w.$]*", re.ASCII)
_MEMORY = {
    dtypes.bool_: "i8", dtypes.float16: "half", dtypes.bfloat16: "i16", dtypes.float32: "float",
    dtypes.float64: "double",
}  # fmt: skip
_REGISTER = _MEMORY | {dtypes.bool_: "i1", dtypes.float16: "float", dtypes.bfloat16: "float"}
_SUFFIX = {"float": "f32", "double": "f64", "half": "f16"}

# Groups 5 and 7 are for kernels with functions of `mathematics`, for which 512 bits are a third faster on a processor
# that has them, and for loops that only read, which are a tenth faster where vectors lie across cache lines: NumPy's
# arrays begin 16 bytes behind one.  Plain arithmetic that stores, bound by memory, gains nothing.
# Registers that are put on the stack must not lie across two cache lines there: that takes twice as long, hence the
# realigned stacks of groups 3 and 5.
# In groups 6 and 7 loops that copy stay loops: for rows, a call of memcpy takes longer.  They are not for tiles, which
# are copied in scratch memory and are to become registers.
# Attribute group 0 is for code of ours, 1 for mathematical functions of the C library, whose use of errno is ignored.
_ATTRIBUTES = """\
attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }
attributes #1 = { nounwind willreturn nosync nofree nocallback memory(none) }
attributes #2 = { nounwind alwaysinline "no-trapping-math"="true" }
attributes #3 = { nounwind noinline "stackrealign" "prefer-vector-width"="256" "no-trapping-math"="true" }
attributes #5 = { nounwind noinline "stackrealign" "prefer-vector-width"="512" "no-trapping-math"="true" }
attributes #6 = { nounwind noinline "stackrealign" "prefer-vector-width"="256" "no-trapping-math"="true" <COPIES> }
attributes #7 = { nounwind noinline "stackrealign" "prefer-vector-width"="512" "no-trapping-math"="true" <COPIES> }
attributes #4 = { nounwind noinline willreturn nosync nofree memory(none) "no-trapping-math"="true" }
""".replace("<COPIES>", '"no-builtin-memcpy" "no-builtin-memmove"')


def loops_group(is_wide: bool, has_scratch: bool) -> int:
    """The attribute group of a function with loops of a kernel: of the widest registers or not, with scratch memory or
    without."""
    if has_scratch:
        return 5 if is_wide else 3
    return 7 if is_wide else 6


def unsupported(construct: str) -> UnsupportedError:
    """The error for what this renderer has no words for."""
    return UnsupportedError(f"renderer {NAME}: no words for {construct}")


def memory_type(dtype: DType, lanes: int = 1) -> str:
    return vector(_MEMORY.get(dtype) or _integer(dtype), lanes)


def register_type(dtype: DType, lanes: int = 1) -> str:
    return vector(_REGISTER.get(dtype) or _integer(dtype), lanes)


def vector(element: str, lanes: int) -> str:
    return element if lanes == 1 else f"<{lanes} x {element}>"


def suffix(element: str, lanes: int = 1) -> str:
    """How intrinsics spell a type: ``f32``, ``v8f32``, ``i64``."""
    name = _SUFFIX.get(element, element)
    return name if lanes == 1 else f"v{lanes}{name}"


def literal(value: int | float | bool | complex, dtype: DType) -> str:
    """A scalar literal of the register type of ``dtype``."""
    if dtype.category is Category.BOOL:
        return "true" if value else "false"
    if dtype.category is Category.INT:
        return str(int(value))  # type: ignore[arg-type]
    if dtype.is_complex:
        raise unsupported(f"dtype {dtype.name}")
    # Both float and double are spelt by the bits of a double; a float must be exact in it.
    with np.errstate(over="ignore"):
        rounded = float(dtype.numpy.type(value))
    return "0x" + struct.pack(">d", rounded).hex().upper()


def symbol(name: str) -> str:
    """A global's name, quoted where it must be."""
    return f"@{name}" if _PLAIN.fullmatch(name) else f'@"{_escaped(name)}"'


def _escaped(name: str) -> str:
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\{byte:02X}" for byte in name.encode()
    )


def _integer(dtype: DType) -> str:
    if dtype.category is not Category.INT:
        raise unsupported(f"dtype {dtype.name}")
    return f"i{dtype.bits}"


@dataclass
class Module:
    """Functions and what they declare."""

    declares: dict[str, str] = field(default_factory=dict)
    globals: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)

    def declare(self, name: str, result: str, params: str, attributes: str = "") -> str:
        """Declare an external function or intrinsic; gives its symbol."""
        if name not in self.declares:
            self.declares[name] = f"declare {result} {symbol(name)}({params}){attributes}"
        return symbol(name)

    def helper(self, name: str, build: Callable[[Module, str], str]) -> str:
        """A function that is made when first asked for; gives its symbol."""
        if name not in self.functions:
            self.functions[name] = ""  # its place: before the function that asks
            self.functions[name] = build(self, symbol(name))
        return symbol(name)

    def nontemporal(self) -> str:
        """The metadata of a store past the caches."""
        self.globals.setdefault("!0", "!0 = !{i32 1}")
        return "!0"

    def interleaved(self, copies: int) -> str:
        """The metadata of a loop of which several turns are to run side by side."""
        self.globals.setdefault("!1", "!1 = distinct !{!1, !2}")
        self.globals.setdefault("!2", f'!2 = !{{!"llvm.loop.interleave.count", i32 {copies}}}')
        return "!1"

    def keep(self, symbol: str) -> None:
        """Do not let the optimiser drop function ``symbol``, to which only an attribute points."""
        if symbol not in self.kept:
            self.kept.append(symbol)

    def text(self) -> str:
        names = ", ".join(f"ptr {symbol}" for symbol in self.kept)
        kept = f'@llvm.compiler.used = appending global [{len(self.kept)} x ptr] [{names}], section "llvm.metadata"'
        head = [*self.declares.values(), *self.globals.values(), ""]
        return "\n".join([*head, *self.functions.values(), *([kept] if self.kept else []), _ATTRIBUTES])


_PLACES = ("add ", "sub ", "mul ", "getelementptr ", "insertelement ", "shufflevector ")


class Function:
    """One function: instructions go to the end of its current block."""

    def __init__(self, module: Module):
        self.module = module
        self.block = "entry"
        self.is_heavy = False  # computes so much an element that the widest registers pay
        self.streams = False  # stores past the caches, which other threads see only after a fence
        self._lines: list[str] = []
        self._entry: list[str] = []
        self._known: dict[str, str] = {}  # what this block has computed
        self.columns: dict[str, list[str]] = {}  # of squares in scratch memory, by address, in this block
        self._count = 0

    def name(self, stem: str = "t") -> str:
        """A name that this function does not use yet."""
        self._count += 1
        return f"{stem}{self._count}"

    def op(self, text: str) -> str:
        """An instruction with a result; gives its name.

        Places in memory, which unrolled loops compute again and again, are computed once a block.
        """
        if text.startswith(_PLACES):
            found = self._known.get(text)
            if found is not None:
                return found
            self._known[text] = f"%t{self._count + 1}"
        self._count += 1
        self._lines.append(f"  %t{self._count} = {text}")
        return f"%t{self._count}"

    def do(self, text: str) -> None:
        """An instruction without a result."""
        self._lines.append("  " + text)

    def alloca(self, element: str, align: int, stem: str = "local") -> str:
        """Stack memory of the whole call, however often the current block runs."""
        name = f"%{self.name(stem + '.')}"
        self._entry.append(f"  {name} = alloca {element}, align {align}")
        return name

    def at_entry(self, text: str) -> None:
        """An instruction that runs once, right after the stack memory is there."""
        self._entry.append("  " + text)

    def start(self, label: str) -> None:
        self._lines.append(f"{label}:")
        self._known = {}
        self.columns = {}
        self.block = label

    def jump(self, label: str) -> None:
        self.do(f"br label %{label}")

    def branch(self, test: str, then: str, orelse: str) -> None:
        self.do(f"br i1 {test}, label %{then}, label %{orelse}")

    def leave(self) -> None:
        """Return nothing, when all that was stored is there for other threads."""
        if self.streams:
            self.do("fence seq_cst")
        self.do("ret void")

    def text(self, head: str) -> str:
        """The definition; ``head`` is what stands before the brace."""
        return "\n".join([f"define {head} {{", "entry:", *self._entry, *self._lines, "}", ""])


def scratch(function: Function, buffer: Buffer) -> str:
    """Stack memory for a scratch buffer of a kernel, which has a size; gives its address."""
    return function.alloca(f"[{buffer.size} x {memory_type(buffer.dtype)}]", 64, "scratch")
