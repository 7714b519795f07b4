"""What classes define: one way to look it up, which guards what was found as well as what was not.

Python asks the class of an object for special methods and descriptors, and a class may get or lose them between two
calls.  `Lookup.lookup` walks the classes as Python does.  Each class that it passes over is guarded to lack the name
still: what a trace takes to be absent is a guard, in this process and in a record.  Classes of C code, of jitorch, of
NumPy and of the standard library are taken to stay what they are.
"""

from __future__ import annotations

import types
from typing import Any

from jitorch.frontend.python import paths
from jitorch.frontend.python.paths import Path
from jitorch.frontend.python.scalars import RuntimeScalar
from jitorch.frontend.python.state import State
from jitorch.frontend.python.values import is_of_the_user, is_plain, is_versioned

_INSTANCE = paths.operation(isinstance)
_SUBCLASS = paths.operation(issubclass)


def may_change(kind: type) -> bool:
    """Whether a class may get and lose entries: a class statement of the user's made it."""
    return is_of_the_user(kind) and not is_versioned(kind.__module__)


def own_entries(kind: type) -> Path:
    """Where the dictionary of the class is found."""
    return paths.attr(paths.const(kind), "__dict__")


class Lookup(State):
    """Entries of classes, guarded."""

    def lookup(self, kind: type, name: str, behind: type | None = None) -> tuple[type, Any] | None:
        """The first class of the mro (that comes ``behind`` one) which has an entry ``name``, and the entry.

        That it is the first is guarded; the entry itself is not.  None if there is none, which is guarded as well.
        """
        mro = kind.__mro__
        for owner in mro if behind is None else mro[mro.index(behind) + 1 :]:
            if name in owner.__dict__:
                return owner, owner.__dict__[name]
            if may_change(owner):
                self.guard_bases(kind)
                self.guard(own_entries(owner), "lacks", name)
        return None

    def guard_bases(self, kind: type) -> None:
        """That a class inherits from the classes it does; those of `object` alone cannot get others."""
        if may_change(kind) and len(kind.__mro__) > 2:
            self.guard(paths.attr(paths.const(kind), "__mro__"), "eq", kind.__mro__)

    def special(self, kind: type, name: str) -> types.FunctionType | None:
        """The special method of a class if it is written in Python; guarded, as is that there is none."""
        found = self.lookup(kind, name)
        return None if found is None else self._function(kind, name, *found)

    def _function(self, kind: type, name: str, owner: type, entry: Any) -> types.FunctionType | None:
        """`special` for what `lookup` found."""
        if isinstance(entry, types.FunctionType):
            self.read(paths.attr(paths.const(kind), name), entry)
            return entry
        if may_change(owner):
            self.guard(paths.item(own_entries(owner), name), "is", entry)
        return None

    def user_method(self, value: Any, name: str) -> types.FunctionType | None:
        """A special method of the value's class, if it is written in Python and not the library's.

        Of constants and tensors only classes of the user's are asked: the others' methods run as they are.
        """
        kind = type(value)
        if kind is RuntimeScalar or not is_of_the_user(kind):
            return None
        found = self.lookup(kind, name)
        if found is None or self.recorder.is_internal(found[1]):
            return None
        if not may_change(found[0]) and (is_plain(value) or self.recorder.is_tensor(value)):
            return None
        return self._function(kind, name, *found)

    def overrides(self, value: Any, name: str) -> bool:
        """Whether the value is a tuple or constant of a class of the user's with its own special method ``name``."""
        return may_change(type(value)) and self.user_method(value, name) is not None

    def descriptor(self, kind: type, name: str, entry: Any) -> Path:
        """The place of an ``entry`` that is an object of its own, such as a descriptor: a trace may look into it."""
        owner = next(owner for owner in kind.__mro__ if name in owner.__dict__)
        path = paths.item(own_entries(owner), name)
        self.read(path, entry)
        return path

    def defines(self, kind: type, name: str) -> bool:
        """Whether a class or one of its bases has an entry ``name``, guarded either way."""
        found = self.lookup(kind, name)
        if found is not None and may_change(found[0]):
            self.guard(own_entries(found[0]), "has", name)
        return found is not None

    def is_data_descriptor(self, entry: Any) -> bool:
        """Whether an entry of a class goes before those of its instances."""
        return self.defines(type(entry), "__set__") or self.defines(type(entry), "__delete__")

    def is_instance(self, value: Any, kinds: Any) -> bool:
        """``isinstance(value, kinds)``"""
        kind = self.python_type(value)
        if kind is not type(value):
            return self.is_subclass(kind, kinds)
        found = isinstance(value, kinds)
        if self._asks_code(kind, kinds, "__instancecheck__"):
            path = self.origin(value)
            known = (_SUBCLASS, paths.const(kind)) if path is None else (_INSTANCE, path)
            self.guard(paths.expression(*known, paths.const(kinds)), "eq", found)
        return found

    def is_subclass(self, kind: type, kinds: Any) -> bool:
        """``issubclass(kind, kinds)``"""
        found = issubclass(kind, kinds)
        if self._asks_code(kind, kinds, "__subclasscheck__"):
            self.guard(paths.expression(_SUBCLASS, paths.const(kind), paths.const(kinds)), "eq", found)
        return found

    def _asks_code(self, kind: type, kinds: Any, name: str) -> bool:
        """Whether a metaclass decides what belongs to one of ``kinds``.

        Where none does, the bases of ``kind`` are guarded.
        """
        if isinstance(kinds, types.UnionType):
            kinds = kinds.__args__
        if isinstance(kinds, tuple):
            return any(self._asks_code(kind, one, name) for one in kinds)
        found = self.lookup(type(kinds), name)
        if found is not None and found[0] is not type:
            return any(map(may_change, (kinds, *kind.__mro__)))
        self.guard_bases(kind)
        return False
