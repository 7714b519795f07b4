# ruff: noqa: BLE001, SIM107 - the style is the point: what users write
"""What cannot be staged, and the reason that is given."""

from __future__ import annotations

import datetime
import logging
import os
import random
import time
from typing import Any

import numpy as np

from tests.frontend.python.cases.classes import Acc
from tests.frontend.python.cases.registry import REFUSED, T, refused, staged


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


@refused("the text of a traced tensor")
def tensor_formatted(jit):
    return jit(lambda x: f"{x[0]}"), [(T(1, 2),)], None


@refused("a test of a traced tensor")
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
exec("def sourceless(x):\n    return [y * 2 for y in [x]][0]\n", NAMESPACE)


@refused("sourceless cannot be read: no source file <string>, and its byte code is not plain")
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


@staged(1)
def refusal_that_is_not_reached(jit):
    def f(x, k):
        if k:
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


@refused("the text of a traced tensor")
def prints(jit):
    def f(x):
        if len(x) > 5:
            return x
        print(x, end="")
        return x * 2

    return jit(f), [(T(1, 2),)], None


def _refused_call(why, call):
    def case(jit):
        return jit(lambda x: (x * 2, call() and None)), [(T(1, 2),)], None

    case.__name__ = "calls " + why
    REFUSED.append((case, why))


_refused_call("the clock differs from call to call (time.time)", lambda: time.time())
_refused_call("Python's random numbers are drawn from hidden state (random.random)", lambda: random.random())
_refused_call("Python's random numbers are drawn from hidden state (random.choice)", lambda: random.choice([1, 2]))
_refused_call("NumPy's random numbers are drawn from hidden state (numpy.random.rand)", lambda: np.random.rand())
_refused_call("the operating system is outside of the program (os.getcwd)", lambda: os.getcwd())
_refused_call("the state of logging is outside of the program (logging.disable)", lambda: logging.disable())
_refused_call("id() of what the function computes or makes differs from call to call", lambda: id([]))
_refused_call("a call of datetime.datetime.now, of which nothing is known", lambda: datetime.datetime.now())
