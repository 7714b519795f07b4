"""Arguments that differ from call to call: numbers and other plain values, defaults, shapes, dtypes, layouts, modes."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np

import jitorch
from tests.frontend.later.table import attempt, later, tensor

NUMBERS = "numbers and other plain arguments"


def _with_values(name: str, body: Any, *values: Any, feature: str = NUMBERS) -> None:
    """A case that calls ``body(x, value)`` with one value after the other, and again."""

    def play(jit):
        f = jit(body)
        for value in (*values, *values):
            yield attempt(f, tensor(1, 2), value)

    play.__name__ = name
    later(feature)(play)


_with_values("number_as_an_operand", lambda x, n: x * n + n, 1, 2, 2.5, True, -3, 0, 1e300, math.nan)
_with_values("number_in_a_test", lambda x, n: x if n > 1 else -x, 0, 1, 2, 1.5, math.nan, math.inf, True)
_with_values("zero_and_minus_zero", lambda x, n: (x / (x * 0 + n), math.atan2(n, -1.0)), 0.0, -0.0, 0, -1.0)
_with_values("number_as_a_size", lambda x, n: jitorch.zeros(n, 2) + x, 0, 1, 2, 3, 17)
_with_values("number_as_an_axis", lambda x, n: x.reshape(1, 2).sum(n), 0, 1, -1, 2, (0, 1))
_with_values("number_as_an_index", lambda x, n: x[n], 0, 1, -1, 2, None, slice(1), slice(None, None, 2))
_with_values("number_as_a_key", lambda x, n: x * {1: 2, 2: 3}[n], 1, 2, 1.0, True, 3)
_with_values("number_of_iterations", lambda x, n: sum((x + i for i in range(n)), x * 0), 0, 1, 5, 20, 2, -1)
_with_values("number_in_python_arithmetic", lambda x, n: (x * (n // 2) + n % 3, n**2, -n, abs(n)), 1, 4, -5, 2.5, True)
_with_values("number_in_math", lambda x, n: x * math.sqrt(n) + math.floor(n), 1, 4.5, 2, -1, 0)
_with_values("number_formatted", lambda x, n: (f"{n}", f"{n:.2f}", str(n), repr(n)), 1, 1.5, True, math.nan, 10**20)
_with_values("number_too_large_for_64_bits", lambda x, n: (n + 1, x), 2**62, 2**63 - 1, 2**70, -(2**64))
_with_values("number_returned", lambda x, n: (n, [n], {"n": n * 2}), 1, 2, 1.5, True, None, "a", math.nan, -0.0)
_with_values("number_division", lambda x, n: (x / n, 1 / n), 1, 2.0, 0, 0.0)
_with_values("number_rounded", lambda x, n: (round(n), round(n, 1), int(n), bool(n)), 1.25, 2.5, 3, True, -0.0)
_with_values("string_argument", lambda x, s: x if s == "up" else x * len(s), "up", "down", "", "UP")
_with_values("none_or_a_value", lambda x, y: x if y is None else x * y, None, 2, None, 3.0, False)
_with_values("tuple_of_numbers", lambda x, t: x * t[0] + sum(t), (1, 2), (1, 3), (2.0, 3), (1, 2, 3), (True, 2))
_with_values("nested_tuples", lambda x, t: x * t[0][1], ((1, 2), 3), ((1, 5), 3), ((1, 2.5), 3), ((1, 2), "a"))
_with_values("list_of_numbers", lambda x, t: x * sum(t) + len(t), [1, 2], [1, 3], [1], [], [1.5, True])
_with_values("tensor_or_number", lambda x, y: x * y, 2, tensor(2, 3), 2.0, tensor(5), jitorch.tensor(3))
_with_values("numpy_scalars", lambda x, n: x * n, np.float32(2), np.float64(2.5), np.int64(3), np.int64(4), 2)
_with_values("range_argument", lambda x, r: sum((x * i for i in r), x), range(2), range(3), range(1, 3), range(0))
_with_values("dtype_argument", lambda x, d: x.to(d), jitorch.float64, jitorch.int32, jitorch.bool, jitorch.float32)
_with_values("bytes_and_complex", lambda x, b: (x * len(str(b)), b), b"a", b"ab", 1 + 2j, 3j)
_with_values("slice_argument", lambda x, s: x[s] * 2, slice(1), slice(0, 2), slice(1, None), slice(None, None, None))
_with_values("function_argument", lambda x, f: f(x), jitorch.sin, abs, lambda x: x * 2, jitorch.cos, len)
_with_values(
    "partial_argument",
    lambda x, f: f(x),
    functools.partial(pow, 2),
    functools.partial(pow, 3),
    functools.partial(jitorch.mul, 3),
)
_with_values("class_argument", lambda x, c: c(3), int, float, str, bool, list)
_with_values(
    "object_argument", lambda x, o: x * o.k, *[SimpleNamespace(k=k) for k in (1, 2, 2.5, tensor(3), True)]
)  # fmt: skip
_with_values("number_that_decides_a_type", lambda x, n: x * n if n % 2 else (x, n), 1, 2, 3, 4)
_with_values("chained_comparison_of_numbers", lambda x, n: x if 0 < n <= 2 else -x, 0, 1, 2, 3, 0.5)
_with_values("float_that_becomes_an_int_inside", lambda x, n: x * int(n) + (n - int(n)), 1.5, 2.5, 3.0, -0.5)

DEFAULTS = "defaults and signatures"


@later(DEFAULTS)
def default_replaced(jit):
    def g(x, k=2, *, j=3.0):
        return x * k + j

    f = jit(lambda x: g(x))
    h = jit(g)
    yield f(tensor(1)), h(tensor(1))
    g.__defaults__ = (5,)
    yield f(tensor(1)), h(tensor(1))
    g.__kwdefaults__ = {"j": 7.0}
    yield f(tensor(1)), h(tensor(1))
    g.__defaults__ = (tensor(9),)
    yield f(tensor(1)), h(tensor(1))


@later(DEFAULTS)
def mutable_default(jit):
    def g(x, seen=[]):  # noqa: B006
        seen.append(len(seen))
        return x * len(seen), seen

    f = jit(g)
    for _ in range(3):
        yield f(tensor(1))


@later(DEFAULTS)
def code_of_a_function_replaced(jit):
    def g(x):
        return x + 1

    def h(x):
        return x * 10

    f = jit(lambda x: g(x))
    yield f(tensor(1))
    g.__code__ = h.__code__
    yield f(tensor(1))


@later(DEFAULTS)
def positional_and_keyword_calls(jit):
    f = jit(lambda x, k=1, *rest, j=2, **more: x * k + sum(rest) + j + sum(more.values()) + len(more))
    yield f(tensor(1)), f(tensor(1), 2), f(tensor(1), k=2), f(x=tensor(1))
    yield f(tensor(1), 2, 3, 4), f(tensor(1), 2, 3), f(tensor(1), j=5), f(tensor(1), a=1), f(tensor(1), b=1, a=2)
    yield attempt(f), attempt(f, tensor(1), x=2)


@later(DEFAULTS)
def stars(jit):
    def g(a, b, *, c=1):
        return a * b + c

    f = jit(lambda args, kwargs: g(*args, **kwargs))
    yield f((tensor(1), 2), {})
    yield f((tensor(1), 3), {"c": 2})
    yield f([tensor(1)], {"c": 2, "b": 4})
    yield attempt(f, [tensor(1)], {})
    yield f((tensor(1), 3), {})


@later(DEFAULTS)
def partial_changed(jit):
    p = functools.partial(lambda x, k: x * k, k=2)
    f = jit(lambda x: p(x))
    g = jit(p)
    yield f(tensor(1)), g(tensor(1))
    p = functools.partial(p, k=3)
    yield f(tensor(1)), g(tensor(1))
    p.keywords["k"] = 9
    yield f(tensor(1))
