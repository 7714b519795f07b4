from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from jitorch.frontend.python.flow import Variables
from jitorch.frontend.python.fork import Snapshot
from jitorch.frontend.python.protocol import Trace
from tests.frontend.python.toy import ToyRecorder


class Slotted:
    __slots__ = ("a", "b")


class Plain:
    pass


def new_trace() -> Trace:
    recorder = ToyRecorder()
    trace = Trace(recorder)
    recorder.begin(trace)
    return trace


def test_variables_are_put_back() -> None:
    first, second = 1, "x"

    def change() -> None:
        nonlocal first, second
        first = 2
        del second

    trace = new_trace()
    variables = Variables(lambda: (first, second))
    before = Snapshot(trace, variables)
    change()
    assert Snapshot(trace, variables).contents[id(variables)] == {"first": 2}
    before.restore()
    assert (first, second) == (1, "x")


def test_objects_of_the_trace_are_put_back() -> None:
    trace = new_trace()
    slotted, plain = trace.adopt(Slotted()), trace.adopt(Plain())
    slotted.a, plain.x = 1, 1
    made: list[Any] = [trace.adopt(x) for x in ([1, 2], {"a": 1, "b": 2}, {1, 2}, deque([1], 3), np.arange(3))]
    before = Snapshot(trace, None)
    items, mapping, numbers, queue, array = made
    items.append(3)
    del mapping["a"]
    mapping["a"] = 5
    numbers.discard(1)
    queue.append(2)
    array[1] = 9
    del slotted.a
    slotted.b = 2
    plain.x, plain.y = 2, 3
    before.restore()
    assert items == [1, 2]
    assert list(mapping.items()) == [("a", 1), ("b", 2)]
    assert numbers == {1, 2}
    assert list(queue) == [1]
    assert array.tolist() == [0, 1, 2]
    assert slotted.a == 1
    assert not hasattr(slotted, "b")
    assert plain.__dict__ == {"x": 1}


def test_the_journal_is_put_back() -> None:
    trace = new_trace()
    stored, items, target = {"a": 1}, [1], Plain()
    for value in (stored, items, target):
        trace.path_of(value)
    trace.dict_set(stored, "b", 2)
    before = Snapshot(trace, None)
    trace.dict_set(stored, "b", 3)
    trace.dict_delete(stored, "a")
    trace.list_append(items, 2)
    trace.write_attribute(target, "x", 1)
    before.restore()
    assert trace.dict_get(stored, "b") == 2
    assert trace.dict_get(stored, "a") == 1
    assert list(trace.contents(items)) == [1]
    assert trace.journal.attributes == {}
    assert stored == {"a": 1}
