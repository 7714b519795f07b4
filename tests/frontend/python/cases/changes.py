"""Changes between calls, each by its own route: every one must be seen."""

from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np

from tests.frontend.python.cases.registry import T, staged


class Part:
    kind: Any = "class"

    def __init__(self) -> None:
        self.value: Any = 1.0
        self.items: Any = [1.0, "a", (2, None)]
        self.table: Any = {"k": 1.0}
        self.part: Any = None

    def run(self, x: Any) -> Any:
        return x * 2

    @property
    def twice(self) -> Any:
        return 2.0

    @staticmethod
    def still(x: Any) -> Any:
        return x + 1

    @classmethod
    def made(cls, x: Any) -> Any:
        return x - 1


class Other(Part):
    kind = "other"

    def run(self, x: Any) -> Any:
        return x * 7


def helper(x: Any, by: Any = 3.0, *, add: Any = 1) -> Any:
    return x * by + add


def replacement(x: Any) -> Any:
    return x * 100


def counter() -> tuple[Any, Any]:
    level = 1.0

    def get() -> Any:
        return level

    def put(v: Any) -> None:
        nonlocal level
        level = v

    return get, put


MODULE = types.ModuleType("changing")


@staged()
def every_route(jit):
    p, q = Part(), Part()
    p.part = q
    get, put = counter()
    MODULE.k, MODULE.f = 1, helper  # type: ignore[attr-defined]
    wrapped = functools.partial(helper, by=2.0)
    names = {"helper": helper}

    def f(x: Any, extra: Any) -> Any:
        y = p.run(x) + p.twice + p.still(x) + p.made(x) + p.value * (p.kind == "class")
        y = y + sum(v for v in p.items if isinstance(v, float)) + len(p.items) + p.items[2][0]
        for k, v in p.table.items():
            y = y + v * len(k)
        y = y + p.part.value + get() + MODULE.k + MODULE.f(x) + wrapped(x) + names["helper"](x) + helper(x)
        if extra is not None:
            y = y + (extra * 2 if isinstance(extra, (int, float, np.generic)) else extra["x"])
        return y, p.part is q, [type(v).__name__ for v in p.items], hasattr(p, "late"), "late" in p.table

    h = jit(f)
    saved = {n: Part.__dict__[n] for n in ("run", "twice", "still", "made", "kind")}

    def restore() -> None:
        for n, v in saved.items():
            setattr(Part, n, v)
        helper.__defaults__, helper.__kwdefaults__ = (3.0,), {"add": 1}

    changes: list[Any] = [
        lambda: None,
        lambda: setattr(p, "value", 2.5),
        lambda: setattr(p, "value", 2),
        lambda: setattr(p, "value", True),
        lambda: setattr(p, "kind", "own"),
        lambda: delattr(p, "kind"),
        lambda: setattr(Part, "kind", "changed"),
        lambda: setattr(Part, "run", lambda self, x: x * 3),
        lambda: setattr(p, "run", lambda x: x * 4),
        lambda: delattr(p, "run"),
        lambda: setattr(Part, "twice", property(lambda self: 5.0)),
        lambda: setattr(Part, "still", staticmethod(lambda x: x * 9)),
        lambda: setattr(Part, "made", classmethod(lambda cls, x: x * 8)),
        lambda: setattr(p, "__class__", Other),
        lambda: setattr(p, "__class__", Part),
        lambda: p.items.append(4.0),
        lambda: p.items.__setitem__(0, 9),
        lambda: p.items.__setitem__(2, (3, None)),
        lambda: p.items.__setitem__(2, (3, None, 1)),
        lambda: setattr(p, "items", [1.0, "b", (2.5, 0)]),
        lambda: p.table.update(k=3.0),
        lambda: p.table.update(k=3),
        lambda: p.table.update(late=1),
        lambda: setattr(p, "table", {"late": 1, "k": 3}),
        lambda: setattr(p, "late", 1),
        lambda: setattr(q, "value", 4.0),
        lambda: setattr(p, "part", Part()),
        lambda: setattr(p, "part", p),
        lambda: put(6.0),
        lambda: put(6),
        lambda: setattr(MODULE, "k", 5),
        lambda: setattr(MODULE, "f", replacement),
        lambda: setattr(helper, "__defaults__", (8.0,)),
        lambda: setattr(helper, "__kwdefaults__", {"add": 2}),
        lambda: names.__setitem__("helper", replacement),
        lambda: setattr(helper, "__code__", (lambda x, by=3.0, *, add=1: x - by).__code__),
    ]
    code = helper.__code__

    def g(step: int, extra: Any) -> Any:
        changes[step]()
        return h(T(1, 2), extra)

    def done() -> None:
        restore()
        helper.__code__ = code

    extras: list[Any] = [None, 1, 2.0, np.float32(3), {"x": 1.0}, {"x": T(1)}, {"x": 1.5}, np.float32(4)]
    calls = [(i, None) for i in range(len(changes))] + [(0, e) for e in extras] + [(0, None)]

    def play(step: int, extra: Any) -> Any:
        result = g(step, extra)
        if (step, extra) == (0, None) and play.count > 1:
            done()
        play.count += 1
        return result

    play.count = 0
    return play, calls, lambda: (p.kind, len(p.items), get())
