"""Globals, closures, attributes, classes and containers that change between calls."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import math
import sys
import types
from types import SimpleNamespace
from typing import Any

import jitorch
from tests.frontend.later.table import attempt, later, tensor

NUMBER = 2
FACTOR = 2.0
WORD = "up"
TABLE: dict[str, Any] = {"scale": 2}
WEIGHT = tensor(1, 2)
CHOICE: Any = None


def helper(x):
    return x + 1


def other_helper(x):
    return x * 5


class Mode(enum.Enum):
    UP = 1
    DOWN = 2


GLOBALS = "globals and closures"
THIS = sys.modules[__name__]


def set_global(monkey: dict[str, Any], **values: Any) -> None:
    """Change globals of this module; the first change of each is remembered in ``monkey``."""
    for name, value in values.items():
        monkey.setdefault(name, getattr(THIS, name))
        setattr(THIS, name, value)


def restore(monkey: dict[str, Any]) -> None:
    for name, value in monkey.items():
        setattr(THIS, name, value)


def _of_globals(name: str, body: Any, *changes: dict[str, Any]) -> None:
    """A case in which globals change."""

    def play(jit):
        monkey: dict[str, Any] = {}
        f = jit(body)
        try:
            for change in ({}, *changes, {}):
                set_global(monkey, **change)
                yield attempt(f, tensor(1, 2))
                yield attempt(f, tensor(3, 4))
        finally:
            restore(monkey)

    play.__name__ = name
    later(GLOBALS)(play)


_of_globals("global_int", lambda x: x * NUMBER, {"NUMBER": 3}, {"NUMBER": 4}, {"NUMBER": 2})
_of_globals("global_float", lambda x: x * FACTOR, {"FACTOR": 3.5}, {"FACTOR": math.nan}, {"FACTOR": math.inf})
_of_globals("global_int_that_becomes_a_float", lambda x: x * NUMBER, {"NUMBER": 2.0}, {"NUMBER": True})
_of_globals("global_float_that_becomes_a_tensor", lambda x: x * FACTOR, {"FACTOR": tensor(2, 3)}, {"FACTOR": 1})
_of_globals("global_string", lambda x: x if WORD == "up" else -x, {"WORD": "down"}, {"WORD": "up"})
_of_globals("global_tensor_replaced", lambda x: x * WEIGHT, {"WEIGHT": tensor(5, 6)}, {"WEIGHT": tensor(7)})
_of_globals("global_function_replaced", lambda x: helper(x) * 2, {"helper": other_helper}, {"helper": lambda x: x})
_of_globals("global_none_that_is_set", lambda x: x if CHOICE is None else x * CHOICE, {"CHOICE": 3}, {"CHOICE": None})
_of_globals("global_enum", lambda x: x if CHOICE is Mode.UP else -x, {"CHOICE": Mode.UP}, {"CHOICE": Mode.DOWN})
_of_globals("global_decides_a_loop", lambda x: sum([x] * NUMBER), {"NUMBER": 4}, {"NUMBER": 0}, {"NUMBER": 1})
_of_globals("global_dtype", lambda x: x.to(CHOICE or jitorch.float64), {"CHOICE": jitorch.int64}, {"CHOICE": None})
_of_globals("global_callable_object", lambda x: (CHOICE or helper)(x), {"CHOICE": functools.partial(pow, 2.0)})
_of_globals("global_list", lambda x: sum(CHOICE or [x]), {"CHOICE": [1, 2]}, {"CHOICE": [tensor(1, 1)]})
_of_globals("global_class", lambda x: isinstance(CHOICE, Mode), {"CHOICE": Mode.UP}, {"Mode": int}, {"CHOICE": 3})


@later(GLOBALS)
def global_deleted(jit):
    def f(x):
        return x * EXTRA if "EXTRA" in TABLE else x  # noqa: F821

    g = jit(f)
    yield g(tensor(1))
    THIS.EXTRA = 2
    TABLE["EXTRA"] = True
    yield g(tensor(1))
    del THIS.EXTRA
    yield attempt(g, tensor(1))
    del TABLE["EXTRA"]
    yield g(tensor(1))


@later(GLOBALS)
def built_in_shadowed_by_a_new_global(jit):
    f = jit(lambda x: max(x.sum() * 0 + 1, 0) if False else len([x, x]) * x)
    yield f(tensor(1))
    THIS.len = lambda _: 7
    try:
        yield f(tensor(1))
    finally:
        del THIS.len
    yield f(tensor(1))


@later(GLOBALS)
def global_written_inside(jit):
    def f(x):
        global CHOICE
        CHOICE = (CHOICE or 0) + 1
        return x * CHOICE

    g = jit(f)
    for _ in range(4):
        yield g(tensor(1)), CHOICE
    THIS.CHOICE = None


@later(GLOBALS)
def closure_number(jit):
    k = 1
    f = jit(lambda x: x * k)
    for k in (1, 2, 3, 2.5, True):  # noqa: B007
        yield f(tensor(1, 2))


@later(GLOBALS)
def closure_of_a_closure(jit):
    k = 1

    def inner(x):
        return x * k

    def middle(x):
        return inner(x) + k

    f = jit(lambda x: middle(x))
    yield f(tensor(1))
    k = 4
    yield f(tensor(1))


@later(GLOBALS)
def closure_function_replaced(jit):
    def act(x):
        return x.tanh()

    f = jit(lambda x: act(x) * 2)
    yield f(tensor(1))

    def act(x):  # noqa: F811
        return x.sin()

    yield f(tensor(1))
    act = jitorch.exp  # noqa: F811
    yield f(tensor(1))


@later(GLOBALS)
def closure_tensor_rebound_and_written(jit):
    w = tensor(1, 2)
    f = jit(lambda x: x * w)
    yield f(tensor(1, 1))
    w.add_(1)
    yield f(tensor(1, 1))
    w = tensor([[1, 2], [3, 4]])
    yield f(tensor(1, 1))


@later(GLOBALS)
def closure_counter_read_outside(jit):
    count = 0

    def f(x):
        nonlocal count
        count += 1
        return x + count

    g = jit(f)
    for _ in range(3):
        yield g(tensor(1)), count
    count = 10
    yield g(tensor(1)), count


@later(GLOBALS)
def functions_of_one_factory(jit):
    def make(k):
        return lambda x: x * k

    f = jit(lambda x, g: g(x))
    for k in (1, 2, 2.5):
        yield f(tensor(1), make(k))


@later(GLOBALS)
def module_attribute(jit):
    module = types.ModuleType("settings")
    module.scale, module.depth = 2.0, 1
    f = jit(lambda x: x * module.scale + module.depth)
    yield f(tensor(1))
    module.scale = 4.0
    yield f(tensor(1))
    module.depth = 3
    yield f(tensor(1))
    del module.depth
    yield attempt(f, tensor(1))


ATTRIBUTES = "attributes and classes"


@later(ATTRIBUTES)
def attribute_at_depth(jit):
    root = SimpleNamespace(a=SimpleNamespace(b=SimpleNamespace(c=2, w=tensor(1))))
    f = jit(lambda x: x * root.a.b.c + root.a.b.w)
    yield f(tensor(1))
    root.a.b.c = 3
    yield f(tensor(1))
    root.a.b = SimpleNamespace(c=4, w=tensor(9))
    yield f(tensor(1))
    root.a = SimpleNamespace(b=root.a.b)
    yield f(tensor(1))
    root.a.b.w = tensor([1, 2])
    yield f(tensor(1))


@later(ATTRIBUTES)
def attribute_that_appears(jit):
    h = SimpleNamespace()
    f = jit(lambda x: x * h.k if hasattr(h, "k") else getattr(h, "j", 5) * x)
    yield f(tensor(1))
    h.j = 6
    yield f(tensor(1))
    h.k = 2
    yield f(tensor(1))
    del h.k
    yield f(tensor(1))


@later(ATTRIBUTES)
def class_attribute_and_shadow(jit):
    class Holder:
        k = 2

    h = Holder()
    f = jit(lambda x: x * h.k)
    yield f(tensor(1))
    Holder.k = 3
    yield f(tensor(1))
    h.k = 4
    yield f(tensor(1))
    Holder.k = 5
    yield f(tensor(1))
    del h.k
    yield f(tensor(1))


@later(ATTRIBUTES)
def attribute_of_a_base_class(jit):
    class Base:
        k = 2

    class Derived(Base):
        pass

    h = Derived()
    f = jit(lambda x: x * h.k)
    yield f(tensor(1))
    Base.k = 3
    yield f(tensor(1))
    Derived.k = 4
    yield f(tensor(1))
    del Derived.k
    yield f(tensor(1))


@later(ATTRIBUTES)
def method_replaced_on_the_class(jit):
    class Holder:
        def act(self, x):
            return x + 1

    h = Holder()
    f = jit(lambda x: h.act(x))
    yield f(tensor(1))
    Holder.act = lambda self, x: x * 10
    yield f(tensor(1))
    h.act = lambda x: x * 20
    yield f(tensor(1))
    del h.act
    yield f(tensor(1))


@later(ATTRIBUTES)
def method_of_a_base_overridden_later(jit):
    class Base:
        def act(self, x):
            return x + 1

    class Derived(Base):
        def act(self, x):
            return super().act(x) * 2

    h = Derived()
    f = jit(lambda x: h.act(x))
    yield f(tensor(1))
    Base.act = lambda self, x: x + 7
    yield f(tensor(1))
    del Derived.act
    yield f(tensor(1))


@later(ATTRIBUTES)
def class_of_an_object_changed(jit):
    class One:
        def act(self, x):
            return x + 1

    class Two:
        def act(self, x):
            return x + 2

    h = One()
    f = jit(lambda x: h.act(x))
    yield f(tensor(1))
    h.__class__ = Two
    yield f(tensor(1))


@later(ATTRIBUTES)
def static_and_class_methods_replaced(jit):
    class Holder:
        k = 3

        @staticmethod
        def one(x):
            return x + 1

        @classmethod
        def two(cls, x):
            return x * cls.k

    f = jit(lambda x: Holder.one(x) + Holder.two(x))
    yield f(tensor(1))
    Holder.one = staticmethod(lambda x: x + 5)
    yield f(tensor(1))
    Holder.two = classmethod(lambda cls, x: x - cls.k)
    yield f(tensor(1))
    Holder.k = 8
    yield f(tensor(1))


@later(ATTRIBUTES)
def property_and_what_it_reads(jit):
    class Holder:
        def __init__(self):
            self.raw = 1

        @property
        def k(self):
            return self.raw * 2

        @k.setter
        def k(self, value):
            self.raw = value + 1

    h = Holder()
    f = jit(lambda x: x * h.k)
    yield f(tensor(1))
    h.raw = 4
    yield f(tensor(1))
    h.k = 6
    yield f(tensor(1))
    Holder.k = property(lambda self: 11)
    yield f(tensor(1))


@later(ATTRIBUTES)
def cached_property(jit):
    class Holder:
        def __init__(self):
            self.raw = 1

        @functools.cached_property
        def k(self):
            return self.raw * 2

    h = Holder()
    f = jit(lambda x: x * h.k)
    yield f(tensor(1)), "k" in h.__dict__
    h.raw = 4
    yield f(tensor(1))
    del h.k
    yield f(tensor(1))
    h.__dict__["k"] = 9
    yield f(tensor(1))


@later(ATTRIBUTES)
def slots(jit):
    class Holder:
        __slots__ = ("k", "w")

    h = Holder()
    h.k = 2
    f = jit(lambda x: x * h.k + (h.w if hasattr(h, "w") else 0))
    yield f(tensor(1))
    h.k = 3
    yield f(tensor(1))
    h.w = tensor(5)
    yield f(tensor(1))
    del h.w
    yield f(tensor(1))


@later(ATTRIBUTES)
def descriptor_of_the_user(jit):
    class Scaled:
        def __init__(self, factor):
            self.factor = factor

        def __get__(self, instance, owner):
            return instance.raw * self.factor

    class Holder:
        k = Scaled(2)

        def __init__(self):
            self.raw = 1

    h = Holder()
    f = jit(lambda x: x * h.k)
    yield f(tensor(1))
    h.raw = 3
    yield f(tensor(1))
    Holder.__dict__["k"].factor = 5
    yield f(tensor(1))


@later(ATTRIBUTES)
def getattr_of_the_user(jit):
    class Holder:
        def __init__(self):
            self.names = {"k": 2}

        def __getattr__(self, name):
            if name in self.names:
                return self.names[name]
            raise AttributeError(name)

    h = Holder()
    f = jit(lambda x: x * h.k)
    yield f(tensor(1))
    h.names["k"] = 3
    yield f(tensor(1))
    h.k = 4
    yield f(tensor(1))
    del h.k
    del h.names["k"]
    yield attempt(f, tensor(1))


@later(ATTRIBUTES)
def special_methods_replaced(jit):
    class Holder:
        def __call__(self, x):
            return x + 1

        def __mul__(self, x):
            return x * 2

        def __len__(self):
            return 3

        def __bool__(self):
            return True

        def __contains__(self, key):
            return key == 1

    h = Holder()
    f = jit(lambda x: h(x) + (h * x) + len(h) + (5 if h else 6) + (1 in h))
    yield f(tensor(1))
    Holder.__call__ = lambda self, x: x + 2
    yield f(tensor(1))
    Holder.__mul__ = lambda self, x: x * 4
    Holder.__len__ = lambda self: 4
    yield f(tensor(1))
    Holder.__bool__ = lambda self: False
    Holder.__contains__ = lambda self, key: False
    yield f(tensor(1))


@later(ATTRIBUTES)
def attributes_written_inside(jit):
    class Holder:
        def __init__(self):
            self.count, self.last, self.seen = 0, None, []

    h = Holder()

    def f(x):
        h.count += 1
        h.last = x * h.count
        h.seen.append(h.count)
        return h.last + 1

    g = jit(f)
    for _ in range(3):
        yield g(tensor(1)), h
    h.count = 10
    yield g(tensor(1)), h


@later(ATTRIBUTES)
def two_names_of_one_object(jit):
    one = SimpleNamespace(k=1)
    pair = SimpleNamespace(a=one, b=one)

    def f(x):
        pair.a.k += 1
        return x * pair.b.k

    g = jit(f)
    yield g(tensor(1)), one.k
    pair.b = SimpleNamespace(k=100)
    yield g(tensor(1)), pair
    pair.a = pair.b
    yield g(tensor(1)), pair


@later(ATTRIBUTES)
def identity_of_attributes(jit):
    a, b = SimpleNamespace(), SimpleNamespace()
    pair = SimpleNamespace(a=a, b=b)
    f = jit(lambda x: x if pair.a is pair.b else -x)
    yield f(tensor(1))
    pair.b = a
    yield f(tensor(1))
    pair.a = b
    yield f(tensor(1))


@later(ATTRIBUTES)
def type_of_an_attribute(jit):
    h = SimpleNamespace(k=[1, 2])
    f = jit(lambda x: x * len(h.k) if isinstance(h.k, (list, tuple)) else x)
    for value in ([1, 2], (1, 2, 3), [1], None, {1: 2}, "ab"):
        h.k = value
        yield f(tensor(1))


@later(ATTRIBUTES)
def vars_and_setattr(jit):
    h = SimpleNamespace(a=1, b=2)

    def f(x):
        h.c = sum(vars(h).values()) + 1
        return x * h.c

    g = jit(f)
    for _ in range(3):
        yield g(tensor(1)), h
    h.a = 50
    yield g(tensor(1)), h


@later("enums and dataclasses")
def enum_member_of_an_attribute(jit):
    h = SimpleNamespace(mode=Mode.UP)
    f = jit(lambda x: x * h.mode.value if h.mode == Mode.UP else -x)
    yield f(tensor(1))
    h.mode = Mode.DOWN
    yield f(tensor(1))
    h.mode = 1
    yield f(tensor(1))


@later("enums and dataclasses")
def enum_as_an_argument(jit):
    class Level(enum.IntEnum):
        LOW = 1
        HIGH = 3

    class Flags(enum.Flag):
        A = 1
        B = 2

    f = jit(lambda x, e: x * int(e) if isinstance(e, int) else x + (10 if Flags.A in e else 20))
    for e in (Level.LOW, Level.HIGH, 3, Flags.A, Flags.A | Flags.B, Flags.B):
        yield f(tensor(1), e)


@dataclasses.dataclass
class Settings:
    scale: float = 2.0
    depth: int = 1
    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Fixed:
    scale: float = 2.0
    depth: int = 1


@later("enums and dataclasses")
def dataclass_fields(jit):
    s = Settings()
    f = jit(lambda x: x * s.scale + s.depth + len(s.names))
    yield f(tensor(1))
    s.scale = 3.0
    yield f(tensor(1))
    s.depth = 2
    yield f(tensor(1))
    s.names.append("a")
    yield f(tensor(1))


@later("enums and dataclasses")
def frozen_dataclass_as_an_argument(jit):
    def f(x, s):
        for _ in range(s.depth):
            x = x * s.scale
        return x, dataclasses.replace(s, depth=s.depth + 1)

    g = jit(f)
    for s in (Fixed(), Fixed(3.0), Fixed(3.0, 2), Fixed()):
        yield g(tensor(1), s)


@later("enums and dataclasses")
def equality_of_dataclasses(jit):
    f = jit(lambda x, s: x if s == Fixed() else -x)
    for s in (Fixed(), Fixed(3.0), Fixed(2.0, 2), Fixed()):
        yield f(tensor(1), s)


@later("enums and dataclasses")
def named_tuple_as_an_argument(jit):
    Point = collections.namedtuple("Point", "x y")
    f = jit(lambda p: (p.x * p.y, p._replace(y=3), len(p)))
    for p in (Point(tensor(1), 2), Point(tensor(1), 3), Point(tensor(4, 5), tensor(2, 2))):
        yield f(p)
