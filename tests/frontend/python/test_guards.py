from __future__ import annotations

import collections
import math
from typing import Any

import pytest

from jitorch.frontend.python import paths
from jitorch.frontend.python.guards import (
    KINDS,
    FunctionKey,
    Guard,
    TensorKey,
    changed_paths,
    compile_guards,
    first_failure,
)
from jitorch.frontend.python.paths import OPERATIONS

A, B = paths.arg(0), paths.arg(1)
KEY = TensorKey(lambda t: t.key)
KEY_ATTRIBUTE = TensorKey(lambda t: t.key, "key")


class Thing:
    key = ("f32", 2)

    def __init__(self, **entries: Any):
        self.__dict__.update(entries)


def one() -> int:
    return 1


def two() -> int:
    return 2


def holds(guard: Guard, *args: Any, key: TensorKey = KEY) -> bool:
    check, _ = compile_guards([guard], len(args), (), key)
    result = check(args, {}) is not None
    assert (first_failure([guard], args, {}, key) is None) is result
    return result


t, u, mixed = Thing(), Thing(), {"a": 1, t_key: 2} if (t_key := Thing()) else {}

# kind, expected, first arguments that meet it, first arguments that do not
TABLE: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("eq", 3, [3], [4, 3.0, True, "3", None]),
    ("eq", "a", ["a"], ["b", 1]),
    ("eq", None, [None], [0, False]),
    ("eq", True, [True], [1, False]),
    ("eq", 1.5, [1.5], [1.25, "x"]),
    ("eq", 0.0, [0.0], [-0.0, 0, False]),
    ("eq", -0.0, [-0.0], [0.0]),
    ("eq", math.nan, [math.nan, -math.nan], [0.0, "x"]),
    ("eq", (1, "a"), [(1, "a")], [(1.0, "a"), (True, "a"), (1,), [1, "a"]]),
    ("eq", ((1,), 2), [((1,), 2)], [((1.0,), 2)]),
    ("eq", 0j, [0j], [-0j, 0, 0.0]),
    ("eq", range(0), [range(0)], [range(1, 1), ()]),
    ("keys", (1, 2), [{1: 0, 2: 0}], [{2: 0, 1: 0}, {1.0: 0, 2: 0}, {True: 0, 2: 0}, {1: 0}]),
    ("eq", frozenset("ab"), [frozenset(["a", "b"])], [frozenset("a"), {"a", "b"}]),
    ("eq", {1, 2}, [{2, 1}], [{1}, frozenset((1, 2))]),
    ("type", float, [1.0, math.nan], [1, "a"]),
    ("is", math, [math], [t, None]),
    ("func", FunctionKey.of(one), [one], [two, t, lambda: 1]),
    ("tensor", ("f32", 2), [t, u], [Thing(key=("f32", 3)), 3]),
    ("len", 2, [[1, 2], "ab"], [[1], 3]),
    ("keys", ("a", "b"), [{"a": 1, "b": 2}], [{"b": 1, "a": 2}, {"a": 1}, {}, 3]),
    ("keys", ("a", t_key), [mixed], [{"a": 1, t: 2}, {"a": 1}]),
    ("has", "a", [{"a": 1}], [{}, 3]),
    ("lacks", "a", [{}], [{"a": 1}, 3]),
    ("unshadowed", "x", [t, Thing(y=1)], [Thing(x=1), 3]),
    ("noattr", "x", [t, 3], [Thing(x=1)]),
]


@pytest.mark.parametrize(("kind", "expected", "good", "bad"), TABLE, ids=lambda x: x if isinstance(x, str) else None)
def test_kinds(kind: str, expected: Any, good: list[Any], bad: list[Any]) -> None:
    guard = Guard(A, kind, expected)
    assert [holds(guard, value) for value in good] == [True] * len(good)
    assert [holds(guard, value) for value in bad] == [False] * len(bad)


def test_relations_between_paths() -> None:
    assert holds(Guard(A, "same", B), t, t)
    assert not holds(Guard(A, "same", B), t, u)
    assert holds(Guard(A, "distinct", (B,)), t, u)
    assert not holds(Guard(A, "distinct", (B,)), t, t)
    three = Guard(A, "distinct", (B, paths.arg(2)))
    assert holds(three, t, u, Thing())
    assert not holds(three, t, u, u)
    assert holds(Guard(A, "has", B), {"k": 1}, "k")


def test_every_kind_is_tested() -> None:
    assert {kind for kind, *_ in TABLE} | {"same", "distinct"} == KINDS


def test_tensor_key_as_an_attribute() -> None:
    guard = Guard(A, "tensor", ("f32", 2))
    assert holds(guard, t, key=KEY_ATTRIBUTE)
    assert not holds(guard, Thing(key=("f32", 3)), key=KEY_ATTRIBUTE)
    assert not holds(guard, 3, key=KEY_ATTRIBUTE)


