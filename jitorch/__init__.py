"""jitorch: PyTorch's programming model with a compiler, in pure Python."""

from jitorch import dtypes as _dtypes
from jitorch.frontend.eager import Eager as _Eager
from jitorch.frontend.tape import Tape as _Tape
from jitorch.ops import PUBLIC as _PUBLIC
from jitorch.ops import dispatch as _dispatch
from jitorch.tensor import Size, Tensor

_dispatch.install(_Tape(_Eager()))

for _name, _entry in _PUBLIC.items():
    if "." not in _name:
        globals()[_name] = _entry
for _d in _dtypes.ALL:
    globals()[_d.name] = _d

__all__ = ["Size", "Tensor"]
