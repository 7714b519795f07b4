"""The functions of the rows, written once for jitorch and for PyTorch: each maker takes the package."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import DECODE_END, DECODE_MAX, ECCENTRICITY, NEWTON_TOLERANCE


def pointwise(torch: Any) -> Any:
    """``gelu(x * a + b) * tanh(y) + c``."""
    F = torch.nn.functional

    def f(x, a, b, y, c):
        return F.gelu(x * a + b) * torch.tanh(y) + c

    return f


def softmax(torch: Any) -> Any:
    def f(x):
        return torch.softmax(x, -1)

    return f


def layer_norm(torch: Any) -> Any:
    F = torch.nn.functional

    def f(x, w, b):
        return F.layer_norm(x, (1024,), w, b)

    return f


def cross_entropy(torch: Any) -> Any:
    F = torch.nn.functional

    def f(x, t):
        return F.cross_entropy(x, t)

    return f


def reduction(torch: Any, op: str, axis: int) -> Any:
    """``sum``, ``mean`` or the unbiased ``var`` over one axis (a default: TorchScript reads no closures)."""
    if op == "sum":

        def total(x, axis: int = axis):
            return x.sum(axis)

        return total
    if op == "mean":

        def mean(x, axis: int = axis):
            return x.mean(axis)

        return mean

    def var(x, axis: int = axis):
        return x.var(axis)

    return var


def matmul(torch: Any) -> Any:
    def f(a, b):
        return torch.matmul(a, b)

    return f


def linear_gelu(torch: Any) -> Any:
    F = torch.nn.functional

    def f(x, w, b):
        return F.gelu(F.linear(x, w, b))

    return f


def conv(torch: Any, stride: int, pad: int, groups: int) -> Any:
    F = torch.nn.functional

    def f(x, weight, bias, stride: int = stride, pad: int = pad, groups: int = groups):
        return F.conv2d(x, weight, bias, stride, pad, 1, groups)

    return f


def lstm_cell(torch: Any) -> Any:
    """One step of a long short-term memory: Hochreiter and Schmidhuber 1997, gates in PyTorch's order."""

    def f(x, h, c, wi, wh, b):
        i, f, g, o = (x @ wi.t() + h @ wh.t() + b).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    return f


def lstm_loop(torch: Any) -> Any:
    """`lstm_cell` over all steps of ``x`` (steps, batch, inputs): the outputs of all steps, and the last state."""

    def f(x, h, c, wi, wh, b):
        outputs = []
        for t in range(x.shape[0]):
            i, f, g, o = (x[t] @ wi.t() + h @ wh.t() + b).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), h, c

    return f


def newton_step(torch: Any) -> Any:
    """One step of Newton's method for Kepler's equation ``e - k sin(e) = m``, and the largest residual before it."""

    def f(e, m, k: float = ECCENTRICITY):
        r = e - k * torch.sin(e) - m
        return e - r / (1.0 - k * torch.cos(e)), r.abs().max()

    return f


def newton_loop(torch: Any) -> Any:
    """All steps, until the largest residual is small."""

    def f(m, k: float = ECCENTRICITY, tolerance: float = NEWTON_TOLERANCE):
        e = m
        going = True
        while going:
            r = e - k * torch.sin(e) - m
            e = e - r / (1.0 - k * torch.cos(e))
            going = bool(r.abs().max() > tolerance)
        return e

    return f


def decode_step(torch: Any) -> Any:
    """The next token (1,) and the state, from the last token and the state."""
    cell = lstm_cell(torch)

    def f(tok, h, c, emb, wi, wh, b, wo, bo):
        h, c = cell(emb[tok], h, c, wi, wh, b)
        return (h @ wo.t() + bo).argmax(1), h, c

    return f


def decode_loop(torch: Any) -> Any:
    """All steps: the tokens until the last one or the limit."""
    step = decode_step(torch)

    def f(tok, h, c, emb, wi, wh, b, wo, bo, limit: int = DECODE_MAX, end: int = DECODE_END):
        tokens = []
        going = True
        while going:
            tok, h, c = step(tok, h, c, emb, wi, wh, b, wo, bo)
            tokens.append(tok)
            going = len(tokens) < limit and int(tok) != end
        return torch.cat(tokens)

    return f


def call(torch: Any) -> Any:
    def f(x, y):
        return x * y + x

    return f


def chain(torch: Any, operations: int) -> Any:
    """So many elementwise operations, one after another, none of which is a turn of a loop over numbers."""
    kinds = (
        lambda y, x: y * 1.5,
        lambda y, x: y + x,
        lambda y, x: torch.tanh(y),
        lambda y, x: y - 0.5,
    )
    steps = tuple(kinds[i % 4] for i in range(operations))

    def f(x):
        y = x
        for step in steps:
            y = step(y, x)
        return y

    return f
