"""The functions by name, as functions of an LLVM module.

Most are inlined wherever they are called.  A *guarded* function does not hold for some arguments, such as large ones;
where an argument is ``beyond``, the C library is asked.  That is a branch, which a loop vectoriser would not pass; so
such a function stays a call, and names its twins on lanes as its vector variants (LLVM's
``vector-function-abi-variant``), which branch once for all lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jitorch import dtypes
from jitorch.backends.cpu.at import At
from jitorch.backends.cpu.mathematics import (
    error_function,
    exponential,
    hyperbolic,
    inverse,
    logarithm,
    power,
    remainder,
    trigonometric,
)
from jitorch.backends.cpu.mathematics.term import Term
from jitorch.backends.cpu.text import Function, Module
from jitorch.dtypes import DType

Formula = Callable[..., Term]

_BOTH = (32, 64)


@dataclass(frozen=True, slots=True)
class Entry:
    """A formula, its number of operands, the widths it is exact in, and where the C library is asked in its place."""

    formula: Formula
    arity: int = 1
    widths: tuple[int, ...] = _BOTH
    beyond: Formula | None = None

    @property
    def guarded(self) -> bool:
        return self.beyond is not None


FUNCTIONS: dict[str, Entry] = {
    "exp": Entry(exponential.exp),
    "expm1": Entry(exponential.expm1),
    "log": Entry(logarithm.log),
    "log2": Entry(logarithm.log2),
    "log10": Entry(logarithm.log10),
    "log1p": Entry(logarithm.log1p),
    "sinh": Entry(hyperbolic.sinh),
    "cosh": Entry(hyperbolic.cosh),
    "tanh": Entry(hyperbolic.tanh),
    "erf": Entry(error_function.erf),
    "sin": Entry(trigonometric.sin, beyond=trigonometric.beyond),
    "cos": Entry(trigonometric.cos, beyond=trigonometric.beyond),
    "tan": Entry(trigonometric.tan, beyond=trigonometric.beyond),
    "asin": Entry(inverse.asin),
    "acos": Entry(inverse.acos),
    "atan": Entry(inverse.atan),
    "atan2": Entry(inverse.atan2, 2),
    "pow": Entry(power.pow32, 2, (32,)),
    "fmod": Entry(remainder.fmod, 2, beyond=remainder.beyond),
}

# The lanes of the vector variants: a register of 128, 256 and 512 bits.
_VARIANTS = {32: (4, 8, 16), 64: (2, 4, 8)}


def has(name: str, dtype: DType) -> bool:
    """Whether ``name`` is here for the registers of ``dtype``."""
    return name in FUNCTIONS and register(dtype).bits in FUNCTIONS[name].widths


def register(dtype: DType) -> DType:
    """The dtype that values of ``dtype`` are computed in."""
    return dtypes.float64 if dtype is dtypes.float64 else dtypes.float32


def say(at: At, name: str, *args: str) -> str:
    """Write a call of function ``name``; gives the text of its result."""
    entry, dtype = FUNCTIONS[name], register(at.dtype)
    at.function.is_heavy = True
    callee = _define(at.function.module, name, dtype, at.lanes)
    operands = ", ".join(f"{at.type} {arg}" for arg in args)
    variants = _variants(at.function.module, name, dtype) if entry.guarded and at.lanes == 1 else ""
    return at.op(f"call {at.type} {callee}({operands}){variants}")


def _name(name: str, dtype: DType, lanes: int) -> str:
    return f"jitorch.{name}.{dtype.short}" + (f".{lanes}" if lanes > 1 else "")


def _define(module: Module, name: str, dtype: DType, lanes: int) -> str:
    return module.helper(_name(name, dtype, lanes), lambda module, symbol: _build(module, symbol, name, dtype, lanes))


def _build(module: Module, symbol: str, name: str, dtype: DType, lanes: int) -> str:
    entry, function = FUNCTIONS[name], Function(module)
    at = At(function, dtype, lanes)
    args = ["%x", "%y"][: entry.arity]
    params = ", ".join(f"{at.type} {arg}" for arg in args)
    if entry.beyond is not None:
        _branch(at, name, args, entry.beyond(*(Term(at, arg) for arg in args)))
    function.do(f"ret {at.type} {entry.formula(*(Term(at, arg) for arg in args)).text}")
    return function.text(f"internal {at.type} {symbol}({params}) #{4 if entry.guarded else 2}")


def _branch(at: At, name: str, args: list[str], far: Term) -> None:
    """Return the C library's result where ``far`` holds in any lane."""
    function = at.function
    some = far.text
    if at.lanes > 1:
        callee = function.module.declare(f"llvm.vector.reduce.or.v{at.lanes}i1", "i1", at.test_type)
        some = function.op(f"call i1 {callee}({at.test_type} {far.text})")
    function.branch(some, "far", "near")
    function.start("far")
    function.do(f"ret {at.type} {c_library(at, name, *args)}")
    function.start("near")


def c_library(at: At, name: str, *args: str) -> str:
    """Write a call of the C library's function, lane by lane."""
    element = "double" if at.dtype is dtypes.float64 else "float"
    name = name if element == "double" else name + "f"
    return at.each(at.function.module.declare(name, element, ", ".join([element] * len(args)), " #1"), *args)


def _variants(module: Module, name: str, dtype: DType) -> str:
    """The attribute of a call that names its vector variants, which are made and kept.

    So is the function itself: of one that is not, LLVM drops a parameter that is the same number in all calls, and the
    variants fit no more.
    """
    module.keep(_define(module, name, dtype, 1))
    mangled = []
    for lanes in _VARIANTS[dtype.bits]:
        variant = _define(module, name, dtype, lanes)
        module.keep(variant)
        mangled.append(f"_ZGV_LLVM_N{lanes}{'v' * FUNCTIONS[name].arity}_{_name(name, dtype, 1)}({variant[1:]})")
    return f' "vector-function-abi-variant"="{",".join(mangled)}"'
