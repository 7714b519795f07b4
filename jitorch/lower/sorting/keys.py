"""Keys: integers in the order of elements, which sorts and selections compare and cut into digits.

Equal elements have equal keys, NaN is greater than every number.  In a descending order keys are turned around, so that
what comes first always has the least.
"""

from __future__ import annotations

from dataclasses import dataclass

from jitorch import dtypes
from jitorch.dtypes import DType
from jitorch.ir import kernel as k

HALF = 32
"""Bits of a number that hold a position, below those of a key of at most 32 bits."""


@dataclass(frozen=True)
class Keys:
    """The keys of elements of ``dtype``, which is real."""

    dtype: DType
    descending: bool

    @property
    def bits(self) -> int:
        """Bits that keys differ in: 8, 16, 32 or 64."""
        if self.dtype is dtypes.bool_:
            return 8
        return max(self.dtype.bits, 32) if self.dtype.is_floating_point else self.dtype.bits

    @property
    def fits_half(self) -> bool:
        """Whether a key and a position fit into one number of 64 bits."""
        return self.bits <= HALF

    def signed(self, element: k.Expr) -> k.Expr:
        """The key as an int64, as signed numbers are ordered."""
        key = self._ascending(element)
        return k.call("not", key) if self.descending else key

    def digits(self, element: k.Expr) -> k.Expr:
        """The key as an int64 whose lowest `bits`, cut into digits, order it as unsigned numbers are."""
        return k.call("xor", self.signed(element), -(1 << (self.bits - 1)))

    def _ascending(self, element: k.Expr) -> k.Expr:
        if not self.dtype.is_floating_point:
            key = k.cast(element, dtypes.int64)
            if self.dtype is dtypes.uint64:
                return k.call("xor", key, -(1 << 63))
            return key if self.dtype.is_signed else key - self._middle
        # Of two zeros that are equal neither is negative; in negative numbers all other bits count downwards.
        bits = k.call("bits", element + k.const(0.0, self.dtype))
        mask = k.call("shr", bits, bits.dtype.bits - 1)
        below = k.call("xor", bits, k.call("and", mask, (1 << (bits.dtype.bits - 1)) - 1))
        return k.cast(below, dtypes.int64)

    @property
    def _middle(self) -> int:
        """What makes unsigned numbers signed ones in the same order."""
        return 1 << (self.bits - 1)
