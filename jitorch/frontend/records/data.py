"""Values and paths as plain data, and back: what a record of a trace is made of.

Numbers, strings, bytes and None stand for themselves; everything else is a tuple whose first element says what it is.
What has no form here is `Unportable`, so that no record is written; what a form names and is not found, or is another
thing now, is `Changed`, so that the record is not used.  Nothing is executed or imported.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from jitorch import devices, dims, dtypes
from jitorch.devices import Device, Layout, MemoryFormat
from jitorch.dims import Symbol, SymDim
from jitorch.dtypes import DType
from jitorch.frontend.python import Path, paths
from jitorch.frontend.records.names import Changed, Digests, Unportable, is_versioned, name_of, resolve
from jitorch.frontend.trace.tensor_recorder import SymbolicKey
from jitorch.ir.op import Op
from jitorch.ir.types import EFFECT, PYTHON_TYPES, EffectType, ScalarType, TensorType
from jitorch.ops import OPS
from jitorch.ops.generator import the_default
from jitorch.tensor import type_of

MOST_BYTES = 1 << 24
"""Of constant arrays in one record."""

_RAW = frozenset({bool, int, float, complex, str, bytes, type(None), type(Ellipsis)})
_SCALARS = {t.name: t for t in PYTHON_TYPES.values()}
_LOOKUP_ERRORS = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)
_PARTS = ("__self__", "__func__", "func", "args", "keywords")


class Roots:
    """The compiled function and its parts, which paths start from: ``place(object)`` and ``object(place)``."""

    def __init__(self, function: Any):
        self._objects: dict[str, Any] = {"": function}
        for part in _PARTS:
            found = getattr(function, part, None) if not isinstance(function, types.FunctionType) else None
            if found is not None:
                self._objects[part] = found
        self._objects["random"] = the_default().state
        self._places = {id(value): place for place, value in self._objects.items()}

    def place(self, value: Any) -> str | None:
        return self._places.get(id(value))

    def object(self, place: str) -> Any:
        if place not in self._objects:
            raise Changed(f"the compiled function has no {place}")
        return self._objects[place]


class Encoder:
    """Values -> data.

    ``places``: by identity, where objects without a name are found: a path, and what of the object there.
    ``constants``: by identity, the numbers of values that a reader has already.  ``found``: what of which path the
    objects are that have no name; a reader looks for them while it has the arguments of a call.
    """

    def __init__(self, roots: Roots, digests: Digests):
        self.roots, self.digests = roots, digests
        self.nodes: list[tuple[str, Any, Any]] = []
        self.symbols: dict[str, tuple[int, int | None, int | None, bool]] = {}
        self.arrays: list[tuple[str, tuple[int, ...], bytes]] = []
        self.places: dict[int, tuple[str, Path]] = {}
        self.constants: dict[int, int] = {}
        self.found: dict[tuple[str, int, str], int] = {}
        self._paths: dict[Path, int] = {}
        self._array_places: dict[int, tuple[int, Any]] = {}
        self._bytes = 0

    @property
    def tables(self) -> tuple[Any, ...]:
        """What a `Decoder` needs, as plain data: paths, symbols, arrays and where objects are found."""
        return tuple(self.nodes), self.symbols, tuple(self.arrays), tuple(self.found)

    def path(self, path: Path) -> int:
        """The number of ``path`` among `nodes`."""
        known = self._paths.get(path)
        if known is None:
            node = self._node(path)
            known = self._paths[path] = len(self.nodes)
            self.nodes.append(node)
        return known

    def _node(self, path: Path) -> tuple[str, Any, Any]:
        base, key = path.base, path.key
        match path.kind:
            case "arg" | "kwarg":
                return path.kind, None, key
            case "const":
                return "const", None, self.value(base)
            case "op":
                known = key.name if key.name in paths.OPERATIONS else ("function", self.value(key.function))
                return "op", tuple(self._key(x) for x in base), known
        return path.kind, self.path(base), self._key(key)

    def _key(self, key: Any) -> Any:
        return ("path", self.path(key)) if isinstance(key, Path) else self.value(key)

    def value(self, value: Any) -> Any:
        """The data of any value.  Raises `Unportable`."""
        kind = type(value)
        if kind in _RAW:
            return value
        constant = self.constants.get(id(value))
        if constant is not None:
            return "constant", constant
        if kind is tuple or kind is frozenset:
            return kind.__name__, *map(self.value, value)
        if kind is slice:
            return "slice", *map(self.value, (value.start, value.stop, value.step))
        if kind is range:
            return "range", value.start, value.stop, value.step
        return self._library(value) or self._numpy(value) or self._named(value)

    def _library(self, value: Any) -> Any:
        match value:
            case TensorType():
                return "tensor", value.dtype.name, *map(self.dim, value.shape)
            case ScalarType() if _SCALARS.get(value.name) == value:
                return "scalar", value.name
            case EffectType():
                return ("effect",)
            case DType():
                return "dtype", value.name
            case SymDim():
                return self.dim(value)
            case Device():
                return "device", value.type, value.index
            case MemoryFormat() | Layout():
                return "format", value.name
            case SymbolicKey():
                return "symbolic", self.value(value.type), self.value(value.rest)
            case Op() if OPS.get(value.name) is value:
                return "op", value.name
        return None

    def dim(self, dim: Any) -> Any:
        """A size: an int, or the text of a polynomial."""
        if type(dim) is int:
            return dim
        for symbol in dims.symbols(dim):
            self.symbols[symbol.name] = symbol.low, symbol.high, symbol.hint, symbol.computed
        return "dim", str(dim)

    def guard(self, guard: dims.Guard) -> str:
        """A fact about symbolic sizes."""
        self.dim(guard.left)
        self.dim(guard.right)
        return str(guard)

    def _numpy(self, value: Any) -> Any:
        if isinstance(value, np.dtype):
            return ("npdtype", value.str) if value.isbuiltin == 1 else None
        if isinstance(value, np.generic) and value.dtype.isbuiltin == 1 and not value.dtype.hasobject:
            return "npscalar", value.dtype.str, value.tobytes()
        return ("array", self.array(value)) if type(value) is np.ndarray else None

    def array(self, array: np.ndarray[Any, Any]) -> int:
        """The number of a constant array among `arrays`."""
        known = self._array_places.get(id(array))
        if known is not None:
            return known[0]
        if array.dtype.hasobject:
            raise Unportable("an array of objects")
        self._bytes += array.nbytes
        if self._bytes > MOST_BYTES:
            raise Unportable(f"constants of more than {MOST_BYTES >> 20} MiB")
        name = dtypes.from_numpy(array.dtype).name if array.dtype.isbuiltin != 1 else array.dtype.str
        self.arrays.append((name, array.shape, array.tobytes()))
        self._array_places[id(array)] = len(self.arrays) - 1, array
        return len(self.arrays) - 1

    def _named(self, value: Any) -> Any:
        root = self.roots.place(value)
        if root is not None:
            return "root", root
        if isinstance(value, enum.Enum):
            return "member", self._object(type(value)), value.name
        if isinstance(value, types.ModuleType):
            if resolve_module(value) is None:
                raise Unportable(f"the module {value.__name__}, which another one has replaced")
            return "named", value.__name__, "", ""
        if type(value) is dict:
            name = value.get("__name__")
            if isinstance(name, str) and is_namespace(value, name):
                return "globals", name
            raise Unportable("a dict that no path leads to")
        return self._object(value)

    def _object(self, value: Any) -> Any:
        """A class, a function, a property, or an object that the trace found at a place."""
        name = name_of(value)
        if name is not None and (is_versioned(name[0]) or _has_mark(value)):
            return "named", *name, self.mark(value)
        place = self.places.get(id(value))
        if place is None:
            described = getattr(value, "__qualname__", None) or f"a {type(value).__name__}"
            raise Unportable(f"{described} has no name at which another process would find it")
        return "found", self.found.setdefault((place[0], self.path(place[1]), self.mark(value)), len(self.found))

    def mark(self, value: Any) -> str:
        """What else must be equal of a named object."""
        if isinstance(value, type):
            return self.digests.type(value)
        if isinstance(value, types.CodeType):
            return self.digests.code(value)
        if isinstance(value, types.FunctionType):
            return self.digests.code(value.__code__)
        if isinstance(value, property):
            return self.digests.entry(value)
        wrapped = getattr(value, "__jit_wrapped__", None)
        return type(value).__name__ if wrapped is None else self.mark(wrapped)


def _has_mark(value: Any) -> bool:
    """Whether `Encoder.mark` tells the object from what may later have its name or its place."""
    return isinstance(value, (type, types.FunctionType, property)) or hasattr(value, "__jit_wrapped__")


def resolve_module(module: types.ModuleType) -> types.ModuleType | None:
    """The module itself if it is the one that is imported under its name."""
    try:
        found = resolve(module.__name__, "")
    except Changed:
        return None
    return module if found is module else None


def is_namespace(namespace: dict[str, Any], module: str) -> bool:
    """Whether ``namespace`` holds the globals of the module called ``module``."""
    try:
        return vars(resolve(module, "")) is namespace
    except Changed:
        return False


class Decoder:
    """Data -> values, by the ``tables`` of the encoder, for a call with these arguments."""

    def __init__(self, roots: Roots, tables: tuple[Any, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]):
        nodes, symbols, self._arrays, self._places = tables
        self.constants: list[Any] = []
        self._found: dict[int, Any] = {}
        self._roots, self._nodes = roots, nodes
        self._args, self._kwargs = args, kwargs
        self._symbols = {name: Symbol(name, *limits) for name, limits in symbols.items()}
        self._paths: list[Path | None] = [None] * len(nodes)
        self._values: dict[int, Any] = {}
        self._made_arrays: dict[int, np.ndarray[Any, Any]] = {}
        self._digests = Digests()
        self._encoder = Encoder(roots, self._digests)

    def path(self, number: int) -> Path:
        """The path that has this number."""
        known = self._paths[number]
        if known is None:
            known = self._paths[number] = self._path(*self._nodes[number])
        return known

    def _path(self, kind: str, base: Any, key: Any) -> Path:
        match kind:
            case "arg" | "kwarg":
                return Path(kind, None, key)
            case "const":
                return paths.const(self.value(key))
            case "op":
                operation = paths.OPERATIONS[key] if isinstance(key, str) else paths.operation(self.value(key[1]))
                return Path("op", tuple(map(self._key, base)), operation)
        return Path(kind, self.path(base), self._key(key))

    def _key(self, key: Any) -> Any:
        return self.path(key[1]) if type(key) is tuple and key[0] == "path" else self.value(key)

    def at(self, number: int) -> Any:
        """What stands at a path in this call.  Raises `Changed` where the place is gone."""
        if number not in self._values:
            kind, base, key = self._nodes[number]
            try:
                if kind == "attr":
                    found = getattr(self.at(base), key)
                elif kind == "item" and type(key) is not tuple:
                    found = self.at(base)[key]
                else:
                    found = paths.evaluate(self.path(number), self._args, self._kwargs)
            except _LOOKUP_ERRORS as error:
                raise Changed(f"{self.path(number)} is not there: {error}") from error
            self._values[number] = found
        return self._values[number]

    def value(self, data: Any) -> Any:
        """The value of what `Encoder.value` gave.  Raises `Changed`."""
        if type(data) is not tuple:
            return data
        kind, *rest = data
        return getattr(self, f"_make_{kind}")(*rest)

    def _make_constant(self, number: int) -> Any:
        return self.constants[number]

    def _make_tuple(self, *items: Any) -> Any:
        return tuple(map(self.value, items))

    def _make_frozenset(self, *items: Any) -> Any:
        return frozenset(map(self.value, items))

    def _make_slice(self, *parts: Any) -> Any:
        return slice(*map(self.value, parts))

    def _make_range(self, *parts: int) -> Any:
        return range(*parts)

    def _make_tensor(self, dtype: str, *sizes: Any) -> Any:
        return type_of(dtypes.by_name(dtype), tuple(x if type(x) is int else self.value(x) for x in sizes))

    def _make_scalar(self, name: str) -> Any:
        return _SCALARS[name]

    def _make_effect(self) -> Any:
        return EFFECT

    def _make_dtype(self, name: str) -> Any:
        return dtypes.by_name(name)

    def _make_dim(self, text: str) -> Any:
        return dims.parse(text, self._symbols)

    def guard(self, text: str) -> dims.Guard:
        """A fact about symbolic sizes, from its text."""
        return dims.parse_guard(text, self._symbols)

    def _make_device(self, kind: str, index: int | None) -> Any:
        return Device(kind, index)

    def _make_format(self, name: str) -> Any:
        return getattr(devices, name)

    def _make_symbolic(self, type_: Any, rest: Any) -> Any:
        return SymbolicKey(self.value(type_), self.value(rest))

    def op(self, name: str) -> Op:
        """The op of this name."""
        return OPS[name]

    _make_op = op

    def _make_npdtype(self, text: str) -> Any:
        return np.dtype(text)

    def _make_npscalar(self, text: str, data: bytes) -> Any:
        return np.frombuffer(data, np.dtype(text))[0]

    def _make_array(self, number: int) -> Any:
        return self.array(number)

    def array(self, number: int) -> np.ndarray[Any, Any]:
        """A constant array, which cannot be written."""
        known = self._made_arrays.get(number)
        if known is None:
            name, shape, data = self._arrays[number]
            dtype = np.dtype(name) if name[0] in "<>|=" else dtypes.by_name(name).numpy
            known = self._made_arrays[number] = np.frombuffer(data, dtype).reshape(shape)
        return known

    def _make_root(self, place: str) -> Any:
        return self._roots.object(place)

    def _make_globals(self, module: str) -> Any:
        return vars(resolve(module, ""))

    def _make_member(self, kind: Any, name: str) -> Any:
        members = self.value(kind).__members__
        if name not in members:
            raise Changed(f"there is no {name}")
        return members[name]

    def _make_named(self, module: str, name: str, mark: str) -> Any:
        found = resolve(module, name)
        return self._same(found, mark, name or module) if name else found

    def _make_found(self, number: int) -> Any:
        if number not in self._found:
            part, place, mark = self._places[number]
            found = self.at(place)
            if part:
                found = type(found) if part == "__class__" else getattr(found, part, None)
            self._found[number] = self._same(found, mark, str(self.path(place)))
        return self._found[number]

    def forget_arguments(self) -> None:
        """Find the objects that have no name, and let go of the call: the decoder lives as long as its trace."""
        for number in range(len(self._places)):
            self._make_found(number)
        self._args, self._kwargs = (), {}
        self._values.clear()

    def _same(self, found: Any, mark: str, what: str) -> Any:
        if self._encoder.mark(found) != mark:
            raise Changed(f"{what} is not what it was")
        return found
