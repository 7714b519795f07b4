"""Attributes, classes, enums and dataclasses that change between calls."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
from types import SimpleNamespace

from tests.frontend.later.python_state import Mode
from tests.frontend.later.table import attempt, later, tensor

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
