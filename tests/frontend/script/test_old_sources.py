"""Sources in the style of TorchScript's time: type comments, ScriptModule, __constants__, annotate, Attribute."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

import pytest

import jitorch as torch
from jitorch import Tensor, nn
from tests.frontend.script.check import same


@torch.jit.script
def commented(x, n, flag):
    # type: (Tensor, int, bool) -> Tuple[Tensor, int]
    outputs = []  # type: List[Tensor]
    for i in range(n):
        outputs += [x + i]
    if flag:
        outputs.append(x)
    return torch.stack(outputs), len(outputs)


def test_type_comments():
    x = torch.ones(2)
    out, n = commented(x, 2, True)
    same(out, torch.stack([x, x + 1, x]))
    assert n == 3


class OldModule(torch.jit.ScriptModule):
    __constants__ = ["times"]

    def __init__(self, times):
        super(OldModule, self).__init__()  # noqa: UP008
        self.times = times
        self.linear = nn.Linear(3, 3)
        self.names = torch.jit.Attribute(["a"], List[str])

    @torch.jit.script_method
    def forward(self, x):
        # type: (Tensor) -> Tensor
        for _ in range(self.times):
            x = torch.tanh(self.linear(x))
        return x * len(self.names)


def test_script_module_subclasses():
    module = OldModule(2)
    x = torch.ones(1, 3)
    expected = torch.tanh(module.linear(torch.tanh(module.linear(x))))
    same(module(x), expected)
    assert "for _ in range(self.times)" in module.code
    assert [name for name, _ in module.named_parameters()] == ["linear.weight", "linear.bias"]


class LSTMState(NamedTuple):
    hx: Tensor
    cx: Tensor


class LSTMCell(nn.Module):
    """Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with forget gates."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.weight_ih = nn.Parameter(torch.randn(4 * hidden, inputs))
        self.weight_hh = nn.Parameter(torch.randn(4 * hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))

    def forward(self, input: Tensor, state: LSTMState) -> Tuple[Tensor, LSTMState]:
        hx, cx = state
        gates = torch.mm(input, self.weight_ih.t()) + torch.mm(hx, self.weight_hh.t()) + self.bias
        ingate, forgetgate, cellgate, outgate = gates.chunk(4, 1)
        cy = torch.sigmoid(forgetgate) * cx + torch.sigmoid(ingate) * torch.tanh(cellgate)
        hy = torch.sigmoid(outgate) * torch.tanh(cy)
        return hy, LSTMState(hy, cy)


class LSTMLayer(nn.Module):
    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.cell = LSTMCell(inputs, hidden)

    def forward(self, input: Tensor, state: LSTMState) -> Tuple[Tensor, LSTMState]:
        inputs = input.unbind(0)
        outputs = torch.jit.annotate(List[Tensor], [])
        for i in range(len(inputs)):
            out, state = self.cell(inputs[i], state)
            outputs += [out]
        return torch.stack(outputs), state


class StackedLSTM(nn.Module):
    __constants__ = ["layers"]

    def __init__(self, count: int, inputs: int, hidden: int):
        super().__init__()
        self.layers = nn.ModuleList([LSTMLayer(inputs if i == 0 else hidden, hidden) for i in range(count)])

    def forward(self, input: Tensor, states: List[LSTMState]) -> Tuple[Tensor, List[LSTMState]]:
        output_states = torch.jit.annotate(List[LSTMState], [])
        output = input
        i = 0
        for layer in self.layers:
            state = states[i]
            output, out_state = layer(output, state)
            output_states += [out_state]
            i += 1
        return output, output_states


class GreedyCTCDecoder(nn.Module):
    """Best path decoding: Graves et al., "Connectionist Temporal Classification", 2006, section 3.2."""

    blank: torch.jit.Final[int]

    def __init__(self, labels: List[str], blank: int = 0):
        super().__init__()
        self.labels = labels
        self.blank = blank

    def forward(self, emission: Tensor) -> str:
        path: List[int] = torch.argmax(emission, dim=-1).tolist()
        text: List[str] = []
        last: Optional[int] = None
        for index in path:
            if index != self.blank and (last is None or index != last):
                text.append(self.labels[index])
            last = index
        return "".join(text)


class BeamSearch(nn.Module):
    """Beam search over a table of transitions: keeps the ``width`` best prefixes by sum of log-probabilities."""

    def __init__(self, table: Tensor, width: int, end: int):
        super().__init__()
        self.register_buffer("table", table)
        self.width, self.end = width, end

    def forward(self, start: int, steps: int) -> Tuple[List[List[int]], List[float]]:
        beams: List[Tuple[List[int], float]] = [([start], 0.0)]
        for _ in range(steps):
            candidates: List[Tuple[List[int], float]] = []
            for tokens, score in beams:
                if tokens[-1] == self.end:
                    candidates.append((tokens, score))
                    continue
                scores, indices = torch.topk(torch.log_softmax(self.table[tokens[-1]], dim=0), self.width)
                for k in range(self.width):
                    candidates.append((tokens + [int(indices[k].item())], score + float(scores[k].item())))
            chosen: List[Tuple[List[int], float]] = []
            while len(chosen) < self.width and len(candidates) > 0:
                best = 0
                for i in range(len(candidates)):
                    if candidates[i][1] > candidates[best][1]:
                        best = i
                chosen.append(candidates.pop(best))
            beams = chosen
        return [tokens for tokens, _ in beams], [score for _, score in beams]


def lstm_arguments(length: int):
    torch.manual_seed(length)
    states = [LSTMState(torch.randn(2, 4), torch.randn(2, 4)) for _ in range(2)]
    return torch.randn(length, 2, 3), states


def test_stacked_lstm_runs_natively_and_differentiates():
    module = StackedLSTM(2, 3, 4)
    scripted = torch.jit.script(module)
    for length in (3, 5):
        args = lstm_arguments(length)
        same(scripted(*args), module(*args))
    assert ", 0 eager" in scripted.explain().splitlines()[0]
    weight = module.layers[0].cell.weight_hh
    (expected,) = torch.autograd.grad(module(*args)[0].sum(), [weight])
    (actual,) = torch.autograd.grad(scripted(*args)[0].sum(), [weight])
    assert torch.allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_ctc_decoder():
    module = GreedyCTCDecoder(list("-abc"))
    scripted = torch.jit.script(module)
    for path in ([1, 1, 0, 1, 2, 0, 3], [0], [3, 3, 3]):
        emission = torch.eye(4)[torch.tensor(path)]
        assert scripted(emission) == module(emission)
    assert scripted(torch.eye(4)[torch.tensor([1, 1, 0, 1, 2])]) == "aab"


def test_beam_search():
    torch.manual_seed(0)
    module = BeamSearch(torch.randn(5, 5), 3, 4)
    scripted = torch.jit.script(module)
    for start, steps in ((0, 4), (2, 1)):
        assert scripted(start, steps) == module(start, steps)


@pytest.mark.parametrize("make", [lambda: StackedLSTM(2, 3, 4), lambda: GreedyCTCDecoder(list("-ab")),
                                  lambda: BeamSearch(torch.randn(4, 4), 2, 3)])  # fmt: skip
def test_they_are_saved(make, tmp_path):
    scripted = torch.jit.script(make())
    torch.jit.save(scripted, tmp_path / "model")
    loaded = torch.jit.load(tmp_path / "model")
    assert str(loaded.graph) == str(scripted.graph)
    assert loaded.program_code == scripted.program_code
