"""Records: traces kept on disk, so that the first call in a new process need not trace.

A record is found under a key that is known before tracing (`key_of`): versions, backend, modes, the compiled function's
own code, and the kinds of the arguments.  It holds what a trace gave: its guards as one function and as data, the paths
of its inputs, how results are made, the types of its graph and the keys of its programs; and the graph itself, which
is only read when somebody asks for it.

The record is used if every class, function and module that it names is here and does what it did (`records_names`), and
if its guards hold for the arguments of the call.  Anything else is traced, as ever.  Two processes may write at once:
the last one wins, and entries are whole.
"""

from __future__ import annotations

import builtins
import enum
import functools
import marshal
import sys
import time
import types
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitorch import config, plugins
from jitorch.backends import cache
from jitorch.backends.base import Options
from jitorch.compiler import Compiled, available, load
from jitorch.errors import Location
from jitorch.frontend.calls import plan as call_plan
from jitorch.frontend.calls.modes import Modes
from jitorch.frontend.eager.differentiable import GraphFunction, Pair
from jitorch.frontend.python import Guard, Path, Staged, paths
from jitorch.frontend.python.guards import FunctionKey
from jitorch.frontend.records.data import Decoder, Encoder, Roots
from jitorch.frontend.records.graph import decode_graph, decode_signature, encode_graph, encode_signature
from jitorch.frontend.records.names import Changed, Digests, Unportable, is_package_code
from jitorch.frontend.trace.course import Places
from jitorch.frontend.trace.results import Output
from jitorch.frontend.trace.tensor_recorder import SymbolicKey
from jitorch.frontend.trace.tracer import Traced
from jitorch.ir.graph import Graph
from jitorch.tensor import Tensor

VERSION = 4
MOST_RECORDS = 8
"""Under one key: the newest ones are kept."""

_LOOKUP_ERRORS = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)


def key_of(
    function: Any,
    backend: str,
    modes: Modes,
    dynamic: bool | None,
    args: Any,
    kwargs: Any,
    donated: Iterable[int | str] = (),
) -> str | None:
    """The key of the records of calls like this one; None where records are not kept."""
    settings = config.current()
    # Who asks to see the stages of compiling is to see them.
    if not settings.records or settings.dump or cache.current() is None:
        return None
    description = _description(function, Digests())
    if description is None:
        return None
    chosen = available(backend)
    return cache.key_of(
        "records",
        f"{VERSION} {sys.implementation.cache_tag} {sys.hexversion} {np.__version__}",
        cache.stamp(),
        f"{chosen.name} {chosen.fingerprint()} {Options().key()}",
        *(text for text, _ in plugins.passes(settings.passes)),
        " ".join(map(str, modes)),
        str(dynamic),
        " ".join(sorted(map(repr, donated))),
        description,
        *map(_kind, args),
        *(f"{name}={_kind(value)}" for name, value in kwargs.items()),
    )


def _description(function: Any, digests: Digests) -> str | None:
    """The function itself, of which no guard asks; None for one that holds arguments without a guard."""
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    if isinstance(function, types.FunctionType):
        return f"{name} {digests.code(function.__code__)}"
    if isinstance(function, types.MethodType):
        return f"{_description(function.__func__, digests)} of {digests.type(type(function.__self__))}"
    if not isinstance(function, functools.partial):
        # Objects of jitorch's own are not looked into by guards: they say what their calls depend on.
        return digests.type(type(function)) + getattr(function, "__record_key__", "")
    held = [*function.args, *function.keywords.values()]
    inner = _description(function.func, digests)
    if inner is None or any(type(x) not in (bool, int, str, type(None)) for x in held):
        return None
    return f"{inner} of {function.args!r} {function.keywords!r}"


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"tensor {value.dtype.name} {len(value._type.shape)} {value.requires_grad}"
    return f"{type(value).__module__}.{type(value).__qualname__}"


# -- writing ---------------------------------------------------------------------------------------


@dataclass
class Draft:
    """A record of a trace whose programs have not been compiled yet."""

    key: str
    encoder: Encoder
    parts: tuple[Any, ...]

    def save(self, function: GraphFunction) -> str | None:
        """Write the record with the programs that ``function`` has compiled; gives why not, or None."""
        try:
            programs = tuple(_programs(function, self.encoder))
        except Unportable as reason:
            return str(reason)
        encoder = self.encoder
        data = marshal.dumps((encoder.tables, *self.parts, programs))
        own = cache.key_of(self.key, data)
        if not cache.put(own, data):
            return "the cache does not take it"
        known = [entry for entry in _index(self.key) if entry[0] != own]
        entries = ((own, bool(encoder.symbols)), *known)[:MOST_RECORDS]
        return None if cache.put(self.key, marshal.dumps(entries)) else "the cache does not take it"


