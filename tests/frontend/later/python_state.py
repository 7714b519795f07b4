"""Globals and closures that change between calls."""

from __future__ import annotations

import enum
import functools
import math
import sys
import types
from typing import Any

import jitorch
from tests.frontend.later.table import attempt, later, tensor

NUMBER = 2
FACTOR = 2.0
WORD = "up"
TABLE: dict[str, Any] = {"scale": 2}
WEIGHT = tensor(1, 2)
CHOICE: Any = None


def helper(x):
    return x + 1


def other_helper(x):
    return x * 5


class Mode(enum.Enum):
    UP = 1
    DOWN = 2


GLOBALS = "globals and closures"
THIS = sys.modules[__name__]


def set_global(monkey: dict[str, Any], **values: Any) -> None:
    """Change globals of this module; the first change of each is remembered in ``monkey``."""
    for name, value in values.items():
        monkey.setdefault(name, getattr(THIS, name))
        setattr(THIS, name, value)


def restore(monkey: dict[str, Any]) -> None:
    for name, value in monkey.items():
        setattr(THIS, name, value)


def _of_globals(name: str, body: Any, *changes: dict[str, Any]) -> None:
    """A case in which globals change."""

    def play(jit):
        monkey: dict[str, Any] = {}
        f = jit(body)
        try:
            for change in ({}, *changes, {}):
                set_global(monkey, **change)
                yield attempt(f, tensor(1, 2))
                yield attempt(f, tensor(3, 4))
        finally:
            restore(monkey)

    play.__name__ = name
    later(GLOBALS)(play)


_of_globals("global_int", lambda x: x * NUMBER, {"NUMBER": 3}, {"NUMBER": 4}, {"NUMBER": 2})
_of_globals("global_float", lambda x: x * FACTOR, {"FACTOR": 3.5}, {"FACTOR": math.nan}, {"FACTOR": math.inf})
_of_globals("global_int_that_becomes_a_float", lambda x: x * NUMBER, {"NUMBER": 2.0}, {"NUMBER": True})
_of_globals("global_float_that_becomes_a_tensor", lambda x: x * FACTOR, {"FACTOR": tensor(2, 3)}, {"FACTOR": 1})
_of_globals("global_string", lambda x: x if WORD == "up" else -x, {"WORD": "down"}, {"WORD": "up"})
_of_globals("global_tensor_replaced", lambda x: x * WEIGHT, {"WEIGHT": tensor(5, 6)}, {"WEIGHT": tensor(7)})
_of_globals("global_function_replaced", lambda x: helper(x) * 2, {"helper": other_helper}, {"helper": lambda x: x})
_of_globals("global_none_that_is_set", lambda x: x if CHOICE is None else x * CHOICE, {"CHOICE": 3}, {"CHOICE": None})
_of_globals("global_enum", lambda x: x if CHOICE is Mode.UP else -x, {"CHOICE": Mode.UP}, {"CHOICE": Mode.DOWN})
_of_globals("global_decides_a_loop", lambda x: sum([x] * NUMBER), {"NUMBER": 4}, {"NUMBER": 0}, {"NUMBER": 1})
_of_globals("global_dtype", lambda x: x.to(CHOICE or jitorch.float64), {"CHOICE": jitorch.int64}, {"CHOICE": None})
_of_globals("global_callable_object", lambda x: (CHOICE or helper)(x), {"CHOICE": functools.partial(pow, 2.0)})
_of_globals("global_list", lambda x: sum(CHOICE or [x]), {"CHOICE": [1, 2]}, {"CHOICE": [tensor(1, 1)]})
_of_globals("global_class", lambda x: isinstance(CHOICE, Mode), {"CHOICE": Mode.UP}, {"Mode": int}, {"CHOICE": 3})


@later(GLOBALS)
def global_deleted(jit):
    def f(x):
        return x * EXTRA if "EXTRA" in TABLE else x  # noqa: F821

    g = jit(f)
    yield g(tensor(1))
    THIS.EXTRA = 2
    TABLE["EXTRA"] = True
    yield g(tensor(1))
    del THIS.EXTRA
    yield attempt(g, tensor(1))
    del TABLE["EXTRA"]
    yield g(tensor(1))


@later(GLOBALS)
def built_in_shadowed_by_a_new_global(jit):
    f = jit(lambda x: max(x.sum() * 0 + 1, 0) if False else len([x, x]) * x)
    yield f(tensor(1))
    THIS.len = lambda _: 7
    try:
        yield f(tensor(1))
    finally:
        del THIS.len
    yield f(tensor(1))


@later(GLOBALS)
def global_written_inside(jit):
    def f(x):
        global CHOICE
        CHOICE = (CHOICE or 0) + 1
        return x * CHOICE

    g = jit(f)
    for _ in range(4):
        yield g(tensor(1)), CHOICE
    THIS.CHOICE = None


@later(GLOBALS)
def closure_number(jit):
    k = 1
    f = jit(lambda x: x * k)
    for k in (1, 2, 3, 2.5, True):  # noqa: B007
        yield f(tensor(1, 2))


@later(GLOBALS)
def closure_of_a_closure(jit):
    k = 1

    def inner(x):
        return x * k

    def middle(x):
        return inner(x) + k

    f = jit(lambda x: middle(x))
    yield f(tensor(1))
    k = 4
    yield f(tensor(1))


@later(GLOBALS)
def closure_function_replaced(jit):
    def act(x):
        return x.tanh()

    f = jit(lambda x: act(x) * 2)
    yield f(tensor(1))

    def act(x):  # noqa: F811
        return x.sin()

    yield f(tensor(1))
    act = jitorch.exp  # noqa: F811
    yield f(tensor(1))


@later(GLOBALS)
def closure_tensor_rebound_and_written(jit):
    w = tensor(1, 2)
    f = jit(lambda x: x * w)
    yield f(tensor(1, 1))
    w.add_(1)
    yield f(tensor(1, 1))
    w = tensor([[1, 2], [3, 4]])
    yield f(tensor(1, 1))


@later(GLOBALS)
def closure_counter_read_outside(jit):
    count = 0

    def f(x):
        nonlocal count
        count += 1
        return x + count

    g = jit(f)
    for _ in range(3):
        yield g(tensor(1)), count
    count = 10
    yield g(tensor(1)), count


@later(GLOBALS)
def functions_of_one_factory(jit):
    def make(k):
        return lambda x: x * k

    f = jit(lambda x, g: g(x))
    for k in (1, 2, 2.5):
        yield f(tensor(1), make(k))


@later(GLOBALS)
def module_attribute(jit):
    module = types.ModuleType("settings")
    module.scale, module.depth = 2.0, 1
    f = jit(lambda x: x * module.scale + module.depth)
    yield f(tensor(1))
    module.scale = 4.0
    yield f(tensor(1))
    module.depth = 3
    yield f(tensor(1))
    del module.depth
    yield attempt(f, tensor(1))
