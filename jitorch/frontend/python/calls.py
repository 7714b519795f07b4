"""Calls under the protocol: who is run rewritten, who as it is, who not at all.

a rewritten function            as it is: it asks for everything itself
a function of the library       as it is, on arguments made ready (`lend`)
a function with a handler       by its handler (builtins.py)
any other Python function       rewritten
a class                         its ``__init__`` by these same rules
a pure C function               as it is, on constants; on run-time scalars as an expression
anything else                   refused
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import types
import typing
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from jitorch.frontend.python import paths, pure
from jitorch.frontend.python.expressions import PROTOCOL, Unsupported
from jitorch.frontend.python.journal import MISSING
from jitorch.frontend.python.marks import is_ignored
from jitorch.frontend.python.operators import Operators
from jitorch.frontend.python.rewritten import is_rewritten, rewritten
from jitorch.frontend.python.scalars import NUMBERS, RuntimeScalar, apply
from jitorch.frontend.python.source import NoSource
from jitorch.frontend.python.values import (
    DICTS,
    MUTABLE,
    is_iterator,
    is_namedtuple,
    is_plain,
)

Handler = Callable[..., Any]
HANDLERS: dict[Any, Handler] = {}
_GENERATED = "<string>"  # the file name of code that dataclasses and named tuples generate
_GENERIC_ALIASES = (types.GenericAlias, type(list[typing.Any]), type(typing.List[int]))  # noqa: UP006
_METHODS_OF_C = (types.BuiltinMethodType, types.MethodWrapperType)
_HOLDERS = (types.ModuleType, type, type(None))  # what the functions of modules, classes and nothing are bound to
_DESCRIPTORS_OF_C = (types.MethodDescriptorType, types.WrapperDescriptorType)


def _is_generated(function: types.FunctionType, args: tuple[Any, ...]) -> bool:
    """Whether it is a method that `dataclasses` wrote."""
    is_code = function.__code__.co_filename == _GENERATED and function.__name__.startswith("__")
    return is_code and bool(args) and dataclasses.is_dataclass(type(args[0]))


def handles(*functions: Any) -> Callable[[Handler], Handler]:
    """Register a handler ``handler(trace, *args, **kwargs)`` for calls of these functions or classes."""

    def register(handler: Handler) -> Handler:
        for function in functions:
            HANDLERS[function] = handler
        return handler

    return register


class NativeFunction:
    """A function of the protocol itself that user code or the library may hold: it is called as it is."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Calls(Operators):
    """Function calls and construction of objects."""

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)``"""
        function = self._unwrapped(function)
        kind = type(function)
        if kind is types.MethodType:
            return self._call_method(function, args, kwargs)
        if kind is types.FunctionType:
            return self._call_function(function, args, kwargs)
        if kind is NativeFunction:
            return function.function(*args, **kwargs)
        handler = _handler(function)
        if handler is not None:
            return handler(self, *args, **kwargs)
        if self.recorder.is_internal(function):
            return self.call_library(function, args, kwargs)
        if isinstance(function, type):
            return self.construct(function, args, kwargs)
        if isinstance(function, functools.partial):
            return self._call_partial(function, args, kwargs)
        if isinstance(function, _GENERIC_ALIASES):  # Stack[int]()
            return self.call(typing.get_origin(function), *args, **kwargs)
        if isinstance(function, functools._lru_cache_wrapper):  # the cache is no part of what it computes
            return self.call(self._part(function, "__wrapped__"), *args, **kwargs)
        if isinstance(function, _METHODS_OF_C) and not isinstance(function.__self__, _HOLDERS):
            return self._call_c_method(function, args, kwargs)
        if isinstance(function, _DESCRIPTORS_OF_C) and args:
            return self._call_slot(function, args, kwargs)
        method = self.user_method(function, "__call__")
        if method is not None:
            return self.call(method, function, *args, **kwargs)
        return self.call_pure(function, args, kwargs)

    def _unwrapped(self, function: Any) -> Any:
        """What a jitted function wraps, guarded where it was read; any other function itself."""
        inner = self.recorder.unwrap(function)
        is_part = inner is not function and getattr(function, "__jit_wrapped__", None) is inner
        return self._part(function, "__jit_wrapped__") if is_part else inner

    def _part(self, function: Any, name: str) -> Any:
        """The function that a wrapper calls."""
        path = self.origin(function)
        inner = getattr(function, name)
        return inner if path is None else self.read(paths.attr(path, name), inner)

    def _call_method(self, method: types.MethodType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        path = self.origin(method)
        if path is not None and not path.is_constant:  # a bound method that was stored somewhere
            self.read(paths.attr(path, "__func__"), method.__func__)
            self.read(paths.attr(path, "__self__"), method.__self__)
        return self.call(method.__func__, method.__self__, *args, **kwargs)

    def _call_function(self, function: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if is_ignored(function):
            self.refuse("ignored", f"{function.__qualname__} is marked with jit.ignore: what calls it runs in Python")
        if is_rewritten(function.__code__):
            return self._ran(function(*args, **kwargs))
        handler = HANDLERS.get(function)
        if handler is not None:
            return handler(self, *args, **kwargs)
        if self.recorder.is_internal(function):
            return self.call_library(function, args, kwargs)
        if pure.effect(function) is not None or pure.is_pure(function):
            return self.call_pure(function, args, kwargs)
        if _is_generated(function, args):
            return self._call_generated(function, args, kwargs)
        return self._ran(self._prepare(function)(*self._with_defaults(function, args, kwargs), **kwargs))

    def _ran(self, result: Any) -> Any:
        # A generator is the one new object that running a function makes by itself.
        return self.adopt(result) if type(result) is types.GeneratorType else result

    def _prepare(self, function: types.FunctionType) -> types.FunctionType:
        """The rewritten function, with the closure it needs."""
        code = function.__code__
        try:
            new = rewritten(function)
        except (NoSource, Unsupported) as error:
            self.refuse("source", f"{function.__qualname__} cannot be read: {error}")
        name = f"{function.__qualname__} ({code.co_filename}:{code.co_firstlineno})"
        while self.functions.setdefault(name, code) is not code:  # lambdas on one line
            name += "'"
        cells = {PROTOCOL: types.CellType(self.frame(function))}
        if "__class__" in new.co_freevars:
            if "__class__" not in code.co_freevars or function.__closure__ is None:
                self.refuse("source", f"super() in {function.__qualname__}, which is not of a class body")
            cells["__class__"] = function.__closure__[code.co_freevars.index("__class__")]
        closure = tuple(cells[name] for name in new.co_freevars)
        result = types.FunctionType(new, function.__globals__, function.__name__, function.__defaults__, closure)
        result.__kwdefaults__ = dict(function.__kwdefaults__ or {})
        result.__qualname__ = function.__qualname__
        return result

    @abstractmethod
    def joined_truth(self, name: str, first: Any, *rest: Callable[[], Any]) -> Any:
        """The truth of ``a and b and c``, or the same with ``or``."""

    @abstractmethod
    def frame(self, function: types.FunctionType) -> Any:
        """What ``_jt`` is inside of ``function``."""

    def _with_defaults(
        self, function: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, ...]:
        """The arguments with the defaults that this call needs, as read; keywords are added to ``kwargs``."""
        code, path = function.__code__, self.path_of(function)
        defaults = function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        first = len(names) - len(defaults)
        for index in range(max(len(args), first), len(names)):
            name = names[index]
            if index >= code.co_posonlyargcount and name in kwargs:
                continue
            value = self.read(path and paths.Path("default", path, (index - first, name)), defaults[index - first])
            if index < code.co_posonlyargcount:
                args = (*args, value)
            else:
                kwargs[name] = value
        for name, value in (function.__kwdefaults__ or {}).items():
            if name not in kwargs:
                kwargs[name] = self.read(path and paths.Path("kwdefault", path, name), value)
        return args

    def _call_generated(self, function: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Methods that `dataclasses` writes."""
        instance: Any = args[0]
        if function.__name__ == "__init__":
            return self._fill_dataclass(instance, args[1:], kwargs)
        names = [f.name for f in dataclasses.fields(instance) if f.compare]
        if function.__name__ in ("__eq__", "__lt__", "__le__", "__gt__", "__ge__"):
            if type(args[1]) is not type(instance):
                return NotImplemented
            a, b = [tuple(self.attribute(x, n) for n in names) for x in args]
            return self.compare(function.__name__.strip("_"), a, b)
        if function.__name__ == "__hash__":
            hashed = [f.name for f in dataclasses.fields(instance) if (f.compare if f.hash is None else f.hash)]
            return hash(tuple(self.plain_key(self.attribute(instance, n)) for n in hashed))
        if function.__name__ == "__repr__":
            shown = [f.name for f in dataclasses.fields(instance) if f.repr]
            values = ", ".join(f"{n}={self.text(self.attribute(instance, n), '__repr__')}" for n in shown)
            return f"{type(instance).__qualname__}({values})"
        return self.refuse("source", f"{function.__qualname__} has no source")

    def _call_partial(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        path = self.path_of(function)
        if path is None:
            inner, bound, keywords = function.func, function.args, function.keywords
        else:
            inner, bound, keywords = [
                self.read(paths.attr(path, n), getattr(function, n)) for n in ("func", "args", "keywords")
            ]
        return self.call(inner, *self.contents(bound), *args, **{**self.contents(keywords), **kwargs})

    # -- C code

    def _call_c_method(self, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        owner = method.__self__
        if type(owner) in MUTABLE or isinstance(owner, tuple):
            return self.container_method(owner, method.__name__, args, kwargs)
        if isinstance(method, types.MethodWrapperType):
            return self._call_slot(getattr(method.__objclass__, method.__name__), (owner, *args), kwargs)
        if is_iterator(owner):
            self.refuse_stored_iterator(owner)
            return method(*args, **kwargs)
        if self.recorder.is_tensor(owner) or self.recorder.is_traced(owner):
            return self.call_library(method, args, kwargs)
        if isinstance(owner, np.ndarray):
            self.constant(owner, method)
        if isinstance(owner, str) and method.__name__ in ("join", "format"):
            return method(*[self._joined(a) for a in args], **{k: self.shown(v) for k, v in kwargs.items()})
        if is_plain(owner) or isinstance(owner, BaseException) or self.is_created(owner):
            return self.adopt_result(method(*self.constants(args, method), **self.constant_keywords(kwargs, method)))
        return self.call_pure(method, args, kwargs)

    def _joined(self, value: Any) -> Any:
        if type(value) in MUTABLE or isinstance(value, tuple) or is_iterator(value):
            return [self.shown(x) for x in self.iterate(value)]
        return self.shown(value)

    def _call_slot(self, descriptor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``object.__setattr__(x, ...)``, ``str.upper(x)``, ``list.append(x, y)``."""
        target, *rest = args
        name, owner = descriptor.__name__, descriptor.__objclass__
        if owner is type and name == "__call__":
            return self._instantiate(target, tuple(rest), kwargs)
        if type(target) in MUTABLE and owner in type(target).__mro__:
            return self.container_method(target, name, tuple(rest), kwargs)
        if isinstance(target, BaseException) and name in ("__init__", "with_traceback", "add_note"):
            return descriptor(target, *[self.formattable(x) for x in rest], **kwargs)
        match name if owner is object else None:
            case "__init__":
                return None
            case "__setattr__":
                return self.store_attribute(target, *rest)
            case "__delattr__":
                return self.drop_attribute(target, *rest)
            case "__getattribute__":
                return self.attribute(target, *rest)
            case "__eq__" | "__ne__":
                return NotImplemented if target is not rest[0] else name == "__eq__"
            case "__repr__" | "__str__":
                return self.text(target, name)
        if is_plain(target) or self.recorder.is_tensor(target):
            return self.call(descriptor.__get__(target), *rest, **kwargs)
        return self.refuse("object", f"{owner.__name__}.{name} of a {type(target).__name__}")

    def call_pure(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function that depends on its arguments alone, or a refusal that names it."""
        why = pure.effect(function)
        if why is not None:
            self.refuse_changing("effect", why)
        elif not pure.is_pure(function):
            self.refuse_changing("unknown-call", f"a call of {_name(function)}, of which nothing is known")
        if any(type(a) is RuntimeScalar for a in args) and not kwargs and self._is_scalar_function(function, args):
            return apply(paths.operation(function), *args)
        return self.adopt_result(function(*self.constants(args, function), **self.constant_keywords(kwargs, function)))

    def _is_scalar_function(self, function: Any, args: tuple[Any, ...]) -> bool:
        """Functions of numbers, such as those of `math`, stay expressions of run-time scalars."""
        if not isinstance(function, types.BuiltinFunctionType) or pure.module_of(function) not in ("math", "builtins"):
            return False
        return all(type(a) is RuntimeScalar or type(a) in NUMBERS for a in args)

    def constants(self, args: tuple[Any, ...], function: Any) -> list[Any]:
        return [self.constant(a, function) for a in args]

    def constant_keywords(self, kwargs: dict[str, Any], function: Any) -> dict[str, Any]:
        return {k: self.constant(v, function) for k, v in kwargs.items()}

    def constant(self, value: Any, function: Any) -> Any:
        """An argument of C code: all that it could read is read here, and is constant."""
        if self.recorder.is_tensor(value) or self.recorder.is_traced(value):
            return self.recorder.concretize(value, f"a call of {_name(function)}")
        if type(value) is RuntimeScalar:
            return value.concrete(f"a call of {_name(function)}")
        if type(value) in DICTS:
            return {k: self.constant(v, function) for k, v in self.contents(value).items()}
        kind: Any = type(value)
        if is_namedtuple(kind):
            return kind._make(self.constant(x, function) for x in self.contents(value))
        if type(value) in MUTABLE or isinstance(value, tuple):
            return type(value)(self.constant(x, function) for x in self.contents(value))
        if isinstance(value, types.FunctionType | types.MethodType):
            return self.callback(value)
        if isinstance(value, np.ndarray) and not self.is_created(value):
            self.refuse_changing("numpy", f"a NumPy array that existed before the call, in {_name(function)}")
        if is_iterator(value):
            self.refuse_stored_iterator(value)
        elif not self._is_harmless(value):
            self.refuse("unknown-call", f"a {type(value).__name__} as an argument of {_name(function)}")
        return value

    def _is_harmless(self, value: Any) -> bool:
        """Whether native code that reads ``value`` reads only what is constant or the trace's own."""
        if is_plain(value) or isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | BaseException):
            return True
        if self.recorder.is_constant(value) or self.recorder.is_internal(type(value)):
            return True
        return self.is_created(value) and not isinstance(type(value).__init__, types.FunctionType)

    # -- the library

    def call_library(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function of the library, which records what it does to tensors."""
        positional = [self.lend(a, function) for a in args]
        keywords = {k: self.lend(v, function) for k, v in kwargs.items()}
        return self.adopt_result(function(*positional, **keywords))

    def lend(self, value: Any, function: Any) -> Any:
        """An argument of the library: tensors as they are, containers read, functions under the protocol."""
        if type(value) is RuntimeScalar:
            return self.recorder.lend(value)
        if self.recorder.is_tensor(value) or self.recorder.is_traced(value):
            return value
        if type(value) in DICTS:
            return {k: self.lend(v, function) for k, v in self.contents(value).items()}
        if type(value) is tuple or type(value) in MUTABLE:
            return type(value)(self.lend(x, function) for x in self.contents(value))
        if type(value) is slice:
            return slice(*[self.lend(x, function) for x in (value.start, value.stop, value.step)])
        if type(value) is NativeFunction or self.recorder.is_internal(value):
            return value
        if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
            return self.callback(value)
        if isinstance(value, np.ndarray) and not self.is_created(value):
            why = f"a NumPy array that existed before the call, in {_name(function)}; make it a tensor outside"
            self.refuse_changing("numpy", why)
            return value
        if is_iterator(value):
            self.refuse_stored_iterator(value)
            return value
        if isinstance(value, tuple) or self._is_harmless(value):
            return value
        if self.special(type(value), "__call__") is not None:
            return self.callback(value)
        return self.refuse("unknown-call", f"a {type(value).__name__} as an argument of {_name(function)}")

    def callback(self, function: Any) -> Any:
        """A function for native code to call: it comes back to the protocol."""
        if isinstance(function, types.FunctionType) and is_rewritten(function.__code__):
            return function
        return NativeFunction(functools.partial(self.call, function))

    # -- construction

    def construct(self, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``kind(*args, **kwargs)`` of a class that has no handler."""
        why = pure.effect(kind)
        if why is not None:
            self.refuse_changing("effect", why)
        if isinstance(kind, enum.EnumMeta) or issubclass(kind, np.generic) or kind in pure.PURE_CLASSES:
            return self.adopt_result(kind(*self.constants(args, kind), **self.constant_keywords(kwargs, kind)))
        method = self.special(type(kind), "__call__")
        return self._instantiate(kind, args, kwargs) if method is None else self.call(method, kind, *args, **kwargs)

    def _instantiate(self, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``type.__call__(kind, *args, **kwargs)``"""
        initialise = self.special(kind, "__init__")
        if is_namedtuple(kind) and initialise is None:
            return kind(*args, **kwargs)
        if issubclass(kind, BaseException) and initialise is None:
            return self.adopt(kind(*[self.formattable(a) for a in args], **kwargs))
        instance = self._allocate(kind, args, kwargs)
        if not isinstance(instance, kind):
            return instance
        if initialise is not None:
            self.call(initialise, instance, *args, **kwargs)
        elif kind.__new__ is object.__new__ and (args or kwargs):
            raise TypeError(f"{kind.__name__}() takes no arguments")
        return instance

    def _allocate(self, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        new = kind.__new__
        self.lookup(kind, "__new__")
        if isinstance(new, types.FunctionType):
            self._class_value(kind, "__new__", staticmethod(new))
            return self.call(new, kind, *args, **kwargs)
        if new is object.__new__:
            return self.adopt(new(kind))
        if issubclass(kind, BaseException):
            return self.adopt(new(kind, *[self.formattable(a) for a in args]))
        return self.refuse(
            "unknown-call", f"construction of {kind.__module__}.{kind.__qualname__}, of which nothing is known"
        )

    def _fill_dataclass(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """What the generated ``__init__`` does, with factories and ``__post_init__`` under the protocol."""
        kind = type(instance)
        bound = inspect.signature(kind.__init__).bind(instance, *args, **kwargs)
        given = dict(list(bound.arguments.items())[1:])
        post: list[Any] = []
        # `__dataclass_fields__` holds InitVar pseudo-fields too, which `dataclasses.fields` leaves out.
        for name, field in kind.__dataclass_fields__.items():
            role = field._field_type.name
            if role == "_FIELD_CLASSVAR":
                continue
            value = given.get(name, MISSING) if field.init else MISSING
            if value is MISSING:
                value = self._default_of(field)
            if role == "_FIELD_INITVAR":
                post.append(value)
            elif value is not MISSING:
                self.store_attribute(instance, name, value)
        if "__post_init__" in kind.__init__.__code__.co_names:  # it had one when it was decorated
            self.call(self.attribute(instance, "__post_init__"), *post)

    def _default_of(self, field: Any) -> Any:
        if field.default_factory is not dataclasses.MISSING:
            return self.call(field.default_factory)
        return MISSING if field.default is dataclasses.MISSING else field.default


def _handler(function: Any) -> Handler | None:
    try:
        return HANDLERS.get(function)
    except TypeError:  # unhashable
        return None


def _name(function: Any) -> str:
    module = pure.module_of(function)
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", type(function).__name__)
    return name if module in ("builtins", "") else f"{module}.{name}"
