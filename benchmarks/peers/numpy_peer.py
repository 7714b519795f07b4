"""NumPy, written as one would; and, in float64, what outputs are compared with where NumPy can do the row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.base import Case, Peer, Skip, plain
from benchmarks.workloads import DECODE_END, DECODE_MAX, ECCENTRICITY, ENCODER, GPT, NEWTON_TOLERANCE, Data


def erf(x: np.ndarray) -> np.ndarray:
    """The error function within 1.5e-7.  Abramowitz and Stegun 1964, 7.1.26."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    polynomial = np.float32(1.061405429) * t
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = (polynomial + np.float32(coefficient)) * t
    return np.copysign(1 - polynomial * np.exp(-x * x), x)


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    e /= e.sum(-1, keepdims=True)
    return e


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    variance = np.mean(centred * centred, -1, keepdims=True)
    return centred / np.sqrt(variance + np.asarray(1e-5, x.dtype)) * weight + bias


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm_cell(x: Any, h: Any, c: Any, wi: Any, wh: Any, b: Any) -> tuple[Any, Any]:
    """One step; gates in PyTorch's order."""
    i, f, g, o = np.split(x @ wi.T + h @ wh.T + b, 4, 1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


class NumPy(Peer):
    """Arrays of ``dtype``; ``erf`` is the error function of GELU."""

    cannot = {  # noqa: RUF012
        "": "not written",
        "conv": "no convolution in NumPy",
        "resnet18": "no convolution in NumPy",
        "train": "no gradients in NumPy",
        "add_grad": "no gradients in NumPy",
        "grad_chain": "no gradients in NumPy",
    }

    def __init__(self, dtype: str = "float32", erf: Callable[[np.ndarray], np.ndarray] = erf):
        self.dtype = np.dtype(dtype)
        self.erf = erf

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    def ready(self, data: Data) -> Data:
        return plain(data, lambda array: array.astype(self.dtype) if array.dtype.kind == "f" else array)

    def gelu(self, x: np.ndarray) -> np.ndarray:
        return x * (1 + self.erf(x * self.dtype.type(math.sqrt(0.5)))) * self.dtype.type(0.5)

    def called(self, function: Callable[..., Any], *inputs: Any) -> Case:
        def outputs() -> list[np.ndarray]:
            result = function(*inputs)
            return list(result) if isinstance(result, tuple) else [np.asarray(result)]

        return Case(run=lambda: function(*inputs), outputs=outputs)

    def build_pointwise(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, a, b, y, c: self.gelu(x * a + b) * np.tanh(y) + c, *(d[n] for n in "xabyc"))

    def build_softmax(self, data: Data) -> Case:
        return self.called(softmax, self.ready(data)["x"])

    def build_layer_norm(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(layer_norm, d["x"], d["w"], d["b"])

    def build_cross_entropy(self, data: Data) -> Case:
        d = self.ready(data)
        x, t = d["x"], d["t"]
        rows = np.arange(len(t))

        def step():
            shifted = x - x.max(1, keepdims=True)
            e = np.exp(shifted)
            total = e.sum(1, keepdims=True)
            loss = np.mean(np.log(total[:, 0]) - shifted[rows, t])
            e /= total
            e[rows, t] -= 1
            e /= len(t)
            return loss, e

        return self.called(step)

    def build_reduce(self, data: Data) -> Case:
        x, axis = self.ready(data)["x"], data["axis"]
        if data["op"] == "var":
            return self.called(lambda x: x.var(axis, ddof=1), x)
        return self.called((lambda x: x.sum(axis)) if data["op"] == "sum" else (lambda x: x.mean(axis)), x)

    def build_matmul(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(np.matmul, d["a"], d["b"])

    def build_linear_gelu(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, w, b: self.gelu(x @ w.T + b), d["x"], d["w"], d["b"])

    def build_mlp(self, data: Data) -> Case:
        d = self.ready(data)
        w = d["w"]

        def forward(x):
            h = np.maximum(x @ w["fc1.weight"].T + w["fc1.bias"], 0)
            h = np.maximum(h @ w["fc2.weight"].T + w["fc2.bias"], 0)
            return h @ w["fc3.weight"].T + w["fc3.bias"]

        return self.called(forward, d["x"])

    def block(self, x: np.ndarray, w: Data, prefix: str, heads: int, mask: np.ndarray | None) -> np.ndarray:
        """A transformer block; ``mask`` is added to the scores."""

        def linear(x, name):
            return x @ w[f"{prefix}{name}.weight"].T + w[f"{prefix}{name}.bias"]

        def norm(x, name):
            return layer_norm(x, w[f"{prefix}{name}.weight"], w[f"{prefix}{name}.bias"])

        batch, length, width = x.shape
        qkv = linear(norm(x, "ln1"), "qkv").reshape(batch, length, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
        scores = qkv[0] @ qkv[1].swapaxes(-1, -2) * self.dtype.type((width // heads) ** -0.5)
        weights = softmax(scores if mask is None else scores + mask)
        x = x + linear((weights @ qkv[2]).transpose(0, 2, 1, 3).reshape(batch, length, width), "proj")
        return x + linear(self.gelu(linear(norm(x, "ln2"), "fc1")), "fc2")

    def build_encoder(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x: self.block(x, d["w"], "", ENCODER["heads"], None), d["x"])

    def build_gpt(self, data: Data) -> Case:
        d = self.ready(data)
        w = d["w"]
        length = d["x"].shape[1]
        mask = np.triu(np.full((length, length), -np.inf, self.dtype), 1)

        def forward(tokens):
            x = w["tok.weight"][tokens] + w["pos.weight"][:length]
            for layer in range(GPT["layers"]):
                x = self.block(x, w, f"blocks.{layer}.", GPT["heads"], mask)
            return layer_norm(x, w["lnf.weight"], w["lnf.bias"]) @ w["head.weight"].T

        return self.called(forward, d["x"])

    def build_lstm(self, data: Data) -> Case:
        d = self.ready(data)

        def run():
            h, c = d["h"], d["c"]
            outputs = []
            for x in d["x"]:
                h, c = lstm_cell(x, h, c, d["wi"], d["wh"], d["b"])
                outputs.append(h)
            return np.stack(outputs), h, c

        return self.called(run)

    def build_newton(self, data: Data) -> Case:
        m = self.ready(data)["m"]
        k = self.dtype.type(ECCENTRICITY)

        def run():
            e = m
            while True:
                r = e - k * np.sin(e) - m
                e = e - r / (1 - k * np.cos(e))
                if np.abs(r).max() <= NEWTON_TOLERANCE:
                    return e

        return self.called(run)

    def build_decode(self, data: Data) -> Case:
        d = self.ready(data)

        def run():
            tok, h, c = d["tok"], d["h"], d["c"]
            tokens: list[int] = []
            while len(tokens) < DECODE_MAX:
                h, c = lstm_cell(d["emb"][tok], h, c, d["wi"], d["wh"], d["b"])
                tok = (h @ d["wo"].T + d["bo"]).argmax(1)
                tokens.append(int(tok[0]))
                if tokens[-1] == DECODE_END:
                    break
            return np.array(tokens)

        return self.called(run)

    def build_add(self, data: Data) -> Case:
        d = self.ready(data)
        x, y = d["x"], d["y"]
        return Case(run=lambda: x + y, outputs=lambda: [x + y])

    def build_call(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, y: x * y + x, d["x"], d["y"])


def exact_erf(x: np.ndarray) -> np.ndarray:
    """The C library's, element by element: for the reference only."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), np.float64)


class Reference(Peer):
    """Float64: NumPy, and PyTorch (imported only then) for what NumPy lacks."""

    def build(self, workload: Any) -> Case:
        numpy = NumPy("float64", exact_erf)
        try:
            return numpy.build(workload)
        except Skip:
            if workload.kind == "add_grad":
                return numpy.build_add(workload.data())
        try:
            import torch
        except ImportError:
            raise Skip("the reference of this row needs PyTorch") from None
        from benchmarks.torchlike import TorchLike

        return TorchLike(torch, "float64").build(workload)
