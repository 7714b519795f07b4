"""Adam: steps scaled by running moments of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jitorch
from jitorch.ops.optimizer_updates import adam_update
from jitorch.optim.optimizer import Optimizer, Params, check_differentiable, check_options
from jitorch.tensor import Tensor


class Adam(Optimizer):
    """``p -= lr * mean / (sqrt(square) + eps)``, with bias-corrected moments ``mean`` and ``square`` of the gradient.

    ``amsgrad`` divides by the largest ``square`` so far.  ``weight_decay`` adds that much of ``p`` to the gradient or,
    with ``decoupled_weight_decay``, shrinks ``p`` by ``lr * weight_decay`` (`AdamW`).  ``maximize`` turns the gradient
    round.
    Kingma and Ba 2014; Reddi et al. 2018 (amsgrad).

    The state of a parameter is ``step`` (float32, 0-d), ``exp_avg``, ``exp_avg_sq`` (and ``max_exp_avg_sq``), made when
    its group is added.  All of it is tensors that are updated in place, so no Python number changes from step to step.
    ``foreach``, ``capturable`` and ``fused`` are PyTorch's and have no effect.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ):
        check_options(lr=(lr, 0, math.inf), eps=(eps, 0, math.inf), weight_decay=(weight_decay, 0, math.inf))
        check_options(**{f"betas[{i}]": (beta, 0, 1) for i, beta in enumerate(betas)})
        check_differentiable(differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def init_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        like = parameter.detach()
        state = {
            "step": jitorch.zeros((), dtype=jitorch.float32, device=parameter.device),
            "exp_avg": jitorch.zeros_like(like),
            "exp_avg_sq": jitorch.zeros_like(like),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = jitorch.zeros_like(like)
        return state

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
    places = [parameter, state["exp_avg"], state["exp_avg_sq"], state["step"]]
    largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
    beta1, beta2 = group["betas"]
    weight_decay = group["weight_decay"]
    new = adam_update(
        parameter,
        grad,
        state["exp_avg"],
        state["exp_avg_sq"],
        largest,
        state["step"],
        group["lr"],
        beta1,
        beta2,
        group["eps"],
        weight_decay if weight_decay != 0 else None,
        decoupled=bool(group["decoupled_weight_decay"]),
        maximize=bool(group["maximize"]),
    )
    for place, value in zip(places if largest is None else [*places, largest], new, strict=True):
        place.copy_(value)
