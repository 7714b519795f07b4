"""What optimisers do to one parameter: an op each, so that a model's update is as many nodes as it has parameters.

The gradient comes in, new values of the parameter and of its state go out; the optimiser writes them.
"""

from __future__ import annotations

from typing import Any

from jitorch import dtypes
from jitorch.ops.elementary import sqrt
from jitorch.ops.registry import Sample, op
from jitorch.ops.structure import cast

Tensor = Operand = Any


@op(places=())
def sgd_update(
    parameter: Tensor,
    grad: Tensor,
    buffer: Tensor | None,
    lr: Operand,
    momentum: Operand,
    dampening: Operand,
    weight_decay: Operand | None,
    *,
    nesterov: bool,
    maximize: bool,
) -> Tensor | tuple[Tensor, Tensor]:
    """The new ``parameter`` and, with a momentum ``buffer``, that: `jitorch.optim.SGD`."""
    grad = -grad if maximize else grad
    if weight_decay is not None:
        grad = grad + parameter * weight_decay
    if buffer is None:
        return parameter - grad * lr
    buffer = buffer * momentum + grad * (1 - dampening)
    grad = grad + buffer * momentum if nesterov else buffer
    return parameter - grad * lr, buffer


@sgd_update.samples
def _(rng):
    p, g, b = (rng.normal(size=(2, 3)) for _ in range(3))
    yield Sample(p, g, None, 0.1, 0.0, 0.0, None, nesterov=False, maximize=False)
    yield Sample(p, g, b, 0.1, 0.9, 0.1, 0.01, nesterov=False, maximize=True)
    yield Sample(p, g, b, 0.1, 0.9, 0.0, 0.01, nesterov=True, maximize=False)


@op(places=())
def adam_update(
    parameter: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    largest: Tensor | None,
    step: Tensor,
    lr: Operand,
    beta1: Operand,
    beta2: Operand,
    eps: Operand,
    weight_decay: Operand | None,
    *,
    decoupled: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """The new ``parameter, mean, square, step`` and, with amsgrad, ``largest``: `jitorch.optim.Adam`."""
    grad = -grad if maximize else grad
    if weight_decay is not None:
        if decoupled:
            parameter = parameter * (1 - lr * weight_decay)
        else:
            grad = grad + parameter * weight_decay
    step = step + 1
    mean = mean + (grad - mean) * (1 - beta1)
    square = square * beta2 + grad * grad * (1 - beta2)
    # In double precision: in single, 1 - 0.999 ** step has hardly four right digits at first.
    steps = cast(step, dtype=dtypes.float64)
    correction1 = 1 - beta1**steps
    correction2 = 1 - beta2**steps
    seen = square
    if largest is not None:
        seen = largest = largest.maximum(square)
    denominator = sqrt(seen) / sqrt(correction2) + eps
    parameter = parameter - mean / denominator * (lr / correction1)
    return (parameter, mean, square, step) if largest is None else (parameter, mean, square, step, largest)


@adam_update.samples
def _(rng):
    p, g, mean = (rng.normal(size=(2, 3)) for _ in range(3))
    square, largest, step = (rng.uniform(1, 2, size=shape) for shape in ((2, 3), (2, 3), ()))
    rates = 0.1, 0.9, 0.99, 1e-3
    yield Sample(p, g, mean, square, None, step, *rates, None, decoupled=False, maximize=False)
    yield Sample(p, g, mean, square, largest, step, *rates, 0.01, decoupled=False, maximize=True)
    yield Sample(p, g, mean, square, None, step, *rates, 0.01, decoupled=True, maximize=False)
