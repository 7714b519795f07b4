"""Guards: what must still hold for a trace to stand for another call.

A guard is data, ``(path, kind, expected)``:

    eq          the value has the type of ``expected`` and equals it
    type        its type is ``expected``
    is          it is the object ``expected``
    func        it is a function with the code and globals of ``expected``: a `FunctionKey`
    tensor      ``tensor_key(value) == expected``
    same        it is the object at the path ``expected``
    distinct    it and the values at the paths ``expected`` are all different objects
    len         ``len(value) == expected``
    keys        ``tuple(value)`` is ``expected``: the keys of a dict, or the elements of a set, in order
    has, lacks  the key ``expected`` (or the value at the path ``expected``) is in it, is not in it
    unshadowed  its instance dictionary has no entry ``expected``
    noattr      it has no attribute ``expected``

`compile_guards` turns all guards of a trace into one Python function.  A lookup that raises means
that a guard failed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

from jitorch.frontend.python import paths
from jitorch.frontend.python.codegen import Writer
from jitorch.frontend.python.paths import Path
from jitorch.frontend.python.values import is_identical, is_plain

KINDS = frozenset("eq type is func tensor same distinct len keys has lacks unshadowed noattr".split())

# What evaluating a path or comparing a value may raise when the place is no longer what it was.
_LOOKUP_ERRORS = "(AttributeError, LookupError, TypeError, ValueError, ArithmeticError)"
_LOOKUP_EXCEPTIONS = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)

Check = Callable[[tuple[Any, ...], Mapping[str, Any]], tuple[Any, ...] | None]


@dataclass(frozen=True, slots=True)
class FunctionKey:
    """What makes two function objects the same to a trace; cells and defaults are guarded on their own."""

    code: CodeType
    namespace: int  # the id of `globals`, which cannot be compared by contents
    name: str
    globals: dict[str, Any] = field(compare=False, repr=False)

    @staticmethod
    def of(function: FunctionType) -> FunctionKey:
        return FunctionKey(function.__code__, id(function.__globals__), function.__qualname__, function.__globals__)


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """One condition; see the module's list of kinds."""

    path: Path
    kind: str
    expected: Any

    def __str__(self) -> str:
        return _describe(self)


