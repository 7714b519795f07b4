# ruff: noqa: C416, F841, RET504, RUF015 - the style is the point: what users write
"""Control flow that is decided while tracing."""

from __future__ import annotations

from enum import Enum

from tests.frontend.python.cases.registry import T, staged
from tests.frontend.python.toy import Tensor


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
