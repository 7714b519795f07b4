"""Plain values that are easily mistaken for each other, and numbers at the ends of their range."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np

import jitorch
from tests.frontend.later.table import attempt, later, tensor

VALUES = "values that look alike"


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - an alias
    BLUE = 2


class Text(str):
    """A string of a class of its own, which answers otherwise."""

    def upper(self):
        return "UPPER"


class Wide(int):
    """An int of a class of its own."""

    def __add__(self, other):
        return 1000


def _with_values(name: str, body: Any, *values: Any) -> None:
    def play(jit):
        f = jit(body)
        for value in (*values, *reversed(values)):
            yield attempt(f, tensor(1, 2), value)

    play.__name__ = name
    later(VALUES)(play)


_with_values("types_of_equal_numbers", lambda x, n: (type(n).__name__, x * n), 1, True, 1.0, np.int64(1), np.float32(1))
_with_values("equal_numbers_as_elements", lambda x, t: (x * t[0], [type(e) for e in t]), (1,), (True,), (1.0,), [1])
_with_values("equal_numbers_as_keys", lambda x, d: (x * sum(d.values()), list(d)), {1: 2}, {1.0: 2}, {True: 2})
_with_values("equal_numbers_as_defaults", lambda x, n: jitorch.full((2,), n), 1, True, 1.0, 2)
_with_values("float_zeros", lambda x, n: (math.copysign(1.0, n), jitorch.copysign(x, x * 0 + n)), 0.0, -0.0, 0, False)
_with_values("zeros_in_tuples", lambda x, t: math.copysign(1.0, t[0]) * x, (0.0,), (-0.0,), [0.0], [-0.0])
_with_values("zeros_that_decide", lambda x, n: x if n else -x, 0.0, -0.0, math.nan, 5e-324, False)
_with_values("nan_is_no_member", lambda x, n: (n in (n,), n == n, x * (n != n)), math.nan, float("nan"), 1.0)
_with_values("infinities", lambda x, n: (x * n, n - n == 0, max(n, 1.0)), math.inf, -math.inf, 1e308, math.nan)
_with_values("int_beyond_a_float", lambda x, n: (n + 1, float(n), x), 2**53, 2**53 + 1, 2**62, 2**64, -(2**70))
_with_values("int_at_the_end_of_its_range", lambda x, n: (n * 2, n - 1, -n), 2**63 - 1, -(2**63), 2**62, 1)
_with_values("large_int_with_an_int_tensor", lambda x, n: x.to(jitorch.int64) + n, 2**31, 2**40, 2**62, 2**62 + 1)
_with_values("large_int_with_a_small_tensor", lambda x, n: x.to(jitorch.int8) + n, 1, 100, 127)
_with_values("int_shifted", lambda x, n: (1 << n, n >> 1, n & 6, n | 1, n ^ 3, ~n, x), 1, 5, 40, 62, 63, 64)
_with_values("int_divided", lambda x, n: (x * (7 // n), -7 // n, -7 % n, divmod(7, n)), 2, -2, 3, 0, 2.5)
_with_values("int_power", lambda x, n: (2**n, n**2, (-1) ** n, x), 2, 3, -1, 0.5, 63, 64)
_with_values(
    "enum_aliases", lambda x, c: (x * c.value, c.name, c is Colour.RED), Colour.RED, Colour.CRIMSON, Colour.BLUE
)
_with_values("string_or_bytes", lambda x, s: (x * len(s), s[0], s == "a"), "a", b"a", "ab", bytearray(b"a"))
_with_values("string_of_a_subclass", lambda x, s: (x * len(s.upper()), s == "up"), "up", Text("up"), "down")
_with_values("int_of_a_subclass", lambda x, n: (n + 1, x * int(n)), 2, Wide(2), True)
_with_values("strings_with_accents", lambda x, s: x * len(s), "\u00e9", "e\u0301", "e", "\U0001f600")
_with_values(
    "numpy_arrays", lambda x, a: x * jitorch.tensor(a), np.ones(2), np.zeros(2), np.ones(2, np.int32), np.ones(1)
)
_with_values("numpy_array_as_an_operand", lambda x, a: (a.sum(), a.shape, x), np.ones(2), np.arange(3), np.ones((0, 2)))
_with_values(
    "numpy_scalar_that_decides", lambda x, n: x if n > 1 else -x, np.float64(2), np.float64(0), np.int8(2), np.bool_(1)
)
_with_values(
    "zero_dimensional_or_one_element", lambda x, t: (x * t, t.shape, t.dim()),
    jitorch.tensor(2.0), jitorch.tensor([2.0]), jitorch.tensor([[2.0]]), 2.0,
)  # fmt: skip
_with_values(
    "zero_dimensional_of_each_dtype", lambda x, t: x * t + t,
    jitorch.tensor(2), jitorch.tensor(2.0, dtype=jitorch.float64), jitorch.tensor(True),
    jitorch.tensor([2]),
)  # fmt: skip
_with_values("complex_zeros", lambda x, z: (str(z), z == 0, x), 0j, complex(-0.0, 0.0), complex(0.0, -0.0), 0)
_with_values(
    "ranges_that_are_equal",
    lambda x, r: (r.start, r.stop, len(r), x),
    range(0),
    range(2, 2),
    range(0, 3, 2),
    range(0, 4, 2),
)
_with_values(
    "empty_containers", lambda x, c: (len(c), type(c).__name__, x), [], (), {}, set(), "", frozenset(), range(0)
)
_with_values("sets_and_frozen_sets", lambda x, s: x * sum(s), {1, 2}, frozenset({1, 2}), {1.0, 2}, {3})
_with_values("slices_that_differ", lambda x, s: x[s], slice(0, 1), slice(False, True), slice(-1, None), slice(None))
_with_values("ellipsis_and_none", lambda x, k: x[k].shape, ..., None, (None, ...), (..., 0))


@later(VALUES)
def nan_that_is_another_object(jit):
    values = [math.nan]
    f = jit(lambda x, n: (n in values, values.count(n), x))
    for n in (math.nan, values[0], float("nan"), 1.0, math.nan):
        yield f(tensor(1), n)


@later(VALUES)
def bits_of_a_minus_zero(jit):
    f = jit(lambda x: (1 / (x * 0), jitorch.signbit(x), jitorch.maximum(x, x * 0), x.abs()))
    for v in (0.0, -0.0, 1.0, -1.0, math.nan, -math.inf):
        found = f(tensor(v))
        yield found, [str(t.numpy()) for t in found]


@later(VALUES)
def results_of_a_minus_zero(jit):
    f = jit(lambda x: (x + 0.0, x * 1.0, x - 0.0, -x, 0.0 - x, x * -1, x / 1.0, x.sum(), x.relu(), x.round()))
    for v in (0.0, -0.0, -0.4, 0.4):
        yield [str(t.numpy()) for t in f(tensor(v, v))]


@later(VALUES)
def counters_that_overflow(jit):
    def f(x, n):
        steps = 0
        while x[0] > steps:
            n = n + n
            steps += 1
        return n, steps

    g = jit(f)
    for start in (1, 3, 2**60):
        for turns in (1.0, 2.0, 5.0, 70.0):
            yield g(tensor(turns), start)


@later(VALUES)
def sums_that_overflow(jit):
    def f(x, n):
        total = int(x[0])
        return total + n, total - n, total * 2, -total, abs(total), total // 2, total**2

    g = jit(f)
    for v in (1.0, -1.0, 2.0**62, -(2.0**62), -(2.0**63)):
        for n in (1, 2**62, -(2**62), 2**63 - 1, 2**64):
            yield attempt(g, jitorch.tensor([v], dtype=jitorch.float64), n)


@later(VALUES)
def int_of_a_large_float(jit):
    f = jit(lambda x: (int(x[0]) + 1, int(x[0]) > 5))
    for v in (1.0, 1e18, 1e19, -1e19, 1e30, math.inf, math.nan, -0.5):
        yield attempt(f, jitorch.tensor([v], dtype=jitorch.float64))


@later(VALUES)
def integers_of_small_dtypes(jit):
    f = jit(lambda x, n: (x + n, x * n, x // n, -x, x.sum(), x.abs()))
    for dtype in (jitorch.int8, jitorch.uint8, jitorch.int16, jitorch.int32, jitorch.int64):
        for n in (1, 2, 3):
            yield attempt(f, jitorch.tensor([100, 127, 5]).to(dtype), n)