def test_guards_of_expressions() -> None:
    guard = Guard(paths.expression(OPERATIONS["gt"], paths.expression(OPERATIONS["add"], A, 1), 2), "eq", True)
    assert holds(guard, 5)
    assert not holds(guard, 1)
    assert not holds(guard, "text")
    division = Guard(paths.expression(OPERATIONS["truediv"], 1, A), "type", float)
    assert not holds(division, 0)


def test_inputs_are_gathered_in_order() -> None:
    check, _ = compile_guards([Guard(A, "type", Thing)], 2, ("k",), KEY, [B, paths.attr(A, "x"), paths.kwarg("k")])
    assert check((Thing(x=1), 2), {"k": 3}) == (2, 1, 3)
    assert check((Thing(), 2), {"k": 3}) is None


def test_the_form_of_the_call_is_checked() -> None:
    check, _ = compile_guards([], 1, ("k",), KEY)
    assert check((1,), {"k": 2}) == ()
    for args, kwargs in [((), {"k": 2}), ((1, 2), {"k": 2}), ((1,), {}), ((1,), {"q": 2}), ((1,), {"k": 1, "q": 2})]:
        assert check(args, kwargs) is None


@pytest.mark.parametrize(
    ("guard", "args", "text"),
    [
        (Guard(paths.attr(A, "n"), "eq", 3), (Thing(n=4),), "arg0.n was 3; now it is 4"),
        (Guard(A, "type", float), (4,), "arg0 was of type float; now it is of type int"),
        (Guard(A, "tensor", ("f32", 3)), (t,), "arg0 was a tensor with (f32, 3); now it has (f32, 2)"),
        (Guard(A, "len", 2), ([1],), "arg0 had length 2; now it is 1"),
        (Guard(A, "keys", ("a",)), ({"b": 1},), "arg0 had the keys ['a']; now they are ['b']"),
        (Guard(A, "lacks", "a"), ({"a": 1},), "arg0 had no key 'a'; now it has one"),
        (Guard(A, "has", "a"), ({},), "arg0 had the key 'a'; now it has none"),
        (Guard(A, "func", FunctionKey.of(one)), (two,), "arg0 was the function one; now it is two"),
        (Guard(A, "same", B), (t, u), "arg0 was the same object as arg1; now it is another"),
        (Guard(A, "distinct", (B,)), (t, t), "arg0 was another object than arg1; now they are one object"),
        (Guard(A, "unshadowed", "x"), (Thing(x=1),), "arg0 had no attribute x of its own; now it has one"),
        (
            Guard(paths.attr(A, "x"), "eq", 1),
            (Thing(),),
            "arg0.x was 1; now reading it raises AttributeError: 'Thing' object has no attribute 'x'",
        ),
    ],
)
def test_failures_in_words(guard: Guard, args: tuple[Any, ...], text: str) -> None:
    assert str(first_failure([guard], args, {}, KEY)) == text


def test_the_first_failure_is_named() -> None:
    guards = [Guard(A, "type", int), Guard(A, "eq", 3), Guard(B, "eq", 4)]
    failure = first_failure(guards, (9, 9), {}, KEY)
    assert failure is not None
    assert failure.guard is guards[1]
    assert first_failure(guards, (3, 4), {}, KEY) is None


def test_changed_paths() -> None:
    guards = [Guard(A, "eq", 3), Guard(B, "eq", (1, ("a", 2))), Guard(paths.arg(2), "eq", True)]
    assert changed_paths(guards, (3, (1, ("a", 2)), True), {}) == frozenset()
    assert changed_paths(guards, (4, (1, ("b", 5)), False), {}) == {A, paths.item(paths.item(B, 1), 1)}
    assert changed_paths(guards, (4.0, (1,), 7), {}) == frozenset()
    assert changed_paths(guards, (), {}) == frozenset()
    one = object()
    assert changed_paths([Guard(A, "is", one)], (one,), {}) == frozenset()
    assert changed_paths([Guard(A, "is", one)], (object(),), {}) == {A}


def test_what_changed_is_not_looked_for_below_what_is_gone() -> None:
    table = collections.defaultdict(int)
    guards = [
        Guard(A, "type", collections.defaultdict), Guard(A, "has", "k"), Guard(paths.item(A, "k"), "eq", 5),
        Guard(B, "type", dict), Guard(paths.item(B, "k"), "eq", 5),
    ]  # fmt: skip
    assert changed_paths(guards, (table, {"k": 6}), {}) == {paths.item(B, "k")}
    assert changed_paths(guards, (table, table), {}) == frozenset()
    assert not table
