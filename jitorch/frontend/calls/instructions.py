"""The instructions of a plan: how machine code finds the values that a trace read, and asks its guards.

`jitorch.frontend.calls.layout` has the operations, `jitorch.frontend.calls.guards_text` runs them.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitorch.frontend.calls.layout import Code, Word
from jitorch.frontend.python import Guard, Path, paths

_MOST_PAIRS = 600  # comparisons of a guard that objects are distinct


class NoPlan(Exception):
    """This trace has no plan; the message says why, for people who debug."""


class Plan:
    """The words of one plan, and what they point to."""

    def __init__(self) -> None:
        self.words = np.zeros(len(Word), np.int64)
        self.kept: list[Any] = []

    def address(self, value: Any) -> int:
        """Of an object that the plan keeps."""
        self.kept.append(value)
        return id(value)

    def table(self, numbers: Sequence[int]) -> int:
        """Of numbers that the plan keeps."""
        array = np.array([*numbers, 0], np.int64)
        self.kept.append(array)
        return array.ctypes.data

    def take_calls(self) -> int:
        """How many calls this plan served since this was last asked."""
        calls = int(self.words[Word.CALLS])
        self.words[Word.CALLS] -= calls
        return calls


class Writer:
    """Instructions under construction; registers are numbered by path."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.code: list[int] = []
        self.registers: dict[Path, int] = {}
        self.count = 0

    def emit(self, code: Code, *operands: int) -> None:
        self.code += [code, *operands, *[0] * (4 - len(operands))]

    def register(self) -> int:
        self.count += 1
        return self.count - 1

    def path(self, path: Path) -> int:
        """The register of the value at ``path``."""
        known = self.registers.get(path)
        if known is None:
            known = self.registers[path] = self._read(path)
        return known

    def constant(self, value: Any) -> int:
        register = self.register()
        self.emit(Code.OBJECT, register, self.plan.address(value))
        return register

    def attribute(self, base: int, name: str) -> int:
        register = self.register()
        self.emit(Code.ATTRIBUTE, register, base, self.plan.address(name))
        return register

    def item(self, base: int, key: Any) -> int:
        register = self.register()
        self.emit(Code.ITEM, register, base, self.plan.address(key))
        return register

    def _read(self, path: Path) -> int:
        base: Any = path.base
        key: Any = path.key
        known_key = not isinstance(path.key, Path)
        match path.kind:
            case "arg":
                register = self.register()
                self.emit(Code.ARGUMENT, register, key)
                return register
            case "const":
                return self.constant(base)
            case "attr" if path.key == "__dict__" and base.is_constant and isinstance(base.base, type):
                return self.constant(_entries(base.base))
            case "attr":
                return self.attribute(self.path(base), key)
            case "item" if known_key:
                return self.item(self.path(base), key)
            case "cell":
                cell = self.item(self.attribute(self.path(base), "__closure__"), key[0])
                return self.attribute(cell, "cell_contents")
            case "default":
                return self.item(self.attribute(self.path(base), "__defaults__"), key[0])
            case "op" if len(base) == 2:
                left, right = (self.path(x) if isinstance(x, Path) else self.constant(x) for x in base)
                register = self.register()
                self.emit(Code.APPLY, register, self.plan.address(key.function), left, right)
                return register
            case "item":
                # A key that is an object of the program, such as a parameter in an optimizer's state.
                left, right = self.path(base), self.path(key)
                register = self.register()
                self.emit(Code.APPLY, register, self.plan.address(_getitem), left, right)
                return register
        raise NoPlan(f"a path of kind {path.kind}")

    def guard(self, guard: Guard) -> None:
        value = self.path(guard.path)
        expected: Any = guard.expected
        known = not isinstance(guard.expected, Path)
        address = self.plan.address
        match guard.kind:
            case "type":
                self.emit(Code.TYPE, value, address(expected))
            case "is":
                self.emit(Code.IS, value, address(expected))
            case "eq":
                compared = type(expected) in (int, str) or (type(expected) is float and abs(expected) > 0)
                if compared:
                    self.emit(Code.EQUAL, value, address(expected))
                else:
                    # The object that is there now is asked for: the twin sees to equal ones.
                    self.emit(Code.IS, value, address(self._now(guard.path)))
            case "func":
                # Another function object of the same code is left to the twin.
                self.emit(Code.IS, self.attribute(value, "__code__"), address(expected.code))
                self.emit(Code.IS, value, address(self._now(guard.path)))
            case "same":
                self.emit(Code.SAME, value, self.path(expected))
            case "len":
                self.emit(Code.LENGTH, value, expected)
            case "has" | "lacks" if known:
                self.emit(Code.HAS if guard.kind == "has" else Code.LACKS, value, address(expected))
            case "keys" if all(type(key) is str for key in expected):
                self.emit(Code.KEYS, value, address(expected))
            case "unshadowed":
                names = self.path(paths.attr(guard.path, "__dict__"))
                self.emit(Code.LACKS, names, address(expected))
            case "distinct":
                self._distinct([value, *map(self.path, expected)])
            case "tensor":
                self._tensor(value, expected)
            case _:
                raise NoPlan(f"a guard of kind {guard.kind}")

    arguments: tuple[Any, ...] = ()

    def _now(self, path: Path) -> Any:
        return paths.evaluate(path, self.arguments, {})

    def _distinct(self, registers: list[int]) -> None:
        pairs = [(a, b) for i, a in enumerate(registers) for b in registers[:i]]
        if len(pairs) > _MOST_PAIRS:
            raise NoPlan("too many objects that must be distinct")
        for a, b in pairs:
            self.emit(Code.OTHER, a, b)

    def _tensor(self, value: int, expected: Any) -> None:
        if not isinstance(expected, tuple) or len(expected) != 5 or expected[3:] != (None, None):
            raise NoPlan("a tensor that is a view, has hooks, is of symbolic size or of a class of the user's")
        type_, requires_grad, is_leaf, _, _ = expected
        if type(requires_grad) is not bool:
            raise NoPlan("requires_grad is no bool")
        address = self.plan.address
        self.emit(Code.TENSOR, value, address(type_), address(requires_grad), int(is_leaf))


def _entries(kind: type) -> dict[str, Any]:
    """The dictionary of a class itself, which `type.__dict__` shows through a proxy that it makes for each read."""
    (entries,) = gc.get_referents(kind.__dict__)
    return entries


def _getitem(base: Any, key: Any) -> Any:
    return base[key]
