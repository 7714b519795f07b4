"""Constants, tensors, keys and texts of classes of the user's, of which C code would ask their methods."""

from __future__ import annotations

import collections.abc
import enum
import functools
import types

from jitorch import nn
from tests.frontend.later.absent import ABSENT
from tests.frontend.later.table import attempt, later, tensor

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


# -- where C code would ask


@later(ABSENT)
def a_sequence_for_patterns(jit):
    class Local:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return (3, 4)[i]

    h = Local()

    def f(x):
        match h:
            case [a, b]:
                return x * a * b
        return -x

    g = jit(f)
    yield g(tensor(1))
    collections.abc.Sequence.register(Local)
    yield g(tensor(1))


@later(ABSENT)
def a_variable_of_a_closure(jit):
    def f(x):
        try:
            return x * n
        except NameError:
            return -x

    g = jit(f)
    yield attempt(g, tensor(1))
    n = 5
    yield attempt(g, tensor(1))
    del n
    yield attempt(g, tensor(1))


@later(ABSENT)
def a_hash_of_keys_made_inside(jit):
    class Key:
        def __init__(self, n):
            self.n = n

        def __eq__(self, other):
            return self.n == other.n

        def __hash__(self):
            return hash(self.n)

    a, b = Key(1), Key(1)
    f = jit(lambda x: (x * {a: 5}.get(b, 0), x * len({a, b})))
    yield attempt(f, tensor(1))
    b.n = 2
    yield attempt(f, tensor(1))
    Key.__eq__ = lambda self, other: True
    Key.__hash__ = lambda self: 1
    yield attempt(f, tensor(1))


@later(ABSENT)
def an_eq_of_keys(jit):
    class Key:
        pass

    a, b = Key(), Key()
    f = jit(lambda x: (x * {a: 5}.get(b, 0), x * len({a, b})))
    yield attempt(f, tensor(1))
    Key.__eq__ = lambda self, other: True
    Key.__hash__ = lambda self: 1
    yield attempt(f, tensor(1))


@later(ABSENT)
def an_index_of_a_tensor(jit):
    class Local:
        n = 0

        def __index__(self):
            return self.n

    h = Local()
    f = jit(lambda x: x[h])
    g = jit(lambda x: (x[h:], [3, 4, 5][h:]))
    yield attempt(f, tensor(1, 2, 3))
    yield attempt(g, tensor(1, 2, 3))
    h.n = 1
    yield attempt(f, tensor(1, 2, 3))
    yield attempt(g, tensor(1, 2, 3))


@later(ABSENT)
def a_str_in_old_formats(jit):
    class Local:
        n = "a"

        def __repr__(self):
            return self.n

    h = Local()
    f = jit(lambda x: (x * 2, "%s" % h, "%s %r" % (h, h)))  # noqa: UP031 - as users write it
    g = jit(lambda x: (x * 2, "{}".format(h), f"{[h]}", ", ".join(map(str, [h]))))  # noqa: UP032
    yield f(tensor(1)), g(tensor(1))
    h.n = "b"
    yield f(tensor(1)), g(tensor(1))
    Local.__str__ = lambda self: "other"
    yield f(tensor(1)), g(tensor(1))
    Local.__repr__ = lambda self: "again"
    yield f(tensor(1)), g(tensor(1))


@later(ABSENT)
def another_cached_property(jit):
    class Local:
        @functools.cached_property
        def n(self):
            return 2

    f = jit(lambda x, h: x * h.n)
    yield f(tensor(1), Local())
    new = functools.cached_property(lambda self: 9)
    new.__set_name__(Local, "n")
    Local.n = new
    yield f(tensor(1), Local())
    Local.__dict__["n"].func = lambda self: 11
    yield f(tensor(1), Local())


@later(ABSENT)
def an_exceptions_attribute(jit):
    class Wrong(Exception):
        code = 2

    def f(x):
        try:
            raise Wrong
        except Wrong as e:
            return x * e.code, str(e)

    g = jit(f)
    yield attempt(g, tensor(1))
    Wrong.code = 3
    yield attempt(g, tensor(1))
    Wrong.code = property(lambda self: 7)
    yield attempt(g, tensor(1))
    Wrong.__str__ = lambda self: "text"
    yield attempt(g, tensor(1))


