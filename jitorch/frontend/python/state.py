"""The state of one trace: where objects came from, what was made, what is guarded.

Values stay plain Python objects.  The trace remembers, by identity, the path each stored object was
first read at, and which objects the traced code itself made.
"""

from __future__ import annotations

import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from jitorch.errors import is_internal
from jitorch.frontend.python import paths
from jitorch.frontend.python.guards import FunctionKey, Guard
from jitorch.frontend.python.iterators import TracedIterator
from jitorch.frontend.python.journal import MISSING, Journal, ListBox
from jitorch.frontend.python.late_text import LateText
from jitorch.frontend.python.paths import Path
from jitorch.frontend.python.recorder import Recorder, Refuse
from jitorch.frontend.python.rewritten import is_rewritten
from jitorch.frontend.python.scalars import RuntimeScalar
from jitorch.frontend.python.stretch import Stretch, stretches
from jitorch.frontend.python.values import IDENTITIES, LISTS, is_iterator, is_plain, python_function

_FIXED = (int, float, str, tuple, frozenset, types.FunctionType, types.MethodType, types.BuiltinFunctionType)


class State(ABC):
    """Reads with guards, the journal, and the objects this trace knows.

    The layers above it (containers, objects, operators, calls) each add one kind of access; what the
    lower ones need of the upper ones is abstract here.
    """

    @abstractmethod
    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)`` under the protocol."""

    @abstractmethod
    def attribute(self, target: Any, name: str) -> Any:
        """``target.name`` under the protocol."""

    @abstractmethod
    def item(self, target: Any, key: Any) -> Any:
        """``target[key]`` under the protocol."""

    @abstractmethod
    def iterate(self, value: Any) -> Iterator[Any]:
        """``iter(value)`` under the protocol."""

    @abstractmethod
    def test(self, value: Any) -> bool:
        """``bool(value)`` under the protocol."""

    @abstractmethod
    def decide(self, value: Any) -> Any:
        """The truth of ``value`` as a plain bool, or what stands for it where only the program will know it."""

    @abstractmethod
    def ternary(self, test: Any, then: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
        """``then() if test else orelse()``"""

    @abstractmethod
    def compare(self, name: str, a: Any, b: Any) -> Any:
        """A comparison under the protocol; ``name`` as in `operator`, or ``in_``, ``not_in``."""

    @abstractmethod
    def equal(self, a: Any, b: Any) -> bool:
        """Equality as containers see it, under the protocol."""

    @abstractmethod
    def binary(self, name: str, a: Any, b: Any) -> Any:
        """An operation under the protocol; ``name`` as in `operator`."""

    def __init__(self, recorder: Recorder, dynamic: frozenset[Path] = frozenset()):
        self.recorder = recorder
        self.journal = Journal()
        self.guards: list[Guard] = []
        self.guard_lines: list[tuple[str, int] | None] = []  # where the user's code read what each is about
        self.functions: dict[str, types.CodeType] = {}
        self._dynamic = dynamic
        self._dynamic_bases = _bases(dynamic)
        self._guarded: set[tuple[Any, ...]] = set()
        self._scalars: dict[Path, RuntimeScalar] = {}
        self._origins: dict[int, Path] = {}
        self._created: dict[int, int] = {}  # identity -> serial number
        self.created_objects: list[Any] = []  # those of them that can change
        # Lists that a loop of the program appends to, by identity: a list that holds the number of turns so far, or
        # None where the number is not known.
        self.growing: dict[int, list[Any] | None] = {}
        self.has_stretches = False
        self.shared_variables: list[Any] = []  # of functions whose variables other functions write
        self._kept: list[Any] = []  # identities are only valid while the objects live
        self.stages_floats = True  # whether a float that is read is a run-time scalar

    def refuse(self, reason: str, why: str) -> NoReturn:
        raise Refuse(reason, why)

    def refuse_changing(self, reason: str, why: str) -> None:
        """Refuse what differs from call to call, unless the trace may freeze it."""
        if not self.recorder.freeze(why):
            self.refuse(reason, why)

    def check_whole(self, container: Any) -> None:
        """A list that a loop appends to is not what it will be, and one it appended to has elements nobody can name."""
        if self.growing and id(container) in self.growing:
            self.refuse("loop", "a list that a loop both reads and appends to")
        if self.has_stretches and type(container) in LISTS and stretches(self.held(container)):
            self.refuse("loop", "an element of a list that a loop appended to as often as the program decided")

    def held(self, container: Any) -> Sequence[Any]:
        """The elements of a list that this trace put there."""
        if self.is_created(container):
            return container
        box = self.journal.box(container)
        if not isinstance(box, ListBox):
            return ()
        return box.appended if box.contents is None else box.contents

    def stretched(self, stretch: Stretch) -> Stretch:
        """Lists may hold ``stretch`` from now on."""
        self.has_stretches = True
        return stretch

    def guard(self, path: Path, kind: str, expected: Any) -> None:
        """The trace holds only while this does; see `guards` for the kinds."""
        if path.is_constant and kind in ("eq", "type", "is", "func", "same", "tensor"):
            return
        try:
            key = (path, kind, type(expected), expected)
            seen = key in self._guarded
        except TypeError:  # unhashable: the object stands for itself
            key = (path, kind, id(expected))
            seen = key in self._guarded
        if not seen:
            self._guarded.add(key)
            self.guards.append(Guard(path, kind, expected))
            self.guard_lines.append(_traced_line())

    def adopt(self, value: Any) -> Any:
        """Mark a mutable object as made by this trace; gives it back, or what stands for it: an iterator's position."""
        if id(value) in self._created:
            return value
        if is_iterator(value) and python_function(type(value), "__next__") is None:
            value = TracedIterator(value)
        self._created[id(value)] = len(self._kept)
        self._kept.append(value)
        if not isinstance(value, _FIXED):
            self.created_objects.append(value)
        return value

    def iterators(self) -> list[TracedIterator]:
        """The iterators that this trace made."""
        return [x for x in self.created_objects if type(x) is TracedIterator]

    def adopt_result(self, value: Any) -> Any:
        """What a native call returned: every object in it that was not known is new."""
        if type(value) in (int, float, bool, str) or value is None:
            return value
        if id(value) in self._origins or id(value) in self._created:
            return value
        if self.recorder.is_tensor(value) or is_plain(value) or isinstance(value, IDENTITIES):
            return value
        if isinstance(value, types.FunctionType | types.MethodType):
            return value
        value = self.adopt(value)
        if isinstance(value, (list, tuple)):
            for element in value:
                self.adopt_result(element)
        elif isinstance(value, dict):
            for element in value.values():
                self.adopt_result(element)
        return value

    def adopt_array(self, value: Any) -> Any:
        """The result of an operator: a NumPy array is new, everything else looks after itself."""
        return self.adopt(value) if type(value) is np.ndarray else value

    def is_created(self, value: Any) -> bool:
        """Whether the object was made by this trace, so that writes to it are nobody else's concern."""
        if id(value) in self._created:
            return True
        if isinstance(value, tuple):  # displays of tuples are not adopted one by one
            return id(value) not in self._origins
        return isinstance(value, types.FunctionType) and is_rewritten(value.__code__)

    def serial(self) -> int:
        """Objects made from now on have this serial number or a higher one."""
        return len(self._kept)

    def made_since(self, value: Any, serial: int) -> bool:
        """Whether this trace made the object, and not before its ``serial()`` was this."""
        return self._created.get(id(value), -1) >= serial

    def origin(self, value: Any) -> Path | None:
        """The path that the object was read at, if it was read."""
        return self._origins.get(id(value))

    def path_of(self, value: Any) -> Path | None:
        """Where the object is found at each call; None for what this trace made.

        A stored object that no path led to (it came out of a native call) is a constant.
        """
        path = self._origins.get(id(value))
        if path is not None:
            return path
        if self.is_created(value) or self.recorder.is_traced(value):
            return None
        return self.remember(value, paths.const(value))

    def identity(self, value: Any) -> int:
        """``id(value)`` of a stored object, which must be the same one at each call."""
        path = None if isinstance(value, RuntimeScalar) else self.path_of(value)
        if path is None:
            self.refuse("effect", "id() of what the function computes or makes differs from call to call")
        if path.is_of_argument and path in self._dynamic:
            self.refuse("effect", f"id() of {path}, which is another object from call to call")
        self.guard(path, "is", value)
        return id(value)

    def remember(self, value: Any, path: Path) -> Path:
        """From now on the stored object ``value`` is found at ``path``."""
        self._origins[id(value)] = path
        self._kept.append(value)
        return path

    def known(self) -> list[tuple[Any, Path]]:
        """The stored objects read so far, with their paths."""
        return [(value, self._origins[id(value)]) for value in self._kept if id(value) in self._origins]

    def read(self, path: Path | None, value: Any) -> Any:
        """``value`` was found at ``path``: guard what it is, give what stands for it in the trace."""
        if path is None or path.is_constant:
            return value
        kind = type(value)
        if (kind is float and self.stages_floats) or (kind is int and path in self._dynamic):
            return self._scalar(path, value)
        if is_plain(value) and path not in self._dynamic_bases:
            self.guard(path, "eq", value)
            return value
        if id(value) in self._created:
            return value
        known = self._origins.get(id(value))
        if known is not None:
            if known != path:
                self.guard(path, *(("is", value) if known.is_constant else ("same", known)))
            return value
        self._read_object(path, value)
        return value

    def _scalar(self, path: Path, value: int | float) -> RuntimeScalar:
        scalar = self._scalars.get(path)
        if scalar is None:
            self.guard(path, "type", type(value))
            scalar = self._scalars[path] = RuntimeScalar(self, path, value)
        return scalar

    def _read_object(self, path: Path, value: Any) -> None:
        recorder = self.recorder
        if recorder.is_tensor(value):
            self.remember(value, path)
            self.guard(path, "tensor", recorder.tensor_key(value))
        elif isinstance(value, IDENTITIES) or (callable(value) and recorder.is_internal(value)):
            # A function of the library has no parts that a trace would look at.
            self.guard(path, "is", value)
            self.remember(value, paths.const(value))
        elif recorder.is_constant(value):
            self.remember(value, paths.const(value))
            self.guard(path, "eq", value)
        elif type(value) is types.FunctionType:
            self.remember(value, path)
            self.guard(path, "func", FunctionKey.of(value))
        else:
            self.remember(value, path)
            self.guard(path, "type", type(value))

    def read_attribute(self, target: Any, name: str) -> Any:
        """A plain attribute (slot, cell, ``tensor.grad``): as written by this trace, else as stored.

        AttributeError or ValueError if it has no value.
        """
        written = self.journal.attribute(target, name)
        if written is not MISSING:
            return written
        path = self.path_of(target)
        try:
            value = getattr(target, name)
        except AttributeError:
            if path is not None:
                self.guard(path, "noattr", name)
            raise
        return value if path is None else self.read(paths.attr(path, name), value)

    def write_attribute(self, target: Any, name: str, value: Any) -> None:
        """Journal ``target.name = value``; of an object that this trace made it is done at once."""
        if self.is_created(target):
            setattr(target, name, value)
            return
        self.path_of(target)
        self.journal.set_attribute(target, name, value)

    def concretize(self, value: Any, why: str) -> Any:
        """The Python value of a scalar or of something traced, guarded; `Refuse` if it has none."""
        if type(value) is RuntimeScalar:
            return value.concrete(why)
        if self.recorder.is_traced(value) or self.recorder.is_tensor(value):
            return self.recorder.concretize(value, why)
        return value

    def python_type(self, value: Any) -> type:
        """The class that plain Python sees in ``value``."""
        if type(value) is RuntimeScalar:
            return value.python_type
        if type(value) is LateText:
            return str
        return self.recorder.python_type(value) if self.recorder.is_traced(value) else type(value)

    def refuse_stored_iterator(self, value: Any) -> None:
        """An iterator from outside has a position that cannot be put back."""
        if is_iterator(value) and self.origin(value) is not None:
            self.refuse("iterator", f"advancing a {type(value).__name__} that existed before the call")


def _traced_line() -> tuple[str, int] | None:
    """File and line of the innermost function that is traced, if it is the user's.

    `user_location` would go on to the user's own line, which takes as long as the rest of reading with a guard.
    """
    frame = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if is_rewritten(code):
            return None if is_internal(code) else (code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def _bases(dynamic: frozenset[Path]) -> set[Path]:
    """The tuples that hold run-time scalars, at whatever depth: they are not guarded as wholes."""
    bases: set[Path] = set()
    for path in dynamic:
        while path.kind == "item":
            path = path.base
            bases.add(path)
    return bases
