"""How a case is registered, and what it is.

A case is a function of ``jit``, which is `toy.Jitted` or the identity.  It gives the function to
call, the argument lists of its calls, and a function that shows what the calls may have changed (or
None).
"""

from __future__ import annotations

from typing import Any

from tests.frontend.python.toy import Tensor

STAGED: list[tuple[Any, int | None]] = []
REFUSED: list[tuple[Any, str]] = []


def staged(traces: int | None = None) -> Any:
    """The case is traced, in all ``traces`` times over its calls."""
    return lambda case: STAGED.append((case, traces))


def refused(why: str) -> Any:
    """Every trace of the case is refused with this reason, and plain Python runs."""
    return lambda case: REFUSED.append((case, why))


def T(*values: Any) -> Tensor:
    return Tensor(values[0] if len(values) == 1 else values)
