"""Formulae that write LLVM instructions: `Term`, a value in a register, with the operators of arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jitorch import dtypes
from jitorch.backends.cpu.at import At
from jitorch.backends.cpu.text import register_type
from jitorch.dtypes import DType
from jitorch.errors import CompilerBug

Number = int | float


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A float, an integer of the same width, or a truth value; in one lane or in all of them.

    Every operator writes one instruction.  Comparisons are false for NaN; ``>>`` keeps the sign.
    """

    at: At
    text: str

    @property
    def is_single(self) -> bool:
        """Whether 32 bits wide, rather than 64."""
        return self.at.dtype.bits == 32

    def same(self, value: Term | Number) -> Term:
        """``value`` as a term of this one's dtype."""
        if not isinstance(value, Term):
            return Term(self.at, self.at.const(value))
        if value.at.dtype is not self.at.dtype:
            raise CompilerBug("terms of two dtypes", expected=self.at.dtype.name, actual=value.at.dtype.name)
        return value

    def _as(self, dtype: DType, text: str) -> Term:
        return Term(replace(self.at, dtype=dtype), text)

    def _binary(self, float_instruction: str, instruction: str, x: Term | Number, y: Term | Number) -> Term:
        chosen = float_instruction if self.at.dtype.is_floating_point else instruction
        return Term(self.at, self.at.binary(chosen, self.same(x).text, self.same(y).text))

    def __add__(self, other: Term | Number) -> Term:
        return self._binary("fadd", "add", self, other)

    def __radd__(self, other: Number) -> Term:
        return self._binary("fadd", "add", other, self)

    def __sub__(self, other: Term | Number) -> Term:
        return self._binary("fsub", "sub", self, other)

    def __rsub__(self, other: Number) -> Term:
        return self._binary("fsub", "sub", other, self)

    def __mul__(self, other: Term | Number) -> Term:
        return self._binary("fmul", "mul", self, other)

    def __rmul__(self, other: Number) -> Term:
        return self._binary("fmul", "mul", other, self)

    def __truediv__(self, other: Term | Number) -> Term:
        return Term(self.at, self.at.binary("fdiv", self.text, self.same(other).text))

    def __rtruediv__(self, other: Number) -> Term:
        return Term(self.at, self.at.binary("fdiv", self.same(other).text, self.text))

    def __neg__(self) -> Term:
        return Term(self.at, self.at.op(f"fneg {self.at.type} {self.text}"))

    def __and__(self, other: Term | Number) -> Term:
        return Term(self.at, self.at.binary("and", self.text, self.same(other).text))

    def __or__(self, other: Term | Number) -> Term:
        return Term(self.at, self.at.binary("or", self.text, self.same(other).text))

    def __xor__(self, other: Term | Number) -> Term:
        return Term(self.at, self.at.binary("xor", self.text, self.same(other).text))

    def __lshift__(self, count: int) -> Term:
        return Term(self.at, self.at.binary("shl", self.text, self.same(count).text))

    def __rshift__(self, count: int) -> Term:
        return Term(self.at, self.at.binary("ashr", self.text, self.same(count).text))

    def _test(self, float_relation: str, relation: str, other: Term | Number) -> Term:
        chosen = float_relation if self.at.dtype.is_floating_point else relation
        return self._as(dtypes.bool_, self.at.test(chosen, self.text, self.same(other).text))

    def __lt__(self, other: Term | Number) -> Term:
        return self._test("olt", "slt", other)

    def __le__(self, other: Term | Number) -> Term:
        return self._test("ole", "sle", other)

    def __gt__(self, other: Term | Number) -> Term:
        return self._test("ogt", "sgt", other)

    def __ge__(self, other: Term | Number) -> Term:
        return self._test("oge", "sge", other)

    def equals(self, other: Term | Number) -> Term:
        return self._test("oeq", "eq", other)

    def differs(self, other: Term | Number) -> Term:
        """Also from NaN."""
        return self._test("une", "ne", other)

    def is_unordered_with(self, other: Term) -> Term:
        """Whether one of the two is NaN."""
        return self._test("uno", "ne", other)

    @property
    def is_nan(self) -> Term:
        return self._as(dtypes.bool_, self.at.test("uno", self.text, self.text))

    @property
    def bits(self) -> Term:
        """A float's representation."""
        integer = dtypes.int32 if self.is_single else dtypes.int64
        return self._as(integer, self._converted("bitcast", integer))

    @property
    def number(self) -> Term:
        """The float that an integer represents."""
        floating = dtypes.float32 if self.is_single else dtypes.float64
        return self._as(floating, self._converted("bitcast", floating))

    @property
    def double(self) -> Term:
        """A float in double precision."""
        return self._as(dtypes.float64, self._converted("fpext", dtypes.float64))

    @property
    def single(self) -> Term:
        """A double rounded to single precision."""
        return self._as(dtypes.float32, self._converted("fptrunc", dtypes.float32))

    def _converted(self, instruction: str, target: DType) -> str:
        return self.at.op(f"{instruction} {self.at.type} {self.text} to {register_type(target, self.at.lanes)}")

    def _intrinsic(self, name: str, *others: Term) -> Term:
        return Term(self.at, self.at.intrinsic(name, self.text, *(other.text for other in others)))

    @property
    def magnitude(self) -> Term:
        return self._intrinsic("fabs")

    @property
    def root(self) -> Term:
        return self._intrinsic("sqrt")

    @property
    def truncated(self) -> Term:
        return self._intrinsic("trunc")

    def with_sign_of(self, other: Term) -> Term:
        return self._intrinsic("copysign", other)

    def at_most(self, limit: float) -> Term:
        """The smaller of the two; a NaN stays."""
        return choose(self > limit, self.same(limit), self)

    def at_least(self, limit: float) -> Term:
        """The greater of the two; a NaN stays."""
        return choose(self < limit, self.same(limit), self)


def choose(test: Term, x: Term | Number, y: Term | Number) -> Term:
    """``x`` where ``test`` holds, else ``y``; one of them is a term."""
    like = x if isinstance(x, Term) else y
    if not isinstance(like, Term):
        raise CompilerBug("neither choice says its dtype")
    return Term(like.at, like.at.select(test.text, like.same(x).text, like.same(y).text))


def fused(x: Term, y: Term | Number, z: Term | Number) -> Term:
    """``x * y + z``, rounded once where the target has an instruction for it, else twice."""
    return x._intrinsic("fmuladd", x.same(y), x.same(z))


def exactly(x: Term, y: Term, z: Term) -> Term:
    """``x * y + z``, rounded once, on every processor."""
    return x._intrinsic("fma", y, z)


def polynomial(x: Term, coefficients: Sequence[float]) -> Term:
    """By Horner's rule; the lowest power first."""
    total = x.same(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = fused(total, x, coefficient)
    return total


def rounder(x: Term) -> float:
    """What rounds a float to a whole number when it is added and taken away again.

    The low bits of the sum are the whole number, as two's complement.
    """
    return 1.5 * 2.0**23 if x.is_single else 1.5 * 2.0**52


def mantissa_bits(x: Term) -> int:
    return 23 if x.is_single else 52


def bias(x: Term) -> int:
    """Of the exponent."""
    return 127 if x.is_single else 1023


def least_normal(x: Term) -> float:
    return 2.0**-126 if x.is_single else 2.0**-1022


INFINITY = math.inf
NAN = math.nan
