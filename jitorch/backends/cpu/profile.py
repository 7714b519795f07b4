"""Profiles: how long each kernel of a program takes, where `JITORCH_PROFILE` asks for it.

A program that is made so reads the clock around every launch and copy, which costs some 50 nanoseconds each, and
adds up in a table of its own: for each statement nanoseconds and how often it ran.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jitorch.backends.cpu.text import Function, symbol

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """What one statement of a program took in all its runs, in seconds."""

    name: str
    seconds: float
    runs: int


class Profiler:
    """Writes the clock's reading around statements; ``names`` are those of the table's rows so far.

    ``clock`` is the C library's ``timespec_get`` under the name that the platform has for it.
    """

    def __init__(self, table: str, clock: str):
        self.table, self.clock = table, clock
        self.names: list[str] = []

    def around(self, function: Function, name: str, write: Callable[[], None]) -> None:
        """What ``write`` writes, timed as a row called ``name``."""
        row = len(self.names)
        self.names.append(name)
        before = self._now(function)
        write()
        after = self._now(function)
        self._add(function, 2 * row, function.op(f"sub i64 {after}, {before}"))
        self._add(function, 2 * row + 1, "1")

    def finish(self, function: Function) -> None:
        """Define the table, whose size is known now."""
        size = 2 * max(1, len(self.names))
        function.module.globals[self.table] = f"{symbol(self.table)} = global [{size} x i64] zeroinitializer, align 64"

    def _now(self, function: Function) -> str:
        clock = function.module.declare(self.clock, "i32", "ptr, i32")
        place = function.alloca("[2 x i64]", 8, "time")
        function.op(f"call i32 {clock}(ptr {place}, i32 1)")
        seconds = function.op(f"load i64, ptr {place}, align 8")
        rest_place = function.op(f"getelementptr i64, ptr {place}, i64 1")
        rest = function.op(f"load i64, ptr {rest_place}, align 8")
        return function.op(f"add i64 {function.op(f'mul i64 {seconds}, {_SECOND}')}, {rest}")

    def _add(self, function: Function, word: int, amount: str) -> None:
        place = function.op(f"getelementptr i64, ptr {symbol(self.table)}, i64 {word}")
        function.op(f"atomicrmw add ptr {place}, i64 {amount} monotonic, align 8")


def clock_of(triple: str) -> str:
    """The name of ``timespec_get`` in the C library of a platform."""
    return "_timespec64_get" if "windows" in triple else "timespec_get"


def table_symbol(entry: str) -> str:
    """The exported table of the program whose function is ``entry``."""
    return f"{entry}.times"


def read(address: int, names: Sequence[str]) -> list[Timing]:
    """The rows of a table."""
    words = (ctypes.c_int64 * (2 * len(names))).from_address(address)
    return [Timing(name, words[2 * i] / _SECOND, words[2 * i + 1]) for i, name in enumerate(names)]


def clear(address: int, names: Sequence[str]) -> None:
    """Let a table start from zero."""
    ctypes.memset(address, 0, 16 * len(names))
