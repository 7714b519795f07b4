"""Recurrent networks with cells of their own, written as TorchScript programs of their time are."""

import numbers
from collections import namedtuple
from typing import List, NamedTuple, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter


class LSTMState(NamedTuple):
    hx: Tensor
    cx: Tensor


def reverse(lst):
    # type: (List[Tensor]) -> List[Tensor]
    return lst[::-1]


class LayerNorm(torch.jit.ScriptModule):
    def __init__(self, normalized_shape):
        super(LayerNorm, self).__init__()
        if isinstance(normalized_shape, numbers.Integral):
            normalized_shape = (normalized_shape,)
        self.weight = Parameter(torch.ones(*normalized_shape))
        self.bias = Parameter(torch.zeros(*normalized_shape))
        self.normalized_shape = normalized_shape

    @torch.jit.script_method
    def statistics(self, input):
        mu = input.mean(-1, keepdim=True)
        sigma = input.std(-1, keepdim=True, unbiased=False)
        return mu, sigma

    @torch.jit.script_method
    def forward(self, input):
        mu, sigma = self.statistics(input)
        return (input - mu) / (sigma + 1e-3) * self.weight + self.bias


class NormLSTMCell(torch.jit.ScriptModule):
    """An LSTM (Hochreiter and Schmidhuber, 1997) with layer normalisation (Ba et al., 2016)."""

    def __init__(self, inputs=3, hidden=2):
        super(NormLSTMCell, self).__init__()
        self.weight_ih = Parameter(torch.randn(4 * hidden, inputs))
        self.weight_hh = Parameter(torch.randn(4 * hidden, hidden))
        self.norm_i = LayerNorm(4 * hidden)
        self.norm_h = LayerNorm(4 * hidden)
        self.norm_c = LayerNorm(hidden)

    @torch.jit.script_method
    def forward(self, input, state):
        # type: (Tensor, Tuple[Tensor, Tensor]) -> Tuple[Tensor, Tuple[Tensor, Tensor]]
        hx, cx = state
        gates = self.norm_i(torch.mm(input, self.weight_ih.t())) + self.norm_h(torch.mm(hx, self.weight_hh.t()))
        ingate, forgetgate, cellgate, outgate = gates.chunk(4, 1)
        ingate = torch.sigmoid(ingate)
        forgetgate = torch.sigmoid(forgetgate)
        cellgate = torch.tanh(cellgate)
        outgate = torch.sigmoid(outgate)
        cy = self.norm_c((forgetgate * cx) + (ingate * cellgate))
        hy = outgate * torch.tanh(cy)
        return hy, (hy, cy)


class GRUCell(nn.Module):
    """Gated recurrent units (Cho et al., 2014)."""

    def __init__(self, inputs: int = 3, hidden: int = 2):
        super().__init__()
        self.hidden = hidden
        self.ih = nn.Linear(inputs, 3 * hidden)
        self.hh = nn.Linear(hidden, 3 * hidden)

    def forward(self, x: Tensor, hx: Optional[Tensor] = None) -> Tensor:
        if hx is None:
            hx = torch.zeros(x.size(0), self.hidden, dtype=x.dtype, device=x.device)
        gi, gh = self.ih(x), self.hh(hx)
        i_r, i_z, i_n = gi.chunk(3, dim=-1)
        h_r, h_z, h_n = gh.chunk(3, dim=-1)
        r = torch.sigmoid(i_r + h_r)
        z = torch.sigmoid(i_z + h_z)
        n = torch.tanh(i_n + r * h_n)
        return n + z * (hx - n)


