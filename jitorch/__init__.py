"""jitorch: PyTorch's programming model with a compiler, in pure Python."""

from importlib import import_module as _import_module
from typing import Any as _Any

from jitorch import dtypes as _dtypes
from jitorch.devices import Device as device
from jitorch.frontend.eager import Eager as _Eager
from jitorch.frontend.tape import Tape as _Tape
from jitorch.ops import PUBLIC as _PUBLIC
from jitorch.ops import dispatch as _dispatch
from jitorch.ops.generator import Generator
from jitorch.ops.generator import install_default as _install_default
from jitorch.tensor import Size, Tensor

_dispatch.install(_Tape(_Eager()))
default_generator = _install_default()

from jitorch.autograd.grad_mode import (  # noqa: E402
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

for _name, _entry in _PUBLIC.items():
    if "." not in _name and "torch" in _entry.places:
        globals()[_name] = _entry
for _d in _dtypes.ALL:
    globals()[_d.name] = _d

__all__ = [
    "Generator", "Size", "Tensor", "default_generator", "device", "enable_grad", "inference_mode", "is_grad_enabled",
    "no_grad", "set_grad_enabled",
]  # fmt: skip

_SUBMODULES = ("autograd", "backends", "jit", "nn", "onnx", "optim", "utils")
_LATE = {
    "compile": ("jitorch.jit", "jit"),
    "list_backends": ("jitorch.backends", "list_backends"),
    "register_backend": ("jitorch.backends", "register_backend"),
    "set_default_backend": ("jitorch.backends", "set_default_backend"),
}


def __getattr__(name: str) -> _Any:
    # Submodules and the compiler are imported when first used: `import jitorch` stays quick.
    if name in _SUBMODULES:
        return _import_module(f"jitorch.{name}")
    if name in _LATE:
        module, attribute = _LATE[name]
        return getattr(_import_module(module), attribute)
    raise AttributeError(f"module 'jitorch' has no attribute {name!r}")
from jitorch.devices import channels_last, channels_last_3d, contiguous_format, preserve_format, strided  # noqa
