"""Single steps of recurrent networks as layers."""

from __future__ import annotations

import math
from typing import Any

import jitorch
from jitorch.errors import ShapeError
from jitorch.nn import functional as F
from jitorch.nn import init
from jitorch.nn.initial import blank
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.nn.recurrent_steps import gru_step, lstm_step, nonlinearity_of, rnn_step
from jitorch.tensor import Tensor


class _Cell(Module):
    gates = 1
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(blank(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(blank(rows, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(blank(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again: uniform within ``1 / sqrt(hidden_size)``."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _start(self, input: Tensor, state: tuple[Tensor, ...] | None, count: int) -> tuple[Tensor, ...]:
        """What the input gives to the gates, and the state, zero if not given."""
        if input.ndim not in (1, 2):
            name = self._get_name()
            raise ShapeError(f"{name}: expected input of 1 or 2 axes", expected="1 or 2 axes", actual=input.shape)
        gates = F.linear(input, self.weight_ih, self.bias_ih)
        if state is None:
            shape = (*input.shape[:-1], self.hidden_size)
            state = (jitorch.zeros(shape, dtype=input.dtype, device=input.device),) * count
        return (gates, *state)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(_Cell):
    """One step of `RNN`: x (N, input_size) or (input_size), state and result (N, hidden_size)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ):
        nonlinearity_of(nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        gates, h = self._start(input, None if hx is None else (hx,), 1)
        return rnn_step(gates, h, self.weight_hh, self.bias_hh, self.nonlinearity)

    def extra_repr(self) -> str:
        shown = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + shown


class LSTMCell(_Cell):
    """One step of `LSTM`: x (N, input_size) or (input_size), state and result a pair (h, c) of (N, hidden_size)."""

    gates = 4

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        gates, h, c = self._start(input, hx, 2)
        return lstm_step(gates, h, c, self.weight_hh, self.bias_hh)


class GRUCell(_Cell):
    """One step of `GRU`: x (N, input_size) or (input_size), h (N, hidden_size)."""

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        gates, h = self._start(input, None if hx is None else (hx,), 1)
        return gru_step(gates, h, self.weight_hh, self.bias_hh)