@later(ABSENT)
def an_enumerations_attribute(jit):
    class Mode(enum.Enum):
        A = 1

        def __init__(self, n):
            self.extra = n * 10

    f = jit(lambda x: x * Mode.A.extra)
    yield attempt(f, tensor(1))
    Mode.A.extra = 5
    yield attempt(f, tensor(1))


@later(ABSENT)
def a_getattr_of_a_metaclass(jit):
    class Meta(type):
        pass

    class Local(metaclass=Meta):
        pass

    f = jit(lambda x: x * getattr(Local, "n", 2))
    yield attempt(f, tensor(1))
    Meta.__getattr__ = lambda cls, name: 7
    yield attempt(f, tensor(1))
    Meta.__getattr__ = lambda cls, name: 8
    yield attempt(f, tensor(1))


@later(ABSENT)
def a_namedtuples_method(jit):
    P = collections.namedtuple("P", "a b")

    class Q(P):
        pass

    q = Q(1, 2)
    f = jit(lambda x: x * getattr(q, "c", 3) * q.a)
    yield attempt(f, tensor(1))
    Q.c = 5
    yield attempt(f, tensor(1))
    Q.a = 7
    yield attempt(f, tensor(1))


@later(ABSENT)
def a_method_of_self_written(jit):
    class Local:
        def __init__(self):
            self.n = 1

        def step(self, x):
            self.n += 1
            return x * self.n

    h = Local()
    f = jit(h.step)
    yield f(tensor(1)), h.n
    log = []
    Local.n = property(lambda self: 5, lambda self, v: log.append(v))
    yield f(tensor(1)), vars(h), log
    yield f(tensor(1)), vars(h), log


@later(ABSENT)
def a_delitem(jit):
    class Local:
        pass

    h = Local()

    def f(x):
        try:
            del h[0]
        except TypeError:
            return -x
        return x

    g = jit(f)
    yield attempt(g, tensor(1))
    Local.__delitem__ = lambda self, key: None
    yield attempt(g, tensor(1))


@later(ABSENT)
def a_divmod_and_pow(jit):
    class Local:
        def __floordiv__(self, o):
            return 2

        def __mod__(self, o):
            return 3

        def __pow__(self, o, m=None):
            return 5

    h = Local()
    f = jit(lambda x: (x * divmod(h, 2)[0], x * pow(h, 2), x * pow(h, 2, 3)))
    yield attempt(f, tensor(1))
    Local.__divmod__ = lambda self, o: (7, 8)
    yield attempt(f, tensor(1))
    Local.__pow__ = lambda self, o, m=None: 9
    yield attempt(f, tensor(1))


@later(ABSENT)
def special_methods_of_a_tuple(jit):
    class Pair(tuple):
        __slots__ = ()

    p = Pair((1, 2))
    f = jit(lambda x: (x if p else -x, x * len(p), x * p[0]))
    yield f(tensor(1))
    Pair.__bool__ = lambda self: False
    yield f(tensor(1))
    Pair.__len__ = lambda self: 5
    yield f(tensor(1))
    Pair.__getitem__ = lambda self, i: 9
    yield f(tensor(1))
    del Pair.__bool__
    yield f(tensor(1))


@later(ABSENT)
def special_methods_of_a_text(jit):
    class Text(str):
        __slots__ = ()

    t = Text("ab")
    f = jit(lambda x: (x * len(t), list(t), "a" in t, t == "ab", t[0], x if t else -x))
    yield f(tensor(1))
    Text.__bool__ = lambda self: False
    Text.__iter__ = lambda self: iter((7, 8))
    yield f(tensor(1))
    Text.__len__ = lambda self: 5
    Text.__contains__ = lambda self, value: False
    yield f(tensor(1))
    Text.__getitem__ = lambda self, i: 9
    Text.__eq__ = lambda self, other: False
    yield f(tensor(1))
