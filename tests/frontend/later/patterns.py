"""Corners of ``match`` statements."""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import Any, NamedTuple

import jitorch
from tests.frontend.later.called import calls, of_numbers, with_each
from tests.frontend.later.table import tensor

PATTERNS = "match statements"


class Both:
    """Its attributes say when they are asked for."""

    __match_args__ = ("first", "second")

    def __init__(self, first: Any, second: Any):
        self.a, self.b, self.asked = first, second, []

    @property
    def first(self) -> Any:
        self.asked.append("first")
        return self.a

    @property
    def second(self) -> Any:
        self.asked.append("second")
        if self.b is None:
            raise ValueError("no second")
        return self.b


class Pair(NamedTuple):
    left: Any
    right: Any = 2


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class WrongNames:
    __match_args__ = ["k"]  # noqa: RUF012 - that it is no tuple is what is looked at
    k = 1


@calls(PATTERNS, *with_each(lambda: Both(0, 1), lambda: Both(1, 2), lambda: Both(1, None), lambda: Both(0, None)))
def attributes_are_asked_before_parts_are_tried(x, s):
    match s:
        case Both(0, second):
            return x * second
        case Both(1, second=b):
            return x + b
    return x


@calls(PATTERNS, *with_each(lambda: Both(0, 1), lambda: Both(1, 2)))
def attribute_asked_twice_is_an_error(x, s):
    match s:
        case Both(0, first=a):
            return x * a
    return x


@calls(PATTERNS, *with_each(lambda: WrongNames(), 3))
def names_of_parts_that_are_no_tuple(x, s):
    match s:
        case WrongNames(k):
            return x * k
    return x


@calls(PATTERNS, *with_each(Pair(1), Pair(2, 3), (1, 2), [1, 2], Pair(tensor(3), 4)))
def named_tuples_as_subjects(x, s):
    match s:
        case Pair(1, right=r):
            return x * r
        case Pair(left, 4):
            return x * left
        case [a, b] if isinstance(s, tuple):
            return x - a * b, type(s).__name__
        case (a, b):
            return x + a * b


@calls(PATTERNS, *with_each(Colour.RED, Colour.BLUE, 1, "RED"))
def enums_as_subjects(x, s):
    match s:
        case Colour.RED:
            return x * 2
        case Colour(value=2, name=name):
            return x * 3, name
        case 1:
            return x * 4
    return x


@calls(PATTERNS, *of_numbers([1.0, 2.0, 3.0], [-1.0, 2.0, 3.0], [5.0], [1.0, 1.0]))
def lists_of_numbers_of_tensors(x):
    match x.tolist() if x.numel() < 3 else [x[0], x[1], x[2]]:
        case [a]:
            return x * a
        case [a, b] if a == b:
            return x + a
        case [a, *rest] if a > 0:
            return x * a, len(rest)
        case [*_, last]:
            return last


@calls(PATTERNS, *of_numbers([1.0, 2.0], [3.0, -2.0], [-3.0, -2.0]))
def guards_with_walrus_of_the_program(x):
    match (x[0], x[1]):
        case (a, b) if (total := a + b) > 2:
            y = total * 2
        case (a, _) if (total := a * 3) < 0:
            y = total
        case _:
            y = total + 100
    return y, total


@calls(PATTERNS, *of_numbers([1.0, 2.0], [-3.0, -2.0]))
def a_guard_binds_although_it_fails(x):
    a = x * 0
    match (x, 5):
        case (a, 5) if a.sum() < 0:
            return a * 2
    return a


@calls(PATTERNS, *with_each({"a": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1, "c": 3}, {}, OrderedDict(b=1, a=1)))
def rest_of_a_mapping_keeps_order(x, s):
    match s:
        case {"a": a, **rest}:
            rest["new"] = a
            return x * a, rest, list(rest)
        case {**rest}:
            return x, rest


@calls(PATTERNS, *with_each(lambda: [1, [2, [3, 4]]], lambda: [1, [2, [3]]], lambda: [1, (2, [])], lambda: [1, 2]))
def star_patterns_in_star_patterns(x, s):
    match s:
        case [a, [b, [c, *d]]] if d:
            return x * a * b * c, d
        case [a, [b, [*c]]]:
            c.append(9)
            return x * a * b, c, s
        case [*everything]:
            return x, everything, everything is s


@calls(PATTERNS, *with_each([1, 2], [2, 2], [3, 3], (4, 5), "x"))
def alternatives_that_bind(x, s):
    found = []
    match s:
        case ([1, a] | [a, 2]) as whole if a != 3:
            found.append(a)
            x = x * len(whole)
        case (list() | tuple()) as whole:
            found += whole
    return x, found


@calls(PATTERNS, *of_numbers(1, -1, 0))
def match_in_a_loop_of_the_program(x):
    state, count = 0, 0
    while x.sum() < 10 and count < 30:
        match state:
            case 0 if x[0] > 0:
                x, state = x + 1, 1
            case 0:
                x, state = x + 2, 2
            case 1 | 2 if x[1] > 5:
                x = x * 2
            case n:
                x, state = x + n, 0
        count += 1
    return x, state, count


@calls(PATTERNS, *with_each(True, 1, 1.0, False, 0, None, jitorch.tensor(1), jitorch.tensor(True)))
def singletons_and_numbers(x, s):
    match s:
        case True:
            return x * 2
        case 1:
            return x * 3
        case None | False:
            return x * 4
        case bool() | float():
            return x * 5
        case _:
            return x * 6


@calls(PATTERNS, *with_each(bytearray(b"ab"), b"ab", "ab", range(2), [0, 1], {0, 1}, frozenset(), iter([0, 1])))
def what_is_a_sequence(x, s):
    match s:
        case [0, 1]:
            return x
        case [a, b]:
            return x * a * b
        case str(t) | bytes(t) | bytearray(t):
            return x * len(t)
        case set() | frozenset():
            return -x
    return None


@calls(PATTERNS, *with_each(int, str, None))
def class_patterns_of_variables(x, kind):
    match 3:
        case kind():
            return x
        case _:
            return x * 2


@calls(PATTERNS, *with_each(1, 2, 3))
def match_inside_of_match(x, s):
    match s:
        case 1 | 2:
            match x.sum() > s:
                case True:
                    y = x * 10
                case _:
                    match s:
                        case 1:
                            y = x
                        case other:
                            y = x * other
            return y
    return s


@calls(PATTERNS, *with_each(*[lambda i=i: i for i in (1, True)]))
def patterns_under_a_name(x, s):
    match s:
        case int(n) | [n] if (twice := n * 2) > 1:
            return x * twice
    return x
