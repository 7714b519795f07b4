"""The op registry: decorators that define an op in one place, and the tables everything else is derived from.

    @op            composite: the body is the definition
    @elementwise   one machine scalar of `jitorch.ir.scalars`, over promoted and broadcast operands
    @primitive     structural: a type rule, a numpy meaning, a gradient, one lowering
    @function      a public name that is no node: it resolves overloads or returns views, and runs other ops

``places`` says where the name is published: ``torch`` (the package), ``method`` (Tensor), ``property``
(an attribute of Tensor), ``nn`` (``nn.functional``), ``special``, ``linalg``, ``fft``; empty for what is
not public.

Every entry takes NumPy's spelling of PyTorch's keywords (``axis``, ``keepdims``, ...) and, where it
has no parameter of that name, ``out=``: the result is then written to that tensor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jitorch import dtypes
from jitorch.errors import ArgumentError, CompilerBug, DTypeError, JitorchError, ShapeError
from jitorch.ir import scalars
from jitorch.ir.op import COMPOSITE, ELEMENTWISE, PRIMITIVE
from jitorch.ir.op import Op as OpRecord
from jitorch.ops import dispatch
from jitorch.ops.normalize import elementwise_type, normalize

F = TypeVar("F", bound=Callable[..., Any])

KEYWORD_ALIASES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}
"""NumPy's name of a parameter: PyTorch's name, as `torch` itself accepts them."""


def _canonical(known: frozenset[str], kwargs: dict[str, Any]) -> dict[str, Any]:
    """``kwargs`` under the names that the entry has; a name that was given twice stays for the binding to refuse."""
    renamed = {}
    for name, value in kwargs.items():
        target = KEYWORD_ALIASES.get(name, name)
        renamed[name if name in known or target not in known or target in kwargs else target] = value
    return renamed


def store(name: str, out: Any, result: Any) -> Any:
    """Write ``result`` (a tensor, or a tuple of them) to ``out``, cast; returns ``out``."""
    if isinstance(result, tuple):
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise ArgumentError(f"{name}: out= must hold one tensor per result", expected=len(result), actual=out)
        for target, part in zip(out, result):
            store(name, target, part)
        return result._make(out) if hasattr(result, "_make") else tuple(out)  # type: ignore[attr-defined]
    if not hasattr(out, "requires_grad"):
        raise ArgumentError(f"{name}: out= must be a tensor", expected="Tensor", actual=type(out).__name__)
    if not dtypes.can_cast(result.dtype, out.dtype):
        raise DTypeError(f"{name}: the result does not fit the dtype of out=", expected=out.dtype, actual=result.dtype)
    if result.shape != out.shape:
        raise ShapeError(
            f"{name}: out= has another shape than the result", expected=result.type, actual=out.type,
            hint="tensors are not resized; pass one of the right shape",
        )  # fmt: skip
    return out._replace(result if result.dtype is out.dtype else OPS["cast"](result, dtype=out.dtype))


def _refuse_other_than_tensors(name: str, signature: inspect.Signature, arguments: Mapping[str, Any]) -> None:
    """Raise an ArgumentError for the first argument that must be a tensor and is not."""
    for key, value in arguments.items():
        wants_tensor = str(signature.parameters[key].annotation).removesuffix(" | None") == "Tensor"
        if wants_tensor and value is not None and not hasattr(value, "requires_grad"):
            raise ArgumentError(f"{name}: {key} must be a tensor", expected="Tensor", actual=type(value).__name__)


@dataclass(frozen=True)
class Sample:
    """Arguments for one generated test.  Tensor operands are NumPy arrays.

    ``grad`` False: the point is not differentiable (or rounding hides it), so gradcheck leaves it out.
    ``trace`` False: the call needs data or gives no tensor, so no graph can be made of it.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    grad: bool = True
    trace: bool = True

    def __init__(self, *args: Any, grad: bool = True, trace: bool = True, **kwargs: Any):
        object.__setattr__(self, "args", args)
        object.__setattr__(self, "kwargs", kwargs)
        object.__setattr__(self, "grad", grad)
        object.__setattr__(self, "trace", trace)


