"""Functions and modules that the tests of saved models write to files."""

from __future__ import annotations

import dataclasses
import enum
from typing import Dict, List, NamedTuple, Optional, Tuple

import jitorch as torch
from jitorch import nn


class Kind(enum.Enum):
    SUM = "sum"
    MEAN = "mean"


class Pair(NamedTuple):
    first: torch.Tensor
    count: int = 2


@dataclasses.dataclass
class Options:
    scale: float = 0.5
    names: List[str] = dataclasses.field(default_factory=list)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + len(self.names)


class Counter:
    def __init__(self, start: int):
        self.count = start

    def next(self) -> int:
        self.count += 1
        return self.count

    def __len__(self) -> int:
        return self.count


def helper(x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
    return torch.relu(x) * scale


def everything(x: torch.Tensor, n: int = 3, kind: Kind = Kind.SUM) -> Tuple[torch.Tensor, str, Dict[str, int]]:
    counter = Counter(n)
    options = Options(names=["a", "b"])
    pair = Pair(x)
    counts: Dict[str, int] = {}
    best: Optional[torch.Tensor] = None
    for i in range(n):
        if i == 4:
            break
        counts[f"step {i:02d}"] = counter.next() * pair.count
        y = options.apply(helper(pair.first)) + i
        if best is None or bool(y.sum() > best.sum()):
            best = y
    assert best is not None, "no steps"
    while len(counter) < 8:
        counter.next()
    total = best.sum() if kind == Kind.SUM else best.mean()
    words = [w.upper() for w in "some words".split(" ") if w != ""]
    return total + len(counter), "-".join(words), counts


class Residual(nn.Module):
    scale: torch.jit.Final[float]

    def __init__(self, size: int):
        super().__init__()
        self.linear = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)
        self.scale = 0.5
        self.skip: Optional[torch.Tensor] = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm(torch.tanh(self.linear(x))) * self.scale


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Residual(4), Residual(4)])
        self.head = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5))
        self.shared = self.blocks[0]
        self.options = Options(1.5, ["x"])
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("cache", torch.ones(3), persistent=False)
        self.labels = {"a": 1, "b": 2}
        self.kind = Kind.MEAN

    def forward(self, x: torch.Tensor, times: int = 1) -> torch.Tensor:
        for _ in range(times):
            for block in self.blocks:
                x = block(x)
        self.steps += 1
        y = self.options.apply(self.head(x)) * self.cache
        return y.sum() if self.kind == Kind.SUM else y.mean(dim=0) * self.labels["b"]

    @torch.jit.export
    def count(self) -> int:
        return int(self.steps.item())


def make_model() -> Model:
    torch.manual_seed(0)
    return Model().eval()


def traced(x: torch.Tensor) -> Dict[str, torch.Tensor]:
    return {"sum": x.sum(dim=0), "product": (x @ WEIGHT).relu()}


WEIGHT = torch.arange(6.0).reshape(3, 2) - 2
