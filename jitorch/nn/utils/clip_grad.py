"""Clipping of gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable

import jitorch
from jitorch.errors import ValueRangeError
from jitorch.tensor import Tensor


def _as_list(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _norm(tensor: Tensor, norm_type: float) -> Tensor:
    if norm_type == 2.0:
        return (tensor * tensor).sum().sqrt()
    if norm_type == math.inf:
        return tensor.abs().max()
    if norm_type == 1.0:
        return tensor.abs().sum()
    return (tensor.abs() ** norm_type).sum() ** (1.0 / norm_type)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as if they were one vector, 0-d; ``norm_type`` may be ``inf``, ``foreach`` has no effect.

    ValueRangeError if ``error_if_nonfinite`` and the norm is not finite.
    """
    norm_type = float(norm_type)
    norms = [_norm(tensor, norm_type) for tensor in _as_list(tensors)]
    if not norms:
        return jitorch.tensor(0.0)
    total = _norm(jitorch.stack(norms), norm_type)
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise ValueRangeError(
            f"The total norm of order {norm_type} is non-finite, so it cannot be clipped",
            expected="a finite norm",
            actual=float(total),
            hint="pass error_if_nonfinite=False to clip anyway",
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply the gradients by ``max_norm / (total_norm + 1e-6)`` where that is below one, in place."""
    factor = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    with jitorch.no_grad():
        for parameter in _as_list(parameters):
            if parameter.grad is not None:
                parameter.grad.mul_(factor)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients down, in place, so that their total norm is at most ``max_norm``; returns the norm before."""
    parameters = _as_list(parameters)
    with jitorch.no_grad():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        total = get_total_norm(gradients, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clamp every element of the gradients to ``[-clip_value, clip_value]``, in place."""
    bound = float(clip_value)
    with jitorch.no_grad():
        for parameter in _as_list(parameters):
            if parameter.grad is not None:
                parameter.grad.clamp_(min=-bound, max=bound)
