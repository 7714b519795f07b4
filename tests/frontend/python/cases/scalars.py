"""Arguments, run-time scalars, defaults and globals."""

from __future__ import annotations

import math

from tests.frontend.python.cases.registry import T, staged


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
    return (
        jit(lambda x: positional_only(x) + positional_only(x, 5.0) + positional_only(x, b=1.0)),
        [(T(1, 2),)] * 2,
        None,
    )


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
            return x * APPEARS
        except NameError:
            return x

    h = jit(f)

    def g(x, there):
        globals().pop("APPEARS", None)
        if there:
            globals()["APPEARS"] = 3
        return h(x)

    return g, [(T(1, 2), False), (T(1, 2), True), (T(1, 2), False)], None
