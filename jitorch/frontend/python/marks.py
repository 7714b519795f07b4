"""What users tell the compiler about their functions and loops: `ignore`, `unroll`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from weakref import WeakSet

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ignored: WeakSet[Any] = WeakSet()
_dropped: WeakSet[Any] = WeakSet()


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Always run a function in Python: a compiled function that calls it runs as a whole in Python, with one warning.

    ``explain()`` names it; under ``fullgraph=True`` such a call is a `StagingError`.  A script calls it as it is, and
    cannot be saved with it; with ``drop=True`` a script raises instead of calling it.  Other keywords are PyTorch's.
    """
    if callable(drop):
        _ignored.add(drop)
        return drop

    def mark(function: _Function) -> _Function:
        (_dropped if drop else _ignored).add(function)
        return function

    return mark


def is_dropped(function: Any) -> bool:
    """Whether the function was marked by ``ignore(drop=True)``."""
    try:
        return function in _dropped
    except TypeError:
        return False


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
