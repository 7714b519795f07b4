"""Output, logging and random numbers, call after call."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import sys
from types import SimpleNamespace
from typing import Any

import jitorch
from jitorch import nn
from jitorch.nn import functional
from tests.frontend.later.flow import SIGNS
from tests.frontend.later.table import attempt, later, tensor

EFFECTS = "print, logging and random numbers"


def printed(function: Any, *args: Any) -> Any:
    """What a call gives, and what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        result = attempt(function, *args)
    return result, out.getvalue()


@later(EFFECTS)
def print_of_plain_values(jit):
    h = SimpleNamespace(step=0)

    def f(x):
        h.step += 1
        print("step", h.step, x.shape, f"{tuple(x.shape)} of {x.dtype}", sep=", ")
        return x * 2

    g = jit(f)
    for n in (2, 2, 3, 4):
        yield printed(g, jitorch.ones(n))


@later(EFFECTS)
def print_of_tensors(jit):
    def f(x):
        y = x * 2
        print("y =", y, y.sum().item(), end=";\n")
        return y

    g = jit(f)
    for values in SIGNS[:3]:
        yield printed(g, tensor(*values))


@later(EFFECTS)
def print_in_a_branch(jit):
    def f(x):
        if x[0] > 0:
            print("positive", x)
        return x

    g = jit(f)
    for values in SIGNS[:3]:
        yield printed(g, tensor(*values))


@later(EFFECTS)
def print_before_and_after_a_write(jit):
    def f(x):
        print(x)
        x.add_(1)
        print(x)
        return x

    g = jit(f)
    x = tensor(1, 2)
    for _ in range(3):
        yield printed(g, x)


@later(EFFECTS)
def print_before_a_failing_check(jit):
    def f(x):
        print("before")
        assert x[0] > 0, "negative"
        print("after")
        return x

    g = jit(f)
    for values in SIGNS[:3]:
        yield printed(g, tensor(*values))


@later(EFFECTS)
def print_to_a_file(jit):
    out = io.StringIO()
    f = jit(lambda x: print("n", x.numel(), file=out, flush=True))
    f(tensor(1))
    f(tensor(1))
    f(tensor(1, 2))
    yield out.getvalue()


@later(EFFECTS)
def print_of_a_changed_object(jit):
    values = [1]

    def f(x):
        print(values)
        values.append(2)
        print(values)
        return x

    g = jit(f)
    for _ in range(3):
        yield printed(g, tensor(1)), values


@later(EFFECTS)
def print_replaced(jit):
    f = jit(lambda x: print("one"))
    yield printed(f, tensor(1))
    module = sys.modules[__name__]
    lines: list[Any] = []
    module.print = lambda *a: lines.append(a)
    try:
        yield printed(f, tensor(1)), lines
    finally:
        del module.print
    yield printed(f, tensor(1))


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.funcName} {record.getMessage()}")


LOG = logging.getLogger("jitorch.test.later")


@later(EFFECTS)
def logging_of_plain_values(jit):
    records = _Records()
    LOG.addHandler(records)
    LOG.propagate = False
    LOG.setLevel(logging.INFO)

    def f(x, n):
        LOG.info("size %d of %s", n, tuple(x.shape))
        LOG.debug("hidden")
        return x * n

    g = jit(f)
    try:
        for n in (1, 2, 3):
            g(tensor(1), n)
        LOG.setLevel(logging.DEBUG)
        g(tensor(1), 1)
        LOG.setLevel(logging.ERROR)
        g(tensor(1), 1)
    finally:
        LOG.removeHandler(records)
    yield records.lines


@later(EFFECTS)
def random_numbers(jit):
    f = jit(lambda n: (jitorch.rand(n), jitorch.randn(2), jitorch.randint(0, 10, (3,)), jitorch.randperm(4)))
    for n in (2, 2, 3, 0, 5):
        yield f(n)
    jitorch.manual_seed(7)
    yield f(2), jitorch.rand(2)
    yield f(2)


@later(EFFECTS)
def generator_of_random_numbers(jit):
    g = jitorch.Generator()
    g.manual_seed(3)
    f = jit(lambda: jitorch.rand(2, generator=g))
    yield f()
    yield f()
    g.manual_seed(3)
    yield f()
    state = g.get_state()
    yield f()
    g.set_state(state)
    yield f()


@later(EFFECTS)
def dropout_and_seeds(jit):
    f = jit(lambda x, p: functional.dropout(x, p, training=True))
    for p in (0.5, 0.5, 0.1, 0.0, 1.0):
        yield f(jitorch.ones(6), p)
    jitorch.manual_seed(2)
    yield f(jitorch.ones(6), 0.5)


@later(EFFECTS)
def seed_set_inside(jit):
    def f(s):
        jitorch.manual_seed(s)
        return jitorch.rand(2)

    g = jit(f)
    for s in (1, 2, 1):
        yield g(s), jitorch.rand(1)


@later(EFFECTS)
def random_numbers_of_one_path(jit):
    f = jit(lambda x: x + jitorch.rand(2) if x[0] > 0 else x)
    for values in SIGNS:
        yield f(tensor(*values)), jitorch.rand(1)


@later(EFFECTS)
def random_numbers_of_python(jit):
    f = jit(lambda x: x * random.random())
    random.seed(1)
    yield f(tensor(1))
    yield f(tensor(1))


@later(EFFECTS)
def reset_of_a_layer(jit):
    layer = nn.Linear(2, 2)

    def f():
        layer.reset_parameters()
        return layer.weight * 1

    g = jit(f)
    for _ in range(2):
        jitorch.manual_seed(5)
        yield g()
