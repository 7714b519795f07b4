"""One step of each recurrent network, from what the input gives to the gates."""

from __future__ import annotations

from collections.abc import Callable

import jitorch
from jitorch.errors import ValueRangeError
from jitorch.nn import functional as F
from jitorch.tensor import Tensor


def nonlinearity_of(name: str) -> Callable[[Tensor], Tensor]:
    """``tanh`` or ``relu``; raises `ValueRangeError` for another."""
    functions = {"tanh": jitorch.tanh, "relu": F.relu}
    if name not in functions:
        raise ValueRangeError(f"unknown nonlinearity {name!r}", expected="tanh or relu", actual=name)
    return functions[name]


def rnn_step(gates: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None, nonlinearity: str) -> Tensor:
    """``act(gates + W h + b)``.  Elman 1990."""
    return nonlinearity_of(nonlinearity)(gates + F.linear(h, weight, bias))


def lstm_step(gates: Tensor, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Output and cell; gates in the order input, forget, cell, output.  Hochreiter and Schmidhuber 1997."""
    i, f, g, o = (gates + F.linear(h, weight, bias)).chunk(4, -1)
    c = jitorch.sigmoid(f) * c + jitorch.sigmoid(i) * jitorch.tanh(g)
    return jitorch.sigmoid(o) * jitorch.tanh(c), c


def gru_step(gates: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``(1 - z) * n + z * h``; gates in the order reset, update, new.  Cho et al. 2014, with the reset gate after
    the product, as PyTorch has it."""
    r, z, n = gates.chunk(3, -1)
    hr, hz, hn = F.linear(h, weight, bias).chunk(3, -1)
    z = jitorch.sigmoid(z + hz)
    n = jitorch.tanh(n + jitorch.sigmoid(r + hr) * hn)
    return n + z * (h - n)
