"""Plain values <-> JSON: what attributes, defaults and constants of saved models may be."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from jitorch import dtypes
from jitorch.devices import Device
from jitorch.dtypes import DType
from jitorch.errors import SavedModelError
from jitorch.frontend.script import tables
from jitorch.frontend.script.program import Member
from jitorch.tensor import Tensor

_FLOATS = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}
MAX_DEPTH = 100


class NotSaveable(Exception):
    """A value that no file holds; its text says which."""


class Encoder:
    """Values -> JSON; ``tensor`` gives the name of a tensor, ``record`` that of an object's class in the file."""

    def __init__(self, tensor: Callable[[Tensor], str], record: Callable[[Any], str | None]):
        self.tensor, self.record = tensor, record

    def encode(self, value: Any) -> Any:
        if isinstance(value, enum.Enum):
            return {"enum": [self._class(value), value.name]}
        if isinstance(value, Member):
            return {"enum": [value.kind, value.name]}
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if abs(value) < _FLOATS["inf"] else {"float": str(value)}
        if type(value) is complex:
            return {"complex": [self.encode(value.real), self.encode(value.imag)]}
        if isinstance(value, Tensor):
            return {"tensor": self.tensor(value)}
        if isinstance(value, DType):
            return {"dtype": value.name}
        if isinstance(value, Device):
            return {"device": str(value)}
        if type(value) is list:
            return [self.encode(item) for item in value]
        if isinstance(value, tuple):
            names = getattr(value, "_fields", None)
            if names is not None:
                return {"record": [self._class(value), {n: self.encode(v) for n, v in zip(names, value)}]}
            return {"tuple": [self.encode(item) for item in value]}
        if type(value) is dict:
            return {"dict": [[self.encode(k), self.encode(v)] for k, v in value.items()]}
        public = tables.public_names().get(id(value))
        if public is not None:
            return {"public": public}
        if self.record(value) is not None:
            return {"record": [self._class(value), {n: self.encode(v) for n, v in vars(value).items()}]}
        raise NotSaveable(f"a {type(value).__name__}")

    def _class(self, value: Any) -> str:
        found = self.record(value)
        if found is None:
            raise NotSaveable(f"a {type(value).__name__}")
        return found


class Decoder:
    """JSON -> values; ``tensors`` by name, ``classes`` the Python classes that the file's program made."""

    def __init__(self, tensors: dict[str, Tensor], classes: dict[str, Any]):
        self.tensors, self.classes = tensors, classes

    def decode(self, value: Any, depth: int = 0) -> Any:
        """The value; SavedModelError for JSON that stands for none."""
        if depth > MAX_DEPTH:
            raise SavedModelError("a value is nested too deeply")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, list):
            return [self.decode(item, depth + 1) for item in value]
        if not isinstance(value, dict) or len(value) != 1:
            raise SavedModelError("a value is of no known kind", actual=str(value)[:80])
        ((kind, content),) = value.items()
        read: Callable[[Any, int], Any] | None = getattr(self, f"_read_{kind}", None) if kind.isidentifier() else None
        if read is None:
            raise SavedModelError("a value is of no known kind", actual=str(kind)[:80])
        return read(content, depth + 1)

    def _bad(self, kind: str, content: Any) -> SavedModelError:
        return SavedModelError(f"this is no {kind}", actual=str(content)[:80])

    def _read_float(self, content: Any, depth: int) -> float:
        if not isinstance(content, str) or content not in _FLOATS:
            raise self._bad("float", content)
        return _FLOATS[content]

    def _read_complex(self, content: Any, depth: int) -> complex:
        parts = [self.decode(x, depth) for x in content] if isinstance(content, list) else []
        if len(parts) != 2 or not all(type(x) in (int, float) for x in parts):
            raise self._bad("complex number", content)
        return complex(*parts)

    def _read_tensor(self, content: Any, depth: int) -> Tensor:
        if not isinstance(content, str) or content not in self.tensors:
            raise self._bad("tensor of the file", content)
        return self.tensors[content]

    def _read_dtype(self, content: Any, depth: int) -> DType:
        for dtype in dtypes.ALL:
            if dtype.name == content:
                return dtype
        raise self._bad("dtype", content)

    def _read_device(self, content: Any, depth: int) -> Device:
        if content != "cpu":
            raise self._bad("device that a file may name", content)
        return Device("cpu")

    def _read_tuple(self, content: Any, depth: int) -> tuple[Any, ...]:
        if not isinstance(content, list):
            raise self._bad("tuple", content)
        return tuple(self.decode(item, depth) for item in content)

    def _read_dict(self, content: Any, depth: int) -> dict[Any, Any]:
        if not isinstance(content, list) or not all(isinstance(p, list) and len(p) == 2 for p in content):
            raise self._bad("dict", content)
        found = {}
        for key, item in content:
            decoded = self.decode(key, depth)
            if not _is_key(decoded):
                raise self._bad("key of a dict", key)
            found[decoded] = self.decode(item, depth)
        return found

    def _read_public(self, content: Any, depth: int) -> Any:
        found = tables.public(content) if isinstance(content, str) else None
        if found is None:
            raise self._bad("public function", content)
        return found

    def _read_enum(self, content: Any, depth: int) -> Any:
        kind, member = self._pair(content, "member of an enum")
        members = getattr(self.classes.get(kind), "__members__", {})
        if not isinstance(member, str) or member not in members:
            raise self._bad("member of an enum", content)
        return members[member]

    def _read_record(self, content: Any, depth: int) -> Any:
        name, fields = self._pair(content, "object")
        kind: Any = self.classes.get(name)
        if not isinstance(kind, type) or not isinstance(fields, dict) or not all(tables.is_member(n) for n in fields):
            raise self._bad("object of a class of the file", content)
        values = {n: self.decode(v, depth) for n, v in fields.items()}
        if issubclass(kind, tuple):
            if tuple(values) != getattr(kind, "_fields", ()):
                raise self._bad("named tuple", content)
            return tuple.__new__(kind, values.values())
        if issubclass(kind, enum.Enum) or hasattr(kind, "_parameters"):
            raise self._bad("object of a class of the file", content)
        made = object.__new__(kind)
        made.__dict__.update(values)
        return made

    def _pair(self, content: Any, kind: str) -> tuple[str, Any]:
        if not isinstance(content, list) or len(content) != 2 or not isinstance(content[0], str):
            raise self._bad(kind, content)
        return content[0], content[1]


class DefaultDecoder(Decoder):
    """Values of defaults, read before there are classes: plain ones, and members of enums by name."""

    def __init__(self) -> None:
        super().__init__({}, {})

    def _read_enum(self, content: Any, depth: int) -> Member:
        kind, member = self._pair(content, "member of an enum")
        if not isinstance(member, str):
            raise self._bad("member of an enum", content)
        return Member(kind, member)

    def _read_public(self, content: Any, depth: int) -> Any:
        raise self._bad("default", content)


def _is_key(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_key, value))
    return value is None or isinstance(value, (bool, int, float, str, complex, Tensor))
