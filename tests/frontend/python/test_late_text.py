"""Text that is not known yet can be joined; everything else asks for what is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jitorch.frontend.python import Refuse
from jitorch.frontend.python.late_text import Field, LateText, join

FIELD = Field("x", None, ".2f", -1)
LATE = LateText(("a ", FIELD))


def test_joining() -> None:
    assert join("a", "b") == "ab"
    assert join() == ""
    for made in (join("1", LATE, "2"), "1" + LATE + "2"):
        assert isinstance(made, LateText)
        assert made.parts == ("1", "a ", FIELD, "2")


@pytest.mark.parametrize(
    "use", [str, repr, bool, len, list, hash, lambda t: t.upper(), lambda t: t == "a", lambda t: t * 2, lambda t: t[0]]
)
def test_other_uses_are_refused(use: Callable[[Any], Any]) -> None:
    with pytest.raises(Refuse, match="formatting needs a value"):
        use(LATE)