def explain(entry: Op | Function, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise an ArgumentError in the place of Python's ``error`` where arguments do not fit, or are no tensors."""
    if isinstance(error, JitorchError):
        return
    try:
        bound = entry.signature.bind(*args, **kwargs)
    except TypeError as mismatch:
        raise ArgumentError(f"{entry.name}: {mismatch}", expected=f"{entry.name}{entry.signature}") from None
    for name, value in bound.arguments.items():
        if entry.signature.parameters[name].annotation == "Tensor" and not hasattr(value, "requires_grad"):
            what = f"{entry.name}: {name} must be a tensor"
            raise ArgumentError(what, expected="Tensor", actual=type(value).__name__) from None


class Op(OpRecord):
    """An op that can be called: the arguments are bound, promoted and handed to the interpreter in force."""

    # Where machine code finds what it needs of the op (`jitorch.frontend.eager.native`), or unset.
    __slots__ = ("entry",)

    __name__: str
    __module__: str
    places: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    inplace: bool = False
    loops: Any = None
    """What `jitorch.frontend.eager.shortcut` knows of the op."""
    short: Callable[..., Any] | None = None
    """The function for plain operands, as `jitorch.frontend.eager.direct` has it; NotImplemented for others."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.short is not None and dispatch.is_plain():
            result = self.short(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if (self.scalar is not None or self.loops is not None) and not kwargs:
            result = dispatch.shortcut(self, args)
            if result is not NotImplemented:
                return result
        if kwargs and not self._known.issuperset(kwargs):
            kwargs = _canonical(self._known, kwargs)
            out = kwargs.pop("out", None) if "out" not in self._known else None
            if out is not None:
                return store(self.name, out, self(*args, **kwargs))
        operands, attrs = self.bind(args, kwargs)
        try:
            if self.promote is not None:
                operands = normalize(self, operands)
            return dispatch.current().apply(self, operands, attrs)
        except (TypeError, AttributeError) as error:
            explain(self, error, args, kwargs)
            raise

    def __getattr__(self, name: str) -> Any:
        return self.signature if name == "__signature__" else super().__getattr__(name)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if kwargs and not self._known.issuperset(kwargs):
            kwargs = _canonical(self._known, kwargs)
        return super().bind(args, kwargs)


def _names_of(function: Callable[..., Any]) -> frozenset[str]:
    """The names of all parameters."""
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):
        return frozenset(inspect.signature(function).parameters)
    variadic = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + variadic])


class Function:
    """A public name that resolves its arguments and runs other ops."""

    signature: inspect.Signature
    doc: str
    short: Callable[..., Any] | None = None  # as for an `Op`

    def __init__(self, name: str, call: Callable[..., Any], places: tuple[str, ...]):
        self.name, self.call, self.places = name, call, places
        self.__name__, self.__module__, self.__doc__ = name, call.__module__, call.__doc__
        self.aliases: tuple[str, ...] = ()
        self.inplace: bool | str = False
        self.rules: dict[str, Callable[..., Any]] = {}
        self._known = _names_of(call)

    def __getattr__(self, name: str) -> Any:
        # Made when asked for, as in `jitorch.ir.op.Op`.
        if name in ("signature", "__signature__"):
            self.signature = self.__signature__ = inspect.signature(self.call)
            return self.signature
        if name == "doc":
            self.doc = inspect.getdoc(self.call) or ""
            return self.doc
        # A copy that is still empty is asked for attributes, too.
        raise AttributeError(f"function {self.__dict__.get('name')} has no attribute {name!r}", name=name, obj=self)

    def __deepcopy__(self, memo: Any) -> Function:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs and not self._known.issuperset(kwargs):
            kwargs = _canonical(self._known, kwargs)
            out = kwargs.pop("out", None) if "out" not in self._known else None
            if out is not None:
                return store(self.name, out, self(*args, **kwargs))
        if self.short is not None and dispatch.is_plain():
            result = self.short(*args, **kwargs)
            if result is not NotImplemented:
                return result
        try:
            return self.call(*args, **kwargs)
        except (TypeError, AttributeError) as error:
            explain(self, error, args, kwargs)
            raise

    def samples(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if "samples" in self.rules:
            raise CompilerBug(f"{self.name} already has samples")
        self.rules["samples"] = function
        return function

    def __repr__(self) -> str:
        return f"<function {self.name}>"


OPS: dict[str, Op] = {}
"""Every op by its name in the IR."""

PUBLIC: dict[str, Op | Function] = {}
"""Every published name.

A name that lives in ``nn`` only is stored as ``nn.functional.NAME``, and so on; one that is only a
method or property of tensors as ``Tensor.NAME``.
"""

PREFIX = {
    "method": "Tensor.", "property": "Tensor.", "nn": "nn.functional.", "special": "special.", "linalg": "linalg.",
    "fft": "fft.",
}  # fmt: skip


listeners: list[Callable[[str, Op | Function], None]] = []
"""Told of every name that is published: how an op that is defined late becomes a method too."""


def _publish(entry: Op | Function, places: tuple[str, ...], aliases: tuple[str, ...]) -> None:
    for name in (entry.name, *aliases):
        for place in places:
            key = name if place == "method" and "torch" in places else PREFIX.get(place, "") + name
            if PUBLIC.get(key, entry) is not entry:
                raise CompilerBug(f"two ops are published as {key!r}")
            PUBLIC[key] = entry
            for listener in listeners:
                listener(key, entry)


def _register(entry: Op) -> Op:
    if entry.name in OPS:
        raise CompilerBug(f"op {entry.name!r} is already defined")
    OPS[entry.name] = entry
    return entry


def _configure(
    entry: Op,
    places: tuple[str, ...],
    aliases: tuple[str, ...],
    promote: str | None,
    inplace: bool,
    module: str,
) -> Op:
    entry.places, entry.aliases, entry.promote, entry.inplace = places, aliases, promote, inplace
    # What help() and editors look at.
    entry.__name__, entry.__module__, entry.__doc__ = entry.name, module, entry.function.__doc__
    _register(entry)
    _publish(entry, places, aliases)
    return entry


def op(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    places: tuple[str, ...] = ("torch", "method"),
    aliases: tuple[str, ...] = (),
    inplace: bool = False,
    lowering: str | None = None,
) -> Any:
    """Define a composite op: ``function``'s body, over other ops, is the definition.

    ``lowering``: how a backend may make it as a whole, where it does not take the body.
    """

    def define(fn: Callable[..., Any]) -> Op:
        entry = Op(name or fn.__name__.rstrip("_"), COMPOSITE, fn, lowering)
        return _configure(entry, places, aliases, None, inplace, fn.__module__)

    return define if function is None else define(function)


def elementwise(
    function: Callable[..., Any] | None = None,
    *,
    scalar: str | None = None,
    promote: str = "default",
    places: tuple[str, ...] = ("torch", "method"),
    aliases: tuple[str, ...] = (),
    inplace: bool = True,
) -> Any:
    """Define an op that is one machine scalar applied to every element.

    ``promote``: ``default`` (PyTorch's promotion), ``float`` (integers become the default float
    dtype first), ``bool`` (operands become bool).
    """

    def define(fn: Callable[..., Any]) -> Op:
        entry = Op(fn.__name__.rstrip("_"), ELEMENTWISE, fn, "scalar")
        machine = scalars.TABLE[scalar or entry.name]
        entry.scalar = machine.name
        entry.rules["numpy"] = machine.numpy
        entry.rules["type"] = _elementwise_type(entry, machine)
        return _configure(entry, places, aliases, promote, inplace, fn.__module__)

    return define if function is None else define(function)


def _elementwise_type(entry: Op, machine: scalars.Scalar) -> Callable[..., Any]:
    from_ = 1 if machine.name == "where" else 0

    def type_rule(*types: Any) -> Any:
        return elementwise_type(entry.name, machine, types, from_)

    return type_rule


def primitive(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    lowering: str = "pull",
    view: bool = False,
    promote: str | None = None,
    places: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    inplace: bool = False,
) -> Any:
    """Define a structural op.  It needs ``type_rule``, ``numpy`` and the rule of its lowering.

    ``view``: the result shares memory with the first operand; it needs ``write`` too.
    """

    def define(fn: Callable[..., Any]) -> Op:
        entry = Op(name or fn.__name__.rstrip("_"), PRIMITIVE, fn, lowering)
        entry.is_view = view
        return _configure(entry, places, aliases, promote, inplace, fn.__module__)

    return define if function is None else define(function)


def function(
    call: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    places: tuple[str, ...] = ("torch", "method"),
    aliases: tuple[str, ...] = (),
    inplace: bool | str = False,
) -> Any:
    """Publish a plain function over ops.

    ``inplace``: there is a method ``name_`` too, or ``"only"`` it.
    """

    def define(fn: Callable[..., Any]) -> Function:
        entry = Function(name or fn.__name__.rstrip("_"), fn, places)
        entry.aliases, entry.inplace = aliases, inplace
        _publish(entry, places, aliases)
        return entry

    return define if call is None else define(call)
