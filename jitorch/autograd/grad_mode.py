"""Switches for recording: context managers that are decorators, too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from jitorch.errors import ArgumentError
from jitorch.ops import dispatch

F = TypeVar("F", bound=Callable[..., Any])

is_grad_enabled = dispatch.is_grad_enabled


class _Mode:
    """Sets whether operations are recorded, inside of a ``with`` block or a decorated function."""

    def __init__(self, enabled: bool):
        self.enabled = enabled
        self._tokens: list[Any] = []

    def __enter__(self) -> Any:
        self._tokens.append(dispatch.set_grad_enabled_flag(self.enabled))
        return self

    def __exit__(self, *exc: object) -> None:
        dispatch.reset_grad_enabled(self._tokens.pop())

    def __call__(self, function: F) -> F:
        enabled = self.enabled

        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            token = dispatch.set_grad_enabled_flag(enabled)
            try:
                return function(*args, **kwargs)
            finally:
                dispatch.reset_grad_enabled(token)

        return inner  # type: ignore[return-value]


class no_grad(_Mode):
    """Nothing is recorded: ``with no_grad():``, ``@no_grad()`` or ``@no_grad``."""

    def __new__(cls, function: Any = None) -> Any:
        return _Mode(False)(function) if callable(function) else super().__new__(cls)

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_Mode):
    """Operations are recorded again inside of `no_grad`."""

    def __new__(cls, function: Any = None) -> Any:
        return _Mode(True)(function) if callable(function) else super().__new__(cls)

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_Mode):
    """``set_grad_enabled(flag)`` sets the mode at once; as a context manager it is undone at the end."""

    def __init__(self, mode: bool):
        if not isinstance(mode, bool):
            raise ArgumentError("set_grad_enabled: expected a bool", actual=type(mode).__name__)
        super().__init__(mode)
        self._outer = dispatch.set_grad_enabled_flag(mode)

    def __enter__(self) -> Any:
        self._tokens.append(self._outer)
        return self

    def __call__(self, function: F) -> F:
        dispatch.reset_grad_enabled(self._outer)
        return super().__call__(function)


class inference_mode(_Mode):
    """As `no_grad`; results are ordinary tensors and may be used in recorded operations later."""

    def __new__(cls, mode: Any = True) -> Any:
        return _Mode(False)(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True):
        super().__init__(not mode)


def is_inference_mode_enabled() -> bool:
    """Always False: `inference_mode` is `no_grad`."""
    return False
