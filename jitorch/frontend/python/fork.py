"""The state that a branch may change, saved and put back: variables, journal, and objects made by the trace.

A `Snapshot` maps *places* to their contents.  A place is anything that holds values under keys: the variables of a
function, a list, dict, set or object that the trace made, a box of the journal.  Contents are flat dicts, so that two
snapshots can be compared and merged key by key, whatever the kind of the place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any

import numpy as np

from jitorch.frontend.python.flow import Flow, Variables
from jitorch.frontend.python.iterators import TracedIterator
from jitorch.frontend.python.journal import MISSING, DictBox, ListBox, SetBox
from jitorch.frontend.python.values import DICTS, LISTS, SETS, slots

Contents = dict[Any, Any]


class Place(ABC):
    """Something that holds values; ``what`` names it in refusals."""

    what = "an object"
    is_open = False  # whether what cannot be merged only matters when it is read

    @abstractmethod
    def read(self) -> Contents: ...

    @abstractmethod
    def write(self, contents: Contents) -> None: ...

    def name(self, key: Any) -> str:
        return f"{self.what}[{key!r}]"

    def outside(self, key: Any) -> Any:
        """What a key that is not among the contents means; MISSING if nothing."""
        return MISSING


class VariablesPlace(Place):
    is_open = True

    def __init__(self, variables: Variables):
        self.variables = variables

    def read(self) -> Contents:
        return self.variables.read()

    def write(self, contents: Contents) -> None:
        self.variables.write(contents)

    def name(self, key: Any) -> str:
        return f"the variable {key!r}"


class SequencePlace(Place):
    what = "a list"

    def __init__(self, target: Any):
        self.target = target

    def read(self) -> Contents:
        return dict(enumerate(self.target))

    def write(self, contents: Contents) -> None:
        values = [contents[i] for i in range(len(contents))]
        if isinstance(self.target, deque):
            self.target.clear()
            self.target.extend(values)
        else:
            self.target[:] = values


class MappingPlace(Place):
    what = "a dict"

    def __init__(self, target: dict[Any, Any]):
        self.target = target

    def read(self) -> Contents:
        return dict(self.target)

    def write(self, contents: Contents) -> None:
        self.target.clear()
        self.target.update(contents)


class SetPlace(Place):
    what = "a set"

    def __init__(self, target: set[Any]):
        self.target = target

    def read(self) -> Contents:
        return {x: x for x in self.target}

    def write(self, contents: Contents) -> None:
        self.target.clear()
        self.target.update(contents)


class ArrayPlace(Place):
    what = "a NumPy array"

    def __init__(self, target: Any):
        self.target = target

    def read(self) -> Contents:
        return {(): self.target.tobytes()}

    def write(self, contents: Contents) -> None:
        self.target[...] = np.frombuffer(contents[()], self.target.dtype).reshape(self.target.shape)


class ObjectPlace(Place):
    def __init__(self, target: Any):
        self.target = target
        self.what = f"a {type(target).__name__}"

    def read(self) -> Contents:
        found = dict(getattr(self.target, "__dict__", ()))
        for name in slots(type(self.target)):
            if hasattr(self.target, name):
                found[name] = getattr(self.target, name)
        return found

    def write(self, contents: Contents) -> None:
        names = slots(type(self.target))
        namespace = getattr(self.target, "__dict__", None)
        if namespace is not None:
            namespace.clear()
            namespace.update((k, v) for k, v in contents.items() if k not in names)
        for name in names:
            if name in contents:
                object.__setattr__(self.target, name, contents[name])
            elif hasattr(self.target, name):
                object.__delattr__(self.target, name)

    def name(self, key: Any) -> str:
        return f"the attribute {key!r} of {self.what}"


class IteratorPlace(Place):
    what = "an iterator"
    is_open = True

    def __init__(self, target: TracedIterator):
        self.target = target

    def read(self) -> Contents:
        return {"position": self.target.position}

    def write(self, contents: Contents) -> None:
        self.target.position = contents["position"]


class EffectsPlace(Place):
    """The effects so far; `Merge` joins them."""

    what = "print() or logging"

    def __init__(self, trace: Flow):
        self.effects = trace.journal.effects

    def read(self) -> Contents:
        return dict(enumerate(self.effects))

    def write(self, contents: Contents) -> None:
        self.effects[:] = contents.values()


class AttributesPlace(Place):
    """What the journal holds of single attributes: under (identity, name), the object and the value."""

    def __init__(self, trace: Flow):
        self.trace = trace
        self.targets: dict[tuple[int, str], Any] = {}

    def read(self) -> Contents:
        self.targets.update((key, target) for key, (target, _) in self.trace.journal.attributes.items())
        return {key: value for key, (_, value) in self.trace.journal.attributes.items()}

    def write(self, contents: Contents) -> None:
        self.trace.journal.attributes = {key: (self.targets[key], value) for key, value in contents.items()}

    def name(self, key: Any) -> str:
        return f"the attribute {key[1]!r} of a {type(self.targets[key]).__name__}"

    def outside(self, key: Any) -> Any:
        try:
            return self.trace.read_attribute(self.targets[key], key[1])
        except (AttributeError, ValueError):
            return MISSING


class DictBoxPlace(Place):
    """Writes to a stored dict; a deleted key holds the mark `DELETED`."""

    def __init__(self, trace: Flow, base: dict[Any, Any]):
        self.trace, self.base = trace, base
        self.owner = trace.journal.owner(base)
        self.what = "a dict" if self.owner is None else f"a {type(self.owner).__name__}"

    def read(self) -> Contents:
        box = self.trace.journal.box(self.base)
        if box is None:
            return {}
        assert isinstance(box, DictBox)
        return {**dict.fromkeys(box.deleted, DELETED), **box.written}

    def write(self, contents: Contents) -> None:
        if not contents:
            self.trace.journal.boxes.pop(id(self.base), None)
            return
        box = self.trace.journal.dict_box(self.base, self.owner)
        box.written = {k: v for k, v in contents.items() if v is not DELETED}
        box.deleted = {k: None for k, v in contents.items() if v is DELETED}

    def name(self, key: Any) -> str:
        return f"{self.what}[{key!r}]" if self.owner is None else f"the attribute {key!r} of {self.what}"

    def outside(self, key: Any) -> Any:
        return self.trace.dict_get(self.base, key)


class ListBoxPlace(Place):
    what = "a list"

    def __init__(self, trace: Flow, base: Any):
        self.trace, self.base = trace, base

    def read(self) -> Contents:
        box = self.trace.journal.box(self.base)
        if box is None:
            return {}
        assert isinstance(box, ListBox)
        kind, values = ("appended", box.appended) if box.contents is None else ("whole", box.contents)
        return {(kind, i): value for i, value in enumerate(values)}

    def write(self, contents: Contents) -> None:
        self.trace.journal.boxes.pop(id(self.base), None)
        kinds = {kind for kind, _ in contents}
        if not kinds:
            return
        box = self.trace.journal.list_box(self.base)
        if kinds == {"appended"}:
            box.appended = [contents["appended", i] for i in range(len(contents))]
            return
        values = [contents["whole", i] for i in range(len(contents))]
        box.contents = deque(values, self.base.maxlen) if isinstance(self.base, deque) else values

    def name(self, key: Any) -> str:
        return f"{self.what}[{key[1]}]"


class SetBoxPlace(Place):
    what = "a set"

    def __init__(self, trace: Flow, base: Any):
        self.trace, self.base = trace, base

    def read(self) -> Contents:
        box = self.trace.journal.box(self.base)
        return {x: x for x in (box.contents if isinstance(box, SetBox) else self.base)}

    def write(self, contents: Contents) -> None:
        self.trace.journal.boxes[id(self.base)] = SetBox(self.base, set(contents))


class _Deleted:
    def __repr__(self) -> str:
        return "<deleted>"


DELETED: Any = _Deleted()


class Snapshot:
    """All places as they are now; ``restore`` makes them so again."""

    def __init__(self, trace: Flow, variables: Variables | None, previous: Snapshot | None = None):
        self.trace = trace
        self.places: dict[int, Place] = {}
        self.contents: dict[int, Contents] = {}
        self.variables = None if variables is None else id(variables)
        found = [*trace.shared_variables, *([] if variables is None else [variables])]
        for one in found:
            self._add(id(one), VariablesPlace(one))
        for target in trace.created_objects:
            place = _place_of(target)
            if place is not None:
                self._add(id(target), place)
        attributes = previous.places[0] if previous is not None else AttributesPlace(trace)
        self._add(0, attributes)
        self._add(1, EffectsPlace(trace))
        for key, box in trace.journal.boxes.items():
            self._add(-key, _box_place(trace, box))

    def _add(self, key: int, place: Place) -> None:
        self.places[key] = place
        self.contents[key] = place.read()

    def restore(self) -> None:
        """Put everything back; what was made since stays as it is, for nothing that is left refers to it."""
        boxes = self.trace.journal.boxes
        for key in [k for k in boxes if -k not in self.places]:
            del boxes[key]
        for key, place in self.places.items():
            place.write(self.contents[key])


def _place_of(target: Any) -> Place | None:
    kind = type(target)
    if kind in LISTS:
        return SequencePlace(target)
    if kind in DICTS:
        return MappingPlace(target)
    if kind in SETS:
        return SetPlace(target)
    if kind is np.ndarray:
        return ArrayPlace(target)
    if kind is TracedIterator:
        return IteratorPlace(target)
    if kind.__module__ in ("builtins", "functools") or isinstance(target, (dict, list, set, BaseException, np.ndarray)):
        return None
    return ObjectPlace(target)


def _box_place(trace: Flow, box: Any) -> Place:
    if isinstance(box, DictBox):
        return DictBoxPlace(trace, box.base)
    return ListBoxPlace(trace, box.base) if isinstance(box, ListBox) else SetBoxPlace(trace, box.base)
