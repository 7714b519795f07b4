"""Decoding of text, written as TorchScript programs of their time are."""

from typing import Dict, List, Optional, Tuple

import torch
import torch.nn as nn
from torch import Tensor


class Vocabulary(nn.Module):
    unk_index: torch.jit.Final[int]

    def __init__(self):
        super().__init__()
        self.stoi = {"<unk>": 0, "a": 1, "bad": 2, "cat": 3}
        self.itos = ["<unk>", "a", "bad", "cat"]
        self.unk_index = 0

    def lookup(self, token: str) -> int:
        if token in self.stoi:
            return self.stoi[token]
        return self.unk_index

    @torch.jit.export
    def decode(self, indices: List[int]) -> str:
        return " ".join([self.itos[i] for i in indices])

    def forward(self, line: str) -> Tensor:
        tokens = line.lower().strip().split()
        ids = [self.lookup(t) for t in tokens]
        text = self.decode(ids)
        assert len(text) >= len(ids)
        return torch.tensor(ids)


def word_count(lines: List[str]) -> Dict[str, int]:
    counts: Dict[str, int] = {}
    for line in lines:
        for word in line.split(" "):
            if len(word) == 0:
                continue
            if word in counts:
                counts[word] += 1
            else:
                counts[word] = 1
    return counts


@torch.jit.script
def edit_distance(a: List[int], b: List[int]) -> int:
    previous = [i for i in range(len(b) + 1)]
    for i in range(len(a)):
        current = [i + 1]
        for j in range(len(b)):
            cost = 0 if a[i] == b[j] else 1
            current.append(min(min(current[j] + 1, previous[j + 1] + 1), previous[j] + cost))
        previous = current
    return previous[-1]


def error_rate(hypotheses: List[List[int]], references: List[List[int]]) -> float:
    errors = 0
    total = 0
    for h, r in zip(hypotheses, references):
        errors += edit_distance(h, r)
        total += len(r)
    return errors / total


class GreedyDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.labels = ["-", "h", "e", "l", "o"]
        self.blank = 0

    def forward(self, logits: Tensor) -> Tuple[str, List[int]]:
        best = torch.argmax(logits, dim=-1)
        best = torch.unique_consecutive(best, dim=-1)
        text = ""
        kept = torch.jit.annotate(List[int], [])
        for i in range(best.size(0)):
            index = int(best[i].item())
            if index != self.blank:
                text += self.labels[index]
                kept.append(index)
        return text, kept


def viterbi(emissions: Tensor, transitions: Tensor) -> Tuple[List[int], Tensor]:
    score = emissions[0]
    history: List[Tensor] = []
    for t in range(1, emissions.size(0)):
        candidates = score.unsqueeze(1) + transitions + emissions[t].unsqueeze(0)
        score, indices = candidates.max(dim=0)
        history.append(indices)
    best_score, last = score.max(dim=0)
    tag = int(last)
    path = [tag]
    for indices in history[::-1]:
        tag = int(indices[tag].item())
        path.insert(0, tag)
    return path, best_score


def forward_algorithm(emissions, transitions, mask):
    # type: (Tensor, Tensor, Optional[Tensor]) -> Tensor
    score = emissions[0]
    for t in range(1, emissions.size(0)):
        following = torch.logsumexp(score.unsqueeze(1) + transitions + emissions[t].unsqueeze(0), dim=0)
        if mask is not None:
            following = torch.where(mask[t], following, score)
        score = following
    return torch.logsumexp(score, dim=0)


class BeamHypotheses(object):
    """The best finished hypotheses of one sentence."""

    def __init__(self, num_beams: int, length_penalty: float):
        self.num_beams = num_beams
        self.length_penalty = length_penalty
        self.beams: List[Tuple[float, List[int]]] = []
        self.worst_score: float = 1e9

    def __len__(self) -> int:
        return len(self.beams)

    def add(self, hyp: List[int], sum_logprobs: float):
        score = sum_logprobs / (len(hyp) ** self.length_penalty)
        if len(self.beams) < self.num_beams or score > self.worst_score:
            self.beams.append((score, hyp))
            if len(self.beams) > self.num_beams:
                worst = 0
                for i in range(len(self.beams)):
                    if self.beams[i][0] < self.beams[worst][0]:
                        worst = i
                self.beams.pop(worst)
            self.worst_score = min([b[0] for b in self.beams])


def best_of(scores: Tensor, penalty: float) -> Tuple[List[int], float, int]:
    hypotheses = BeamHypotheses(2, penalty)
    for i in range(scores.size(0)):
        hypotheses.add([j for j in range(i + 1)], float(scores[i].item()))
    best = hypotheses.beams[0]
    for candidate in hypotheses.beams:
        if candidate[0] > best[0]:
            best = candidate
    return best[1], best[0], len(hypotheses)


class Generator(nn.Module):
    """Greedy generation with a cache of states by name."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.proj = nn.Linear(4, 6)
        self.eos = 5

    def step(self, token: Tensor, cache: Dict[str, Optional[Tensor]]) -> Tensor:
        x = self.embed(token)
        previous = cache["state"]
        if previous is not None:
            x = torch.tanh(x + 0.5 * previous)
        cache["state"] = x
        return self.proj(x)

    def forward(self, start: int, max_len: int) -> Tuple[List[int], Tensor]:
        cache: Dict[str, Optional[Tensor]] = {"state": None}
        tokens = [start]
        total = torch.zeros(1)
        while len(tokens) < max_len:
            logits = self.step(torch.tensor([tokens[-1]]), cache)
            lprobs = torch.log_softmax(logits, dim=-1)
            value, index = lprobs.max(dim=-1)
            total = total + value
            token = int(index[0])
            tokens.append(token)
            if token == self.eos:
                break
        return tokens, total


def calc_banned_tokens(prev: List[List[int]], no_repeat: int, cur_len: int) -> List[List[int]]:
    banned = torch.jit.annotate(List[List[int]], [])
    if cur_len + 1 < no_repeat:
        for _ in range(len(prev)):
            banned.append(torch.jit.annotate(List[int], []))
        return banned
    for hypo in prev:
        found: List[int] = []
        suffix = hypo[cur_len + 1 - no_repeat : cur_len]
        for i in range(len(hypo) - no_repeat + 1):
            if hypo[i : i + no_repeat - 1] == suffix:
                found.append(hypo[i + no_repeat - 1])
        banned.append(found)
    return banned


def top_filter(logits: Tensor, k: int, p: float, filter_value: float = -1e4) -> Tensor:
    if k > 0:
        threshold = torch.topk(logits, min(k, logits.size(-1)))[0][..., -1, None]
        logits = logits.masked_fill(logits < threshold, filter_value)
    if p < 1.0:
        sorted_logits, sorted_indices = torch.sort(logits, descending=True)
        cumulative = torch.cumsum(torch.softmax(sorted_logits, dim=-1), dim=-1)
        remove = cumulative > p
        remove[..., 1:] = remove[..., :-1].clone()
        remove[..., 0] = False
        indices = remove.scatter(1, sorted_indices, remove)
        logits = logits.masked_fill(indices, filter_value)
    return logits


def pad_sequences(sequences: List[Tensor], padding_value: float = 0.0) -> Tuple[Tensor, Tensor]:
    lengths = torch.tensor([int(s.size(0)) for s in sequences])
    longest = max([s.size(0) for s in sequences])
    out = torch.full((len(sequences), longest), padding_value)
    for i, s in enumerate(sequences):
        length = s.size(0)
        out[i, :length] = s
    mask = torch.arange(longest).unsqueeze(0) < lengths.unsqueeze(1)
    return out, mask
