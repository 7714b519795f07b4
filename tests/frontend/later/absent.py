"""What classes, objects and modules did not have when a function was traced, and get later."""

from __future__ import annotations

import abc
import builtins
import collections.abc
import contextlib
import dataclasses
import enum
import operator
import sys
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


# -- attributes


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


# -- operators and built-in functions


@gains("__bool__", lambda self: False)
def a_bool(h, x):
    return x if h else -x


@gains("__len__", lambda self: 0)
def a_len(h, x):
    return x if h else -x


@gains("__eq__", lambda self, other: True)
def an_eq(h, x):
    return x if h == 3 else -x


@gains("__eq__", lambda self, other: True)
def an_eq_in_a_list(h, x):
    return x if h in [1, 2, 3] else -x


@gains("__ne__", lambda self, other: False)
def a_ne(h, x):
    return x if h != 3 else -x


@gains("__contains__", lambda self, value: True, __iter__=lambda self: iter((1, 2)))
def a_contains(h, x):
    return x if 5 in h else -x


@gains("__iter__", lambda self: iter((10, 20)), __getitem__=lambda self, i: (1, 2)[i])
def an_iter(h, x):
    return x + sum(list(h))


@gains("__reversed__", lambda self: iter((5,)), __len__=lambda self: 2, __getitem__=lambda self, i: i + 1)
def a_reversed(h, x):
    return [x * i for i in reversed(h)]


@gains("__call__", lambda self: 1)
def a_call(h, x):
    return x if callable(h) else -x


@gains("__getitem__", lambda self, key: 6)
def a_getitem(h, x):
    try:
        return x * h[0]
    except TypeError:
        return -x


@gains("__setitem__", lambda self, key, value: self.log.append(value))
def a_setitem(h, x):
    try:
        h[0] = 1
    except TypeError:
        return -x
    return x


@gains("__enter__", lambda self: 6, __exit__=lambda self, *error: None)
def an_enter(h, x):
    try:
        with h as n:
            return x * n
    except TypeError:
        return -x


@gains("__radd__", lambda self, other: other + 40)
def a_reflected_operator(h, x):
    try:
        return x * (3 + h)
    except TypeError:
        return -x


@gains("__or__", lambda self, other: 40)
def an_operator_that_classes_have_too(h, x):
    try:
        return x * (h | 3)
    except TypeError:
        return -x


@gains("__iadd__", lambda self, other: 50, __add__=lambda self, other: 40)
def an_operator_in_place(h, x):
    n = h
    n += 3
    return x * n


@gains("__neg__", lambda self: 8)
def a_sign(h, x):
    try:
        return x * -h
    except TypeError:
        return -x


@gains("__float__", lambda self: 2.5, __index__=lambda self: 4)
def a_float(h, x):
    return x * float(h)


@gains("__round__", lambda self: 2)
def a_round(h, x):
    try:
        return x * round(h)
    except TypeError:
        return -x


@gains("__str__", lambda self: "longer text", __repr__=lambda self: "text")
def a_str(h, x):
    return x * len(str(h)), f"{h}"


@gains("__format__", lambda self, spec: spec * 3, __str__=lambda self: "text")
def a_format(h, x):
    return x * 2, f"{h:>6}"


@later(ABSENT)
def a_reflected_operator_of_a_subclass(jit):
    class One:
        def __add__(self, other):
            return 10

    class Two(One):
        pass

    a, b = One(), Two()
    f = jit(lambda x: x * (a + b))
    yield f(tensor(1))
    Two.__radd__ = lambda self, other: 20
    yield f(tensor(1))
    del Two.__radd__
    yield f(tensor(1))


@later(ABSENT)
def an_order_of_objects(jit):
    class Local:
        def __init__(self, n):
            self.n = n

        def __lt__(self, other):
            return self.n < other.n

    a, b = Local(1), Local(2)
    f = jit(lambda x: (x * sorted([a, b])[0].n, x * max(a, b).n))
    yield attempt(f, tensor(1))
    a.n = 5
    yield attempt(f, tensor(1))
    Local.__gt__ = lambda self, other: False
    yield attempt(f, tensor(1))
    Local.__lt__ = lambda self, other: self.n > other.n
    yield attempt(f, tensor(1))


