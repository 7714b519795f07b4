"""Numba: loops over scalars, parallel where that pays; for rows that are such loops."""

from __future__ import annotations

import math
import os
from typing import Any

import numba
import numpy as np

from benchmarks.peers.base import Case, Peer
from benchmarks.workloads import DECODE_END, DECODE_MAX, ECCENTRICITY, NEWTON_TOLERANCE, Data

OPTIONS: dict[str, Any] = {"fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy"}
SERIAL = 10_000  # elements below which threads cost more than they give


def _pointwise(x, a, b, y, c, out):
    for i in numba.prange(x.size):
        z = x[i] * a[i] + b[i]
        gelu = np.float32(0.5) * z * (np.float32(1) + math.erf(z * np.float32(0.70710678)))
        out[i] = gelu * math.tanh(y[i]) + c[i]


def _softmax(x, out):
    for i in numba.prange(x.shape[0]):
        row = x[i]
        largest = row.max()
        total = np.float32(0)
        for j in range(row.size):
            e = math.exp(row[j] - largest)
            out[i, j] = e
            total += e
        scale = np.float32(1) / total
        for j in range(row.size):
            out[i, j] *= scale


def _layer_norm(x, w, b, out):
    n = x.shape[1]
    for i in numba.prange(x.shape[0]):
        total = np.float32(0)
        for j in range(n):
            total += x[i, j]
        mean = total / np.float32(n)
        squares = np.float32(0)
        for j in range(n):
            d = x[i, j] - mean
            squares += d * d
        scale = np.float32(1) / math.sqrt(squares / np.float32(n) + np.float32(1e-5))
        for j in range(n):
            out[i, j] = (x[i, j] - mean) * scale * w[j] + b[j]


def _cross_entropy(x, t, grad):
    n = x.shape[0]
    losses = np.empty(n, np.float32)
    for i in numba.prange(n):
        row = x[i]
        largest = row.max()
        total = np.float32(0)
        for j in range(row.size):
            e = math.exp(row[j] - largest)
            grad[i, j] = e
            total += e
        losses[i] = math.log(total) - (row[t[i]] - largest)
        scale = np.float32(1) / (total * np.float32(n))
        for j in range(row.size):
            grad[i, j] *= scale
        grad[i, t[i]] -= np.float32(1) / np.float32(n)
    return losses.mean()


def _cell(x, h, c, wi, wh, b):
    n = h.shape[1]
    gates = x @ wi.T + h @ wh.T + b
    one = np.float32(1)
    i = one / (one + np.exp(-gates[:, :n]))
    f = one / (one + np.exp(-gates[:, n : 2 * n]))
    g = np.tanh(gates[:, 2 * n : 3 * n])
    o = one / (one + np.exp(-gates[:, 3 * n :]))
    c = f * c + i * g
    return o * np.tanh(c), c


class Numba(Peer):
    """Float32 arrays of NumPy; outputs are written into new arrays at each call."""

    cannot = {"": "no loop over scalars: no models or gradients, and its matrix product is NumPy's BLAS"}  # noqa: RUF012

    def __init__(self) -> None:
        numba.set_num_threads(int(os.environ.get("BENCHMARK_THREADS", "1")))

    def versions(self) -> dict[str, str]:
        return {"numba": numba.__version__}

    def into(self, function: Any, *inputs: np.ndarray) -> Case:
        """``function(*inputs, out)`` with a new ``out`` like the first input."""
        compiled = numba.njit(parallel=inputs[0].size > SERIAL, **OPTIONS)(function)

        def run():
            out = np.empty_like(inputs[0])
            compiled(*inputs, out)
            return out

        return Case(run=run, outputs=lambda: [run()])

    def build_pointwise(self, data: Data) -> Case:
        return self.into(_pointwise, *(data[name] for name in "xabyc"))

    def build_softmax(self, data: Data) -> Case:
        return self.into(_softmax, data["x"])

    def build_layer_norm(self, data: Data) -> Case:
        return self.into(_layer_norm, data["x"], data["w"], data["b"])

    def build_cross_entropy(self, data: Data) -> Case:
        compiled = numba.njit(parallel=True, **OPTIONS)(_cross_entropy)

        def run():
            grad = np.empty_like(data["x"])
            return compiled(data["x"], data["t"], grad), grad

        return Case(run=run, outputs=lambda: [np.asarray(v) for v in run()])

    def build_newton(self, data: Data) -> Case:
        k, tolerance = np.float32(ECCENTRICITY), np.float32(NEWTON_TOLERANCE)

        @numba.njit(**OPTIONS)
        def solve(m):
            e = m.copy()
            largest = np.float32(np.inf)
            while largest > tolerance:
                largest = np.float32(0)
                for i in range(m.size):
                    r = e[i] - k * math.sin(e[i]) - m[i]
                    e[i] -= r / (np.float32(1) - k * math.cos(e[i]))
                    largest = max(largest, abs(r))
            return e

        return Case(run=lambda: solve(data["m"]), outputs=lambda: [solve(data["m"])])

    def build_lstm(self, data: Data) -> Case:
        cell = numba.njit(**OPTIONS)(_cell)

        @numba.njit(**OPTIONS)
        def loop(x, h, c, wi, wh, b):
            out = np.empty((x.shape[0], h.shape[0], h.shape[1]), np.float32)
            for t in range(x.shape[0]):
                h, c = cell(x[t], h, c, wi, wh, b)
                out[t] = h
            return out, h, c

        inputs = [data[name] for name in ("x", "h", "c", "wi", "wh", "b")]
        return Case(run=lambda: loop(*inputs), outputs=lambda: list(loop(*inputs)))

    def build_decode(self, data: Data) -> Case:
        cell = numba.njit(**OPTIONS)(_cell)

        @numba.njit(**OPTIONS)
        def decode(tok, h, c, emb, wi, wh, b, wo, bo):
            tokens = np.empty(DECODE_MAX, np.int64)
            for n in range(DECODE_MAX):
                h, c = cell(emb[tok : tok + 1], h, c, wi, wh, b)
                tok = (h @ wo.T + bo).argmax()
                tokens[n] = tok
                if tok == DECODE_END:
                    return tokens[: n + 1]
            return tokens

        inputs = [int(data["tok"][0]), *(data[n] for n in ("h", "c", "emb", "wi", "wh", "b", "wo", "bo"))]
        return Case(run=lambda: decode(*inputs), outputs=lambda: [decode(*inputs)])

    def build_call(self, data: Data) -> Case:
        @numba.njit(**OPTIONS)
        def f(x, y):
            return x * y + x

        x, y = data["x"], data["y"]
        return Case(run=lambda: f(x, y), outputs=lambda: [f(x, y)])
