"""jitorch: PyTorch's programming model with a compiler, in pure Python."""

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
