# ruff: noqa: C416, SIM300, UP031, UP032 - the style is the point: what users write
"""Tensors, optimiser steps, and functions of the standard library."""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections import defaultdict
from typing import Any, Generic, TypeVar

import numpy as np

from tests.frontend.python.cases.classes import DC, Countdown, Lin
from tests.frontend.python.cases.registry import T, staged
from tests.frontend.python.toy import Elementwise, Tensor, stack

V = TypeVar("V")


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


ELEMENTWISE = {"exp": Elementwise("exp"), "relu": Elementwise("relu")}


@staged(2)
def library_function_is_exchanged(jit):
    functions = dict(ELEMENTWISE)
    h = jit(lambda x: functions["f"](x))

    def g(x, name):
        functions["f"] = ELEMENTWISE[name]
        return h(x)

    return g, [(T(1, 2), "exp"), (T(1, 2), "relu"), (T(1, 2), "exp")], None


@staged(1)
def library_takes_stored_containers(jit):
    xs = [T(1, 2), T(3, 4)]
    return (
        jit(lambda x: stack([*xs, x]).sum(axis=0) + stack(xs)[0, 1] + stack(x * i for i in range(2))),
        [(T(1, 2),)] * 2,
        None,
    )


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
            list(filter(None, [0, 1, 2])), list(map(operator.add, [1, 2], [3, 4])),
            callable(f), issubclass(int, object),
            functools.reduce(operator.mul, [x, 2, 3]),
            operator.itemgetter(1, 0)([5, 6]), tuple(reversed(range(3))),
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
