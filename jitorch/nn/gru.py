"""Gated recurrent units."""

from __future__ import annotations

from typing import Any

from jitorch.nn.recurrent import Recurrent, State
from jitorch.nn.recurrent_steps import gru_step
from jitorch.tensor import Tensor


class GRU(Recurrent):
    """Gated recurrent units, gates in the order reset, update, new: Cho et al. 2014.

    Shapes and arguments are those of `RNN`; ``bias_hh`` of the new gate is inside of the product with the reset gate.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def step(self, gates: Tensor, state: State, weight: Tensor, bias: Tensor | None, projection: Any) -> State:
        return (gru_step(gates, state[0], weight, bias),)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Output and the last state."""
        output, (h,) = self._run(input, None if hx is None else (hx,))
        return output, h
