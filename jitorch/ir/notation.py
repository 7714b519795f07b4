"""How the kernel and host languages spell names, literals and operators.

Their classes print themselves with these words; `jitorch.ir.kernel_text` reads the text back.
Everything round-trips exactly: a literal without a dtype is int64, float32 or bool; any other is written
as a call of its dtype (``i32(5)``, ``f64(0.1)``, ``c64(1.0, -0.0)``).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable

from jitorch.dtypes import Category, DType, float32, int64

KEYWORDS = frozenset(
    "kernel program shared local global let var for in if else barrier stream true false inf nan nan_bits "
    "input output scalar status arena alloc place at of free launch copy loop while return view stop".split()
)

INFIX = {
    "eq": ("==", 1), "ne": ("!=", 1), "lt": ("<", 1), "le": ("<=", 1), "gt": (">", 1), "ge": (">=", 1),
    "or": ("|", 2), "xor": ("^", 3), "and": ("&", 4), "shl": ("<<", 5), "shr": (">>", 5),
    "add": ("+", 6), "sub": ("-", 6), "mul": ("*", 7), "div": ("/", 7), "floordiv": ("//", 7), "mod": ("%", 7),
}  # fmt: skip
"""Operators and how tightly they bind, as in Python; all group to the left, comparisons not at all."""

ATOM = 8
"""The level of what needs no parentheses."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_QUIET_NAN = 0x7FF8000000000000


def name(text: str) -> str:
    """An identifier as it is, anything else in quotes."""
    return text if _NAME.fullmatch(text) and text not in KEYWORDS else json.dumps(text)


def literal(value: int | float | bool | complex, dtype: DType) -> str:
    """The text of a constant of ``dtype``."""
    if dtype.category is Category.BOOL:
        return "true" if value else "false"
    if dtype.category is Category.INT:
        return str(int(value.real)) if dtype is int64 else f"{dtype.short}({int(value.real)})"
    if dtype.category is Category.COMPLEX:
        z = complex(value)
        return f"{dtype.short}({_number(z.real, None)}, {_number(z.imag, None)})"
    number = _number(float(value.real), dtype)
    return number if dtype is float32 else f"{dtype.short}({number})"


def _number(value: float, dtype: DType | None) -> str:
    """The shortest decimal that reads back as ``value``; NaN by its bits unless it is the plain one."""
    if math.isnan(value):
        bits = float_bits(value)
        return "nan" if bits == _QUIET_NAN else f"nan_bits({bits})"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if dtype is not float32:
        return repr(value)
    short = str(float32.numpy.type(value)) if abs(value) < 3.5e38 else "inf"
    # A value that float32 cannot hold would be rounded by the decimal form.
    return short if float(float32.numpy.type(short)) == value else value.hex()


def float_bits(value: float) -> int:
    """The 64 bits of a double: tells -0.0 from 0.0 and one NaN from another."""
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def block(statements: Iterable[object]) -> str:
    """Statements in braces, indented by two."""
    lines = [f"  {line}" for statement in statements for line in str(statement).splitlines()]
    return "\n".join(["{", *lines, "}"])


def buffer_type(dtype: DType, size: int | None) -> str:
    """``f32*`` or, with a size, ``f32[64]``."""
    return f"{dtype.short}*" if size is None else f"{dtype.short}[{size}]"
