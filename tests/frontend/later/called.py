"""Cases that are one function and its calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.frontend.later.table import attempt, later, tensor


def calls(feature: str, *calls: Any) -> Any:
    """Register a function as a case: it is called with what each of ``calls`` makes anew, all of them twice."""

    def register(body: Any) -> Any:
        def play(jit: Any) -> Iterator[Any]:
            f = jit(body)
            for make in (*calls, *calls):
                arguments = make()
                yield attempt(f, *arguments), arguments

        play.__name__ = body.__name__
        later(feature)(play)
        return body

    return register


def of_numbers(*values: Any) -> Any:
    """Calls with a tensor of each of these numbers, or lists of them."""
    return [lambda v=v: (tensor(v) if isinstance(v, list) else tensor(v, v + 1),) for v in values]


def with_each(*others: Any) -> Any:
    """Calls with a tensor and one of ``others``, which are made by functions where they are functions."""
    return [lambda o=o: (tensor(1, 2), o() if callable(o) else o) for o in others]
