"""Features of calls, iteration and text, as in `features`: built-in functions, generators, methods, output."""

from __future__ import annotations

import functools
import logging
from typing import Any

import jitorch
from jitorch import jit
from tests.frontend.control.features import PAIRS, SIGNS, feature

LOG = logging.getLogger("jitorch.test.features")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False


@feature(*SIGNS)
def any_and_all_of_tensors(x):
    if any(v > 1.5 for v in x) and not all(v < 0 for v in x):
        x = x * 2
    return x, any(v > 0 for v in x), all(v > 0 for v in (x * x + 1))


@feature(*SIGNS)
def any_stops_where_python_does(x):
    def positive(v):
        assert v > -2.5
        return v > 0

    return x * 2 if any(positive(v) for v in x.flip(0)) else x


@feature(*SIGNS)
def least_and_greatest(x):
    rows = [x[0], x[1], x.sum() * 0.25]
    return max(rows), min(rows) * 3, max(x[0], x[1], key=lambda v: -v), min(float(x[0]), 0.5), max([x[0]], default=2)


@feature(*PAIRS)
def sorted_tensors(x, w):
    ordered = sorted([*x, *w])
    x = ordered[0] * 2 + ordered[-1]
    pairs = sorted([(x, 1), (w[0], 2)], key=lambda p: p[0], reverse=True)
    return x, pairs[0][0], sum(ordered)


@feature(*SIGNS)
def sums_of_generators(x):
    total = sum(v * i for i, v in enumerate(x))
    return total + sum(v for v in [x, x * 2] if v.ndim == 1)


def halves(x, n):
    for _ in range(n):
        x = x / 2
        yield x


def twice(values):
    for value in values:
        yield value * 2
    yield from (value * 0 + 1 for value in ())


@feature(*SIGNS)
def generators_of_generators(x):
    first, *rest = twice(halves(x, 3))
    return first, rest, sum(twice(halves(x, 2))), list(zip(halves(x, 2), reversed([x, -x])))


@feature(*SIGNS)
def sent_values(x):
    def running():
        total = yield
        while True:
            total = total + (yield total)

    sums = running()
    next(sums)
    sums.send(x)
    return sums.send(x * 2), sums.send(x)


@feature(*SIGNS)
def maps_filters_and_zips(x):
    found = list(map(lambda a, b: a * b if a > 0 else a - b, x, [2.0, 3.0]))
    found += filter(lambda v: v.ndim == 0, [x, x[0]])
    return found, dict(zip("ab", x)), [i for i, _ in enumerate(x, 3)]


class Layer:
    count = 1

    def __init__(self, scale):
        self.scale = scale

    def apply(self, x):
        return x * self.scale + self.count if x.sum() > 0 else self.other(x)

    @staticmethod
    def other(x):
        return x - 1

    @property
    def doubled(self):
        return self.scale * 2

    def __call__(self, x):
        return self.apply(x) + self.doubled


@feature(*SIGNS)
def methods_properties_and_partials(x):
    layers = [Layer(2.0), functools.partial(Layer(3.0).apply), functools.partial(jitorch.add, 1.0)]
    for layer in layers:
        x = layer(x)
    return x


inner = jit(lambda x: x * 2 if x.sum() > 0 else x * 3)


@feature(*SIGNS)
def jitted_inside(x):
    return inner(x) + inner(-x)


@feature(*SIGNS)
def unrolled(x):
    for i in jit.unroll(range(20)):
        x = x * 0.9 + i if x[0] > i else x
    return x


@feature(*SIGNS)
def printed_and_logged(x):
    print(f"{tuple(x.shape)} {x.sum().item():.2f}", end="")
    LOG.info("%s of %d", x.detach(), len(x))
    if x[0] > 0:
        LOG.warning("positive: %s", x[0].item())
    return x * 2


@feature(*SIGNS)
def texts(x):
    label = f"{x[0].item():+.1f}"
    return x, label, "value " + label, str(x[1].item())


@feature(*SIGNS)
def caught_checks(x):
    def checked(v):
        if v[1] < 0:
            raise ValueError(f"{v[1].item()} is negative")
        return v.sqrt()

    try:
        y = checked(x + 3)
    except ValueError:
        y = x
    return y


@feature(*SIGNS)
def variables_of_one_path(x):
    if x[0] > 0:
        scale = 2.0
    if x[0] > 0:
        x = x * scale
    return x


@feature(*SIGNS)
def masks(x):
    y = x.clone()
    y[y > 0] = 7.0
    return y * 2


def power(x: Any, n: int) -> Any:
    return x if n == 0 else x * power(x, n - 1)


@feature(*[([1.0, -2.0], n) for n in (0, 1, 4)])
def recursion_and_tuples_of_arguments(x, n):
    args, options = (x,), {"n": n}
    return power(*args, **options)
