"""Networks on graphs, and algorithms on their edges, written as TorchScript programs of their time are."""

from typing import Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.jit.script
def degree(index: Tensor, num_nodes: int) -> Tensor:
    out = torch.zeros(num_nodes, dtype=torch.float32)
    return out.scatter_add(0, index, torch.ones(index.size(0)))


class GraphConv(nn.Module):
    """Graph convolutions (Kipf and Welling, 2017)."""

    __constants__ = ["add_self_loops"]
    _cached: Optional[Tuple[Tensor, Tensor]]

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 2))
        self.bias = nn.Parameter(torch.zeros(2))
        self.add_self_loops = True
        self._cached = None

    def norm(self, edge_index: Tensor, num_nodes: int, edge_weight: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
        if edge_weight is None:
            edge_weight = torch.ones(edge_index.size(1))
        edge_weight = edge_weight.to(torch.float)
        if self.add_self_loops:
            loops = torch.arange(num_nodes).unsqueeze(0).repeat(2, 1)
            edge_index = torch.cat([edge_index, loops], dim=1)
            edge_weight = torch.cat([edge_weight, torch.ones(num_nodes)])
        row, col = edge_index[0], edge_index[1]
        deg = degree(col, num_nodes)
        deg_inv_sqrt = deg.pow(-0.5)
        deg_inv_sqrt.masked_fill_(deg_inv_sqrt == float("inf"), 0.0)
        return edge_index, deg_inv_sqrt[row] * edge_weight * deg_inv_sqrt[col]

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Optional[Tensor] = None) -> Tensor:
        cache = self._cached
        if cache is None:
            cache = self.norm(edge_index, x.size(0), edge_weight)
        index, norm = cache[0], cache[1]
        x = x @ self.weight
        messages = x[index[0]] * norm.view(-1, 1)
        out = torch.zeros_like(x).index_add(0, index[1], messages)
        return out + self.bias


def softmax_of_edges(src: Tensor, index: Tensor, num_nodes: int) -> Tensor:
    out = (src - src.max()).exp()
    sums = torch.zeros(num_nodes).scatter_add(0, index, out)
    return out / (sums[index] + 1e-16)


class GraphAttention(nn.Module):
    """Graph attention (Velickovic et al., 2018), one head."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 2, bias=False)
        self.att_src = nn.Parameter(torch.ones(2))
        self.att_dst = nn.Parameter(torch.ones(2))
        self.negative_slope = 0.2

    def forward(self, x: Tensor, edge_index: Tensor) -> Tuple[Tensor, Tensor]:
        h = self.lin(x)
        alpha_src, alpha_dst = (h * self.att_src).sum(-1), (h * self.att_dst).sum(-1)
        alpha = F.leaky_relu(alpha_src[edge_index[0]] + alpha_dst[edge_index[1]], self.negative_slope)
        alpha = softmax_of_edges(alpha, edge_index[1], x.size(0))
        out = torch.zeros_like(h)
        out = out.index_add(0, edge_index[1], h[edge_index[0]] * alpha.unsqueeze(-1))
        return out, alpha


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList()
        self.convs.append(GraphConv())
        self.convs.append(GraphAttention())
        self.mix = nn.ModuleDict({"first": nn.Linear(2, 3), "second": nn.Linear(2, 1)})

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = self.mix["first"](F.relu(self.convs[0](x, edge_index)))
        x, _ = self.convs[1](x, edge_index)
        return self.mix["second"](x)


def distances(edges: List[Tuple[int, int]], start: int) -> Dict[int, int]:
    """Steps from a node to each that can be reached."""
    neighbours: Dict[int, List[int]] = {}
    for a, b in edges:
        if a not in neighbours:
            neighbours[a] = torch.jit.annotate(List[int], [])
        if b not in neighbours:
            neighbours[b] = torch.jit.annotate(List[int], [])
        neighbours[a].append(b)
        neighbours[b].append(a)
    found = {start: 0}
    queue = [start]
    while len(queue) > 0:
        node = queue.pop(0)
        for other in neighbours[node]:
            if other in found:
                continue
            found[other] = found[node] + 1
            queue.append(other)
    return found


def page_rank(adjacency: Tensor, damping: float, tolerance: float) -> Tuple[Tensor, int]:
    n = adjacency.size(0)
    rank = torch.full((n,), 1.0 / n)
    transition = adjacency / adjacency.sum(dim=1, keepdim=True).clamp(min=1.0)
    steps = 0
    while True:
        following = (1 - damping) / n + damping * torch.mv(transition.t(), rank)
        change = (following - rank).abs().sum()
        rank = following
        steps += 1
        if float(change) < tolerance or steps >= 50:
            break
    return rank, steps
