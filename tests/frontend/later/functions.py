"""Functions that call functions: nested, recursive, decorated, in containers."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import jitorch
from tests.frontend.later.table import attempt, later, tensor


@later("nested and recursive functions")
def jitted_functions_in_each_other(jit):
    h = SimpleNamespace(k=2)
    inner = jit(lambda x: x * h.k if x.sum() > 0 else x)
    outer = jit(lambda x: inner(x) + inner(-x))
    yield outer(tensor(1, 2)), inner(tensor(1, 2))
    h.k = 3
    yield outer(tensor(1, 2)), inner(tensor(1, 2))


@later("nested and recursive functions")
def recursion_depth(jit):
    def power(x, n):
        return x if n == 0 else x * power(x, n - 1)

    f = jit(power)
    for n in (0, 1, 5, 2, 20):
        yield f(tensor(2), n)


@later("nested and recursive functions")
def endless_recursion(jit):
    def f(x, n):
        return f(x, n + 1) if n >= 0 else x

    g = jit(f)
    yield g(tensor(1), -1)
    limit = sys.getrecursionlimit()
    yield attempt(g, tensor(1), 0)[:2]
    yield limit == sys.getrecursionlimit(), g(tensor(1), -1)


@later("nested and recursive functions")
def recursion_over_a_tree(jit):
    def total(node):
        return sum(map(total, node)) if isinstance(node, list) else node * 2

    f = jit(total)
    yield f([tensor(1), [tensor(2), [tensor(3)]]])
    yield f([[tensor(1)], tensor(2)])
    yield f([[tensor(1)], 5, []])


@later("nested and recursive functions")
def decorated_functions(jit):
    calls = []

    def counted(function):
        def wrapper(*args):
            calls.append(len(args))
            return function(*args)

        return wrapper

    @jit
    @counted
    def f(x, y):
        return x * y

    yield f(tensor(1), 2), calls
    yield f(tensor(1), 3), calls


@later("nested and recursive functions")
def methods_and_instances(jit):
    class Scaler:
        def __init__(self, k):
            self.k = k

        @jit
        def scale(self, x):
            return x * self.k

    a, b = Scaler(2), Scaler(3.0)
    yield a.scale(tensor(1)), b.scale(tensor(1)), Scaler.scale(a, tensor(2))
    a.k = 5
    yield a.scale(tensor(1)), b.scale(tensor(1))


@later("nested and recursive functions")
def lambda_in_a_container(jit):
    table = {"a": lambda x: x + 1, "b": jitorch.sin}
    f = jit(lambda x, name: table[name](x))
    yield f(tensor(1), "a"), f(tensor(1), "b")
    table["a"] = lambda x: x - 1
    yield f(tensor(1), "a"), f(tensor(1), "b"), attempt(f, tensor(1), "c")


@later("nested and recursive functions")
def contexts_of_the_user(jit):
    class Scale:
        def __init__(self):
            self.depth = 0

        def __enter__(self):
            self.depth += 1
            return self.depth

        def __exit__(self, *error):
            self.depth -= 1
            return error[0] is KeyError

    scale = Scale()

    def f(x):
        with scale as n, scale as m:
            if x[0] > 100:
                return x
            x = x * n + m
        return x + scale.depth

    g = jit(f)
    yield g(tensor(1)), scale.depth
    scale.depth = 4
    yield g(tensor(1)), scale.depth
