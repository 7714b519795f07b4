"""Adam with decoupled weight decay."""

from __future__ import annotations

from jitorch.optim.adam import Adam
from jitorch.optim.optimizer import Params
from jitorch.tensor import Tensor


class AdamW(Adam):
    """`Adam` whose ``weight_decay`` shrinks the parameters directly, by ``lr * weight_decay`` a step.

    Loshchilov and Hutter 2017.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