@later(ABSENT)
def an_index(jit):
    class Local:
        n = 0

        def __index__(self):
            return self.n

    h = Local()
    f = jit(lambda x: (x * [3, 4, 5][h], x * operator.index(h), [x for _ in range(h)]))
    yield attempt(f, tensor(1))
    h.n = 1
    yield attempt(f, tensor(1))
    Local.__index__ = lambda self: 2
    yield attempt(f, tensor(1))


@later(ABSENT)
def a_setattr_from_a_new_base(jit):
    class One:
        pass

    class Two:
        def __setattr__(self, name, value):
            object.__setattr__(self, name, value * 10)

    class Local(One):
        pass

    h = Local()

    def f(x):
        h.k = 3
        return x * h.k

    g = jit(f)
    yield g(tensor(1)), vars(h)
    Local.__bases__ = (Two,)
    yield g(tensor(1)), vars(h)
    Local.__bases__ = (One,)
    yield g(tensor(1)), vars(h)


@later(ABSENT)
def a_method_that_super_passed_over(jit):
    class One:
        def act(self, x):
            return x + 1

        @property
        def n(self):
            return 2

        @classmethod
        def made(cls):
            return 3

    class Two(One):
        pass

    class Local(Two):
        def act(self, x):
            return super().act(x) * super().n * super().made()

    h = Local()
    f = jit(lambda x: h.act(x))
    yield f(tensor(1))
    Two.act = lambda self, x: x + 100
    yield f(tensor(1))
    Two.n = property(lambda self: 20)
    yield f(tensor(1))
    Two.made = classmethod(lambda cls: 30)
    yield f(tensor(1))
    One.act = lambda self, x: x
    del Two.act, Two.n, Two.made
    yield f(tensor(1))
    One.made = classmethod(lambda cls: 300)
    yield f(tensor(1))


# -- making objects


@later(ABSENT)
def an_init(jit):
    class Local:
        k = 2

    f = jit(lambda x: x * Local().k)
    yield f(tensor(1))
    Local.__init__ = lambda self: vars(self).update(k=5)
    yield f(tensor(1))
    Local.__init__ = lambda self: setattr(self, "k", 6)
    yield f(tensor(1))
    del Local.__init__
    yield f(tensor(1))


@later(ABSENT)
def a_new(jit):
    class Local:
        k = 2

    class Other:
        k = 5

    f = jit(lambda x: x * Local().k)
    yield f(tensor(1))
    Local.__new__ = lambda cls: Other()
    yield f(tensor(1))


@later(ABSENT)
def a_post_init(jit):
    @dataclasses.dataclass
    class Local:
        k: int = 2

    f = jit(lambda x: x * Local().k)
    yield f(tensor(1))
    Local.__post_init__ = lambda self: setattr(self, "k", 5)
    yield f(tensor(1))


@later(ABSENT)
def an_init_of_an_exception(jit):
    class Wrong(Exception):
        pass

    def f(x):
        try:
            raise Wrong(3)
        except Wrong as error:
            return x * error.args[0]

    g = jit(f)
    yield attempt(g, tensor(1))
    Wrong.__init__ = lambda self, n: Exception.__init__(self, n * 10)
    yield attempt(g, tensor(1))


@later(ABSENT)
def a_call_of_a_metaclass(jit):
    class Meta(type):
        pass

    class Local(metaclass=Meta):
        k = 2

    f = jit(lambda x: x * Local().k)
    yield attempt(f, tensor(1))
    Meta.__call__ = lambda cls: types.SimpleNamespace(k=9)
    yield attempt(f, tensor(1))
    del Meta.__call__
    yield attempt(f, tensor(1))


# -- classes and modules as objects


@later(ABSENT)
def special_methods_of_a_metaclass(jit):
    class Meta(type):
        pass

    class Local(metaclass=Meta):
        pass

    f = jit(lambda x: (x if Local else -x, x if Local == 3 else -x))
    yield f(tensor(1))
    Meta.__bool__ = lambda cls: False
    yield f(tensor(1))
    Meta.__eq__ = lambda cls, other: True
    Meta.__hash__ = type.__hash__
    yield f(tensor(1))


