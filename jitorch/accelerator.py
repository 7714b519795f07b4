"""``torch.accelerator``, for programs that ask before they use one: tensors are on the CPU."""

from __future__ import annotations

from jitorch.devices import Device


def is_available() -> bool:
    """Whether tensors can be on an accelerator: False."""
    return False


def current_accelerator(check_available: bool = False) -> Device | None:
    """The accelerator in use: None."""
    return None


def device_count() -> int:
    """How many accelerators tensors can be on: 0."""
    return 0
