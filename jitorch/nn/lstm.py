"""Long short-term memory."""

from __future__ import annotations

from typing import Any

from jitorch.nn import functional as F
from jitorch.nn.recurrent import Recurrent, State
from jitorch.nn.recurrent_steps import lstm_step
from jitorch.tensor import Tensor


class LSTM(Recurrent):
    """Long short-term memory, gates in the order input, forget, cell, output: Hochreiter and Schmidhuber 1997.

    Shapes and arguments are those of `RNN`; the state is a pair (h, c).  With ``proj_size`` the output h is multiplied
    by ``weight_hr`` (proj_size, hidden_size) at each step, and has that size: Sak et al. 2014.
    """

    gates = 4
    states = 2

    def step(self, gates: Tensor, state: State, weight: Tensor, bias: Tensor | None, projection: Any) -> State:
        h, c = lstm_step(gates, state[0], state[1], weight, bias)
        return (h if projection is None else F.linear(h, projection)), c

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Output, and the last state (h, c)."""
        output, (h, c) = self._run(input, hx)
        return output, (h, c)
