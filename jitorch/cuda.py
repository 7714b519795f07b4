"""``torch.cuda``, for programs that ask before they use it: no tensor can be on a GPU.

The cuda backend compiles kernels (see `jitorch.backends.cuda`); it does not run them.
"""

from __future__ import annotations

from typing import Any

from jitorch import devices
from jitorch.errors import DeviceError


def is_available() -> bool:
    """Whether tensors can be on a GPU: False."""
    return False


def device_count() -> int:
    """How many GPUs tensors can be on: 0."""
    return 0


def is_bf16_supported() -> bool:
    """Whether a GPU computes in bfloat16: False."""
    return False


def is_initialized() -> bool:
    """Whether a GPU is in use: False."""
    return False


def empty_cache() -> None:
    """Free unused memory of GPUs, of which there is none."""


def manual_seed(seed: int) -> None:
    """Seed the generator of the current GPU, of which there is none."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all GPUs, of which there is none."""


def _no_gpu(device: Any = None) -> DeviceError:
    return DeviceError(
        "no GPU can hold tensors", expected="cpu", actual="cuda" if device is None else str(device),
        hint="ask jitorch.cuda.is_available() first",
    )  # fmt: skip


def synchronize(device: Any = None) -> None:
    """Wait for a GPU: an error."""
    raise _no_gpu(device)


def set_device(device: Any) -> None:
    """Choose a GPU: an error, unless ``device`` is the CPU."""
    devices.check(f"cuda:{device}" if isinstance(device, int) else device)


def current_device() -> int:
    """The number of the current GPU: an error."""
    raise _no_gpu()


def get_device_name(device: Any = None) -> str:
    """The name of a GPU: an error."""
    raise _no_gpu(device)


def get_device_properties(device: Any = None) -> Any:
    """What a GPU can do: an error."""
    raise _no_gpu(device)
