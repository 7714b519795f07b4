"""What users tell the compiler about their functions and loops: `ignore`, `unroll`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from weakref import WeakSet

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ignored: WeakSet[Any] = WeakSet()


def ignore(function: _Function) -> _Function:
    """Always run ``function`` in Python: a compiled function that calls it runs as a whole in Python, with one warning.

    ``explain()`` names it; under ``fullgraph=True`` such a call is a `StagingError`.
    """
    _ignored.add(function)
    return function


def is_ignored(function: Any) -> bool:
    """Whether the function was marked by `ignore`."""
    try:
        return function in _ignored
    except TypeError:  # what cannot be held weakly has no marks
        return False


class Unrolled:
    """The values of a loop that is to be unrolled."""

    def __init__(self, values: Any):
        self.values = values

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)


def unroll(values: Any) -> Any:
    """``for x in unroll(values)``: a compiled loop is unrolled, however long; without `@jit`, ``values`` itself."""
    return values
