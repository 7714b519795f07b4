"""The handle that a ``register_..._hook`` method returns."""

from __future__ import annotations

from itertools import count
from typing import Any

_numbers = count()


class RemovableHandle:
    """Takes a hook away again: by ``remove()``, or at the end of a ``with`` block."""

    def __init__(self, hooks: dict[int, Any]):
        self._hooks = hooks
        self.id = next(_numbers)

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def add_hook(hooks: dict[int, Any], entry: Any, prepend: bool) -> RemovableHandle:
    """Put ``entry`` last, or first, into the ordered table ``hooks``."""
    handle = RemovableHandle(hooks)
    earlier = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[handle.id] = entry
    hooks.update(earlier)
    return handle