@later(ABSENT)
def attributes_of_a_metaclass(jit):
    class Meta(type):
        scale = 2

        def act(cls, x):
            return x * cls.scale

        @property
        def n(cls):
            return cls.scale + 1

    class Local(metaclass=Meta):
        pass

    f = jit(lambda x: (x * Local.scale, Local.act(x), x * Local.n))
    yield f(tensor(1))
    Meta.scale = 5
    yield f(tensor(1))
    Meta.act = lambda cls, x: x - 1
    yield f(tensor(1))
    Meta.n = property(lambda cls: 100)
    yield f(tensor(1))
    Local.scale = 7
    yield f(tensor(1))
    del Local.scale
    yield f(tensor(1))


@later(ABSENT)
def an_attribute_of_a_class(jit):
    class Local:
        pass

    f = jit(lambda x: x * getattr(Local, "n", 2) if hasattr(Local, "m") else x * 3 + getattr(Local, "n", 2))
    yield f(tensor(1))
    Local.n = 4
    yield f(tensor(1))
    Local.m = 5
    yield f(tensor(1))
    del Local.m
    yield f(tensor(1))


@later(ABSENT)
def names_of_a_class(jit):
    class Local:
        pass

    f = jit(lambda x: (x * len(Local.__name__), Local.__qualname__, Local.__module__, Local.__doc__))
    yield f(tensor(1))
    Local.__name__ = "Longer"
    yield f(tensor(1))
    Local.__qualname__, Local.__module__, Local.__doc__ = "Longest", "m", "Text."
    yield f(tensor(1))


@later(ABSENT)
def dictionary_of_a_class(jit):
    class Local:
        n = 2

    f = jit(lambda x: x * Local.__dict__["n"] + (1 if "m" in vars(Local) else 2))
    yield attempt(f, tensor(1))
    Local.n = 3
    yield attempt(f, tensor(1))
    Local.m = 3
    yield attempt(f, tensor(1))


@later(ABSENT)
def a_class_getitem(jit):
    class Local:
        pass

    def f(x):
        try:
            return x * Local[3]
        except TypeError:
            return -x

    g = jit(f)
    yield g(tensor(1))
    Local.__class_getitem__ = classmethod(lambda cls, key: key * 2)
    yield g(tensor(1))
    Local.__class_getitem__ = classmethod(lambda cls, key: key * 3)
    yield g(tensor(1))


@later(ABSENT)
def an_instance_that_is_registered(jit):
    class Kind(abc.ABC):  # noqa: B024 - a class to register others with
        pass

    class Local:
        pass

    h = Local()
    f = jit(lambda x: (x if isinstance(h, Kind) else -x, issubclass(Local, Kind)))
    yield f(tensor(1))
    Kind.register(Local)
    yield f(tensor(1))


@later(ABSENT)
def an_instance_by_its_methods(jit):
    class Local:
        pass

    h = Local()
    f = jit(lambda x: x if isinstance(h, collections.abc.Sized) else -x)
    yield f(tensor(1))
    Local.__len__ = lambda self: 3
    yield f(tensor(1))


@later(ABSENT)
def an_instancecheck(jit):
    class Meta(type):
        pass

    class Kind(metaclass=Meta):
        pass

    h = types.SimpleNamespace()
    f = jit(lambda x: x if isinstance(h, Kind) else -x)
    yield attempt(f, tensor(1))
    Meta.__instancecheck__ = lambda cls, value: True
    yield attempt(f, tensor(1))
    del Meta.__instancecheck__
    yield attempt(f, tensor(1))


@later(ABSENT)
def an_instance_by_new_bases(jit):
    class One:
        pass

    class Two:
        pass

    class Local(One):
        pass

    h = Local()
    f = jit(lambda x: (x if isinstance(h, Two) else -x, issubclass(Local, One)))
    yield f(tensor(1))
    Local.__bases__ = (Two,)
    yield f(tensor(1))


@later(ABSENT)
def names_for_patterns(jit):
    class Local:
        def __init__(self):
            self.n, self.m = 2, 3

    h = Local()

    def f(x):
        match h:
            case Local(n):
                return x * n
        return -x

    g = jit(f)
    yield attempt(g, tensor(1))
    Local.__match_args__ = ("n",)
    yield attempt(g, tensor(1))
    Local.__match_args__ = ("m",)
    yield attempt(g, tensor(1))