class Bidirectional(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList([GRUCell(), GRUCell()])
        self.dropout: float = 0.0

    def forward(self, input: Tensor) -> Tuple[Tensor, List[Tensor]]:
        inputs = input.unbind(0)
        outputs = torch.jit.annotate(List[Tensor], [])
        states = torch.jit.annotate(List[Tensor], [])
        i = 0
        for cell in self.cells:
            steps = inputs if i == 0 else reverse(inputs)
            hx: Optional[Tensor] = None
            outs = torch.jit.annotate(List[Tensor], [])
            for t in range(len(steps)):
                hx = cell(steps[t], hx)
                outs += [hx]
            assert hx is not None
            states.append(hx)
            if i == 1:
                outs = reverse(outs)
            outputs.append(torch.stack(outs))
            i += 1
        return torch.cat(outputs, -1), states


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 3, padding_idx=0)
        self.lstm = nn.LSTM(3, 2, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(4, 3)

    def forward(self, tokens: Tensor, state: Optional[Tuple[Tensor, Tensor]] = None) -> Tuple[Tensor, Tensor]:
        x = self.embed(tokens)
        if state is None:
            output, (h, c) = self.lstm(x)
        else:
            output, (h, c) = self.lstm(x, state)
        return F.log_softmax(self.out(output), dim=-1), h.sum() + c.sum()


class VariableLengths(nn.Module):
    """A recurrence over sequences of different lengths, the longest first."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 2)

    def forward(self, x: Tensor, lengths: List[int]) -> Tensor:
        h = torch.zeros(x.size(1), 2)
        finals: List[Tensor] = []
        batch = len(lengths)
        for t in range(x.size(0)):
            while batch > 0 and lengths[batch - 1] <= t:
                finals.append(h[batch - 1])
                batch -= 1
                h = h[:batch]
            if batch == 0:
                break
            h = self.cell(x[t, :batch], h)
        for b in range(batch - 1, -1, -1):
            finals.append(h[b])
        return torch.stack(finals[::-1])


class Speller(nn.Module):
    """A decoder with attention (Bahdanau et al., 2015) that is fed the targets or its own choices."""

    max_len: torch.jit.Final[int]

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 2)
        self.cell = nn.LSTMCell(4, 2)
        self.out = nn.Linear(2, 5)
        self.max_len = 4

    def attend(self, query: Tensor, memory: Tensor) -> Tensor:
        energy = torch.bmm(memory, query.unsqueeze(2)).squeeze(2)
        weights = F.softmax(energy, dim=1)
        return torch.bmm(weights.unsqueeze(1), memory).squeeze(1)

    def forward(self, memory: Tensor, targets: Optional[Tensor] = None) -> Tensor:
        batch = memory.size(0)
        token = torch.zeros(batch, dtype=torch.long)
        state = (torch.zeros(batch, 2), torch.zeros(batch, 2))
        outputs: List[Tensor] = []
        steps = self.max_len
        if targets is not None:
            steps = targets.size(1)
        for t in range(steps):
            context = self.attend(state[0], memory)
            state = self.cell(torch.cat([self.embed(token), context], dim=1), state)
            logits = self.out(state[0])
            outputs.append(logits)
            if targets is not None:
                token = targets[:, t]
            else:
                token = logits.argmax(dim=1)
        return torch.stack(outputs, dim=1)


class QRNN(nn.Module):
    """The pooling of Bradbury et al., 2017: the products are computed at once, the recurrence is elementwise."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 6)
        self.zoneout = 0.1

    @torch.jit.export
    def pool(self, z: Tensor, f: Tensor, hidden: Optional[Tensor]) -> Tensor:
        result = []
        h = hidden
        for i in range(z.size(0)):
            x = f[i] * z[i]
            if h is not None:
                x = x + (1 - f[i]) * h
            h = x
            result.append(h)
        return torch.stack(result)

    def forward(self, x: Tensor, hidden: Optional[Tensor] = None) -> Tensor:
        z, f, o = self.linear(x).view(x.size(0), x.size(1), 6).chunk(3, dim=2)
        if self.training and self.zoneout > 0.5:
            f = F.dropout(f, p=self.zoneout)
        c = self.pool(torch.tanh(z), torch.sigmoid(f), hidden)
        return torch.sigmoid(o) * c


Stats = namedtuple("Stats", ["mean", "var"])


def running(x: Tensor, momentum: float) -> Stats:
    mean, var = x[0], torch.ones_like(x[0])
    for row in x[1:]:
        delta = row - mean
        mean = mean + delta * momentum
        var = (1 - momentum) * (var + momentum * delta * delta)
    return Stats(mean, var)
