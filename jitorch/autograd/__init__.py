"""Automatic differentiation beyond ``Tensor.backward``."""

from jitorch.autograd import functional
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

__all__ = [
    "Function",
    "FunctionCtx",
    "GradcheckError",
    "Variable",
    "backward",
    "enable_grad",
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
