"""Dual tensors: forward mode within a block of code.

    with dual_level():
        x = make_dual(primal, tangent)
        y = unpack_dual(f(x))

What is computed from dual tensors is to be unpacked inside of the block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jitorch.errors import AutogradError, ShapeError, UnsupportedError
from jitorch.frontend.eager.levels import ForwardLevel, current_level
from jitorch.frontend.eager.tape import Tape
from jitorch.frontend.trace import closing
from jitorch.ops import dispatch
from jitorch.passes.jvp import Dual
from jitorch.tensor import Tensor

__all__ = ["UnpackedDualTensor", "dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent, None if it has none."""

    primal: Tensor
    tangent: Tensor | None


class dual_level:
    """``with dual_level():`` tensors may have tangents in this block; blocks do not nest, as in PyTorch."""

    def __enter__(self) -> int:
        if isinstance(current_level(), ForwardLevel):
            raise AutogradError("dual_level: there is a level already", hint="nest jitorch.func.jvp instead")
        if closing.tracing() is not None:
            raise UnsupportedError("dual_level in a compiled function", hint="use jitorch.func.jvp")
        self._token = dispatch.enter(Tape(ForwardLevel()))
        return 0

    def __exit__(self, *exc: object) -> None:
        dispatch.leave(self._token)


def _level(name: str) -> ForwardLevel:
    level = current_level()
    if not isinstance(level, ForwardLevel):
        raise AutogradError(f"{name} outside of a level", hint="use it within `with forward_ad.dual_level():`")
    return level


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Any:
    """``tensor`` with a tangent, which has its type; no view of it."""
    found = _level("make_dual")
    if tensor.type != tangent.type:
        raise ShapeError("make_dual: a tangent has the type of its tensor", expected=tensor.type, actual=tangent.type)
    return found.wrap(Dual(found.value(tensor).primal, found.value(tangent).primal))


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor without its tangent, and the tangent."""
    value = _level("unpack_dual").value(tensor)
    return UnpackedDualTensor(value.primal, value.tangent)
