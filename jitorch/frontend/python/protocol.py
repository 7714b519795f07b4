"""The protocol object: what ``_jt`` is in rewritten code.

`Trace` is the whole of one trace; `Frame` is the trace seen from one function, which adds the
variables of its closure and globals.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any, NoReturn

from jitorch.frontend.python import builtins, effects, paths, stdlib
from jitorch.frontend.python.journal import MISSING, DictBox
from jitorch.frontend.python.matching import Matching
from jitorch.frontend.python.recorder import Refuse

# Importing these registers their handlers with `calls`.
HANDLER_MODULES = (builtins, effects, stdlib)


def is_unbound(cell: types.CellType) -> bool:
    """Whether a variable of a closure has no value."""
    try:
        return cell.cell_contents is MISSING
    except ValueError:
        return True


_IS_UNBOUND = paths.operation(is_unbound)


class Trace(Matching):
    """One run of a user's function: all of reads, journal, operators and calls."""

    def frame(self, function: types.FunctionType) -> Frame:
        return Frame(self, function)

    def super(self, kind: type, instance: Any) -> Any:
        """``super()``: attributes of it are looked up by `attribute`."""
        return super(kind, instance)  # pyright: ignore[reportArgumentType]

    def context(self, manager: Any) -> Any:
        """What a ``with`` statement enters: its methods under the protocol, a refusal not swallowed."""
        kind = type(manager)
        if self.recorder.is_internal(kind):
            return manager
        for name in ("__enter__", "__exit__"):
            if not self.defines(kind, name):
                raise TypeError(f"{kind.__name__!r} object does not support the context manager protocol")
            if self.special(kind, name) is None:
                self.refuse("object", f"a with statement over a {kind.__name__}")
        return _Context(self, manager)

    def load_module(self, name: str, top: bool) -> Any:
        """``import name``; with ``top`` the name that is bound is that of the top package."""
        if name not in sys.modules:
            self.refuse("effect", f"the first import of {name}")
        found = name.partition(".")[0] if top else name
        modules = paths.attr(paths.const(sys), "modules")
        return self.read(paths.item(modules, found), sys.modules[found])


class _Context:
    def __init__(self, trace: Trace, manager: Any):
        self.trace, self.manager = trace, manager

    def __enter__(self) -> Any:
        return self.trace.call(self.trace.user_method(self.manager, "__enter__"), self.manager)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        if kind is not None and issubclass(kind, Refuse):
            return False
        leave = self.trace.user_method(self.manager, "__exit__")
        return self.trace.test(self.trace.call(leave, self.manager, kind, error, traceback))


class Frame:
    """``_jt`` inside of ``function``: the trace, and the function's own variables."""

    Refuse = Refuse

    def __init__(self, trace: Trace, function: types.FunctionType):
        self._trace, self._function = trace, function

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._trace, name)
        self.__dict__[name] = method  # found at once the next time
        return method

    def refuse(self, why: str) -> NoReturn:
        """What the rewriter found and no trace takes."""
        self._trace.refuse("syntax", why)

    def load_global(self, name: str) -> Any:
        """A global variable, or else a built-in; NameError if it is neither."""
        namespace = self._function.__globals__
        trace = self._trace
        box = trace.journal.box(namespace)
        path = trace.path_of(namespace) or paths.const(namespace)
        if isinstance(box, DictBox) and not box.from_base(name):
            value = box.written.get(name, MISSING)
            if value is not MISSING:
                return value
        elif name in namespace:
            return trace.read(paths.item(path, name), namespace[name])
        else:
            trace.guard(path, "lacks", name)
        found = self._function.__builtins__.get(name, MISSING)
        if found is MISSING:
            raise NameError(f"name {name!r} is not defined", name=name)
        return trace.read(paths.item(paths.const(self._function.__builtins__), name), found)

    def set_global(self, name: str, value: Any) -> Any:
        self._trace.dict_set(self._function.__globals__, name, value)
        return value

    def _cell(self, name: str) -> tuple[int, types.CellType]:
        index = self._function.__code__.co_freevars.index(name)
        closure = self._function.__closure__
        assert closure is not None
        return index, closure[index]

    def cell(self, name: str) -> Any:
        """A variable of the closure; NameError if it has no value."""
        index, cell = self._cell(name)
        trace = self._trace
        written = trace.journal.attribute(cell, "cell_contents")
        if written is not MISSING:
            return written
        try:
            value = cell.cell_contents
        except ValueError:
            place = trace.path_of(self._function)
            if place is not None:
                closure = paths.attr(place, "__closure__")
                trace.guard(paths.expression(_IS_UNBOUND, paths.item(closure, index)), "eq", True)
            text = f"cannot access free variable {name!r} where it is not associated with a value in enclosing scope"
            raise NameError(text, name=name) from None
        path = trace.path_of(self._function)
        return trace.read(path and paths.Path("cell", path, (index, name)), value)

    def set_cell(self, name: str, value: Any) -> Any:
        index, cell = self._cell(name)
        trace = self._trace
        path = trace.path_of(self._function)
        if path is not None and trace.origin(cell) is None:
            trace.remember(cell, paths.item(paths.attr(path, "__closure__"), index))
        trace.write_attribute(cell, "cell_contents", value)
        return value

    def load_from(self, module: str, level: int, name: str) -> Any:
        """``from module import name``"""
        package = self._function.__globals__.get("__package__") or ""
        full = importlib.util.resolve_name("." * level + module, package) if level else module
        found = self._trace.load_module(full, False)
        if hasattr(found, name):
            return self._trace.attribute(found, name)
        return self._trace.load_module(f"{full}.{name}", False)
