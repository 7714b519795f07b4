"""One small program per feature of the language, with the calls to compare: ``FEATURES`` is name -> (function, calls).

Every call has fresh arguments; those in brackets become f64 tensors that require grad where they hold floats.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jitorch
from jitorch import nn

FEATURES: dict[str, tuple[Callable[..., Any], tuple[tuple[Any, ...], ...]]] = {}

SIGNS = (([1.0, 2.0],), ([-1.0, -2.0],), ([-1.0, 2.5],), ([0.0, 0.0],))
PAIRS = (([1.0, 2.0], [3.0, 4.0]), ([-1.0, -2.0], [3.0, -4.0]), ([5.0, -2.0], [0.5, 0.25]))


def feature(*calls: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        FEATURES[function.__name__] = function, calls
        return function

    return register


@feature(*SIGNS)
def if_else(x):
    if x.sum() > 0:
        y = x * 2
    else:
        y = x.exp()
    return y


@feature(*SIGNS)
def if_without_else(x):
    y = x * 3
    if x[0] > 0:
        y = y - x * x
    return y


@feature(*SIGNS)
def elif_chain(x):
    if x[0] > 0.5:
        y = x.sin()
    elif x[0] < -0.5 and x[1] > 0:
        y = x.cos()
    elif x[1] == 0:
        y = x + 1
    else:
        y = x * x
    return y * 2


@feature(*PAIRS)
def nested_branches(x, w):
    if x[0] > 0:
        if w[0] > 1:
            y = x * w
        else:
            y = x / w
        y = y + 1
    else:
        y = w if w[1] < 0 else x
    return y


@feature(*SIGNS)
def early_returns(x):
    if x.sum() > 4:
        return x * 4
    if x.sum() > 1:
        return x * 3
    y = x - 1
    if y[0] < -1.5:
        return y.exp()
    return y


@feature(*SIGNS)
def return_in_a_with_and_a_try(x):
    try:
        with jitorch.no_grad():
            if x[0] > 0:
                return x * 0 + 1
        z = x * 2
    finally:
        y = x * 3
    return y + z


@feature(*SIGNS)
def ternaries(x):
    scale = 2 if x[0] > 0 else 3
    return (x if x[1] > 0 else -x) * scale, scale


@feature(*SIGNS)
def and_or_not(x):
    a = x[0] > 0 and x[1] > 0
    b = x[0] > 0 or x[1] > 0
    c = not x[0] > 0
    if not (x[0] > 0 or x[1] > 1):
        x = x * 2
    return x, a, b, c


@feature(*SIGNS)
def chained_comparison(x):
    if -1.5 < x[0] <= x[1] < 2.2:
        return x * 2
    return x * 3


@feature(*SIGNS)
def numbers_of_tensors(x):
    n = int(x.sum())
    f = float(x[0])
    m = x[1].item()
    if n > 0:
        f = f * 2
    return x * f + m, n, f, bool(x[0])


@feature(([1.0, 2.0],), ([30.0, 2.0],), ([-4.0, 1e9],))
def while_loop(x):
    n = 0
    while x.sum() < 100:
        x = x * 2 + 5
        n += 1
    return x, n


@feature(([1.0, 2.0],), ([200.0, 2.0],), ([-4.0, 9.0],))
def while_with_else(x):
    n = 0
    while x.sum() < 100:
        x = x * 1.5 + 7
        n += 1
        if x[0] > 40:
            break
    else:
        x = x - 1000
    return x, n


@feature(([1.0, 2.0],), ([30.0, 2.0],), ([-400.0, 1.0],))
def while_true(x):
    n = 0
    while True:
        n += 1
        if n % 3 == 1:
            continue
        x = x * 2 + 1
        if x.sum() > 300:
            return x, n
        if x[0] < -900:
            break
    return -x, n


@feature(([2.0, 9.0],), ([16.0, 1.0],))
def newton(a):
    x = a / 2 + 0.5
    while ((x * x - a).abs() > 1e-9).any():
        x = (x + a / x) / 2
    return x


@feature(([[1.0, 2.0], [3.0, 4.0], [-5.0, 6.0]], [1.0, 1.0]), ([[1.0, 2.0]], [0.5, 1.0]))
def for_over_a_tensor(m, h):
    for row in m:
        if row[0] < 0:
            continue
        h = h * row + 1
    return h


@feature(*[([[0.1 * i, 1.0 - 0.05 * i] for i in range(n)], [1.0, 1.0]) for n in (20, 25, 30)])
def long_for_over_a_tensor(m, h):
    for row in m:
        h = jitorch.tanh(h * 0.5 + row) + row.sin() * 0.1
    return h


@feature(*[([[0.1 * i, 1.0 - 0.05 * i] for i in range(n)], [1.0, 1.0]) for n in (20, 18)])
def recurrence_with_a_list(m, h):
    outs = []
    for t in range(m.shape[0]):
        h = jitorch.tanh(h * 0.5 + m[t]) * 0.9 + h * 0.1
        outs.append(h)
    return jitorch.stack(outs), h, outs[3], t


@feature(*[([1.0, 2.0], n) for n in (0, 1, 3, 7)])
def for_over_a_traced_range(x, n):
    k = jitorch.tensor(n)
    total = 0
    for i in range(int(k)):
        x = x * 1.25 + i
        total += i
    return x, total


@feature(([1.0, 2.0],), ([-1.0, 2.0],), ([4.0, 8.0],))
def for_with_break_and_else(x):
    for i in range(6):
        x = x * 1.5
        if x.sum() > 9 + i:
            break
    else:
        x = -x
    return x, i


@feature(([1.0, 2.0],), ([-1.0, 2.0],), ([4.0, 8.0],))
def long_for_with_break(x):
    for i in range(100):
        x = x * 1.05 + 0.125
        if x.sum() > 20 + i:
            break
    return x, i


@feature(([1.0, 2.0],), ([-7.0, 2.0],))
def return_inside_of_nested_loops(x):
    for i in range(3):
        n = 0
        while x.sum() < 40:
            x = x * 1.5 + i + 1
            n += 1
            if x[0] > 12:
                return x, n
    return x * 0, -1


def sign(x):
    if x > 0:
        return x * 2
    return x * 0 - 1


@feature(*SIGNS)
def calls_of_functions(x):
    return sign(x[0]) + sign(x[1]) * x


@feature(*PAIRS)
def closures_and_lambdas(x, w):
    count = 0

    def step(v):
        nonlocal count
        count += 1
        return v * w if v[0] > 0 else v - w

    twice = lambda v: step(step(v))  # noqa: E731
    if x[1] > 0:
        x = twice(x)
    return x, count


@feature(([1.0, 2.0],), ([-1.0, 2.0],))
def partials_and_recursion(x):
    def power(v, n):
        if n == 0:
            return v
        return power(v * 1.5 if v[0] > 0 else v - 1, n - 1)

    return functools.partial(power, n=3)(x)


class Pair(NamedTuple):
    first: Any
    second: Any


@feature(*PAIRS)
def tuples_and_named_tuples(x, w):
    state = (x, Pair(w, 1))
    if x[0] > 0:
        state = (w, Pair(x * 2, 2))
    i = 0
    while i < 3:
        a, (b, n) = state
        state = (b, Pair(a + n, n + 1))
        i += 1
    return state


@feature(*PAIRS)
def lists_and_dicts(x, w):
    cache = {"x": x, "n": 0}
    items = [x, w]
    if x[0] > 0:
        cache["x"] = x * w
        cache["n"] += 1
        items[1] = x
    else:
        items[0] = w * 2
    items.append(cache["x"] + 1)
    return cache, items


class Counter:
    def __init__(self, value):
        self.value = value
        self.steps = 0

    def advance(self, by):
        self.value = self.value + by
        self.steps += 1
        if self.value.sum() > 8:
            self.value = self.value / 2


@feature(*PAIRS)
def objects_made_inside(x, w):
    counter = Counter(x)
    while counter.steps < 5 and counter.value[0] < 6:
        counter.advance(w.abs())
    return counter.value, counter.steps


@dataclasses.dataclass
class Settings:
    scale: float = 2.0
    deep: bool = True


class Mode(enum.Enum):
    UP = 1
    DOWN = 2


@feature(*SIGNS)
def dataclasses_and_enums(x):
    settings, mode = Settings(), Mode.UP
    if isinstance(x, jitorch.Tensor) and settings.deep and mode is Mode.UP:
        x = x * settings.scale if x[0] > 0 else x
    return x


@feature(*SIGNS)
def try_and_except(x):
    try:
        y = x * 2 if x[0] > 0 else x * 3
    except ValueError:
        y = x
    else:
        y = y + 1
    return y


@feature(*SIGNS)
def assert_and_raise(x):
    assert x[0] < 100, "too large"
    if x[1] > 1e6:
        raise ValueError("far too large")
    return x + 1


@feature(*SIGNS)
def writes_in_a_branch(x):
    y = x.detach().clone()
    if y[0] > 0:
        y += 1
        y[1] = 7
    else:
        y.mul_(3)
    return y * 2


@feature(*SIGNS)
def writes_in_a_loop(x):
    y = x.detach().clone()
    n = 0
    while n < 4 and y.sum() < 30:
        y[0] += 2
        y.mul_(1.5)
        n += 1
    return y


@feature(([0.5] * 20,))
def rows_written_one_by_one(x):
    out = jitorch.zeros(20, dtype=jitorch.float64)
    with jitorch.no_grad():
        for i in range(20):
            out[i] = (x[i] * 2 + i).sin().exp()
    return out


@feature(([1.0, 2.0], 1.5), ([-1.0, 2.0], -2.5), ([-1.0, 2.0], 3))
def python_numbers_of_arguments(x, s):
    if s > 0:
        x = x * s
    for _ in range(2):
        if x[0] > s:
            x = x - s
    return x


@feature(([1.0, 2.0],), ([-1.0, 2.0],))
def generators_and_comprehensions(x):
    def parts():
        for i in range(3):
            yield x * i if x[0] > 0 else x + i

    return sum(parts()), [p * 2 for p in (x, -x)]


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(2, 2, dtype=jitorch.float64)
        self.down = nn.Linear(2, 2, dtype=jitorch.float64)

    def forward(self, x):
        if x.sum() > 0:
            return self.up(x)
        return self.down(x) if self.training else x


jitorch.manual_seed(3)
GATE = Gate()


@feature(*SIGNS)
def modules(x):
    y = GATE(x)
    for _ in range(2):
        y = GATE(y)
    return y


@feature(*SIGNS)
def backward_in_a_branch(x):
    w = (x.detach() * 2).requires_grad_()
    loss = (w * w).sum()
    if loss > 4:
        loss = loss * 2
    (g,) = jitorch.autograd.grad(loss, w)
    return g


@feature((0,), (3,))
def sizes_of_zero_and_one(n):
    x = jitorch.ones(n, 2, dtype=jitorch.float64)
    total = jitorch.zeros(2, dtype=jitorch.float64)
    for row in x:
        total = total + row
    if total.sum() > 3:
        total = total * 2
    return total
