# ruff: noqa: C416 - the style is the point: what users write
"""Attributes, properties, special methods, context managers, construction."""

from __future__ import annotations

import dataclasses
import functools
from contextlib import contextmanager

import numpy as np

from jitorch.frontend.python import pure_getattr
from tests.frontend.python.cases.registry import T, staged
from tests.frontend.python.toy import Tensor


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
