"""The op registry: decorators that define an op in one place, and the tables everything else is derived from.

    @op            composite: the body is the definition
    @elementwise   one machine scalar of `jitorch.ir.scalars`, over promoted and broadcast operands
    @primitive     structural: a type rule, a numpy meaning, a gradient, one lowering
    @function      a public name that is no node: it resolves overloads or returns views, and runs other ops

``places`` says where the name is published: ``torch`` (the package), ``method`` (Tensor), ``nn``
(``nn.functional``), ``special``, ``linalg``, ``fft``; empty for what is not public.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jitorch.errors import CompilerBug
from jitorch.ir import scalars
from jitorch.ir.op import COMPOSITE, ELEMENTWISE, PRIMITIVE
from jitorch.ir.op import Op as OpRecord
from jitorch.ops import dispatch
from jitorch.ops.normalize import elementwise_type, normalize

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Sample:
    """Arguments for one generated test.  Tensor operands are NumPy arrays.

    ``grad`` False: the point is not differentiable (or rounding hides it), so gradcheck leaves it out.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    grad: bool = True

    def __init__(self, *args: Any, grad: bool = True, **kwargs: Any):
        object.__setattr__(self, "args", args)
        object.__setattr__(self, "kwargs", kwargs)
        object.__setattr__(self, "grad", grad)


class Op(OpRecord):
    """An op that can be called: the arguments are bound, promoted and handed to the interpreter in force."""

    promote: str | None = None
    places: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    inplace: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        operands, attrs = self.bind(args, kwargs)
        if self.promote is not None:
            operands = normalize(self, operands)
        return dispatch.current().apply(self, operands, attrs)


class Function:
    """A public name that resolves its arguments and runs other ops."""

    def __init__(self, name: str, call: Callable[..., Any], places: tuple[str, ...]):
        self.name, self.call, self.places = name, call, places
        self.doc = inspect.getdoc(call) or ""
        self.signature = inspect.signature(call)
        self.aliases: tuple[str, ...] = ()
        self.inplace = False
        self.rules: dict[str, Callable[..., Any]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

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
"""Every published name.  A name that lives in ``nn`` only is stored as ``nn.functional.NAME``, and so on."""

PREFIX = {"nn": "nn.functional.", "special": "special.", "linalg": "linalg.", "fft": "fft."}


def _publish(entry: Op | Function, places: tuple[str, ...], aliases: tuple[str, ...]) -> None:
    for name in (entry.name, *aliases):
        name = name.rstrip("_")
        for place in places:
            key = PREFIX.get(place, "") + name
            if PUBLIC.get(key, entry) is not entry:
                raise CompilerBug(f"two ops are published as {key!r}")
            PUBLIC[key] = entry


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
) -> Op:
    entry.places, entry.aliases, entry.promote, entry.inplace = places, aliases, promote, inplace
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
) -> Any:
    """Define a composite op: ``function``'s body, over other ops, is the definition."""

    def define(fn: Callable[..., Any]) -> Op:
        entry = Op(name or fn.__name__.rstrip("_"), COMPOSITE, fn)
        return _configure(entry, places, aliases, None, inplace)

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
        return _configure(entry, places, aliases, promote, inplace)

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
        return _configure(entry, places, aliases, promote, inplace)

    return define if function is None else define(function)


def function(
    call: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    places: tuple[str, ...] = ("torch", "method"),
    aliases: tuple[str, ...] = (),
    inplace: bool = False,
) -> Any:
    """Publish a plain function over ops."""

    def define(fn: Callable[..., Any]) -> Function:
        entry = Function(name or fn.__name__.rstrip("_"), fn, places)
        entry.aliases, entry.inplace = aliases, inplace
        _publish(entry, places, aliases)
        return entry

    return define if call is None else define(call)