def draft(
    key: str, function: Any, traced: Traced, places: Places, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Draft | str:
    """The record of a new trace, before the call has written anything; or why there is none.

    ``places``: the tests that its outcomes are of.
    """
    try:
        return _draft(key, function, traced, places, args, kwargs)
    except Unportable as reason:
        return str(reason)


def _draft(
    key: str, function: Any, traced: Traced, places: Places, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Draft:
    staged, digests = traced.staged, Digests()
    if staged.finish is None:
        raise Unportable("the call runs eagerly")
    if traced.constants:
        raise Unportable("it has frozen tensors, which are other objects in another process")
    encoder = Encoder(Roots(function), digests)
    _description(function, digests)
    encoder.places = dict(_places(function, staged, args, kwargs))
    constants = _defaults(staged.check)
    check = tuple(map(encoder.value, constants))
    encoder.constants = {id(value): i for i, value in enumerate(constants)}
    finish = tuple(map(encoder.value, _defaults(staged.finish)))
    guards = tuple((encoder.path(g.path), g.kind, _expected(g.expected, encoder)) for g in staged.guards)
    for name, code in staged.functions.items():
        if not is_package_code(code) and digests.of(code) not in digests.covered:
            raise Unportable(f"{name}, which no guard leads to")
    outputs = tuple(
        (
            o.source,
            o.stored,
            tuple((op.name, encoder.value(tuple(attrs.items()))) for op, attrs in o.steps),
            o.history,
            o.donated,
        )
        for o in traced.outputs
    )
    parts = (
        check, _code(staged.check), finish, _code(staged.finish), staged.finish_source, staged.is_pure,
        tuple(map(encoder.path, staged.inputs)), tuple(map(str, traced.notes)),
        tuple(map(encoder.path, traced.cleared)), outputs, tuple(traced.differentiable), traced.has_checks,
        traced.outcomes, tuple((place.file, place.line) for place in places) if traced.outcomes else (),
        encode_signature(traced.graph, encoder), (len(guards), marshal.dumps(guards)),
        (len(traced.graph), zlib.compress(marshal.dumps(encode_graph(traced.graph, encoder)), 1)),
    )  # fmt: skip
    return Draft(key, encoder, parts)


def _code(function: Any) -> types.CodeType:
    return function.__code__


def _defaults(function: Any) -> tuple[Any, ...]:
    """The constants of a generated function."""
    return function.__defaults__ or ()


def _expected(expected: Any, encoder: Encoder) -> Any:
    if isinstance(expected, FunctionKey):
        return "func", encoder.value(expected.code), encoder.value(expected.globals), expected.name
    if isinstance(expected, Path):
        return "path", encoder.path(expected)
    if type(expected) is tuple and expected and all(isinstance(p, Path) for p in expected):
        return "paths", *map(encoder.path, expected)
    return encoder.value(expected)


def _places(
    function: Any, staged: Staged, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[int, tuple[str, Path]]]:
    """Where objects without a name are found: by their identity, what of which path they are."""
    holds_objects = any(g.kind in ("keys", "has", "lacks") and not _is_text(g.expected) for g in staged.guards)
    for guard in reversed(staged.guards):  # of several places the first wins
        expected = guard.expected
        match guard.kind:
            case "type":
                yield id(expected), ("__class__", guard.path)
                yield from _relatives(expected, paths.attr(guard.path, "__class__"))
            case "func":
                yield id(expected.globals), ("__globals__", guard.path)
                yield id(expected.code), ("__code__", guard.path)
            case "is" if isinstance(expected, (type, property)) or hasattr(expected, "__jit_wrapped__"):
                yield id(expected), ("", guard.path)
                if isinstance(expected, type):
                    yield from _relatives(expected, guard.path)
            case "eq" if isinstance(expected, enum.Enum):
                yield id(type(expected)), ("__class__", guard.path)
            case "tensor":
                parts = expected.rest if isinstance(expected, SymbolicKey) else expected
                yield from ((id(part), ("__class__", guard.path)) for part in parts if isinstance(part, type))
        if holds_objects and guard.kind in ("type", "tensor"):
            try:
                found = paths.evaluate(guard.path, args, kwargs)
            except _LOOKUP_ERRORS:  # a place of the stand-ins that were traced
                continue
            yield id(found), ("", guard.path)
    for root in (function, *(getattr(function, name, None) for name in ("__self__", "__func__", "func"))):
        if isinstance(root, types.FunctionType):
            yield id(root.__globals__), ("__globals__", paths.const(root))
        elif root is not None:
            yield id(type(root)), ("__class__", paths.const(root))


def _relatives(kind: type, path: Path) -> Iterator[tuple[int, tuple[str, Path]]]:
    """The classes that the one at ``path`` inherits from, and its own class."""
    yield id(type(kind)), ("__class__", path)
    for i, base in enumerate(kind.__mro__[1:], 1):
        yield id(base), ("", paths.item(paths.attr(path, "__mro__"), i))


def _is_text(expected: Any) -> bool:
    return isinstance(expected, Path) or all(type(k) in (str, int, bool) for k in _tuple(expected))


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _programs(function: GraphFunction, encoder: Encoder) -> Iterator[Any]:
    """The programs that were compiled and kept: what they are derivatives by, and one or two programs."""
    if "plain" in function.__dict__ and function.plain.key is not None:
        yield None, (), (_program(function.plain, encoder),)
    for pair in function.pairs:
        if pair.forward.key is not None and pair.backward.key is not None:
            programs = _program(pair.forward, encoder), _program(pair.backward, encoder)
            yield tuple(pair.wrt), tuple(pair.sources), programs


def _program(compiled: Compiled, encoder: Encoder) -> Any:
    literals = tuple(map(encoder.array, compiled.literals))
    long = call_plan.may_be_long(compiled)
    return encode_signature(compiled.graph, encoder), compiled.key, literals, long


# -- reading ---------------------------------------------------------------------------------------


@dataclass
class Recalled:
    """A trace from the disk: its guards held when it was found."""

    traced: Traced
    programs: KeptPrograms
    places: Places


def recall(
    key: str, function: Any, backend: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], reasons: list[str]
) -> Iterator[Recalled]:
    """The traces kept under ``key`` whose names are good here; the caller checks that their guards hold.

    ``reasons`` receives why others are not.  Those for fixed sizes come first.
    """
    for own, _ in sorted(_index(key), key=lambda entry: entry[1]):
        data = cache.get(own)
        if data is None:
            continue
        try:
            yield _read(data, Roots(function), backend, args, kwargs)
        except Changed as change:
            reasons.append(str(change))


def _index(key: str) -> tuple[tuple[str, bool], ...]:
    """The records under a key, newest first: the key of each, and whether it has symbolic sizes."""
    data = cache.get(key)
    return () if data is None else marshal.loads(data)


def _read(data: bytes, roots: Roots, backend: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Recalled:
    start = time.perf_counter()
    (
        tables, check, check_code, finish, finish_code, finish_source, is_pure, inputs, notes, cleared, outputs,
        differentiable, has_checks, outcomes, places, signature, (guard_count, guards), (node_count, graph), programs,
    ) = marshal.loads(data)  # fmt: skip
    decoder = Decoder(roots, tables, args, kwargs)
    decoder.constants = [decoder.value(constant) for constant in check]
    kept = KeptPrograms(decoder, backend, graph, programs)
    staged = Staged(
        KeptGuards(guard_count, guards, decoder), _function(check_code, decoder.constants), "",
        tuple(map(decoder.path, inputs)), (), _function(finish_code, map(decoder.value, finish)), finish_source, None,
        is_pure, {}, time.perf_counter() - start,
    )  # fmt: skip
    made = [
        Output(source, stored, tuple((decoder.op(op), dict(decoder.value(attrs))) for op, attrs in steps), *rest)
        for source, stored, steps, *rest in outputs
    ]
    traced = Traced(
        decode_signature(signature, decoder), staged, made, list(differentiable),
        tuple(map(decoder.path, cleared)), kept.graph, node_count, notes, outcomes,
        has_checks,
    )  # fmt: skip
    decoder.forget_arguments()
    return Recalled(traced, kept, frozenset(Location(*place) for place in places))


def _function(code: types.CodeType, constants: Any) -> Any:
    return types.FunctionType(code, {"__builtins__": vars(builtins)}, code.co_name, tuple(constants))


class KeptGuards(Sequence[Guard]):
    """The guards of a record, read when somebody looks at them: a call needs only the function made of them."""

    def __init__(self, count: int, data: bytes, decoder: Decoder):
        self._count, self._data, self._decoder = count, data, decoder
        self._guards: tuple[Guard, ...] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if self._guards is None:
            decoder = self._decoder
            self._guards = tuple(
                Guard(decoder.path(path), kind, self._expected(expected))
                for path, kind, expected in marshal.loads(self._data)
            )
        return self._guards[index]

    def _expected(self, data: Any) -> Any:
        kind, *rest = data if type(data) is tuple else ("",)
        if kind == "func":
            code, namespace = map(self._decoder.value, rest[:2])
            return FunctionKey(code, id(namespace), rest[2], namespace)
        if kind == "path":
            return self._decoder.path(rest[0])
        return tuple(map(self._decoder.path, rest)) if kind == "paths" else self._decoder.value(data)


class KeptPrograms:
    """Implements `differentiable.Programs` by a record."""

    def __init__(self, decoder: Decoder, backend: str, graph: bytes, programs: Sequence[Any]):
        self._decoder, self._backend, self._graph = decoder, backend, graph
        self._programs = {wrt: (sources, parts) for wrt, sources, parts in programs}

    def graph(self) -> Graph:
        return decode_graph(marshal.loads(zlib.decompress(self._graph)), self._decoder)

    def plain(self) -> Compiled | None:
        kept = self._programs.get(None)
        return None if kept is None else self._load(*kept[1][0])

    def pair(self, wrt: tuple[int, ...]) -> Pair | None:
        kept = self._programs.get(wrt)
        if kept is None:
            return None
        sources, parts = kept
        forward, backward = (self._load(*part) for part in parts)
        return None if forward is None or backward is None else Pair(forward, backward, list(sources), list(wrt))

    def _load(self, signature: Any, key: str, literals: Sequence[int], long: bool) -> Compiled | None:
        arrays = [self._decoder.array(number) for number in literals]
        compiled = load(decode_signature(signature, self._decoder), arrays, key, self._backend)
        if compiled is not None:
            compiled.may_be_long = long
        return compiled
