"""Which interpreter runs an op now.

An interpreter gives meaning to an op call: eager runs it, a graph builder appends a node, the tape
records what backward needs and passes on.  The slot is context-local, so threads and tasks do not
disturb each other; `install` sets what runs where nothing else was entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from jitorch.errors import CompilerBug
from jitorch.ir.op import Op


class Interpreter(Protocol):
    """What an op call needs.  Operands are tensors, Python numbers, run-time numbers or None."""

    def apply(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """Run ``op``; returns a tensor, or a tuple for an op with several results."""
        ...

    def from_array(self, array: Any) -> Any:
        """A new tensor that holds ``array`` (NumPy); eager takes the array itself, a graph a copy as a constant."""
        ...

    def write(self, target: Any, value: Any) -> None:
        """Replace the contents of tensor ``target``; ``value`` has its dtype and shape."""
        ...

    def version(self, tensor: Any) -> int:
        """How often the memory of ``tensor`` was written."""
        ...

    def concretize(self, value: Any, why: str) -> Any:
        """The Python number or array behind ``value``, where there is one; ``why`` is for the refusal."""
        ...

    def binds_size(self, data: Any, why: str) -> bool:
        """Whether a size that depends on tensor ``data`` is bound when a program runs, as ``data`` is not known now."""
        ...

    def detach(self, tensor: Any) -> Any:
        """A tensor over the same memory, without history."""
        ...

    def alter(self, tensor: Any, what: str) -> None:
        """Called before flags, hooks or history of ``tensor`` (not its contents) change; a trace may refuse."""
        ...

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a user's function, such as a hook; a trace runs it like the rest of the user's code."""
        ...

    def get_grad(self, tensor: Any) -> Any:
        """``tensor.grad``"""
        ...

    def set_grad(self, tensor: Any, grad: Any) -> None:
        """``tensor.grad = grad``"""
        ...


_slot: ContextVar[Interpreter] = ContextVar("interpreter")
_installed: list[Interpreter] = []

Shortcut = Callable[[Op, tuple[Any, ...]], Any]
_shortcut: list[Shortcut] = []


InPlace = Callable[[Any, Any, tuple[Any, ...]], bool]
_in_place: list[InPlace] = []


def install(interpreter: Interpreter, shortcut: Shortcut | None = None, in_place: InPlace | None = None) -> None:
    """Set the interpreter of every context that entered none.

    ``shortcut(op, args)`` does for plain operands what ``interpreter`` does for all; for others it
    returns NotImplemented.  ``in_place(entry, target, args)`` does so for an in-place method, and says whether it did.
    """
    _installed[:] = [interpreter]
    _shortcut[:] = [] if shortcut is None else [shortcut]
    _in_place[:] = [] if in_place is None else [in_place]


def shortcut(op: Op, args: tuple[Any, ...]) -> Any:
    """The result of ``op`` by the short way, or NotImplemented: its operands are not plain, or a trace is on."""
    if _slot.get(None) is not None or not _shortcut:
        return NotImplemented
    return _shortcut[0](op, args)


def in_place(entry: Any, target: Any, args: tuple[Any, ...]) -> bool:
    """Whether ``target`` now holds ``entry(target, *args)``, by the short way; otherwise nothing was done."""
    return bool(_in_place) and _slot.get(None) is None and _in_place[0](entry, target, args)


def installed() -> Interpreter:
    """The interpreter of contexts that entered none: it runs ops at once."""
    if not _installed:
        raise CompilerBug("no interpreter is installed; import jitorch, not a part of it")
    return _installed[0]


def current() -> Interpreter:
    interpreter = _slot.get(None)
    return installed() if interpreter is None else interpreter


def entered() -> Interpreter | None:
    """The interpreter that this context entered; None where the installed one runs ops at once."""
    return _slot.get(None)


def is_plain() -> bool:
    """Whether no interpreter was entered here: ops run at once, and are recorded where they need be."""
    return _slot.get(None) is None


def enter(interpreter: Interpreter) -> Any:
    """Run op calls by ``interpreter`` from now on; returns the token that `leave` undoes it with."""
    return _slot.set(interpreter)


def leave(token: Any) -> None:
    _slot.reset(token)


@contextmanager
def interpreting(interpreter: Interpreter) -> Iterator[None]:
    """Run op calls in this block by ``interpreter``."""
    token = enter(interpreter)
    try:
        yield
    finally:
        leave(token)


_grad_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded."""
    return _grad_enabled.get()


def set_grad_enabled_flag(enabled: bool) -> Any:
    """Switch recording; returns the token that `reset_grad_enabled` undoes it with."""
    return _grad_enabled.set(enabled)


def reset_grad_enabled(token: Any) -> None:
    _grad_enabled.reset(token)


entered_variable, grad_variable = _slot, _grad_enabled
"""The context variables behind `entered` and `is_grad_enabled`, for machine code that reads them."""
