from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jitorch.frontend.python.journal import MISSING, Journal

keys = st.sampled_from("abcd")
writes = st.lists(st.tuples(keys, st.integers(0, 9) | st.none()))


@given(st.dictionaries(keys, st.integers(0, 9)), writes)
def test_a_dict_box_replays_to_what_a_dict_becomes(base: dict[str, int], steps: list[tuple[str, int | None]]) -> None:
    expected, before = dict(base), dict(base)
    box = Journal().dict_box(base)
    for key, value in steps:
        if value is not None:
            expected[key] = value
            box.set(key, value)
        elif key in expected:
            del expected[key]
            box.delete(key)
    assert base == before
    assert box.order() == list(expected)
    for key in box.deleted:
        del base[key]
    for key in box.order():
        if key in box.written:
            base[key] = box.written[key]
    assert list(base.items()) == list(expected.items())


def test_attributes_and_targets() -> None:
    class Thing:
        pass

    journal, thing, other, untouched = Journal(), Thing(), Thing(), [1]
    assert journal.attribute(thing, "x") is MISSING
    journal.set_attribute(thing, "x", 1)
    journal.dict_box(vars(other), other).set("y", 2)
    journal.list_box(untouched)
    assert journal.attribute(thing, "x") == 1
    assert journal.owner(vars(other)) is other
    found: list[Any] = journal.targets()
    assert len(found) == 2
    assert {id(x) for x in found} == {id(thing), id(other)}
