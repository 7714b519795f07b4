"""Loops as users write them, for `test_users` and for PyTorch: each maker takes the package.

A maker gives the function and the shapes of its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def gru(torch: Any) -> Any:
    """A gated recurrent unit over all steps: Cho et al. 2014, gates in PyTorch's order."""

    def f(x, h, wi, wh, bi, bh):
        outputs = []
        for t in range(x.shape[0]):
            ri, zi, ni = (x[t] @ wi.t() + bi).chunk(3, 1)
            rh, zh, nh = (h @ wh.t() + bh).chunk(3, 1)
            reset, update = torch.sigmoid(ri + rh), torch.sigmoid(zi + zh)
            new = torch.tanh(ni + reset * nh)
            h = new + update * (h - new)
            outputs.append(h)
        return torch.stack(outputs), h

    return f, [(40, 2, 3), (2, 5), (15, 3), (15, 5), (15,), (15,)]


def runge_kutta(torch: Any) -> Any:
    """The classical method of order four for a damped pendulum, over 1,000 steps."""

    def slope(y):
        return torch.stack([y[1], -torch.sin(y[0]) - 0.1 * y[1]])

    def f(y, step: float = 0.01):
        for _ in range(1000):
            k1 = slope(y)
            k2 = slope(y + step / 2 * k1)
            k3 = slope(y + step / 2 * k2)
            k4 = slope(y + step * k3)
            y = y + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y

    return f, [(2,)]


def kalman(torch: Any) -> Any:
    """A Kalman filter of constant velocity with measured positions: means and variances of all steps."""

    def f(z, x, p):
        step = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
        noise = 0.01 * torch.eye(2)
        means, variances = [], []
        for t in range(z.shape[0]):
            x = step @ x
            p = step @ (p @ p.t()) @ step.t() + noise
            gain = p[:, :1] / (p[0, 0] + 0.5)
            x = x + gain * (z[t] - x[:1])
            p = p - gain @ p[:1]
            p = p * 0.5 + torch.eye(2) * 0.1
            means.append(x)
            variances.append(torch.diagonal(p))
        return torch.stack(means), torch.stack(variances)

    return f, [(50, 1, 1), (2, 1), (2, 2)]


def beam_search(torch: Any) -> Any:
    """The likeliest sequences of a Markov chain, of which so many are kept at each step."""

    def f(start, chain, width: int = 3):
        scores, states = torch.topk(torch.log_softmax(start, 0), width)
        pointers, tokens = [], [states]
        for _ in range(20):
            total = scores.reshape(width, 1) + torch.log_softmax(chain, 1)[states]
            scores, flat = torch.topk(total.reshape(-1), width)
            pointers.append(flat // chain.shape[1])
            states = flat % chain.shape[1]
            tokens.append(states)
        return torch.stack(tokens), torch.stack(pointers), scores

    return f, [(7,), (7, 7)]


def k_means(torch: Any) -> Any:
    """Lloyd's algorithm until no centre moves."""

    def f(points, centres):
        moved = True
        turns = 0
        while moved:
            distances = ((points[:, None] - centres[None]) ** 2).sum(2)
            nearest = distances.argmin(1)
            member = (nearest[:, None] == torch.arange(centres.shape[0])).to(points.dtype)
            new = (member.t() @ points) / member.sum(0).clamp(min=1.0)[:, None]
            moved = bool((new - centres).abs().max() > 1e-6)
            centres = new
            turns += 1
        return centres, nearest, turns

    return f, [(60, 2), (4, 2)]


def prefix(torch: Any) -> Any:
    """``y[t] = a[t] * y[t - 1] + x[t]``, written into a buffer."""

    def f(x, a):
        y = torch.zeros_like(x)
        total = torch.zeros_like(x[0])
        for t in range(x.shape[0]):
            total = a[t] * total + x[t]
            y[t] = total
        return y

    return f, [(40, 3), (40, 3)]


def time_warping(torch: Any) -> Any:
    """The cost of aligning two series: Sakoe and Chiba 1978."""

    def f(x, y):
        n, m = x.shape[0], y.shape[0]
        table = torch.full((n + 1, m + 1), float("inf"))
        table[0, 0] = 0.0
        for i in range(n):
            for j in range(m):
                cost = (x[i] - y[j]).abs()
                above = torch.minimum(table[i, j + 1], table[i + 1, j])
                table[i + 1, j + 1] = cost + torch.minimum(above, table[i, j])
        return table[n, m]

    return f, [(25,), (20,)]


def collatz(torch: Any) -> Any:
    """The numbers on the way to 1."""

    def f(x):
        n = (x.abs().sum() * 10).to(torch.int64) + 6
        numbers = []
        while n != 1:
            n = torch.where(n % 2 == 0, n // 2, 3 * n + 1)
            numbers.append(n)
        return torch.stack(numbers), len(numbers)

    return f, [(3,)]


DIFFERENTIABLE: list[Callable[[Any], Any]] = [gru, runge_kutta, kalman, prefix]
OTHERS: list[Callable[[Any], Any]] = [beam_search, k_means, time_warping, collatz]
