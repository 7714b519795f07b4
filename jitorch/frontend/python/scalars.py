"""Run-time scalars: Python numbers that a trace reads but does not depend on.

A float read from an argument, an attribute, an item or a variable stands in the trace as a
`RuntimeScalar`: a pure expression over paths, with the value it has in this run.  Arithmetic gives
further expressions, which the guard function evaluates at each call with Python's own arithmetic;
whatever cannot stay an expression (a test, an index, a dict key, formatting) makes the
expression a constant, with a guard that it has the same value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from jitorch.frontend.python import paths
from jitorch.frontend.python.paths import OPERATIONS, Operation, Path

NUMBERS = (bool, int, float)

# The types of the operands settle the type of these results; that of others (2 ** n) is guarded.
_TYPED = frozenset("add sub mul truediv floordiv mod lt le gt ge eq ne neg pos not_ int float bool fits".split())


class Guarding(Protocol):
    """Whoever collects guards."""

    def guard(self, path: Path, kind: str, expected: Any) -> None: ...


class RuntimeScalar:
    """A bool, int or float that is not baked into the trace.

    ``path`` is where, or by which expression, its value is found at each call; ``value`` is the
    value in this run.  Never two objects for one argument: compare ``path``.
    """

    __slots__ = ("owner", "path", "value")

    def __init__(self, owner: Guarding, path: Path, value: bool | int | float):
        self.owner, self.path, self.value = owner, path, value

    @property
    def python_type(self) -> type:
        return type(self.value)

    @property
    def has_64_bits(self) -> bool:
        """Whether a program can take it, guarded."""
        return self.python_type is not int or apply(OPERATIONS["fits"], 63, self).concrete()

    def concrete(self, why: str = "") -> Any:
        """The value, guarded: from here on the trace holds for this value only."""
        self.owner.guard(self.path, "eq", self.value)
        return self.value

    def __repr__(self) -> str:
        return f"<run-time {type(self.value).__name__} {self.path}>"

    def __str__(self) -> str:
        return str(self.concrete())

    def __format__(self, spec: str) -> str:
        return format(self.concrete(), spec)

    def __hash__(self) -> int:
        return hash(self.concrete())

    def __bool__(self) -> bool:
        return bool(self.concrete())

    def __int__(self) -> int:
        return int(self.concrete())

    def __float__(self) -> float:
        return float(self.concrete())

    def __complex__(self) -> complex:
        return complex(self.concrete())

    def __index__(self) -> int:
        return self.concrete().__index__()

    def __round__(self, digits: int | None = None) -> Any:
        return apply(OPERATIONS["round"], self) if digits is None else apply(OPERATIONS["round"], self, digits)

    def __abs__(self) -> Any:
        return apply(OPERATIONS["abs"], self)

    def __floor__(self) -> Any:
        return apply(paths.operation(math.floor), self)

    def __ceil__(self) -> Any:
        return apply(paths.operation(math.ceil), self)

    def __trunc__(self) -> Any:
        return apply(paths.operation(math.trunc), self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __getattr__(self, name: str) -> Any:
        """Methods of numbers (``is_integer``) work on the value; other attributes it has none."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.concrete(), name)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a run-time scalar lives only as long as its trace")


def _install_operators() -> None:
    def binary(operation: Operation) -> Callable[[Any, Any], Any]:
        def method(self: Any, other: Any) -> Any:
            if type(other) in NUMBERS or type(other) is RuntimeScalar:
                return apply(operation, self, other)
            return NotImplemented

        return method

    def reflected(operation: Operation) -> Callable[[Any, Any], Any]:
        def method(self: Any, other: Any) -> Any:
            return apply(operation, other, self) if type(other) in NUMBERS else NotImplemented

        return method

    for name in "add sub mul truediv floordiv mod pow and_ or_ xor lshift rshift".split():
        setattr(RuntimeScalar, f"__{name.strip('_')}__", binary(OPERATIONS[name]))
        setattr(RuntimeScalar, f"__r{name.strip('_')}__", reflected(OPERATIONS[name]))
    for name in "lt le gt ge eq ne".split():
        setattr(RuntimeScalar, f"__{name}__", binary(OPERATIONS[name]))
    for name in "neg pos invert".split():
        operation = OPERATIONS[name]
        setattr(RuntimeScalar, f"__{name}__", lambda self, operation=operation: apply(operation, self))


_install_operators()


def apply(operation: Operation, *operands: Any) -> Any:
    """The pure ``operation`` of run-time scalars and plain values, again a run-time scalar.

    Falls back to constants (guarded) where the result is no number or the operation raises: what
    the user's code does about the exception then depends on these values.
    """
    scalars = [x for x in operands if type(x) is RuntimeScalar]
    values = [x.value if type(x) is RuntimeScalar else x for x in operands]
    try:
        result = operation.function(*values)
    except Exception:
        for scalar in scalars:
            scalar.concrete()
        raise
    if type(result) not in NUMBERS:
        for scalar in scalars:
            scalar.concrete()
        return result
    path = paths.expression(operation, *[x.path if type(x) is RuntimeScalar else x for x in operands])
    owner = scalars[0].owner
    if operation.name not in _TYPED:
        owner.guard(path, "type", type(result))
    return RuntimeScalar(owner, path, result)
