"""Op: a named operation and the rules that give it meaning.

The IR knows an op only as this record.  A rule is a function stored under a name; every
interpreter, pass and backend reads the rules it needs, and a plugin attaches its own with
``op.rule("name")``.  The rules jitorch reads:

    type     (*operand types, **attrs) -> Type or tuple of Types
    numpy    (*arrays, **attrs) -> array or tuple: the meaning
    vjp      (g, out, *operands, **attrs) -> one cotangent (or None) per tensor operand; one that costs much may be
             a function, which is called only where it is wanted
    jvp      (tangents, *operands, **attrs) -> (out, its tangents): where it does not follow from the vjp or the body
    batch    (size, batched, *operands, **attrs) -> out: the op on operands with one more axis in front where
             ``batched`` says so, for results that all have it; see `jitorch.ops.batching`
    pull     (index, *operands, **attrs) -> Expr: what output element ``index`` is
    reduce   (**attrs) -> Reduction: the monoid that folds an axis
    combine  (old, new, **attrs) -> Expr: what a scatter stores
    write    (x, y, **attrs) -> x with the part this view shows replaced by y
    samples  (rng) -> iterable of Sample: feeds every generated test

A composite's ``body`` is its definition: what has no rule is derived from it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jitorch.errors import ArgumentError, CompilerBug, UnsupportedError

_MISSING: Any = inspect.Parameter.empty
_VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS

COMPOSITE, ELEMENTWISE, PRIMITIVE = "composite", "elementwise", "primitive"
LOWERINGS = ("scalar", "pull", "reduce", "scan", "scatter", "recipe", "extern", "control", "effect")


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an op.

    ``kind`` is ``tensor`` (an operand), ``tensors`` (a sequence of operands, at most one an op),
    ``number`` (an operand that is a Python number: a run-time value, never part of a cache key) or
    ``attr`` (structural: part of every cache key).
    """

    name: str
    kind: str
    default: Any = _MISSING
    optional: bool = False
    keyword_only: bool = False

    @property
    def is_operand(self) -> bool:
        return self.kind != "attr"

    @property
    def is_required(self) -> bool:
        return self.default is _MISSING


def _spelt(annotation: Any) -> str:
    """An annotation as our own modules write it, whether it is text or an object."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    for prefix in ("jitorch.tensor.", "jitorch.", "collections.abc.", "typing."):
        text = text.replace(prefix, "")
    return text.strip("'\"")


@dataclass(frozen=True, slots=True)
class _Declared:
    """A parameter as a function declares it."""

    name: str
    annotation: Any
    default: Any
    keyword_only: bool


def _parameters(function: Callable[..., Any]) -> list[_Declared]:
    """The parameters of ``function``: as `inspect.signature` gives them, at a small part of its cost."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & _VARIADIC or hasattr(function, "__wrapped__"):
        return [
            _Declared(p.name, p.annotation, p.default, p.kind is p.KEYWORD_ONLY)
            for p in inspect.signature(function).parameters.values()
        ]
    annotations: dict[str, Any] = function.__annotations__
    positional, keywords = code.co_argcount, code.co_kwonlyargcount
    given = function.__defaults__ or ()  # type: ignore[attr-defined]
    defaults = dict(zip(code.co_varnames[positional - len(given) : positional], given))
    defaults |= function.__kwdefaults__ or {}  # type: ignore[attr-defined]
    return [
        _Declared(name, annotations.get(name, _MISSING), defaults.get(name, _MISSING), i >= positional)
        for i, name in enumerate(code.co_varnames[: positional + keywords])
    ]


def _classify(name: str, parameter: _Declared) -> Param:
    if parameter.annotation is _MISSING:
        raise ArgumentError(
            f"op {name}: parameter {parameter.name!r} has no annotation",
            expected="Tensor, Sequence[Tensor], float, or the type of an attribute",
            hint=f"write {parameter.name}: Tensor if it is an operand",
        )
    annotation = _spelt(parameter.annotation)
    kinds = {
        "Tensor": "tensor",
        "Operand": "tensor",
        "Sequence[Tensor]": "tensors",
        "float": "number",
        "Number": "number",
    }
    bare = annotation.removesuffix(" | None")
    return Param(
        parameter.name,
        kinds.get(bare, "attr"),
        parameter.default,
        optional=bare != annotation,
        keyword_only=parameter.keyword_only,
    )


def _operands_first(function: Callable[..., Any], params: tuple[Param, ...]) -> Callable[..., Any]:
    """``function`` as rules are called: operands by position, attributes by name, however it was declared."""
    names = tuple(p.name for p in params if p.is_operand)
    if names == tuple(p.name for p in params if not p.keyword_only)[: len(names)]:
        return function

    def body(*operands: Any, **attrs: Any) -> Any:
        return function(**dict(zip(names, operands)), **attrs)

    return body


