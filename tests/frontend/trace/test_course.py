"""A course: which way each test of a trace goes, and the one to try next."""

from __future__ import annotations

from typing import Any

import pytest

from jitorch.frontend.trace.course import CODE, MOST_TESTS, Course, TooLong, corrected


def test_course() -> None:
    followed = Course(known=(True, False))
    assert [followed.next() for _ in range(3)] == [(True, CODE), (False, CODE + 1), (True, CODE + 2)]
    assert followed.other(2) == (True, False, False)
    assert followed.other(3) is None
    followed.taken[2] = False
    assert followed.other(0) == (False,)
    followed.taken = [True] * MOST_TESTS
    with pytest.raises(TooLong, match=f"more than {MOST_TESTS} tests"):
        followed.next()


@pytest.mark.parametrize(("code", "found"), [(0, None), (CODE, (False,)), (CODE + 1, (True, True)), (CODE + 2, None)])
def test_corrected(code: int, found: Any) -> None:
    assert corrected((True, False), code) == found
