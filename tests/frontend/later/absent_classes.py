"""Classes and modules that change as objects of their own: how they are made, and what they are asked."""

from __future__ import annotations

import abc
import builtins
import collections.abc
import dataclasses
import sys
import types

from tests.frontend.later.absent import ABSENT
from tests.frontend.later.table import attempt, later, tensor

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