class Op:
    """See the module's docstring.  Created by the decorators of `jitorch.ops.registry`."""

    signature: inspect.Signature
    doc: str

    def __init__(self, name: str, kind: str, function: Callable[..., Any], lowering: str | None = None):
        if lowering is not None and lowering not in LOWERINGS:
            raise CompilerBug(f"op {name}: unknown lowering {lowering!r}")
        self.name, self.kind, self.lowering = name, kind, lowering
        self.function = function
        self.params = tuple(_classify(name, p) for p in _parameters(function))
        self.operands = tuple(p for p in self.params if p.is_operand)
        self.attrs = tuple(p for p in self.params if not p.is_operand)
        self.variadic = next((i for i, p in enumerate(self.operands) if p.kind == "tensors"), None)
        self.body: Callable[..., Any] | None = _operands_first(function, self.params) if kind == COMPOSITE else None
        self.rules: dict[str, Callable[..., Any]] = {}
        self.scalar: str | None = None
        self.promote: str | None = None
        self.is_view = False
        self._positional = tuple(p.name for p in self.params if not p.keyword_only)
        self._known = frozenset(p.name for p in self.params)
        self._plain = all(p.kind == "tensor" and p.default is _MISSING for p in self.params)

    def __getattr__(self, name: str) -> Any:
        # What few ask for is made when it is asked for, or else every import would pay for all ops.
        if name == "signature":
            self.signature = inspect.signature(self.function)
            return self.signature
        if name == "doc":
            self.doc = inspect.getdoc(self.function) or ""
            return self.doc
        raise AttributeError(f"op {self.__dict__.get('name')} has no attribute {name!r}", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> Any:
        raise UnsupportedError(f"op {self.name} cannot be pickled", hint="refer to it by name")

    def __deepcopy__(self, memo: Any) -> Op:
        return self

    # -- rules -----------------------------------------------------------------------------------
    def rule(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """A decorator that attaches a rule; a rule is never attached twice."""

        def attach(function: Callable[..., Any]) -> Callable[..., Any]:
            if name in self.rules:
                raise CompilerBug(f"op {self.name} already has a {name} rule")
            self.rules[name] = function
            return function

        return attach

    @property
    def type_rule(self) -> Callable[..., Any]:
        return self.rule("type")

    @property
    def numpy(self) -> Callable[..., Any]:
        return self.rule("numpy")

    @property
    def vjp(self) -> Callable[..., Any]:
        return self.rule("vjp")

    @property
    def jvp(self) -> Callable[..., Any]:
        return self.rule("jvp")

    @property
    def batch(self) -> Callable[..., Any]:
        return self.rule("batch")

    @property
    def pull(self) -> Callable[..., Any]:
        return self.rule("pull")

    @property
    def reduce(self) -> Callable[..., Any]:
        return self.rule("reduce")

    @property
    def write(self) -> Callable[..., Any]:
        return self.rule("write")

    @property
    def samples(self) -> Callable[..., Any]:
        return self.rule("samples")

    # -- arguments -------------------------------------------------------------------------------
    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Split a call's arguments into flat operands (None where absent) and attributes."""
        if self._plain and not kwargs and len(args) == len(self.params):
            return args, {}
        given = self._match(args, kwargs)
        operands: list[Any] = []
        for p in self.operands:
            value = given[p.name]
            if p.kind == "tensors":
                operands.extend(value)
            else:
                operands.append(value)
        attrs = {p.name: tuple(v) if isinstance(v := given[p.name], list) else v for p in self.attrs}
        return tuple(operands), attrs

    def _match(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if len(args) > len(self._positional):
            raise ArgumentError(
                f"{self.name}: too many positional arguments",
                expected=f"at most {len(self._positional)}: {self.name}{self.signature}",
                actual=len(args),
            )
        given = dict(zip(self._positional, args))
        for name, value in kwargs.items():
            if name not in self._known:
                raise ArgumentError(
                    f"{self.name}: unexpected argument {name!r}", expected=f"{self.name}{self.signature}"
                )
            if name in given:
                raise ArgumentError(f"{self.name}: argument {name!r} given twice")
            given[name] = value
        for p in self.params:
            if p.name not in given:
                if p.default is _MISSING:
                    raise ArgumentError(
                        f"{self.name}: missing argument {p.name!r}", expected=f"{self.name}{self.signature}"
                    )
                given[p.name] = p.default
        return given

    def group(self, operands: Sequence[Any]) -> list[Any]:
        """The flat operands as the op's parameters take them: a sequence parameter becomes one list."""
        if self.variadic is None:
            return list(operands)
        after = len(self.operands) - self.variadic - 1
        stop = len(operands) - after
        return [*operands[: self.variadic], list(operands[self.variadic : stop]), *operands[stop:]]

    def cotangents(self, found: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
        """What the vjp rule gave, one for each operand, flat; None where it is not ``wanted``.

        Numbers among the operands come last, or got None.
        """
        flat = self.flatten([*found, *(None,) * (len(self.operands) - len(found))])
        return [(g() if callable(g) else g) if is_wanted else None for g, is_wanted in zip(flat, wanted)]

    def flatten(self, grouped: Sequence[Any]) -> list[Any]:
        """The inverse of `group`; a None in place of the sequence stands for None for each (unknown) member."""
        if self.variadic is None:
            return list(grouped)
        return [*grouped[: self.variadic], *grouped[self.variadic], *grouped[self.variadic + 1 :]]

    def arguments(self, operands: Sequence[Any], attrs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments to call the body or the numpy rule with."""
        return self.group(operands), attrs

    def keywords(self, operands: Sequence[Any], attrs: dict[str, Any]) -> dict[str, Any]:
        """All arguments by name."""
        return {p.name: v for p, v in zip(self.operands, self.group(operands))} | attrs

    def operand_names(self, count: int) -> Iterator[str]:
        """A name for each of ``count`` flat operands, for messages."""
        for p, item in zip(self.operands, self.group(range(count))):
            if isinstance(item, list):
                yield from (f"{p.name}[{i}]" for i in range(len(item)))
            else:
                yield p.name
