"""What the recurrent layers share: weights by layer and direction, and the walk over time, layers and directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jitorch
from jitorch.errors import ArgumentError, ShapeError, ValueRangeError
from jitorch.nn import functional as F
from jitorch.nn import init
from jitorch.nn.initial import blank
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.tensor import Tensor

State = tuple[Tensor, ...]


class Recurrent(Module):
    """The common part of `RNN`, `LSTM` and `GRU`.

    The parameters of layer k are ``weight_ih_lk`` (gates * hidden_size, inputs), ``weight_hh_lk`` (gates * hidden_size,
    hidden_size), ``bias_ih_lk`` and ``bias_hh_lk``; those of the reverse direction end in ``_reverse``.  All start
    uniform within ``1 / sqrt(hidden_size)``.
    """

    gates = 1
    states = 1  # tensors in the state

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        _check_sizes(hidden_size, num_layers, dropout, proj_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        directions = 2 if bidirectional else 1
        width, rows = proj_size or hidden_size, self.gates * hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else width * directions
            for suffix in self._suffixes(layer):
                shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, width)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    values = Parameter(blank(*shape, device=device, dtype=dtype))
                    self.register_parameter(f"{name}_{suffix}", values)
        self.reset_parameters()

    def _suffixes(self, layer: int) -> tuple[str, ...]:
        """How the names of a layer's parameters end, one for each direction."""
        return (f"l{layer}", f"l{layer}_reverse") if self.bidirectional else (f"l{layer}",)

    def reset_parameters(self) -> None:
        """Draw the initial weights again."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do; PyTorch's name, for code that calls it."""

    def step(self, gates: Tensor, state: State, weight: Tensor, bias: Tensor | None, projection: Any) -> State:
        """The next state of one layer: ``gates`` is what the input gives, (N, gates * hidden_size)."""
        raise NotImplementedError

    def _run(self, input: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Output and last state; ``input`` and ``state`` may be without the batch axis."""
        if input.ndim not in (2, 3):
            name = self._get_name()
            raise ShapeError(f"{name}: expected input of 2 or 3 axes", expected="2 or 3 axes", actual=input.shape)
        batched = input.ndim == 3
        if not batched:
            input = input.unsqueeze(1)
            state = None if state is None else tuple(part.unsqueeze(1) for part in state)
        elif self.batch_first:
            input = input.transpose(0, 1)
        state = self._zero_state(input) if state is None else self._checked(state, input.shape[1])
        output, last = self._layers(input, state)
        if not batched:
            return output.squeeze(1), tuple(part.squeeze(1) for part in last)
        return output.transpose(0, 1) if self.batch_first else output, last

    def _widths(self) -> tuple[int, ...]:
        """The last axis of each tensor of the state: hidden, and the cell's."""
        return (self.proj_size or self.hidden_size, self.hidden_size)[: self.states]

    def _zero_state(self, input: Tensor) -> State:
        count = self.num_layers * (2 if self.bidirectional else 1)
        return tuple(
            jitorch.zeros((count, input.shape[1], width), dtype=input.dtype, device=input.device)
            for width in self._widths()
        )

    def _checked(self, state: Sequence[Tensor], batch: Any) -> State:
        count = self.num_layers * (2 if self.bidirectional else 1)
        for part, width in zip(state, self._widths(), strict=True):
            if tuple(part.shape) != (count, batch, width):
                raise ShapeError(
                    f"{self._get_name()}: state of the wrong shape", expected=(count, batch, width), actual=part.shape
                )
        return tuple(state)

    def _layers(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes(layer):
                start = tuple(part[len(last)] for part in state)
                output, end = self._direction(x, start, suffix)
                outputs.append(output)
                last.append(end)
            x = outputs[0] if len(outputs) == 1 else jitorch.cat(outputs, -1)
            if self.dropout and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(jitorch.stack(parts) for parts in zip(*last, strict=True))

    def _direction(self, x: Tensor, state: State, suffix: str) -> tuple[Tensor, State]:
        """One layer in one direction: all inputs (T, N, I) are multiplied at once, the states one after another."""
        weight = self.get_parameter(f"weight_hh_{suffix}")
        bias = self.get_parameter(f"bias_hh_{suffix}") if self.bias else None
        projection = self.get_parameter(f"weight_hr_{suffix}") if self.proj_size else None
        bias_ih = self.get_parameter(f"bias_ih_{suffix}") if self.bias else None
        gates = F.linear(x, self.get_parameter(f"weight_ih_{suffix}"), bias_ih)
        times = range(x.shape[0])
        outputs = []
        for time in reversed(times) if suffix.endswith("_reverse") else times:
            state = self.step(gates[time], state, weight, bias, projection)
            outputs.append(state[0])
        if suffix.endswith("_reverse"):
            outputs.reverse()
        return jitorch.stack(outputs), state

    def extra_repr(self) -> str:
        shown = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        shown += [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join(shown)


def _check_sizes(hidden_size: int, num_layers: int, dropout: float, proj_size: int) -> None:
    if not isinstance(hidden_size, int):
        raise ArgumentError("hidden_size should be an int", expected="int", actual=type(hidden_size).__name__)
    for name, value in (("hidden_size", hidden_size), ("num_layers", num_layers)):
        if value <= 0:
            raise ValueRangeError(f"{name} must be greater than zero", expected="at least 1", actual=value)
    if not 0 <= dropout <= 1:
        raise ValueRangeError("dropout should be a number in range [0, 1]", expected="0 to 1", actual=dropout)
    if not 0 <= proj_size < hidden_size:
        raise ValueRangeError(
            "proj_size must be smaller than hidden_size", expected=f"0 to {hidden_size - 1}", actual=proj_size
        )
