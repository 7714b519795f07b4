"""Automatic differentiation beyond ``Tensor.backward``."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from jitorch.autograd.engine import backward, grad
from jitorch.autograd.function import Function, FunctionCtx, once_differentiable
from jitorch.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from jitorch.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from jitorch.autograd.variable import Variable

if _TYPE_CHECKING:
    from jitorch.autograd import forward_ad, functional

__all__ = [
    "Function",
    "FunctionCtx",
    "GradcheckError",
    "Variable",
    "backward",
    "enable_grad",
    "forward_ad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
]

_SUBMODULES = ("forward_ad", "functional")


def __getattr__(name: str) -> _Any:
    # Transforms of functions are imported when first used: `import jitorch` stays quick.
    if name in _SUBMODULES:
        return _import_module(f"jitorch.autograd.{name}")
    raise AttributeError(f"module 'jitorch.autograd' has no attribute {name!r}")
