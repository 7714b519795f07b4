"""What classes, objects and modules did not have when a function was traced, and get later."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import jitorch
from jitorch import nn
from tests.frontend.later.table import attempt, later, tensor

ABSENT = "what is not there yet"

Body = Callable[[Any, Any], Any]


def gains(name: str, method: Any, **before: Any) -> Callable[[Body], Body]:
    """Register a case: ``body(h, x)`` before the class of ``h`` has ``method``, with it, and after.

    ``before`` is what the class has from the start.  Methods keep what they do in ``self.log``.
    """

    def register(body: Body) -> Body:
        def play(jit: Any) -> Iterator[Any]:
            class Local:
                log: list[Any] = []  # noqa: RUF012 - all instances share it

            for entry, value in before.items():
                setattr(Local, entry, value)
            h = Local()

            def act(x: Any) -> Any:
                return body(h, x)

            act.__qualname__ = body.__qualname__  # traces are kept by the names of functions
            f = jit(act)
            yield attempt(f, tensor(1)), vars(h), Local.log
            setattr(Local, name, method)
            yield attempt(f, tensor(1)), vars(h), Local.log
            yield attempt(f, tensor(2)), vars(h), Local.log
            delattr(Local, name)
            yield attempt(f, tensor(1)), vars(h), Local.log

        play.__name__ = body.__name__
        later(ABSENT)(play)
        return body

    return register


def _set_tenfold(self, name, value):
    object.__setattr__(self, name, value * 10)


def _delete_and_log(self, name):
    self.log.append(name)
    object.__delattr__(self, name)


def _missing(self, name):
    self.log.append(name)
    return 7


def _get_and_log(self):
    self.log.append("get")
    return self.__dict__["k"]


def _set_and_log(self, value):
    self.log.append(value)
    self.__dict__["k"] = value * 100


@gains("__setattr__", _set_tenfold)
def a_setattr(h, x):
    h.k = 3
    return x * h.k


@gains("__setattr__", _set_tenfold)
def a_setattr_for_a_tensor(h, x):
    h.last = x * 2
    return x + 1


@gains("__delattr__", _delete_and_log)
def a_delattr(h, x):
    h.k = 3
    del h.k
    return x * 2


@gains("__getattr__", _missing)
def a_getattr(h, x):
    return x * 2 if hasattr(h, "k") else x * 3


@gains("__getattr__", _missing)
def a_getattr_for_a_default(h, x):
    return x * getattr(h, "k", 5)


@gains("k", property(_get_and_log, _set_and_log))
def a_property_with_a_setter(h, x):
    h.k = 3
    return x * 2


@gains("k", property(lambda self: 1))
def a_property_without_a_setter(h, x):
    h.k = 3
    return x * 2


@gains("k", property(_get_and_log), __init__=lambda self: vars(self).update(k=2.0))
def a_property_that_gives_the_same(h, x):
    return x * h.k


@later(ABSENT)
def a_property_where_an_instance_hid_a_value(jit):
    class Local:
        k = 1.0
        log: list[Any] = []  # noqa: RUF012 - all instances share it

    h = Local()
    h.k = 2.0
    f = jit(lambda x: x * h.k)
    yield f(tensor(1)), h.log
    Local.k = property(_get_and_log)  # type: ignore[assignment]
    yield f(tensor(1)), h.log
    Local.k = 3.0
    yield f(tensor(1)), h.log


class Field:
    """Becomes a descriptor when it gets the methods."""

    n = 4


@contextlib.contextmanager
def field_with(**methods: Any) -> Iterator[None]:
    for name, method in methods.items():
        setattr(Field, name, method)
    try:
        yield
    finally:
        for name in methods:
            delattr(Field, name)


@later(ABSENT)
def a_get_of_a_field(jit):
    class Local:
        field = Field()

    h = Local()
    f = jit(lambda x: x * h.field.n)
    yield f(tensor(1))
    with field_with(__get__=lambda self, instance, owner: types.SimpleNamespace(n=9)):
        yield f(tensor(1))
    yield f(tensor(1))


@later(ABSENT)
def a_set_of_a_field(jit):
    class Local:
        field = Field()

    h = Local()
    log = []

    def f(x):
        h.field = 3
        return x * 2

    g = jit(f)
    yield g(tensor(1)), vars(h), log
    with field_with(__set__=lambda self, instance, value: log.append(value)):
        yield g(tensor(1)), vars(h), log
    yield g(tensor(1)), vars(h), log


@later(ABSENT)
def another_field_of_the_class(jit):
    class Scaled:
        def __init__(self, n):
            self.n = n

        def __get__(self, instance, owner):
            return self.n * 2

    class Local:
        field = Scaled(2)

    h = Local()
    f, g = jit(lambda x: x * h.field), jit(lambda x: x * Local.field)
    yield f(tensor(1)), g(tensor(1))
    Local.__dict__["field"].n = 5
    yield f(tensor(1)), g(tensor(1))
    Local.field = Scaled(7)
    yield f(tensor(1)), g(tensor(1))
    Scaled.__get__ = lambda self, instance, owner: 100
    yield f(tensor(1)), g(tensor(1))
    h.field = 11
    yield f(tensor(1)), g(tensor(1))


@later(ABSENT)
def a_property_of_a_module_class(jit):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1, bias=False)
            with jitorch.no_grad():
                self.layer.weight.fill_(2)

        def forward(self, x):
            return self.layer(x)

    net = Net()
    f = jit(lambda x: net(x))
    yield f(tensor([1]))
    Net.layer = property(lambda self: lambda x: x + 50)
    yield f(tensor([1]))
    del Net.layer
    yield f(tensor([1]))
    Net.__getattr__ = lambda self, name: nn.Module.__getattr__(self, name) if name != "layer" else lambda x: x + 70
    yield f(tensor([1]))
