"""Paths: where a value that a trace depended on is found again at the next call.

    path = arg(i) | kwarg(name)                the arguments of the traced call
         | const(object)                       an object that is the same in every call
         | attr(path, name)                    ``base.name``
         | item(path, key)                     ``base[key]``; the key is plain data, or a path
         | cell(path, (index, name))           a variable of the closure of the function at ``base``
         | default(path, (index, name))        a default value of the function at ``base``
         | kwdefault(path, name)
         | op((operand, ...), operation)       a pure function of paths and plain data

Paths are immutable and hashable: two traces that read the same place have equal paths.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """A pure function in an expression; ``template`` is its Python source where it has an operator."""

    name: str
    function: Callable[..., Any]
    template: str | None = None


def fits(bits: int, value: int) -> bool:
    """Whether an int fits in so many bits and one for the sign."""
    return -1 << bits <= value < 1 << bits


def _operators() -> dict[str, Operation]:
    infix = {
        "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
        "and_": "&", "or_": "|", "xor": "^", "lshift": "<<", "rshift": ">>",
        "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
    }  # fmt: skip
    prefix = {"neg": "-", "pos": "+", "invert": "~", "not_": "not "}
    table = {n: Operation(n, getattr(operator, n), f"({{}} {s} {{}})") for n, s in infix.items()}
    table |= {n: Operation(n, getattr(operator, n), f"({s}{{}})") for n, s in prefix.items()}
    for function in (abs, int, float, bool, round, min, max, divmod, fits):
        table[function.__name__] = Operation(function.__name__, function)
    return table


OPERATIONS = _operators()


def operation(function: Callable[..., Any]) -> Operation:
    """The operation of a pure function that has no operator, such as ``math.sqrt``."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__name__", repr(function))
    return Operation(name if module in (None, "builtins") else f"{module}.{name}", function)


class Path:
    """One place; see the module's grammar.  ``base`` is a Path, the constant, or the operands of ``op``."""

    __slots__ = ("_hash", "base", "key", "kind")

    kind: str
    base: Any
    key: Any

    def __init__(self, kind: str, base: Any, key: Any = None):
        self.kind, self.base, self.key = kind, base, key
        self._hash = hash((kind, id(base) if kind == "const" else base, key))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Path) or self._hash != other._hash or self.kind != other.kind:
            return False
        if self.kind == "const":
            return self.base is other.base
        if self.kind == "op":
            return self.key == other.key and _same_operands(self.base, other.base)
        return type(self.key) is type(other.key) and self.key == other.key and self.base == other.base

    def __repr__(self) -> str:
        return f"<path {self}>"

    def __str__(self) -> str:
        return describe(self)

    @property
    def is_constant(self) -> bool:
        return self.kind == "const"

    @property
    def is_of_argument(self) -> bool:
        """Whether it is an argument, or leads there from one."""
        root = self
        while isinstance(root.base, Path):
            root = root.base
        return root.kind in ("arg", "kwarg")


def _same_operands(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    # 1, 1.0 and True are equal, but expressions of them are not the same.
    return len(a) == len(b) and all(type(x) is type(y) and x == y for x, y in zip(a, b, strict=True))


def arg(index: int) -> Path:
    return Path("arg", None, index)


def kwarg(name: str) -> Path:
    return Path("kwarg", None, name)


def const(value: object) -> Path:
    return Path("const", value)


def attr(base: Path, name: str) -> Path:
    return Path("attr", base, name)


def item(base: Path, key: Any) -> Path:
    return Path("item", base, key)


def expression(op: Operation, *operands: Any) -> Path:
    """``op`` applied to operands that are paths or plain numbers."""
    return Path("op", operands, op)


def evaluate(path: Path, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The value at ``path`` now; whatever lookup error Python raises if the place is gone."""
    match path.kind:
        case "arg":
            return args[path.key]
        case "kwarg":
            return kwargs[path.key]
        case "const":
            return path.base
        case "op":
            return path.key.function(*[evaluate(x, args, kwargs) if isinstance(x, Path) else x for x in path.base])
    base = evaluate(path.base, args, kwargs)
    match path.kind:
        case "attr":
            return getattr(base, path.key)
        case "item":
            return base[evaluate(path.key, args, kwargs) if isinstance(path.key, Path) else path.key]
        case "cell":
            return base.__closure__[path.key[0]].cell_contents
        case "default":
            return base.__defaults__[path.key[0]]
        case _:
            return base.__kwdefaults__[path.key]


def describe(path: Path) -> str:
    """The path as a user would write it: ``arg0.model.fc.weight``, ``config['lr']``, ``arg1 + 1``."""
    match path.kind:
        case "arg":
            return f"arg{path.key}"
        case "kwarg":
            return path.key
        case "const":
            return _describe_constant(path.base)
        case "op":
            operands = [describe(x) if isinstance(x, Path) else _describe_operand(x) for x in path.base]
            if path.key.template is not None:
                return path.key.template.format(*operands)
            return f"{path.key.name}({', '.join(operands)})"
        case "attr":
            return f"{describe(path.base)}.{path.key}"
        case "item" if path.base.is_constant and _is_globals(path.base.base):
            return str(path.key)
        case "item" if path.base.is_constant and path.base.base is vars(builtins):
            return f"builtins.{path.key}"
        case "item":
            key = describe(path.key) if isinstance(path.key, Path) else repr(path.key)
            return f"{describe(path.base)}[{key}]"
        case "cell":
            return path.key[1]
        case "default":
            return f"{describe(path.base)}({path.key[1]}=...)"
        case _:
            return f"{describe(path.base)}({path.key}=...)"


def _describe_operand(value: Any) -> str:
    is_negative = type(value) in (int, float) and value < 0
    return f"({value!r})" if is_negative else repr(value)


def _is_globals(value: object) -> bool:
    return type(value) is dict and "__builtins__" in value and "__name__" in value


def _describe_constant(value: object) -> str:
    if isinstance(value, (type, ModuleType, FunctionType)):
        return value.__name__
    if _is_globals(value):
        return "globals()"
    if isinstance(value, (bool, int, str, type(None))) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    return f"<{type(value).__name__}>"
