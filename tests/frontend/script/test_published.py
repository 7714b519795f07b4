"""Three modules of the kind that were published as scripts, written anew from their papers.

Each compiles as one native program and gives what eager gives.  The decoders are here twice: on tensors of fixed size,
as one program, and with lists and strings as long as the values say, which Python runs around the native parts.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

import pytest

import jitorch as torch
from jitorch import Tensor, nn
from tests.frontend.script.check import compare_native


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

    def forward(self, emission: Tensor) -> Tuple[Tensor, Tensor]:
        """The labels of the best path without repetitions and blanks, then -1 up to the number of frames; how many."""
        path = torch.argmax(emission, dim=-1)
        previous = torch.cat([torch.full_like(path[:1], -1), path[:-1]])
        kept = (path != self.blank) & (path != previous)
        places = torch.where(kept, torch.cumsum(kept, dim=0) - 1, torch.full_like(path, path.size(0)))
        found = torch.full((path.size(0) + 1,), -1, dtype=torch.int64).scatter(0, places, path)
        return found[: path.size(0)], kept.sum()

    @torch.jit.export
    def text(self, emission: Tensor) -> str:
        path: List[int] = torch.argmax(emission, dim=-1).tolist()
        text: List[str] = []
        last: Optional[int] = None
        for index in path:
            if index != self.blank and (last is None or index != last):
                text.append(self.labels[index])
            last = index
        return "".join(text)


class BeamSearch(nn.Module):
    """Beam search (Lowerre, "The Harpy Speech Recognition System", 1976) over a table of transitions.

    Keeps the ``width`` prefixes with the best sums of log-probabilities; one that has ended stays as it is.
    """

    def __init__(self, table: Tensor, width: int, end: int):
        super().__init__()
        self.table = nn.Parameter(table)
        self.width, self.end = width, end

    def forward(self, start: Tensor, steps: int) -> Tuple[Tensor, Tensor]:
        """Tokens ``[width, steps + 1]`` and sums ``[width]``, the best first."""
        size = self.table.size(0)
        ended = torch.arange(size) == self.end
        stay = torch.where(ended, 0.0, float("-inf"))
        tokens = start.reshape(1, 1).repeat(self.width, 1)
        scores = torch.where(torch.arange(self.width) == 0, 0.0, float("-inf"))
        for _ in range(steps):
            last = tokens[:, -1]
            following = torch.where((last == self.end).unsqueeze(1), stay, torch.log_softmax(self.table[last], dim=1))
            scores, chosen = torch.topk((scores.unsqueeze(1) + following).flatten(), self.width)
            parents = torch.div(chosen, size, rounding_mode="floor")
            tokens = torch.cat([tokens[parents], (chosen % size).unsqueeze(1)], dim=1)
        return tokens, scores

    @torch.jit.export
    def lists(self, start: int, steps: int) -> Tuple[List[List[int]], List[float]]:
        """The same by lists that grow; prefixes end where they end."""
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


def test_stacked_lstm():
    compare_native(StackedLSTM(2, 3, 4), lstm_arguments(3), lstm_arguments(5))


def emission(*path: int) -> Tensor:
    return torch.eye(4)[torch.tensor(path)]


def test_ctc_decoder():
    module = GreedyCTCDecoder(list("-abc"))
    paths = [(1, 1, 0, 1, 2, 0, 3), (0,), (3, 3, 3), (0, 2, 2, 0, 2, 1, 1)]
    scripted = compare_native(module, *[(emission(*path),) for path in paths])
    for path in paths:
        tokens, count = scripted(emission(*path))
        spelled = "".join([module.labels[int(token)] for token in tokens[: int(count)]])
        assert spelled == module.text(emission(*path)) == torch.jit.script(module).text(emission(*path))
    assert torch.jit.script(module).text(emission(1, 1, 0, 1, 2)) == "aab"


def test_beam_search():
    torch.manual_seed(0)
    module = BeamSearch(torch.randn(5, 5), 3, 4)
    scripted = compare_native(module, (torch.tensor(0), 4), (torch.tensor(2), 1))
    for start, steps in ((0, 4), (2, 1)):
        tokens, scores = scripted(torch.tensor(start), steps)
        lists, sums = torch.jit.script(module).lists(start, steps)
        assert (lists, sums) == module.lists(start, steps)
        for row, found in zip(tokens, lists):
            assert [int(token) for token in row][: len(found)] == found
        assert torch.allclose(scores, torch.tensor(sums), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: StackedLSTM(2, 3, 4), lambda: GreedyCTCDecoder(list("-ab")),
                                  lambda: BeamSearch(torch.randn(4, 4), 2, 3)])  # fmt: skip
def test_they_are_saved(make, tmp_path):
    scripted = torch.jit.script(make())
    torch.jit.save(scripted, tmp_path / "model")
    loaded = torch.jit.load(tmp_path / "model")
    assert str(loaded.graph) == str(scripted.graph)
    assert loaded.program_code == scripted.program_code
