"""The journal: what the traced code wrote, kept aside so that nothing visible changes.

A *box* stands for one container that exists outside of the trace.  It holds only what was written,
so that a write of one attribute does not read all others: reads of the rest go on to the container
(and are guarded there).  Objects with an instance dictionary are journaled as that dictionary;
slots, cells and attributes of tensors as single attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class _Missing:
    def __repr__(self) -> str:
        return "<missing>"


MISSING: Any = _Missing()


class DictBox:
    """Writes to a dict: ``written`` wins, a ``deleted`` key of the base is gone, the rest is the base.

    A key that was deleted and written again stays in ``deleted``: it moved to the end.
    """

    def __init__(self, base: dict[Any, Any]):
        self.base = base
        self.written: dict[Any, Any] = {}
        self.deleted: dict[Any, None] = {}

    def set(self, key: Any, value: Any) -> None:
        self.written[key] = value

    def delete(self, key: Any) -> None:
        self.written.pop(key, None)
        if key in self.base:
            self.deleted[key] = None

    def from_base(self, key: Any) -> bool:
        """Whether the entry is the base's own (which may lack it too)."""
        return key not in self.written and key not in self.deleted

    def order(self) -> list[Any]:
        """All keys in the order that the dict will have."""
        kept = [key for key in self.base if key not in self.deleted]
        return kept + [key for key in self.written if key not in self.base or key in self.deleted]

    @property
    def changed(self) -> bool:
        return bool(self.written or self.deleted)


class ListBox:
    """Writes to a list or deque: elements ``appended`` to an unread base, until something reads it all.

    Then ``contents`` is the whole list as it is now.
    """

    def __init__(self, base: Any):
        self.base = base
        self.appended: list[Any] = []
        self.contents: Any = None

    @property
    def changed(self) -> bool:
        return self.contents is not None or bool(self.appended)


class SetBox:
    """Writes to a set: ``contents`` is the whole set as it is now."""

    def __init__(self, base: set[Any], contents: set[Any]):
        self.base = base
        self.contents = contents

    @property
    def changed(self) -> bool:
        return self.contents != self.base


Box = DictBox | ListBox | SetBox


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """``function(*args, **kwargs)``, where ``condition`` holds; the arguments are trees over ``values`` (`effects`)."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    values: tuple[Any, ...]
    condition: Any = True


class Journal:
    """All writes of one trace.  The maps are by identity; the boxes and entries keep the objects alive."""

    is_replayed = True
    """Whether what was written is written again after each call."""

    def __init__(self) -> None:
        self.boxes: dict[int, Box] = {}
        self.attributes: dict[tuple[int, str], tuple[Any, Any]] = {}
        self.effects: list[Effect] = []
        self._instances: dict[int, Any] = {}

    def box(self, container: Any) -> Box | None:
        return self.boxes.get(id(container))

    def dict_box(self, container: dict[Any, Any], owner: Any = None) -> DictBox:
        """The box of a dict, made if there is none; ``owner``: the object whose instance dictionary it is."""
        box = self.boxes.get(id(container))
        if box is None:
            box = self.boxes[id(container)] = DictBox(container)
        assert isinstance(box, DictBox)
        if owner is not None:
            self._instances[id(container)] = owner
        return box

    def list_box(self, container: Any) -> ListBox:
        box = self.boxes.get(id(container))
        if box is None:
            box = self.boxes[id(container)] = ListBox(container)
        assert isinstance(box, ListBox)
        return box

    def owner(self, container: Any) -> Any:
        """The object whose instance dictionary the container is, or None."""
        return self._instances.get(id(container))

    def set_attribute(self, target: Any, name: str, value: Any) -> None:
        self.attributes[id(target), name] = target, value

    def attribute(self, target: Any, name: str) -> Any:
        """What was written to ``target.name``, or MISSING."""
        entry = self.attributes.get((id(target), name))
        return MISSING if entry is None else entry[1]

    def targets(self) -> list[Any]:
        """The objects written to, each once: instances rather than their dictionaries."""
        found: dict[int, Any] = {}
        for box in self.boxes.values():
            if box.changed:
                target = self._instances.get(id(box.base), box.base)
                found[id(target)] = target
        for target, _ in self.attributes.values():
            found[id(target)] = target
        return list(found.values())