@later(ABSENT)
def an_attribute_of_a_module(jit):
    module = types.ModuleType("settings")
    f = jit(lambda x: x * getattr(module, "n", 2) if hasattr(module, "m") else x * 3 + getattr(module, "n", 2))
    yield f(tensor(1))
    module.n = 4
    yield f(tensor(1))
    module.m = 5
    yield f(tensor(1))
    del module.n
    yield f(tensor(1))
    module.__getattr__ = lambda name: 9
    yield attempt(f, tensor(1))


@later(ABSENT)
def a_function_of_builtins_replaced(jit):
    f = jit(lambda x, n: x * int(oct(n)[2:]))
    yield f(tensor(1), 9)
    before = builtins.oct
    builtins.oct = lambda n: "0o100"
    try:
        yield f(tensor(1), 9)
    finally:
        builtins.oct = before
    yield f(tensor(1), 9)


@later(ABSENT)
def a_module_replaced(jit):
    def f(x):
        import colorsys

        return x * colorsys.ONE_SIXTH

    import colorsys

    g = jit(f)
    yield attempt(g, tensor(1))
    sys.modules["colorsys"] = types.SimpleNamespace(ONE_SIXTH=6.0)  # type: ignore[assignment]
    try:
        yield attempt(g, tensor(1))
    finally:
        sys.modules["colorsys"] = colorsys
    yield attempt(g, tensor(1))


# -- constants and tensors of the user's classes


@later(ABSENT)
def an_operator_of_a_number(jit):
    class Number(int):
        pass

    n = Number(3)
    f = jit(lambda x: x * (n + 1))
    yield attempt(f, tensor(1))
    Number.__add__ = lambda self, other: 50
    yield attempt(f, tensor(1))
    Number.__add__ = lambda self, other: 60
    yield attempt(f, tensor(1))


@later(ABSENT)
def methods_of_an_enumeration(jit):
    class Mode(enum.Enum):
        A = 2
        B = 3

        def scale(self):
            return self.value * 10

    h = types.SimpleNamespace(mode=Mode.A)
    f = jit(lambda x: (x * h.mode.scale(), x if h.mode == 2 else -x))
    yield f(tensor(1))
    Mode.scale = lambda self: self.value * 100
    yield f(tensor(1))
    Mode.__eq__ = lambda self, other: self.value == other
    yield f(tensor(1))


@later(ABSENT)
def an_operator_of_a_tensor(jit):
    class Labelled(nn.Parameter):
        pass

    w = Labelled(tensor(1, 2))
    f = jit(lambda x: (x * w, w + x))
    yield attempt(f, tensor(1, 1))
    Labelled.__add__ = lambda self, other: other * 100
    yield attempt(f, tensor(1, 1))
    Labelled.__rmul__ = lambda self, other: other * 50
    yield attempt(f, tensor(1, 1))


@later(ABSENT)
def a_class_of_a_tensor(jit):
    class One(nn.Parameter):
        def scaled(self):
            return self * 2

    class Two(nn.Parameter):
        def scaled(self):
            return self * 20

    h = types.SimpleNamespace(w=One(tensor(1, 2)))
    f = jit(lambda x, v: (x * h.w.scaled(), x * v.scaled()))
    yield attempt(f, tensor(1, 1), h.w)
    h.w = Two(tensor(1, 2))
    yield attempt(f, tensor(1, 1), One(tensor(1, 2)))
    h.w = nn.Parameter(tensor(1, 2))
    yield attempt(f, tensor(1, 1), One(tensor(1, 2)))
    h.w = One(tensor(1, 2))
    yield attempt(f, tensor(1, 1), h.w), attempt(f, tensor(1, 1), Two(tensor(1, 2)))
    h.w.__class__ = Two
    yield attempt(f, tensor(1, 1), h.w)


@later(ABSENT)
def an_attribute_of_a_tensor(jit):
    class Labelled(nn.Parameter):
        pass

    w = Labelled(tensor(1, 2))
    f = jit(lambda x: x * getattr(w, "scale", 3))
    yield attempt(f, tensor(1, 1))
    Labelled.scale = 5
    yield attempt(f, tensor(1, 1))
    w.scale = 7
    yield attempt(f, tensor(1, 1))
    Labelled.scale = property(lambda self: 9)
    yield attempt(f, tensor(1, 1))
