"""Special methods for operators and built-in functions that a class gets later."""

from __future__ import annotations

import operator

from tests.frontend.later.absent import ABSENT, gains
from tests.frontend.later.table import attempt, later, tensor


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
