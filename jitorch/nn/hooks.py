"""Tables of hooks, in the order in which they are called."""

from __future__ import annotations

from typing import Any

from jitorch.tensor import RemovableHandle


def add_hook(hooks: dict[int, Any], entry: Any, prepend: bool) -> RemovableHandle:
    """Put ``entry`` last, or first, into ``hooks``; the handle takes it out again."""
    handle = RemovableHandle(hooks)
    earlier = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[handle.id] = entry
    hooks.update(earlier)
    return handle
