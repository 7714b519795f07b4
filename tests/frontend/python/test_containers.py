"""Random programs of container methods, traced against run."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.frontend.python.toy import Jitted

values = st.integers(0, 4)
keys = st.sampled_from("abc")
LIST_STEPS = st.one_of(
    st.tuples(st.sampled_from(["append", "remove", "index", "count", "__contains__"]), st.tuples(values)),
    st.tuples(st.just("extend"), st.tuples(st.lists(values, max_size=2))),
    st.tuples(st.just("insert"), st.tuples(st.integers(-3, 3), values)),
    st.tuples(st.sampled_from(["pop", "__getitem__", "__delitem__"]), st.tuples(st.integers(-3, 3))),
    st.tuples(st.just("__setitem__"), st.tuples(st.integers(-3, 3), values)),
    st.tuples(st.sampled_from(["clear", "reverse", "sort", "copy", "__len__"]), st.just(())),
)
DICT_STEPS = st.one_of(
    st.tuples(st.sampled_from(["get", "__contains__", "__getitem__", "__delitem__", "pop"]), st.tuples(keys)),
    st.tuples(st.sampled_from(["setdefault", "__setitem__", "pop", "get"]), st.tuples(keys, values)),
    st.tuples(st.just("update"), st.tuples(st.dictionaries(keys, values))),
    st.tuples(st.sampled_from(["clear", "copy", "__len__", "popitem"]), st.just(())),
)
SET_STEPS = st.one_of(
    st.tuples(st.sampled_from(["add", "discard", "remove", "__contains__"]), st.tuples(values)),
    st.tuples(st.sampled_from(["update", "union", "difference_update", "issubset"]), st.tuples(st.lists(values))),
    st.tuples(st.sampled_from(["clear", "copy", "__len__"]), st.just(())),
)


def program(target: Any, steps: Any) -> Any:
    log = []
    for name, arguments in steps:
        try:
            log.append(getattr(target, name)(*arguments))
        except (IndexError, ValueError, KeyError) as error:
            log.append(type(error).__name__)
    # The order of a set is nobody's promise.
    return log, sorted(target) if isinstance(target, set) else list(target)


def check(target: Any, steps: list[Any], second: list[Any]) -> None:
    traced = type(target)(target)
    jitted = Jitted(program)
    for part in (steps, second):
        assert jitted(traced, part) == program(target, part)
        assert traced == target
        assert list(traced) == list(target) or isinstance(target, set)
    assert jitted.refusals == []


@given(st.lists(values, max_size=3), st.lists(LIST_STEPS, max_size=5), st.lists(LIST_STEPS, max_size=2))
def test_lists(start: list[int], steps: list[Any], second: list[Any]) -> None:
    check(start, steps, second)


@given(st.dictionaries(keys, values), st.lists(DICT_STEPS, max_size=5), st.lists(DICT_STEPS, max_size=2))
def test_dicts(start: dict[str, int], steps: list[Any], second: list[Any]) -> None:
    check(start, steps, second)


@given(st.sets(values, max_size=3), st.lists(SET_STEPS, max_size=5), st.lists(SET_STEPS, max_size=2))
def test_sets(start: set[int], steps: list[Any], second: list[Any]) -> None:
    check(start, steps, second)


def test_a_bounded_deque_drops_its_first_elements() -> None:
    plain, traced = deque([1, 2], maxlen=3), deque([1, 2], maxlen=3)
    steps = [("append", (3,)), ("append", (4,)), ("appendleft", (0,)), ("rotate", (1,)), ("popleft", ())]
    assert Jitted(program)(traced, steps) == program(plain, steps)
    assert traced == plain
