"""``match`` statements, over values that change, and over what only the program knows."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jitorch
from tests.frontend.later.table import attempt, later, tensor

MATCHES = "match statements"


@dataclass
class Point:
    x: Any
    y: Any = 0


class Plain:
    __match_args__ = ("k",)

    def __init__(self, k: Any):
        self.k = k

    @property
    def twice(self) -> Any:
        return self.k * 2


def _with_subjects(name: str, body: Any, *subjects: Any) -> None:
    def play(jit):
        f = jit(body)
        for subject in (*subjects, *subjects):
            yield attempt(f, tensor(1, 2), subject)

    play.__name__ = name
    later(MATCHES)(play)


def _literals(x, s):
    match s:
        case 1 | 2:
            return x
        case "a" | b"a":
            return x * 2
        case None:
            return x * 3
        case True | False:
            return x * 4
        case -1.5:
            return x * 5
        case 3 + 4j:
            return x * 6
        case _:
            return x * 7


def _sequences(x, s):
    match s:
        case []:
            return x
        case [a]:
            return x * a
        case [a, [b, c]]:
            return x * a + b * c
        case [1, *rest, 2]:
            return x * len(rest), rest
        case (a, b, *_) if a > b:
            return x * a - b
        case [a, *rest]:
            return x * a, rest
    return None


def _mappings(x, s):
    match s:
        case {"kind": "scale", "by": by}:
            return x * by
        case {"kind": ("add" | "plus") as kind, "by": int(by) | float(by)}:
            return x + by, kind
        case {"kind": _, **rest}:
            return x, rest
        case {}:
            return -x
        case _:
            return None


def _classes(x, s):
    match s:
        case Point(0, y):
            return x + y
        case Point(x=a, y=0):
            return x * a
        case Point(a, b) if a == b:
            return x - a
        case Point():
            return x * s.x * s.y
        case Plain(k, twice=t):
            return x * k + t
        case int(n) | float(n):
            return x * n
        case str():
            return x * len(s)
        case jitorch.Tensor(dtype=jitorch.float32):
            return x * s
        case Plain(nothing=_):
            return None
        case list(values):
            return x * len(values)
    return s


def _bindings_that_stay(x, s):
    a = b = None
    match s:
        case [a, 1]:
            pass
        case [_, b] if b > 5:
            pass
        case c:
            return a, b, c
    return a, b, x


def _nested(x, s):
    match s:
        case {"point": Point(x=[first, *_], y=y)} | [Point(x=first, y=y)]:
            return x * first + y
        case [[a, b], {"k": k}] | {"pair": (a, b), "k": k}:
            return x * a + b * k
        case _:
            return x


_with_subjects("literals", _literals, 1, 2, 3, True, 1.0, "a", b"a", None, -1.5, 3 + 4j, 2.0, [])
_with_subjects(
    "sequences", _sequences, [], [3], (3,), [2, [3, 4]], [1, 2], [1, 5, 6, 2], (5, 3, 1), [1, 2, 3], "ab", range(2),
    {1}, collections.deque([4, 5]), [tensor(2)],
)  # fmt: skip
_with_subjects(
    "mappings", _mappings, {"kind": "scale", "by": 2}, {"kind": "scale", "by": 3}, {"kind": "add", "by": 2.5},
    {"kind": "plus", "by": 1}, {"kind": "plus", "by": "s"}, {"kind": 1, "more": 2}, {}, {"by": 1}, [], None,
    collections.OrderedDict(kind="scale", by=5), collections.defaultdict(int),
)  # fmt: skip
_with_subjects(
    "classes", _classes, Point(0, 5), Point(2, 0), Point(3, 3), Point(2, 3), Plain(4), 5, 2.5, True, "abc",
    tensor(2, 3), jitorch.tensor([1, 2]), [1, 2], None, SimpleNamespace(x=1),
)  # fmt: skip
_with_subjects("bindings_that_stay", _bindings_that_stay, [2, 1], [2, 7], [2, 3], 5, [])
_with_subjects(
    "nested_patterns", _nested, {"point": Point([2, 3], 4)}, [Point(2, 3)], {"point": Point(2, 3)}, [[1, 2], {"k": 3}],
    {"pair": (1, 2), "k": 5}, [[1], {"k": 3}], [Point([2], 3)],
)  # fmt: skip


@later(MATCHES)
def too_many_positional_patterns(jit):
    def f(x, s):
        match s:
            case Plain(a, b):
                return a, b
            case int(a, b):
                return a, b
        return x

    g = jit(f)
    for s in (Plain(1), 2, "a"):
        yield attempt(g, tensor(1), s)


@later(MATCHES)
def pattern_that_is_no_class(jit):
    h = SimpleNamespace(kind=Plain)

    def f(x, s):
        match s:
            case h.kind():
                return x
            case h.value:
                return x * 2
        return -x

    g = jit(f)
    h.value = 5
    yield g(tensor(1), Plain(1)), g(tensor(1), 5), g(tensor(1), 6)
    h.kind, h.value = Point, 6
    yield g(tensor(1), Plain(1)), g(tensor(1), 5), g(tensor(1), 6)
    h.kind = 3
    yield attempt(g, tensor(1), 5)


@later(MATCHES)
def names_of_positional_patterns_replaced(jit):
    class Local(Plain):
        pass

    def f(x, s):
        match s:
            case Local(a):
                return x * a
        return x

    g = jit(f)
    yield g(tensor(1), Local(3))
    Local.__match_args__ = ("twice",)
    yield g(tensor(1), Local(3))


@later(MATCHES)
def guards_that_the_program_decides(jit):
    def f(x, s):
        match s:
            case [a, b] if x.sum() > 0:
                y = x * a + b
            case [a, *_] if x[0] < -1:
                y = x - a
            case _:
                y = -x
        return y

    g = jit(f)
    for values in ((1, 2), (-1, -2), (-2, -1), (0, 0)):
        for s in ([2, 3], (4,), None):
            yield attempt(g, tensor(*values), s)


@later(MATCHES)
def subjects_of_the_program(jit):
    def f(x):
        match int(x.sum()):
            case 3:
                return x
            case 4 | 5:
                return x * 2
            case n if n < 0:
                return x - n
            case _:
                return x * 0

    g = jit(f)
    for values in ((1, 2), (2, 2), (2, 3), (-1, -2), (9, 9)):
        yield attempt(g, tensor(*values))


@later(MATCHES)
def ways_out_of_a_match(jit):
    def f(x, items):
        total = x * 0
        for item in items:
            match item:
                case 0:
                    continue
                case int(n) if n > 5:
                    break
                case int(n):
                    total = total + x * n
                case _:
                    return item
        else:
            return total, "end"
        return total

    g = jit(f)
    for items in ([1, 2], [0, 1], [1, 6, 2], [1, "a"], []):
        yield attempt(g, tensor(1), items)


@later(MATCHES)
def tensors_taken_apart(jit):
    def f(pair):
        match pair:
            case (a, {"bias": b, **rest}):
                a.add_(b)
                return a * 2, rest
            case [a, None]:
                return a * 3
        return None

    g = jit(f)
    for pair in ((tensor(1), {"bias": tensor(2), "k": 1}), [tensor(1), None], (tensor(1), {"bias": 3.0}), ()):
        yield attempt(g, pair), pair
