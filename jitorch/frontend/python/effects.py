"""Effects that are seen outside: `print` and `logging`, made after the program has run, in the order of the source.

What such a call shows is kept as it is at that moment: text as text, a tensor as a copy that the program computes.
It is a tree of constants in which a `Slot` stands for a value of the program: when branches join, an effect gets a
condition, and only those values have to be joined.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from jitorch.errors import is_internal
from jitorch.frontend.python.calls import Calls, handles
from jitorch.frontend.python.journal import Effect
from jitorch.frontend.python.late_text import LateText
from jitorch.frontend.python.scalars import RuntimeScalar
from jitorch.frontend.python.values import DICTS, LISTS, is_plain


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the values of an effect; ``show`` makes of a result what is shown, None: it is shown itself."""

    number: int
    show: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An object from outside."""

    value: Any


@dataclass(frozen=True, slots=True)
class Group:
    """A container: what ``kind`` makes of its parts, which are pairs of a dict."""

    kind: type
    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Strings and (slot, specification, conversion), joined."""

    parts: tuple[Any, ...]


class Verbatim(tuple):
    """Text that is its own `repr`: that of an object in a container."""

    def __repr__(self) -> str:
        return str(self[0])


class Showing:
    """Makes the trees of one effect; ``values`` are what the program computes for it."""

    def __init__(self, trace: Calls):
        self.trace = trace
        self.values: list[Any] = []

    def tree(self, value: Any, inner: bool = False) -> Any:
        """What is shown of ``value`` now; ``inner``: by its `repr`, in a container."""
        trace = self.trace
        if type(value) is RuntimeScalar:
            return self._slot(value)
        if trace.recorder.is_tensor(value) or trace.recorder.is_traced(value):
            return self._slot(*trace.recorder.snapshot(value))
        if isinstance(value, LateText):
            parts = (
                p if isinstance(p, str) else (self._slot(p.value, p.show), p.spec, p.conversion) for p in value.parts
            )
            return Text(tuple(parts))
        if is_plain(value) or isinstance(value, type) or trace.recorder.is_constant(value):
            return value
        if type(value) in LISTS or type(value) is tuple:
            return Group(type(value), tuple(self.tree(x, True) for x in trace.contents(value)))
        if type(value) in DICTS:
            pairs = trace.contents(value).items()
            return Group(type(value), tuple((self.tree(k, True), self.tree(v, True)) for k, v in pairs))
        found = self.tree(trace.text(value, "__repr__" if inner else "__str__"))
        return Group(Verbatim, (found,)) if inner else found

    def _slot(self, value: Any, show: Callable[[Any], Any] | None = None) -> Slot:
        self.values.append(value)
        return Slot(len(self.values) - 1, show)


@handles(print)
def _print(trace: Calls, *values: Any, file: Any = None, flush: Any = False, **settings: Any) -> None:
    keywords = {name: trace.formattable(value) for name, value in settings.items()}
    keywords["flush"] = trace.test(flush)
    if file is not None:
        keywords["file"] = Stored(file)
    showing = Showing(trace)
    trees = tuple(map(showing.tree, values))
    trace.journal.effects.append(Effect(print, trees, keywords, tuple(showing.values)))


# -- logging


def emit(logger: Any, level: int, place: tuple[str, int, str], message: Any, args: tuple[Any, ...], extra: Any) -> None:
    """What ``logger.log(level, message, *args, extra=extra)`` does at the ``place`` of the traced call."""
    if logger is logging.root and not logger.handlers:
        logging.basicConfig()
    if logger.isEnabledFor(level):
        file, line, function = place
        logger.handle(logger.makeRecord(logger.name, level, file, line, message, args, None, function, extra))


def _log(trace: Calls, logger: Any, level: Any, message: Any, *args: Any, extra: Any = None, **settings: Any) -> None:
    if settings.pop("stacklevel", 1) != 1 or any(settings.values()):
        trace.refuse("effect", "a logging call with exc_info, stack_info or stacklevel")
    showing = Showing(trace)
    trees = (showing.tree(message), Group(tuple, tuple(map(showing.tree, args))), showing.tree(extra))
    fixed = (Stored(logger), trace.concretize(level, "a logging level"), Group(tuple, _place()))
    trace.journal.effects.append(Effect(emit, (*fixed, *trees), {}, tuple(showing.values)))


def _place() -> tuple[str, int, str]:
    """File, line and function of the user's code that is being traced."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code):
        frame = frame.f_back
    return ("", 0, "") if frame is None else (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _register(name: str, level: int) -> None:
    @handles(getattr(logging.Logger, name))
    def method(trace: Calls, logger: Any, message: Any, *args: Any, **settings: Any) -> None:
        _log(trace, logger, level, message, *args, **settings)

    @handles(getattr(logging, name))
    def function(trace: Calls, message: Any, *args: Any, **settings: Any) -> None:
        _log(trace, logging.root, level, message, *args, **settings)


for _name in ("debug", "info", "warning", "error", "critical"):
    _register(_name, getattr(logging, _name.upper()))


@handles(logging.Logger.log)
def _log_at(trace: Calls, logger: Any, level: Any, message: Any, *args: Any, **settings: Any) -> None:
    _log(trace, logger, level, message, *args, **settings)


@handles(logging.getLogger)
def _get_logger(trace: Calls, name: Any = None) -> Any:
    return logging.getLogger(trace.formattable(name))
