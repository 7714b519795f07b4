"""Snippets of Python that are hard to trace.

A case is a function of ``jit``, which is `toy.Jitted` or the identity.  It gives the function to
call, the argument lists of its calls, and a function that shows what the calls may have changed (or
None).  Lambdas, closures and odd style are the point here.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import itertools
import logging
import math
import operator
import os
import random
import re
import time
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from contextlib import contextmanager
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from jitorch.frontend.python import pure_getattr
from tests.frontend.python.toy import Tensor, each, stack

V = TypeVar("V")
STAGED: list[tuple[Any, int | None]] = []
REFUSED: list[tuple[Any, str]] = []


def staged(traces: int | None = None) -> Any:
    """The case is traced, in all ``traces`` times over its calls."""
    return lambda case: STAGED.append((case, traces))


def refused(why: str) -> Any:
    """Every trace of the case is refused with this reason, and plain Python runs."""
    return lambda case: REFUSED.append((case, why))


def T(*values: Any) -> Tensor:
    return Tensor(values[0] if len(values) == 1 else values)


# -- arguments, scalars, globals


@staged(1)
def float_argument_is_a_run_time_scalar(jit):
    return jit(lambda x, lr: x * lr + lr**2), [(T(1, 2), 0.1), (T(1, 2), 0.2), (T(1, 2), -3.0)], None


@staged(2)
def int_becomes_a_run_time_scalar_when_it_changes(jit):
    return jit(lambda x, n: x * n + 2**n), [(T(1, 2), 1), (T(1, 2), 2), (T(1, 2), 5), (T(1, 2), 9)], None


@staged(3)
def comparison_of_scalars_guards_the_expression(jit):
    def f(x, n):
        return x * n if n + 1 > 2 else x

    return jit(f), [(T(1, 2), 1), (T(1, 2), 5), (T(1, 2), 6), (T(1, 2), 7), (T(1, 2), 0)], None


@staged(2)
def float_test(jit):
    def f(x, lr):
        if 0 < lr <= 1 and lr != 0.25:
            return x * lr
        return x

    return jit(f), [(T(1, 2), 0.5), (T(1, 2), 0.75), (T(1, 2), 2.0), (T(1, 2), 3.0), (T(1, 2), 1.0)], None


@staged()
def scalars_of_every_kind(jit):
    def f(x, a, n):
        b = math.sqrt(a) + round(a) + int(a) + float(n) + abs(-a) + min(a, n) + max(a, 2.5) + a // 1 + -a % 3
        return x * b, b, bool(a), int(a) == 2, math.floor(a), divmod(a, 2), isinstance(a, float), type(n) is int

    return jit(f), [(T(1, 2), 2.25, 3), (T(1, 2), 2.5, 3), (T(1, 2), 7.75, 4)], None


@staged()
def scalar_error(jit):
    def f(x, a):
        try:
            return x * (1 / a)
        except ZeroDivisionError:
            return x

    return jit(f), [(T(1, 2), 0.0), (T(1, 2), 2.0), (T(1, 2), 0.0)], None


@staged()
def nan_and_signed_zero(jit):
    def f(x, a):
        return x * 2 if str(a) == "-0.0" else x

    return jit(f), [(T(1, 2), 0.0), (T(1, 2), -0.0), (T(1, 2), math.nan), (T(1, 2), math.nan)], None


def va(x, *a, k=1.0, **kw):
    return x * k + sum(a) + kw.get("z", 0) + len(kw)


@staged()
def args_kwargs(jit):
    f = jit(lambda x, d: va(x, *[1, 2], **d) + va(x, x, k=3.0))
    return f, [(T(1, 2), {"z": 5}), (T(1, 2), {"z": 6}), (T(1, 2), {"q": 6})], None


@staged(2)
def keyword_arguments(jit):
    f = jit(lambda x, *, k: x * k)
    return lambda x, k: f(x, k=k), [(T(1, 2), 2.0), (T(1, 2), 3.0), (T(1, 2), 4)], None


def positional_only(x, a=2.0, /, b=3.0):
    return x * a + b


@staged(1)
def defaults(jit):
    return jit(lambda x: positional_only(x) + positional_only(x, 5.0) + positional_only(x, b=1.0)), [(T(1, 2),)] * 2, None


def grows_its_default(x, log=[]):  # noqa: B006
    log.append(1)
    return x * len(log)


@staged()
def mutable_default(jit):
    grows_its_default.__defaults__ = ([],)
    return jit(lambda x: grows_its_default(x)), [(T(1, 2),)] * 3, lambda: list(grows_its_default.__defaults__[0])


G, GI = 2.0, 1


@staged(3)
def global_changed(jit):
    f = jit(lambda x: x * G + GI)

    def g(x, a, b):
        global G, GI
        G, GI = a, b
        return f(x)

    return g, [(T(1, 2), 2.0, 1), (T(1, 2), 3.0, 1), (T(1, 2), 3.0, 2), (T(1, 2), 3.0, 7), (T(1, 2), 4, 9)], None


COUNT = 0


@staged(2)
def global_write(jit):
    def f(x):
        global COUNT
        COUNT += 1
        return x * COUNT

    h = jit(f)

    def g(x, start):
        global COUNT
        if start is not None:
            COUNT = start
        return h(x)

    return g, [(T(1, 2), 0), (T(1, 2), None), (T(1, 2), None)], lambda: COUNT


@staged()
def global_that_appears(jit):
    def f(x):
        try:
            return x * APPEARS  # noqa: F821
        except NameError:
            return x

    h = jit(f)

    def g(x, there):
        globals().pop("APPEARS", None)
        if there:
            globals()["APPEARS"] = 3
        return h(x)

    return g, [(T(1, 2), False), (T(1, 2), True), (T(1, 2), False)], None


# -- closures and functions


@staged(2)
def nonlocal_counter(jit):
    c = 0

    def f(x):
        nonlocal c
        c += 1
        return x * c

    return jit(f), [(T(1, 2),)] * 4, lambda: c


@staged(1)
def inner_nonlocal(jit):
    def f(x, twice):
        k = 0.0

        def inc():
            nonlocal k
            k = k + 1.0

        inc()
        if twice:
            inc()
        return x * k

    return jit(f), [(T(1, 2), True), (T(-1, 2.0), True)], None


@staged(1)
def closure_of_the_caller_written_by_an_inner_function(jit):
    total = 0.0

    def add(v):
        nonlocal total
        total = total + v
        return total

    return jit(lambda x, v: x * add(v) + add(1.0)), [(T(1, 2), 2.0), (T(1, 2), 3.0)], lambda: total


def doubled(fn):
    @functools.wraps(fn)
    def w(*a, **k):
        return fn(*a, **k) * 2

    return w


@doubled
def decorated_g(x, y=3.0):
    return x + y


@staged(1)
def decorated(jit):
    return jit(lambda x: decorated_g(x, y=1.5)), [(T(1, 2),)] * 2, None


@staged(1)
def decorated_inside(jit):
    def f(x):
        @doubled
        def g(y):
            return y + 1

        return g(x)

    return jit(f), [(T(1, 2),)] * 2, None


@staged(1)
def partial(jit):
    p = functools.partial(decorated_g, y=2.0)
    return jit(lambda x: p(x) + functools.partial(decorated_g, x)(y=1.0)), [(T(1, 2),)] * 2, None


def fact(x, n):
    return x if n == 0 else fact(x, n - 1) * n


@staged(1)
def recursion(jit):
    return jit(lambda x: fact(x, 4)), [(T(1, 2),)] * 2, None


LAMBDAS = [lambda x: x + 1, lambda x: x * 3]


@staged(1)
def lambdas_in_a_list(jit):
    return jit(lambda x: [f(x) for f in LAMBDAS]), [(T(1, 2),)] * 2, None


@staged(1)
def closures_inside(jit):
    def f(x):
        fs = [lambda y, i=i: y * i for i in range(3)]

        def h(y):
            return y + x

        return [q(x) for q in fs], h(x), list(map(h, [x, x]))

    return jit(f), [(T(1, 2),)] * 2, None


@staged(2)
def function_argument(jit):
    f = jit(lambda x, g: g(x))

    def make(k):
        return lambda y: y * k

    return f, [(T(1, 2), make(2.0)), (T(1, 2), make(3.0)), (T(1, 2), lambda y: y - 1)], None


@staged(1)
def jitted_calls_jitted(jit):
    inner = jit(lambda x: x * 2)
    return jit(lambda x: inner(x) + 1), [(T(1, 2),)] * 2, None


@functools.lru_cache(maxsize=None)
def cached(n):
    return n * 2


@staged(1)
def lru_cache(jit):
    return jit(lambda x: x * cached(3)), [(T(1, 2),)] * 2, None


@staged(1)
def callback_from_the_library(jit):
    k = 2.0
    return jit(lambda x: each(lambda y: y * k, x)), [(T(1, 2),)] * 2, None


# -- classes


class Acc:
    def __init__(self):
        self.n, self.h = 0, T(0, 0)

    def step(self, x):
        self.h = self.h + x
        self.n += 1
        return self.h * 1


@staged(2)
def self_mutation(jit):
    a = Acc()
    return jit(lambda x: a.step(x)), [(T(1, 2),), (T(-1, 0),), (T(4, 0),)], lambda: (a.n, a.h)


class Lin:
    training = True

    def __init__(self, k):
        self.w, self.b, self.k = T(np.ones((2, 2)) * k), T(1, 1), k
        self.sub, self.cfg = [], {"act": "relu"}

    def __call__(self, *a, **k):
        return self.forward(*a, **k)

    @property
    def scale(self):
        return self.k * 2

    def forward(self, x):
        y = x @ self.w + self.b
        if self.training:
            y = y * 0.5
        for m in self.sub:
            y = m(y)
        return y.relu() if self.cfg["act"] == "relu" else y


class Lin2(Lin):
    def forward(self, x):
        self.seen = getattr(self, "seen", 0.0) + 1
        return super().forward(x) * self.scale


@staged(3)
def module_super_property(jit):
    m = Lin2(2.0)
    m.sub.append(Lin(-1.0))
    f = jit(lambda x: m(x))

    def g(x, act, training, k):
        m.cfg["act"], m.sub[0].training, m.k = act, training, k
        return f(x)

    calls = [("relu", True, 2.0), ("no", True, 2.0), ("no", False, 2.0), ("no", False, 5.0), ("no", True, 1.0)]
    return g, [(T(1, 2), *c) for c in calls], lambda: m.seen


@staged(1)
def bound_method(jit):
    b = Lin(3.0).forward
    return jit(lambda x: b(x)), [(T(1, 2),)] * 2, None


class Slots:
    __slots__ = ("__p", "a")

    def __init__(self, a):
        self.a = a
        self.__p = a * 2

    def go(self):
        self.a = self.a + self.__p
        return self.a


@staged(1)
def slots_and_private_names(jit):
    o = Slots(T(1, 2))
    return jit(lambda x: o.go() * x), [(T(1, 2),)] * 2, lambda: o.a


@dataclasses.dataclass
class DC:
    a: object
    n: int = 3
    log: list = dataclasses.field(default_factory=list)

    def __add__(self, o):
        return DC(self.a + o.a, self.n + o.n)


@staged(1)
def dataclass(jit):
    return jit(lambda x: (DC(x) + DC(x * 2, n=4)).a * DC(x).n), [(T(1, 2),)] * 2, None


@dataclasses.dataclass(frozen=True)
class Frozen:
    k: float
    name: str = "k"


@staged(2)
def frozen_dataclass(jit):
    def f(x, c):
        try:
            c.k = 3
        except dataclasses.FrozenInstanceError:
            x = x + 1
        return x * dataclasses.replace(c, k=c.k + 1).k if c == Frozen(2.0) or c.name == "k" else x

    return jit(f), [(T(1, 2), Frozen(1.0)), (T(1, 2), Frozen(2.0)), (T(1, 2), Frozen(5.0))], None


@staged(1)
def object_escapes(jit):
    f = jit(lambda x: DC(x * 2, [x, 1]))
    return (lambda x: (lambda r: (r.a, r.n[0], r.n[1], r.log))(f(x))), [(T(1, 2),)] * 2, None


class Ctx:
    log = 0

    def __enter__(self):
        self.log = self.log + 1
        return self

    def __exit__(self, *e):
        self.log += 10
        return False


@staged(3)
def with_statement(jit):
    c = Ctx()

    def f(x):
        with c as k:
            if x is not None:
                return x * k.log
        return x

    return jit(f), [(T(1, 2),), (T(-1, -2),), (T(3, 4),)], lambda: c.log


@contextmanager
def scaled(log, k):
    log.append("in")
    try:
        yield k
    finally:
        log.append("out")


@staged(1)
def generator_context_manager(jit):
    log = []

    def f(x):
        with scaled(log, 2.0) as k, scaled(log, k + 1) as j:
            return x * k * j

    return jit(f), [(T(1, 2),)] * 2, lambda: list(log)


@staged(1)
def context_manager_swallows_errors(jit):
    class Quiet:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, traceback):
            return kind is ValueError

    q = Quiet()

    def f(x):
        with q:
            raise ValueError("no")
        return x * 2

    return jit(f), [(T(1, 2),)] * 2, None


@staged()
def monkeypatched_method(jit):
    class M(Lin):
        def forward(self, x):
            return x * 2

    m = M(1.0)
    f = jit(lambda x: m(x))

    def g(x, n):
        if n == 1:
            M.forward = lambda self, x: x * 3
        if n == 2:
            m.forward = lambda x: x * 4
        return f(x)

    return g, [(T(1, 2), i) for i in range(3)], None


class Countdown:
    def __init__(self, n):
        self.n = n
        self.i = 0

    def __iter__(self):
        self.i = 0
        return self

    def __next__(self):
        self.i += 1
        if self.i > self.n:
            raise StopIteration
        return self.i

    def __getattr__(self, n):
        if n.startswith("__"):
            raise AttributeError(n)
        return len(n)


@staged()
def iterator_protocol_and_getattr(jit):
    o = Countdown(3)
    return jit(lambda x: sum(x * i for i in o) + o.zzz), [(T(1, 2),)] * 3, lambda: o.i


class Dunder:
    def __init__(self, v):
        self.v = v

    def __len__(self):
        return len(self.v)

    def __getitem__(self, i):
        return self.v[i]

    def __contains__(self, x):
        return x in self.v

    def __bool__(self):
        return self.v[0] > 0

    def __eq__(self, o):
        return self.v == o.v

    def __hash__(self):
        return 1

    def __lt__(self, o):
        return self.v < o.v

    def __radd__(self, o):
        return o + self.v[0]

    def __call__(self, x):
        return x * self.v[1]

    def __neg__(self):
        return Dunder([-q for q in self.v])

    def __iadd__(self, k):
        self.v = [q + k for q in self.v]
        return self

    def __str__(self):
        return f"<{self.v[0]}>"


@staged()
def special_methods(jit):
    d = Dunder([1, 2, 3])

    def f(x):
        e = Dunder([1, 2, 3])
        r = [len(d), d[1], 2 in d, bool(d), d == e, d != e, d < e, 5 + d, str(d), f"{-d}", list(d), not d]
        g = d
        g += 1
        return d(x), r, sum(q for q in d), g.v

    return jit(f), [(T(1, 2),)] * 3, lambda: d.v


class Base:
    made = 0

    def __new__(cls, *a):
        o = super().__new__(cls)
        o.tag = "new"
        return o

    @classmethod
    def make(cls, k):
        return cls(k)

    @staticmethod
    def twice(x):
        return x * 2

    @functools.cached_property
    def slow(self):
        return self.k + 1


class Derived(Base):
    def __init__(self, k):
        self.k = k

    @property
    def half(self):
        return self.k / 2

    @half.setter
    def half(self, v):
        self.k = v * 2


@staged(1)
def construction_and_descriptors(jit):
    d = Derived(4.0)

    def f(x):
        o = Derived.make(2.0)
        o.half = o.half + 5
        d.half += 1
        return o.twice(x) * o.half + o.slow, o.tag, d.slow

    return jit(f), [(T(1, 2),)], lambda: (d.k, d.__dict__.get("slow"))


class Mod:
    """Like a neural network module: parameters live in dictionaries behind ``__getattr__``."""

    def __init__(self, k):
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_modules", {})
        self.weight = T(k, k)

    def __setattr__(self, n, v):
        if isinstance(v, Tensor):
            self._parameters[n] = v
        elif isinstance(v, Mod):
            self._modules[n] = v
        else:
            super().__setattr__(n, v)

    @pure_getattr("_parameters", "_modules")
    def __getattr__(self, n):
        for d in ("_parameters", "_modules"):
            if n in self.__dict__[d]:
                return self.__dict__[d][n]
        raise AttributeError(n)

    def parameters(self):
        yield from self._parameters.values()
        for m in self._modules.values():
            yield from m.parameters()


@staged()
def module_with_pure_getattr(jit):
    m = Mod(2.0)
    m.inner = Mod(3.0)

    def f(x):
        y = x * m.weight + m.inner.weight
        for p in m.parameters():
            p.mul_(0.5)
        m.scale = getattr(m, "scale", 1.0) + 1
        m.inner.weight = y
        return y * m.scale, hasattr(m, "bias"), [n for n in vars(m)]

    h = jit(f)

    def g(x, new):
        if new:
            m.inner.weight = T(9, 9)
            m.bias = T(0, 0)
        return h(x)

    return g, [(T(1, 2), False)] * 2 + [(T(1, 2), True)] * 2, lambda: (m.weight, m.inner.weight, m.scale)


# -- control flow that is decided while tracing


@staged(3)
def early_return_chain(jit):
    def f(x, n):
        if n > 10:
            return x
        y = x * 2
        if n > 5:
            return y
        return y * 2

    return jit(f), [(T(1, 2), 1), (T(3, 4), 7), (T(30, 4), 20), (T(30, 4), 30)], None


@staged()
def loops_with_else_break_continue(jit):
    def f(x, n):
        out = []
        i = 0
        while i < n:
            i += 1
            for j in range(3):
                if j == i:
                    continue
                if j > 1 and i > 2:
                    break
                x = x + j * i
            else:
                out.append(i)
        else:
            out.append(-1)
        return x, out

    return jit(f), [(T(1, 2), 2), (T(1, 2), 4), (T(1, 2), 4)], None


@staged()
def walrus(jit):
    def f(x, n):
        if (m := n + 1) > 2 and (q := m * 2) > 5:
            return x * q
        return x * m

    return jit(f), [(T(1, 2), 1), (T(1, 2), 4), (T(1, 2), 5)], None


@staged()
def walrus_in_comprehension(jit):
    def f(x, ns):
        r = [y for n in ns if (y := n * 2) > 2 or (z := n) > 5]
        return x * y, r

    return jit(f), [(T(1, 2), [1, 2, 3])] * 2, None


@staged()
def boolean_operators(jit):
    def f(x, a, b):
        c = a or b or [x]
        d = (a and b) if a is not None else "none"
        return c, d, not a, x if a and b else -x, 1 if (a or b) == b else 2

    calls = [(T(1, 2), [], "b"), (T(1, 2), [1], "b"), (T(1, 2), None, ""), (T(1, 2), [1], "")]
    return jit(f), calls, None


@staged()
def try_except(jit):
    def f(x, d):
        try:
            y = x * d["a"]
        except KeyError as e:
            y = x - len(e.args)
            return y
        else:
            y = y + 1
        finally:
            d["seen"] = True
        return y

    d = [{"a": 3.0}, {}]
    return jit(f), [(T(1, 2), d[0]), (T(1, 2), d[1]), (T(1, 2), d[0])], lambda: d


@staged(1)
def bare_except(jit):
    def f(x):
        try:
            raise RuntimeError("x")
        except:  # noqa: E722
            return x * 3

    return jit(f), [(T(1, 2),)] * 2, None


@staged()
def assertion(jit):
    def f(x, n):
        assert n > 0, f"n is {n}"
        return x * n

    return jit(f), [(T(1, 2), 1), (T(1, 2), -1), (T(1, 2), 2)], None


@staged()
def raises_in_one_call(jit):
    def f(x, n):
        if n > 2:
            raise ValueError(f"big {n}")
        return x * n

    return jit(f), [(T(1, 2), 1), (T(1, 2), 3), (T(1, 2), 2)], None


@staged(1)
def generators(jit):
    def gen(x):
        for i in range(3):
            got = yield x * i
            if i == 1 and got is None:
                return

    def outer(x):
        yield from gen(x)
        yield x

    def f(x):
        return sum(gen(x)), [y for y in gen(x)], sum(y for y in outer(x)), next(gen(x)), list(outer(x))

    return jit(f), [(T(1, 2),)] * 2, None


@staged()
def is_none_chain_in(jit):
    def f(x, m, k):
        if m is None:
            x = x + 1
        if 0 < len(k) < 10:
            x = x * 2
        return x * (k in ("a", "b")) + (k not in {"a": 1})

    return jit(f), [(T(1, 2), None, "a"), (T(11, 2), 3, "c")], None


@staged(2)
def isinstance_of_a_scalar(jit):
    f = jit(lambda x, k: x * 2 if isinstance(k, float) and isinstance(x, Tensor) else x * 3)
    return f, [(T(1, 2), 1.0), (T(1, 2), 1), (T(1, 2), 2.0)], None


class Color(Enum):
    RED = 1
    BLUE = 2


@staged(2)
def enumeration(jit):
    def f(x, c):
        return x * len(Color) + [m.value for m in Color][0] if c is Color.RED else x * c.value

    return jit(f), [(T(1, 2), Color.RED), (T(1, 2), Color.BLUE), (T(1, 2), Color(1))], None


@staged(1)
def imports_inside(jit):
    def f(x):
        import math as m
        import os.path
        from math import pi
        from os import path as p

        return x * m.floor(pi), os.path is p

    return jit(f), [(T(1, 2),)] * 2, None


# -- containers


@staged()
def comprehensions(jit):
    def f(xs, n):
        d = {k: v * n for k, v in enumerate(xs) if k != 1}
        s = set(d)
        return [d[k] + len(s) for k in sorted(s)], [[a * b for a in xs] for b in xs]

    return jit(f), [([T(1, 2), T(3, 4), T(5, 6)], 2)] * 2, None


@staged(1)
def comprehension_unpacks_stored_pairs(jit):
    pairs = [("a", (1.0, T(1, 2))), ("b", (2.0, T(3, 4)))]
    f = jit(lambda x: {k: x * a + b for k, (a, b) in pairs})

    def g(x, v):
        pairs[0] = ("a", (v, T(1, 2)))
        return f(x)

    return g, [(T(1, 2), 3.0), (T(1, 2), 4.0)], None


@staged(1)
def loop_unpacks_stored_pairs(jit):
    pairs = [("a", (1.0, T(1, 2))), ("b", (2.0, T(3, 4)))]

    def f(x):
        out = []
        for name, (a, *b) in pairs:
            out.append((name, x * a + b[0]))
        return out

    h = jit(f)

    def g(x, v):
        pairs[0] = ("a", (v, T(1, 2)))
        return h(x)

    return g, [(T(1, 2), 3.0), (T(1, 2), 4.0)], None


@staged(1)
def zip_enumerate(jit):
    def f(x, ys):
        t = 0
        for i, (a, b) in enumerate(zip(x, ys)):
            t = t + a * b * i
        return t

    return jit(f), [(T(1, 2, 3), [1.0, 2.0, 3.0]), (T(1, 2, 3), [1.0, 5.0, 3.0])], None


@staged()
def star_unpack(jit):
    def f(xs, d):
        a, *b, c = xs
        (p, q), r = (a, c), [*b, a]
        return p + q * len(r), {**d, "z": a}, (*xs, 1)

    return jit(f), [([T(1, 2), T(3, 4), T(5, 6)], {"y": 2})] * 2, None


@staged()
def assignment_targets(jit):
    class O:
        pass

    o, L = O(), [0, 0, [0, 0]]

    def f(x):
        o.a, L[0] = x, 1.0
        L[1] = o.b = x * 2
        L[2][0], (o.c, *L[2][1:]) = 5, (1, 2)
        for o.i in range(3):
            pass
        for L[1], o.d in [(1, 2), (3, 4)]:
            pass
        o.n: int = 4
        o.n <<= 2
        L[2][1] += 1
        del L[0], o.c
        return x

    return jit(f), [(T(1, 2),)], lambda: (L, sorted(vars(o).items(), key=lambda kv: kv[0]))


@staged()
def list_argument_changed(jit):
    def f(xs):
        xs.append(xs[-1] * 2)
        xs[0] = xs[1]
        return len(xs)

    L = [T(1), T(2)]
    return jit(lambda: f(L)), [()] * 2, lambda: L


@staged(1)
def growing_log_does_not_retrace(jit):
    log = []

    def f(x):
        nonlocal log
        log.append(x * 2)
        log.extend([1, x])
        log += ["s"]
        return x

    return jit(f), [(T(1, 2),)] * 4, lambda: list(log)


@staged()
def list_methods(jit):
    L = [3, 1, 2]

    def f(x):
        L.insert(0, 9)
        L.remove(1)
        a = L.pop()
        L.sort()
        L.reverse()
        b = [*L, *reversed(L), a, L.index(3), L.count(9), L[0], L[-1:], L + [1], L * 2, [0] * 3, L == [9, 3], L > [1]]
        c = L.copy()
        c.clear()
        return x * len(L), b, c, 3 in L, max(L), sorted(L, key=lambda v: -v, reverse=True), any(L), all(L), sum(L)

    return jit(f), [(T(1, 2),)], lambda: L


@staged()
def dict_methods(jit):
    def f(x, d):
        for k, v in d.items():
            x = x * v + len(k)
        d["n"] = x
        d.setdefault("m", 3)
        d["a"] += 1
        e = dict(d, q=1)
        e.update({"r": 2}, s=3)
        p = e.pop("q"), e.pop("none", None), e.popitem(), "r" in e, list(e.values())[1:], e.get("zz")
        f = {**e} | {"t": 1}
        f |= {"u": 1}
        return x, list(d), max(d["a"], 2), sorted(d, key=lambda k: k, reverse=True), p, f, e == dict(e), len(e)

    d = {"a": 2.0, "bb": 3}
    return jit(lambda x: f(x, d)), [(T(1, 2),)], lambda: d


@staged()
def dict_order_after_deletion(jit):
    d = {"a": 1, "b": 2, "c": 3}

    def f(x):
        v = d.pop("a")
        del d["b"]
        d["new"] = 1
        d["a"] = v + 1
        return x, list(d), len(d), "b" in d

    return jit(f), [(T(1, 2),)], lambda: d


@staged()
def other_containers(jit):
    s, q, dd, od = {1, 2}, deque([1.0, 2.0], maxlen=3), defaultdict(list), OrderedDict(a=1)

    def f(x):
        s.add(3)
        s.discard(1)
        q.append(x)
        q.appendleft(0)
        dd["k"].append(x)
        od["b"] = 2
        c = Counter("hello")
        c["h"] += 1
        e = defaultdict(int)
        e["z"] += 2
        return len(s | {9}), s - {2}, list(q), q[0], len(q), dict(od), c["l"], c["none"], dict(e), 2 in s, list(od)

    return jit(f), [(T(1, 2),)], lambda: (sorted(s), list(q), dict(dd), dict(od))


Pair = namedtuple("Pair", "a b")  # noqa: PYI024


class Triple(NamedTuple):
    a: Any
    b: float = 2.0

    def total(self):
        return self.a + self.b


@staged(1)
def named_tuples(jit):
    def f(x, p):
        a, b = p
        t = Triple(x)
        return Pair(x, p.b), p.a * x + b, t.total(), t, t._replace(b=5.0), Pair(1, 2) == Pair(1, 2)

    return jit(f), [(T(1, 2), Pair(1.0, 2.0)), (T(1, 2), Pair(3.0, 2.0))], None


@staged()
def deep_container_change(jit):
    D = {"a": [{"b": (1.0, "x")}]}
    f = jit(lambda x: x * D["a"][0]["b"][0] if D["a"][0]["b"][1] == "x" else x)

    def g(x, v):
        D["a"][0]["b"] = v
        return f(x)

    return g, [(T(1, 2), (1.0, "x")), (T(1, 2), (2.0, "x")), (T(1, 2), (2.0, "y"))], None


@staged(4)
def absence(jit):
    m, D = Lin(1.0), {}

    def f(x):
        return x * D.get("k", 2) * (3 if hasattr(m, "extra") else 1) + ("z" in D)

    h = jit(f)

    def g(x, n):
        if n == 1:
            D["k"] = 5
        if n == 2:
            m.extra = 1
        if n == 3:
            D["z"] = 1
        return h(x)

    return g, [(T(1, 2), i) for i in range(4)], None


@staged(1)
def instance_dict_by_name(jit):
    class O:
        pass

    o = O()
    o.a = 1.0

    def f(x):
        o.b = x
        o.__dict__["c"] = o.a + 1
        vars(o)["a"] = 5.0
        return o.c, o.a, sorted(o.__dict__), getattr(o, "b"), "a" in vars(o)

    h = jit(f)

    def g(x):
        vars(o).clear()
        o.a = 1.0
        return h(x)

    return g, [(T(1, 2),)] * 2, lambda: vars(o)


@staged(1)
def shared_and_cyclic_results(jit):
    def f(x):
        a = [x]
        a.append(a)
        d = {"a": a, "t": (a, x)}
        return d

    h = jit(f)

    def g(x):
        d = h(x)
        a = d["a"]
        return a[1] is a, d["t"][0] is a, d["t"][1] is x, a[0] is x

    return g, [(T(1, 2),)] * 2, None


@staged(2)
def aliased_arguments(jit):
    def f(a, b):
        a.add_(1.0)
        return a + b

    h = jit(f)

    def g(same):
        a, b = T(1, 2), T(5, 6)
        return h(a, a if same else b)

    return g, [(0,), (1,), (0,), (1,)], None


@staged(2)
def aliased_containers(jit):
    def f(a, b):
        a.append(1.0)
        return len(b)

    h = jit(f)

    def g(same):
        a, b = [1.0], [2.0]
        return h(a, a if same else b)

    return g, [(0,), (1,), (0,)], None


@staged(2)
def identity_of_arguments(jit):
    h = jit(lambda x, a, b: x * 2 if a is b else x)

    def g(x, same):
        a, b = T(1), T(2)
        return h(x, a, a if same else b)

    return g, [(T(1, 2), 0), (T(1, 2), 1), (T(1, 2), 0)], None


# -- tensors, optimisers, library


@staged()
def optimizer_step(jit):
    m, st = Lin(1.0), {}

    def step(lr):
        for n in ("w", "b"):
            p = getattr(m, n)
            if p.grad is not None:
                if n not in st:
                    st[n] = p.grad * 0.0
                st[n] = st[n] * 0.9 + p.grad
                p -= lr * st[n]
                p.grad = None

    s = jit(step)

    def g(lr):
        m.w.grad, m.b.grad = m.w * 0.1, None
        s(lr)
        return m.w * 1

    return g, [(0.1,), (0.1,), (0.2,), (0.3,)], lambda: (m.w, st.get("w"), m.w.grad)


@staged(3)
def state_keyed_by_tensor(jit):
    p = T(1, 2)
    state: Any = defaultdict(dict)

    def step(x, lr):
        s = state[p]
        if not s:
            s["step"], s["avg"] = 0, x * 0.0
        s["step"] += 1
        s["avg"] = s["avg"] * 0.9 + x
        p.add_(s["avg"] * (-lr / (1 - 0.9 ** s["step"])))
        return p * 1

    return jit(step), [(T(1, 2), 0.1), (T(1, 2), 0.1), (T(1, 2), 0.2), (T(1, 2), 0.3)], lambda: (dict(state), p)


@staged(1)
def library_takes_stored_containers(jit):
    xs = [T(1, 2), T(3, 4)]
    return jit(lambda x: stack([*xs, x]).sum(axis=0) + stack(xs)[0, 1] + stack(x * i for i in range(2))), [(T(1, 2),)] * 2, None


@staged(1)
def strings(jit):
    def f(x, k, d):
        name = f"k{k}"
        s = "%s-%d" % (name, k) + "{:>4}|{}".format(k, name) + ",".join(str(i) for i in range(k)) + f"{k!r:>3}{name!a}"
        return d[name] * x, s.upper().split("-"), str([1, (2, "a")]), repr(name), "a" < name, name[0], len(s)

    return jit(f), [(T(1, 2), 1, {"k1": 3.0, "k2": 4.0}), (T(1, 2), 1, {"k1": 3.0, "k2": 4.0})], None


@staged()
def builtin_functions(jit):
    def f(x, n):
        return (
            min(n, 3), len(x), abs(x), [i for i in range(n)], bool(n > 1) and n, pow(2, n), hash("a") == hash("a"),
            list(filter(None, [0, 1, 2])), list(map(operator.add, [1, 2], [3, 4])), callable(f), issubclass(int, object),
            functools.reduce(operator.mul, [x, 2, 3]), operator.itemgetter(1, 0)([5, 6]), tuple(reversed(range(3))),
            frozenset([1, n]), type(x) is Tensor, dict.fromkeys("ab", 0), list(zip("ab", (1, 2), strict=True)),
        )  # fmt: skip

    return jit(f), [(T(1.5, 2), 2), (T(3.5, 2), 2)], None


@staged(1)
def itertools_functions(jit):
    def f(x):
        return (
            list(itertools.chain([x], (1, 2))), list(itertools.product([1, 2], repeat=2)),
            list(itertools.islice(itertools.count(2), 3)), list(itertools.accumulate([1, 2, 3])),
            list(itertools.starmap(lambda a, b: x * a + b, [(1, 2), (3, 4)])), list(itertools.combinations("abc", 2)),
            [(k, list(g)) for k, g in itertools.groupby([1, 1, 2])], list(itertools.repeat(1, 2)),
            list(itertools.takewhile(lambda v: v < 3, [1, 2, 3])), list(itertools.chain.from_iterable([[1], [2]])),
        )  # fmt: skip

    return jit(f), [(T(1, 2),)] * 2, None


@staged(1)
def numpy_on_constants(jit):
    def f(x, n):
        a = np.arange(n) * 2.0
        a[0] = 7
        return x * a[1] + float(np.sqrt(4.0)) + np.float64(a.sum()), a.shape, np.zeros(2)

    h = jit(f)
    return lambda x: (lambda r: (r[0], r[1], r[2].tolist()))(h(x, 3)), [(T(1, 2),)] * 2, None


# -- more of the library of Python


class Failure(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


@staged()
def user_exceptions(jit):
    def f(x, n):
        try:
            if n > 1:
                raise Failure(n)
        except Failure as e:
            return x * e.code, str(e), e.args
        raise Failure(n) from None

    return jit(f), [(T(1, 2), 3), (T(1, 2), 4)], None


@staged()
def nested_tuple_of_ints_becomes_dynamic(jit):
    return jit(lambda x, c: x * c[1][0] + c[0]), [(T(1, 2), (1, (i, "a"))) for i in range(4)], None


@staged(1)
def generic_class(jit):
    return jit(lambda x: Box[int](x).get()), [(T(1, 2),)] * 2, None


class Box(Generic[V]):
    def __init__(self, v: V):
        self.v = v

    def get(self) -> V:
        return self.v


@staged(1)
def jitted_method(jit):
    class M:
        k = 2.0

    M.f = jit(lambda self, x: x * self.k)
    m = M()
    return jit(lambda x: M.f(m, x) + operator.methodcaller("upper")("a").count("A")), [(T(1, 2),)] * 2, None


@staged()
def regular_expressions_and_classmethods(jit):
    def f(x, s):
        m = re.match(r"(\d+)-(\w)", s)
        return x * int(m.group(1)), re.sub("a", lambda g: g.group(0) * 2, s), int.from_bytes(b"ab", "big"), ord("a")

    return jit(f), [(T(1, 2), "12-a"), (T(1, 2), "12-a"), (T(1, 2), "13-a")], None


@staged()
def attribute_deleted_and_functions_with_attributes(jit):
    def g(x):
        g.calls += 1
        return x

    def f(x):
        if hasattr(o, "a"):
            del o.a
        else:
            o.a = 1
        return g(x) * g.calls

    g.calls = 0
    o = Countdown(1)
    return jit(f), [(T(1, 2),)] * 4, lambda: (g.calls, "a" in vars(o))


@staged(1)
def bound_method_and_partial_escape(jit):
    def f(x):
        return DC(x).__add__, functools.partial(operator.add, x * 2)

    h = jit(f)
    return (lambda x: (lambda r: (r[0](DC(x, 5)).n, r[1](x)))(h(x))), [(T(1, 2),)] * 2, None


# -- refused


@refused("a test of a traced tensor")
def tensor_condition(jit):
    def f(x):
        if x.sum() > 0:
            return x * 2
        return x

    return jit(f), [(T(1, 2),), (T(-1, -2),)], None


@refused("a test of a traced tensor")
def tensor_while(jit):
    def f(x):
        while x.sum() < 100:
            x = x * 2
        return x

    return jit(f), [(T(1, 2),), (T(90, 2),)], None


@refused("a test of a traced tensor")
def tensor_ternary(jit):
    return jit(lambda x: x if x[0] > 0 and not x[1] > 5 else -x), [(T(1, 2),), (T(1, 7),)], None


@refused("a test of a traced tensor")
def tensor_chain(jit):
    return jit(lambda x: x * 2 if 0 < x[0] < 3 else x), [(T(1, 2),), (T(9, 7),)], None


@refused("a test of a traced tensor")
def tensor_assert(jit):
    def f(x):
        assert x.sum() > 0, "neg"
        return x

    return jit(f), [(T(1, 2),), (T(-1, -2),)], None


@refused("a test of a traced tensor")
def tensor_condition_in_a_generator(jit):
    def gen(x):
        for i in range(3):
            if x[0] > i:
                yield x * i

    return jit(lambda x: sum(gen(x))), [(T(1, 2),)], None


@refused("float() of a traced tensor")
def tensor_item(jit):
    return jit(lambda x: x * x.item()), [(T(2.0),)], None


@refused("int() of a traced tensor")
def tensor_as_range(jit):
    def f(x):
        s = x * 0.0
        for i in range(int(x[0])):
            s = s + x * i
        return s

    return jit(f), [(T(3, 2),), (T(5, 2),)], None


@refused("formatting of a traced tensor")
def tensor_formatted(jit):
    return jit(lambda x: f"{x[0]}"), [(T(1, 2),)], None


@refused("sorting by values of tensors")
def tensor_sorted(jit):
    return jit(lambda x: sorted(x)[0]), [(T(3, 1),)], None


@refused("a call of numpy.linalg.norm of a traced tensor")
def tensor_to_numpy(jit):
    return jit(lambda x: x * float(np.linalg.norm(x))), [(T(3, 4),)], None


@refused("a function made inside of a compiled function escapes from it")
def closure_escapes(jit):
    f = jit(lambda x: lambda y: y * x)
    return (lambda x: f(x)(x)), [(T(1, 2),)], None


@refused("a generator made inside of a compiled function escapes from it")
def generator_escapes(jit):
    f = jit(lambda x: (x * i for i in range(2)))
    return (lambda x: list(f(x))), [(T(1, 2),)], None


@refused(".data of a tensor")
def everything_rolled_back(jit):
    a, L, D, c = Acc(), [], {"k": 1}, 0

    def f(x):
        nonlocal c
        a.n += 1
        L.append(x)
        D["k"] += 1
        c += 1
        a.h.add_(1.0)
        x.add_(1.0)
        return np.linalg.norm(x.data)

    return jit(f), [(T(1, 2),)] * 2, lambda: (a.n, L, D, a.h, c)


NAMESPACE: dict[str, Any] = {}
exec("def sourceless(x):\n    return x * 2\n", NAMESPACE)


@refused("sourceless has no source")
def no_source(jit):
    g = NAMESPACE["sourceless"]
    return jit(lambda x: g(x)), [(T(1, 2),)], None


@refused("a class statement inside of a compiled function")
def class_statement(jit):
    def f(x):
        class A:
            k = 2

        return x * A.k

    return jit(f), [(T(1, 2),)], None


@refused("a match statement")
def match_statement(jit):
    def f(x, k):
        match k:
            case {"a": v}:
                return x * v
            case _:
                return x

    return jit(f), [(T(1, 2), {"a": 2})], None


@staged(1)
def refusal_that_is_not_reached(jit):
    def f(x, k):
        if k:
            match k:
                case [v]:
                    return x * v
            return locals()
        return x

    return jit(f), [(T(1, 2), None)] * 2, None


@refused("locals()")
def calls_locals(jit):
    return jit(lambda x: locals()["x"]), [(T(1, 2),)], None


@refused("eval()")
def calls_eval(jit):
    return jit(lambda x: x * eval("2")), [(T(1, 2),)], None


@refused("a test of a traced tensor")
def refusal_passes_every_handler(jit):
    def f(x):
        try:
            try:
                return x * 2 if x.sum() > 0 else x
            except:  # noqa: E722
                return x * 100
        except BaseException:
            return x * 200

    return jit(f), [(T(1, 2),)], None


@refused("return, break or continue in a finally block")
def return_in_finally(jit):
    def f(x):
        try:
            return x
        finally:
            return x * 2  # noqa: B012

    return jit(f), [(T(1, 2),)], None


@refused("advancing a list_iterator that existed before the call")
def stored_iterator(jit):
    it = iter([1.0, 2.0, 3.0])
    return jit(lambda x: x * next(it)), [(T(1, 2),)] * 2, None


@refused("advancing a generator that existed before the call")
def stored_generator(jit):
    return jit(lambda x, g: x * sum(g)), [(T(1, 2), (i for i in range(3)))], None


@refused("a NumPy array that existed before the call, in numpy.sum")
def stored_array(jit):
    a = np.ones(3)
    return jit(lambda x: x * float(np.sum(a))), [(T(1, 2),)], None


@refused("arithmetic on a NumPy array that existed before the call; make it a tensor outside")
def stored_array_operator(jit):
    a = np.ones(2)
    return jit(lambda x: (x, (a * 2).tolist())), [(T(1, 2),)], None


@refused("print() has an effect outside of the program")
def prints(jit):
    def f(x):
        if len(x) > 5:
            return x
        print(end="")
        return x * 2

    return jit(f), [(T(1, 2),)], None


def _refused_call(why, call):
    def case(jit):
        return jit(lambda x: (x * 2, call() and None)), [(T(1, 2),)], None

    case.__name__ = why.split("(")[-1].strip(")").replace(".", "_")
    REFUSED.append((case, why))


_refused_call("the clock differs from call to call (time.time)", lambda: time.time())
_refused_call("Python's random numbers are drawn from hidden state (random.random)", lambda: random.random())
_refused_call("Python's random numbers are drawn from hidden state (random.choice)", lambda: random.choice([1, 2]))
_refused_call("NumPy's random numbers are drawn from hidden state (numpy.random.rand)", lambda: np.random.rand())
_refused_call("the operating system is outside of the program (os.getcwd)", lambda: os.getcwd())
_refused_call("logging has an effect outside of the program (logging.getLogger)", lambda: logging.getLogger())
_refused_call("id() differs from call to call", lambda: id(G))
_refused_call("a call of datetime.datetime.now, of which nothing is known", lambda: datetime.datetime.now())
