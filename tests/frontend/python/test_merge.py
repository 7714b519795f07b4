"""Two values become one: which parts the program chooses, what is rebuilt, and what has no joined value."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import pytest

from jitorch.frontend.python import Refuse
from jitorch.frontend.python.flow import Maybe, Variables
from jitorch.frontend.python.fork import Snapshot
from jitorch.frontend.python.journal import Effect
from jitorch.frontend.python.merge import DEAD, Disagree, Merge, write
from jitorch.frontend.python.protocol import Trace
from tests.frontend.python.test_fork import new_trace


class Pair(NamedTuple):
    first: Any
    second: Any


class Holder:
    def __init__(self, value: Any):
        self.value = value


def joined(merge: Merge, a: Any, b: Any) -> Any:
    """The joined value, where the result of the leaf ``(x, y)`` is ``"x|y"``."""
    template = merge.plan(a, b, "it")
    return template([f"{x}|{y}" for x, y in merge.leaves], {})


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 1, 1),
        ("a", "a", "a"),
        (1, 2, "1|2"),
        ((1, "a", 3.0), (2, "a", 4.0), ("1|2", "a", "3.0|4.0")),
        (Pair(1, (2, 2)), Pair(1, (2, 3)), Pair(1, (2, "2|3"))),
        (slice(1, None), slice(2, None), slice("1|2", None, None)),
        (DEAD, 3, 3),
        (DEAD, "text", "text"),
    ],
    ids=["same", "texts", "numbers", "tuples", "named", "slices", "dead", "dead text"],
)
def test_values(a: Any, b: Any, expected: Any) -> None:
    assert joined(Merge(new_trace(), 0), a, b) == expected


def test_what_was_made_inside_is_rebuilt_once() -> None:
    trace = new_trace()
    serial = trace.serial()
    a, b = [trace.adopt([n, trace.adopt({"k": n}), trace.adopt(Holder(n)), trace.adopt(deque([n], 4))]) for n in (1, 2)]
    merge = Merge(trace, serial)
    made: dict[int, Any] = {}
    templates = merge.plan(a, b, "it"), merge.plan(a, b, "the other name")
    first, second = [t([f"{x}|{y}" for x, y in merge.leaves], made) for t in templates]
    assert first is second
    assert first[:2] == ["1|2", {"k": "1|2"}]
    assert (type(first[2]), first[2].value) == (Holder, "1|2")
    assert (first[3], first[3].maxlen) == (deque(["1|2"]), 4)


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        (1, "a", "it is int on one path and 'a' on another"),
        (1, 2.0, "it is int on one path and float on another"),
        (None, 1, "it is None on one path and int on another"),
        ((1, 2), (1,), r"it is \(1, 2\) on one path and \(1,\) on another"),
        ((1, (2, "x")), (1, (2, "y")), r"it\[1\]\[1\] is 'x' on one path and 'y' on another"),
        ([1], [2], "it is one of two objects: a list of 1"),
    ],
    ids=["types", "numbers", "none", "lengths", "depth", "objects"],
)
def test_disagreements(a: Any, b: Any, why: str) -> None:
    with pytest.raises(Disagree, match=why):
        Merge(new_trace(), 0).plan(a, b, "it")


def branched(trace: Trace, variables: Variables, then: Any, orelse: Any) -> tuple[Merge, Any]:
    """Both sides from one state; gives the merge, and what puts the joined state in place."""
    entry = Snapshot(trace, variables)
    ends = []
    for side in (then, orelse):
        side()
        ends.append(Snapshot(trace, variables, entry))
        entry.restore()
    merge = Merge(trace, trace.serial())
    templates = merge.places(entry, ends, [False, False])
    places = {**ends[0].places, **ends[1].places}
    return merge, lambda: write(places, templates, [f"{x}|{y}" for x, y in merge.leaves])


def test_variables_objects_and_effects() -> None:
    trace = new_trace()
    items = trace.adopt([1, 2])
    effect, other = Effect(print, ("a",), {}, (5,)), Effect(print, ("b",), {}, ())
    trace.journal.effects.append(other)
    count = 0
    if count:
        late = None

    def then() -> None:
        nonlocal count, late
        count, late, items[0] = 1, 7, 9
        trace.journal.effects.append(effect)

    merge, install = branched(trace, Variables(lambda: (count, late)), then, lambda: None)
    install()
    assert count == "1|0"
    assert items == ["9|1", 2]
    assert isinstance(late, Maybe)
    assert (late.value, late.present) == (7, "True|False")
    assert trace.journal.effects[0] is other
    assert trace.journal.effects[1].condition == "True|False"
    assert trace.journal.effects[1].values == (5,)
    assert len(merge.leaves) == 4


def test_lists_of_two_lengths() -> None:
    trace = new_trace()
    items = trace.adopt([1])
    with pytest.raises(Refuse, match="a list has 2 elements on one path and 1 on another"):
        branched(trace, Variables(lambda: None), lambda: items.append(2), lambda: None)


def test_effects_in_loops_are_refused() -> None:
    trace = new_trace()
    entry = Snapshot(trace, None)
    trace.journal.effects.append(Effect(print, (), {}, ()))
    after = Snapshot(trace, None, entry)
    entry.restore()
    with pytest.raises(Refuse, match="in a loop of the program"):
        Merge(trace, 0, strict=False).places(entry, [entry, after], [False, False])
