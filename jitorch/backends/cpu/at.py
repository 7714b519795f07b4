"""Where an instruction is written, and what its operands are."""

from __future__ import annotations

from dataclasses import dataclass

from jitorch.backends.cpu.text import Function, literal, register_type, suffix, vector
from jitorch.dtypes import DType


@dataclass(slots=True)
class At:
    """Where a word is said: the function written, the operands' dtype and lanes, the call's licence to reorder."""

    function: Function
    dtype: DType
    lanes: int = 1
    reassociate: bool = False

    @property
    def type(self) -> str:
        return register_type(self.dtype, self.lanes)

    @property
    def test_type(self) -> str:
        return vector("i1", self.lanes)

    def op(self, text: str) -> str:
        return self.function.op(text)

    def const(self, value: int | float | bool, dtype: DType | None = None) -> str:
        """``value`` in every lane."""
        dtype = dtype or self.dtype
        text = literal(value, dtype)
        return text if self.lanes == 1 else f"splat ({register_type(dtype)} {text})"

    def test(self, relation: str, x: str, y: str) -> str:
        instruction = "fcmp" if self.dtype.is_floating_point else "icmp"
        return self.op(f"{instruction} {relation} {self.type} {x}, {y}")

    def select(self, test: str, x: str, y: str, type: str | None = None) -> str:
        type = type or self.type
        return self.op(f"select {self.test_type} {test}, {type} {x}, {type} {y}")

    def binary(self, instruction: str, x: str, y: str) -> str:
        return self.op(f"{instruction} {self.type} {x}, {y}")

    def intrinsic(self, name: str, *args: str, extra: str = "", flags: str = "") -> str:
        """An intrinsic that is overloaded on the operands' type; ``flags`` are LLVM's fast-math flags."""
        name = f"llvm.{name}.{suffix(register_type(self.dtype), self.lanes)}"
        params = ", ".join([self.type] * len(args)) + (", i1" if extra else "")
        callee = self.function.module.declare(name, self.type, params)
        operands = ", ".join(f"{self.type} {a}" for a in args) + (f", {extra}" if extra else "")
        return self.op(f"call {flags and flags + ' '}{self.type} {callee}({operands})")

    def each(self, callee: str, *args: str) -> str:
        """Call a function of single elements, lane by lane."""
        element = register_type(self.dtype)
        if self.lanes == 1:
            return self.op(f"call {element} {callee}({', '.join(f'{element} {a}' for a in args)})")
        result = "poison"
        for lane in range(self.lanes):
            parts = [self.op(f"extractelement {self.type} {a}, i32 {lane}") for a in args]
            value = self.op(f"call {element} {callee}({', '.join(f'{element} {p}' for p in parts)})")
            result = self.op(f"insertelement {self.type} {result}, {element} {value}, i32 {lane}")
        return result
