"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jitorch
from jitorch.errors import ValueRangeError
from jitorch.ops.optimizer_updates import sgd_update
from jitorch.optim.optimizer import Optimizer, Params, check_differentiable, check_options
from jitorch.tensor import Tensor


class SGD(Optimizer):
    """Gradient descent with momentum: ``buffer = momentum * buffer + (1 - dampening) * grad; p -= lr * buffer``.

    Nesterov's form moves by ``grad + momentum * buffer``.  ``weight_decay`` adds that much of ``p`` to the gradient,
    ``maximize`` turns it round.  Buffers start as zeros, which gives PyTorch's first step (``buffer = grad``) exactly;
    only with ``dampening`` the first step makes them.  ``foreach`` and ``fused`` are PyTorch's and have no effect.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        check_options(lr=(lr, 0, math.inf), momentum=(momentum, 0, math.inf), weight_decay=(weight_decay, 0, math.inf))
        check_differentiable(differentiable)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueRangeError(
                "Nesterov momentum requires a momentum and zero dampening",
                expected="momentum > 0, dampening == 0",
                actual=f"momentum={momentum}, dampening={dampening}",
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def init_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if group["momentum"] == 0 or group["dampening"] != 0:
            return {}
        return {"momentum_buffer": jitorch.zeros_like(parameter.detach())}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with jitorch.enable_grad():
                loss = closure()
        with jitorch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        _update(parameter, parameter.grad, self.state[parameter], group)
        return loss


def _update(parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    momentum = group["momentum"]
    weight_decay = group["weight_decay"]
    buffer = state.get("momentum_buffer") if momentum != 0 else None
    if momentum != 0 and buffer is None:
        _first_update(parameter, grad, state, group)
        return
    new = sgd_update(
        parameter,
        grad,
        buffer,
        group["lr"],
        momentum,
        group["dampening"],
        weight_decay if weight_decay != 0 else None,
        nesterov=bool(group["nesterov"]),
        maximize=bool(group["maximize"]),
    )
    if buffer is None:
        parameter.copy_(new)
        return
    parameter.copy_(new[0])
    buffer.copy_(new[1])


def _first_update(parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """The step that makes the buffer: the whole gradient, without dampening."""
    if group["maximize"]:
        grad = -grad
    if group["weight_decay"] != 0:
        grad = grad + parameter * group["weight_decay"]
    buffer = state["momentum_buffer"] = grad.clone()
    parameter.sub_((grad + buffer * group["momentum"] if group["nesterov"] else buffer) * group["lr"])
