# ruff: noqa: UP033 - the style is the point: what users write
"""Closures, decorators, recursion, callbacks."""

from __future__ import annotations

import functools

from tests.frontend.python.cases.registry import T, staged
from tests.frontend.python.toy import each


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