@dataclass(frozen=True, slots=True)
class TensorKey:
    """How to ask for a tensor's key: the function, or the attribute that holds its answer.

    ``violated(value, expected, constant)`` may give Python source of a condition that holds when the tensor called
    ``value`` has another key, which is faster still; None where it knows no such source for the key ``expected``.
    ``constant`` gives the source of an object.
    """

    function: Callable[[Any], Hashable]
    attribute: str | None = None
    violated: Callable[[str, Any, Callable[[Any], str]], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A guard that does not hold, and what was found in its place."""

    guard: Guard
    actual: str

    def __str__(self) -> str:
        return f"{_describe(self.guard)}; now {self.actual}"


def compile_guards(
    guards: Sequence[Guard],
    positional: int,
    keywords: Iterable[str],
    tensor_key: TensorKey,
    inputs: Sequence[Path] = (),
) -> tuple[Check, str]:
    """``check(args, kwargs)``: the values at ``inputs``, or None if a guard fails; and its source.

    The call must have ``positional`` arguments and exactly the ``keywords``.
    """
    names = tuple(keywords)
    writer = Writer()
    writer.emit(f"if len(A) != {positional} or len(K) != {len(names)}: return None")
    writer.emit("try:")
    body = Writer()
    body.constants = writer.constants
    for name in names:
        body.path(paths.kwarg(name))
    for guard in guards:
        condition = _violated(guard, body, tensor_key)
        body.emit(f"if {condition}: return None")
    values = [body.path(path) for path in inputs]
    body.emit(f"return ({', '.join(values)}{',' if len(values) == 1 else ''})")
    writer.lines += [f"    {line}" for line in body.lines]
    writer.emit(f"except {_LOOKUP_ERRORS}: return None")
    return writer.function("check", "A, K")


def first_failure(
    guards: Sequence[Guard], args: tuple[Any, ...], kwargs: Mapping[str, Any], tensor_key: TensorKey
) -> Failure | None:
    """The first guard that these arguments do not meet, in the order the trace read."""
    writer = Writer()
    writer.emit("i = 0")
    for index, guard in enumerate(guards):
        writer.emit(f"S[0] = {index}")
        condition = _violated(guard, writer, tensor_key)
        writer.emit(f"if {condition}: return True")
    writer.emit("return False")
    find, _ = writer.function("explain", "A, K, S")
    state = [0]
    try:
        failed = find(args, kwargs, state)
    except _LOOKUP_EXCEPTIONS:
        failed = True
    if not failed:
        return None
    guard = guards[state[0]]
    return Failure(guard, _actual(guard, args, kwargs, tensor_key))


def changed_paths(guards: Sequence[Guard], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> frozenset[Path]:
    """Where a constant of the trace now is another int, or another object: candidates for ``dynamic``."""
    changed: set[Path] = set()
    gone: set[Path] = set()  # what lies below is not looked at: asking a defaultdict for a key makes it
    defined: set[str] = set()  # what classes define since then: reading such an attribute would run code of the user's
    for guard in guards:
        defined |= _defined_since(guard)
        if defined and any(step.kind == "attr" and _runs_code(step.key, defined) for step in _above(guard.path)):
            continue
        if guard.kind not in ("eq", "is", "type", "has") or guard.path.kind in ("op", "const"):
            continue
        if not gone.isdisjoint(_above(guard.path)):
            continue
        try:
            value = paths.evaluate(guard.path, args, kwargs)
        except _LOOKUP_EXCEPTIONS:
            continue
        if guard.kind == "type":
            if type(value) is not guard.expected:
                gone.add(guard.path)
        elif guard.kind == "has":
            if not isinstance(guard.expected, Path) and guard.expected not in value:
                gone.add(paths.item(guard.path, guard.expected))
        elif guard.kind == "eq":
            changed.update(_changed(guard.path, guard.expected, value))
        elif value is not guard.expected:
            changed.add(guard.path)
    return frozenset(changed)


_HOOKS = frozenset({"__getattribute__", "__getattr__"})


def _defined_since(guard: Guard) -> set[str]:
    """The name that a class defines in another way now, if the guard is about an entry of one."""
    path, name = guard.path, guard.expected
    if guard.kind == "type" and path.kind == "item":
        path, name = path.base, path.key
    elif guard.kind != "lacks":
        return set()
    if path.kind != "attr" or path.key != "__dict__" or not path.base.is_constant:
        return set()
    entries = getattr(path.base.base, "__dict__", {})
    holds = name not in entries if guard.kind == "lacks" else type(entries.get(name)) is guard.expected
    return set() if holds or type(name) is not str else {name}


def _runs_code(name: str, defined: set[str]) -> bool:
    """Whether reading an attribute may run code of the user's that was not there, if classes now define these names."""
    return name in defined or not _HOOKS.isdisjoint(defined)


def _above(path: Path) -> Iterable[Path]:
    """The path, and those that lead to it."""
    while isinstance(path, Path):
        yield path
        path = path.base


def _changed(path: Path, old: Any, new: Any) -> Iterable[Path]:
    if type(old) is int and type(new) is int and old != new:
        yield path
    elif type(old) is tuple and type(new) is tuple and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _changed(paths.item(path, index), a, b)


def _violated(guard: Guard, writer: Writer, tensor_key: TensorKey) -> str:
    """Source of a condition that holds when the guard does not."""
    value, expected = writer.path(guard.path), guard.expected
    constant = writer.constant
    match guard.kind:
        case "eq":
            return _unequal(value, expected, writer)
        case "type":
            return f"type({value}) is not {constant(expected)}"
        case "is":
            return f"{value} is not {constant(expected)}"
        case "func":
            code = constant(expected.code)
            function = constant(FunctionType)
            return (
                f"type({value}) is not {function} or {value}.__code__ is not {code}"
                f" or {value}.__globals__ is not {constant(expected.globals)}"
            )
        case "tensor":
            return _other_tensor(value, expected, writer, tensor_key)
        case "same":
            return f"{value} is not {writer.path(expected)}"
        case "distinct" if len(expected) == 1:
            return f"{value} is {writer.path(expected[0])}"
        case "distinct":
            identities = ", ".join(f"id({v})" for v in [value, *[writer.path(p) for p in expected]])
            return f"len({{{identities}}}) != {len(expected) + 1}"
        case "len":
            return f"len({value}) != {expected}"
        case "keys" if all(type(key) is str for key in expected):
            return f"tuple({value}) != {constant(expected)}"
        case "keys":
            return (
                f"len({value}) != {len(expected)} or not all(map({constant(_same_key)}, {value}, {constant(expected)}))"
            )
        case "has":
            return f"{_key(expected, writer)} not in {value}"
        case "lacks":
            return f"{_key(expected, writer)} in {value}"
        case "unshadowed":
            return f"{expected!r} in {writer.path(paths.attr(guard.path, '__dict__'))}"
        case _:
            return f"hasattr({value}, {expected!r})"


def _other_tensor(value: str, expected: Any, writer: Writer, key: TensorKey) -> str:
    source = None if key.violated is None else key.violated(value, expected, writer.constant)
    if source is not None:
        return source
    found = f"{writer.constant(key.function)}({value})" if key.attribute is None else f"{value}.{key.attribute}"
    return f"{found} != {writer.constant(expected)}"


def _key(expected: Any, writer: Writer) -> str:
    return writer.path(expected) if isinstance(expected, Path) else writer.constant(expected)


def _unequal(value: str, expected: Any, writer: Writer) -> str:
    if expected is None or type(expected) is bool:
        return f"{value} is not {expected}"
    if type(expected) is float and expected != expected:
        return f"type({value}) is not float or {value} == {value}"
    name = writer.constant(expected)
    kind = writer.constant(type(expected))
    if type(expected) is float and expected == 0.0:
        # 0.0 == -0.0, but 1 / x and atan2 tell them apart.
        return f"type({value}) is not float or {value} != {name} or str({value}) != {str(expected)!r}"
    if type(expected) in (int, str):
        return f"type({value}) is not {kind} or {value} != {name}"
    # (1,) == (1.0,) == (True,), 0j == -0j, and all empty ranges are equal.
    return f"{value} is not {name} and not {writer.constant(is_identical)}({value}, {name})"


def _same_key(a: Any, b: Any) -> bool:
    """Whether two keys are one: an object, whose ``==`` may be anything (tensors), or constants like each other."""
    return a is b or (is_plain(b) and is_identical(a, b))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _key_text(key: Any) -> str:
    """A tensor's key by the texts of its parts (``f32[3]``), not by their longer representations."""
    return f"({', '.join(map(str, key))})" if isinstance(key, tuple) else str(key)


def _describe(guard: Guard) -> str:
    path, expected = paths.describe(guard.path), guard.expected
    match guard.kind:
        case "eq":
            return f"{path} was {_short(expected)}"
        case "type":
            return f"{path} was of type {expected.__name__}"
        case "is":
            return f"{path} was {getattr(expected, '__qualname__', None) or _short(expected)}"
        case "func":
            return f"{path} was the function {expected.name}"
        case "tensor":
            return f"{path} was a tensor with {_key_text(expected)}"
        case "same":
            return f"{path} was the same object as {paths.describe(expected)}"
        case "distinct":
            return f"{path} was another object than {', '.join(map(paths.describe, expected[:3]))}"
        case "len":
            return f"{path} had length {expected}"
        case "keys":
            return f"{path} had the keys {_short(list(expected))}"
        case "has":
            return f"{path} had the key {_short(expected)}"
        case "lacks":
            return f"{path} had no key {_short(expected)}"
        case "unshadowed":
            return f"{path} had no attribute {expected} of its own"
        case _:
            return f"{path} had no attribute {expected}"


def _actual(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any], tensor_key: TensorKey) -> str:
    try:
        value = paths.evaluate(guard.path, args, kwargs)
        match guard.kind:
            case "type":
                return f"it is of type {type(value).__name__}"
            case "tensor":
                return f"it has {_key_text(tensor_key.function(value))}"
            case "len":
                return f"it is {len(value)}"
            case "keys":
                return f"they are {_short(list(value))}"
            case "has" | "unshadowed" | "noattr" | "lacks":
                return "it has one" if guard.kind != "has" else "it has none"
            case "same":
                return "it is another"
            case "distinct":
                return "they are one object"
            case _:
                return f"it is {getattr(value, '__qualname__', None) or _short(value)}"
    except _LOOKUP_EXCEPTIONS as error:
        return f"reading it raises {type(error).__name__}: {error}"
