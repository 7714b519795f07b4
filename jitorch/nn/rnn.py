"""The plain recurrent layer."""

from __future__ import annotations

from typing import Any

from jitorch.nn.recurrent import Recurrent, State
from jitorch.nn.recurrent_steps import nonlinearity_of, rnn_step
from jitorch.tensor import Tensor


class RNN(Recurrent):
    """``h = act(W_ih x + b_ih + W_hh h + b_hh)`` over time, ``act`` tanh or relu.  Elman 1990.

    Shapes: input (L, N, input_size), (N, L, input_size) with ``batch_first``, or (L, input_size); output the same with
    D * hidden_size last, state (D * num_layers, N, hidden_size), D being 2 if ``bidirectional``.  The state starts at
    zero if not given.  ``dropout`` acts between layers.  Packed sequences are not supported.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        nonlinearity_of(nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity

    def step(self, gates: Tensor, state: State, weight: Tensor, bias: Tensor | None, projection: Any) -> State:
        return (rnn_step(gates, state[0], weight, bias, self.nonlinearity),)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Output and the last state."""
        output, (h,) = self._run(input, None if hx is None else (hx,))
        return output, h
