"""Positions of iterators are put back; one that cannot be is not advanced."""

from __future__ import annotations

import pytest

from jitorch.frontend.python import Refuse
from jitorch.frontend.python.iterators import TracedIterator


def test_it_gives_what_its_source_gives() -> None:
    iterator = TracedIterator(iter([1, 2]))
    assert iter(iterator) is iterator
    assert [*iterator] == [1, 2]
    assert next(iterator, None) is None


def test_generators_keep_their_methods() -> None:
    def running():
        total = 0
        while True:
            total += yield total

    iterator = TracedIterator(running())
    assert next(iterator) == 0
    assert iterator.send(5) == 5
    with pytest.raises(KeyError):
        iterator.throw(KeyError("x"))
    iterator.close()


@pytest.mark.parametrize("position", [0, 2, None, "one of two"])
def test_a_position_that_the_source_is_not_at_is_refused(position: object) -> None:
    iterator = TracedIterator(iter([1, 2, 3]))
    next(iterator)
    iterator.position = position
    with pytest.raises(Refuse, match="an iterator that a branch or loop advances"):
        next(iterator)
    iterator.position = 1
    assert next(iterator) == 2
