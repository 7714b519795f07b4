"""What of the process and the context a trace depends on, and the switch that turns compiled functions off."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from jitorch import dtypes
from jitorch.backends import registry
from jitorch.ops import dispatch

Modes = tuple[Any, ...]

disabled: ContextVar[bool] = ContextVar("jit_disabled", default=False)
"""Whether compiled functions run eagerly here."""


def modes() -> Modes:
    """Global state that a trace depends on: gradients enabled, default dtype, default backend."""
    return dispatch.is_grad_enabled(), dtypes.get_default(), registry.default_backend()


class disable:
    """``with jit.disable():`` compiled functions called in this block, by this thread, run eagerly."""

    def __enter__(self) -> None:
        self._token = disabled.set(True)

    def __exit__(self, *exc: object) -> None:
        disabled.reset(self._token)
