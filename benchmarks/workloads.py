"""Every row of the benchmark: its name, shapes, seed and tolerance, and the data that all peers are given.

No framework is imported here.  Weights are dictionaries of float32 arrays under the names of the models' state
dictionaries (`benchmarks.models`), so each peer can load them.  Random numbers are seeded by the name of the row.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator

from benchmarks import sweep

Arrays = dict[str, np.ndarray]
Data = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """One row.

    ``kind`` names the method that builds it in each peer, ``config`` the arguments of the data's maker.  ``tolerance``
    bounds ``||actual - expected|| / ||expected||`` of each output.  ``subject`` is the jitorch that the row is about:
    ``jitorch`` (compiled) or ``jitorch-eager``.
    """

    name: str
    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-4
    seed: int = 0
    subject: str = "jitorch"

    @property
    def group(self) -> str:
        """``W3`` of ``W3.matmul_128``."""
        return self.name.split(".")[0]

    def data(self) -> Data:
        """The inputs and weights, made anew; the same at every call and in every process."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()) + self.seed)
        return MAKERS[self.kind](rng, **self.config)


# -- sizes of the models --

RESNET_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels and first stride of two blocks each
GPT = {"layers": 6, "width": 384, "heads": 6, "hidden": 1536, "vocabulary": 65, "positions": 256}
ENCODER = {"width": 512, "heads": 8, "hidden": 2048}
DECODE_MAX, DECODE_END = 64, 0  # greedy decoding stops after so many tokens, or at this one
ECCENTRICITY, NEWTON_TOLERANCE = 0.8, 1e-4  # Kepler's equation, solved until the largest residual is below


# -- weights --


def normal(rng: Generator, *shape: int, scale: Any = 1.0) -> np.ndarray:
    """Normal numbers, float32."""
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def linear(rng: Generator, outputs: int, inputs: int, name: str, gain: float = 1.0, bias: bool = True) -> Arrays:
    """``name.weight`` (outputs, inputs), and ``name.bias``."""
    weights = {f"{name}.weight": normal(rng, outputs, inputs, scale=gain / np.sqrt(inputs))}
    if bias:
        weights[f"{name}.bias"] = normal(rng, outputs, scale=0.1)
    return weights


def convolution(rng: Generator, outputs: int, inputs: int, size: int, name: str) -> Arrays:
    """``name.weight`` (outputs, inputs, size, size), scaled for a relu after it."""
    scale = np.sqrt(2.0 / (inputs * size * size))
    return {f"{name}.weight": normal(rng, outputs, inputs, size, size, scale=scale)}


def norm(rng: Generator, size: int, name: str, running: bool = False) -> Arrays:
    """Weight and bias of a normalisation, and its running statistics."""
    weights = {f"{name}.weight": 1 + normal(rng, size, scale=0.1), f"{name}.bias": normal(rng, size, scale=0.1)}
    if running:
        weights[f"{name}.running_mean"] = normal(rng, size, scale=0.1)
        weights[f"{name}.running_var"] = rng.uniform(0.5, 1.5, size).astype(np.float32)
    return weights


def mlp_weights(rng: Generator) -> Arrays:
    return {
        **linear(rng, 512, 784, "fc1", 1.4),
        **linear(rng, 256, 512, "fc2", 1.4),
        **linear(rng, 10, 256, "fc3"),
    }


def cnn_weights(rng: Generator) -> Arrays:
    weights = convolution(rng, 16, 1, 3, "conv1")
    weights["conv1.bias"] = normal(rng, 16, scale=0.1)
    weights |= convolution(rng, 32, 16, 3, "conv2")
    weights["conv2.bias"] = normal(rng, 32, scale=0.1)
    return {**weights, **linear(rng, 128, 32 * 7 * 7, "fc1", 1.4), **linear(rng, 10, 128, "fc2")}


def resnet18_weights(rng: Generator) -> Arrays:
    weights = {**convolution(rng, 64, 3, 7, "conv1"), **norm(rng, 64, "bn1", True)}
    inputs = 64
    for stage, (channels, stride) in enumerate(RESNET_STAGES, 1):
        for block in range(2):
            place = f"layer{stage}.{block}"
            weights |= convolution(rng, channels, inputs, 3, f"{place}.conv1")
            weights |= norm(rng, channels, f"{place}.bn1", True)
            weights |= convolution(rng, channels, channels, 3, f"{place}.conv2")
            weights |= norm(rng, channels, f"{place}.bn2", True)
            if block == 0 and (stride != 1 or inputs != channels):
                weights |= convolution(rng, channels, inputs, 1, f"{place}.down")
                weights |= norm(rng, channels, f"{place}.downbn", True)
            inputs = channels
    return weights | linear(rng, 1000, 512, "fc")


def block_weights(rng: Generator, width: int, hidden: int, prefix: str = "") -> Arrays:
    """One transformer block: two norms, attention's projections, two linear layers."""
    return {
        **norm(rng, width, f"{prefix}ln1"),
        **linear(rng, 3 * width, width, f"{prefix}qkv"),
        **linear(rng, width, width, f"{prefix}proj", 0.5),
        **norm(rng, width, f"{prefix}ln2"),
        **linear(rng, hidden, width, f"{prefix}fc1"),
        **linear(rng, width, hidden, f"{prefix}fc2", 0.5),
    }


def gpt_weights(rng: Generator) -> Arrays:
    width = GPT["width"]
    weights = {
        "tok.weight": normal(rng, GPT["vocabulary"], width, scale=0.5),
        "pos.weight": normal(rng, GPT["positions"], width, scale=0.1),
    }
    for layer in range(GPT["layers"]):
        weights |= block_weights(rng, width, GPT["hidden"], f"blocks.{layer}.")
    return weights | norm(rng, width, "lnf") | linear(rng, GPT["vocabulary"], width, "head", bias=False)


def lstm_weights(rng: Generator, inputs: int, hidden: int) -> Arrays:
    """``wi`` and ``wh``, four gates below one another in PyTorch's order (input, forget, cell, output), and ``b``."""
    return {
        "wi": normal(rng, 4 * hidden, inputs, scale=inputs**-0.5),
        "wh": normal(rng, 4 * hidden, hidden, scale=hidden**-0.5),
        "b": normal(rng, 4 * hidden, scale=0.1),
    }


# -- data --


def pointwise_data(rng: Generator, n: int) -> Data:
    return {name: normal(rng, n) for name in "xabyc"}


def softmax_data(rng: Generator) -> Data:
    return {"x": normal(rng, 4096, 1024, scale=3)}


def layer_norm_data(rng: Generator) -> Data:
    return {"x": normal(rng, 4096, 1024, scale=3), "w": 1 + normal(rng, 1024, scale=0.1), "b": normal(rng, 1024)}


def cross_entropy_data(rng: Generator) -> Data:
    return {"x": normal(rng, 4096, 1000, scale=3), "t": rng.integers(0, 1000, 4096)}


def reduce_data(rng: Generator, op: str, axis: int) -> Data:
    return {"x": normal(rng, 4096, 1024) + np.float32(0.5), "op": op, "axis": axis}


def matmul_data(rng: Generator, a: tuple[int, ...], b: tuple[int, ...]) -> Data:
    return {"a": normal(rng, *a), "b": normal(rng, *b)}


def linear_gelu_data(rng: Generator) -> Data:
    return {"x": normal(rng, 128, 768), "w": normal(rng, 3072, 768, scale=768**-0.5), "b": normal(rng, 3072)}


def mlp_data(rng: Generator, batch: int) -> Data:
    return {"x": normal(rng, batch, 784), "w": mlp_weights(rng)}


def conv_data(
    rng: Generator, batch: int, inputs: int, outputs: int, image: int, size: int, stride: int, pad: int, groups: int
) -> Data:
    x = normal(rng, batch, inputs, image, image)
    scale = (inputs // groups * size * size) ** -0.5
    weight = normal(rng, outputs, inputs // groups, size, size, scale=scale)
    return {"x": x, "weight": weight, "bias": normal(rng, outputs), "stride": stride, "pad": pad, "groups": groups}


def resnet18_data(rng: Generator, batch: int) -> Data:
    return {"x": normal(rng, batch, 3, 224, 224), "w": resnet18_weights(rng)}


def encoder_data(rng: Generator, batch: int) -> Data:
    x = normal(rng, batch, 128, ENCODER["width"])
    return {"x": x, "w": block_weights(rng, ENCODER["width"], ENCODER["hidden"])}


def gpt_data(rng: Generator, batch: int) -> Data:
    return {"x": rng.integers(0, GPT["vocabulary"], (batch, 128)), "w": gpt_weights(rng)}


def lstm_data(rng: Generator, steps: int, batch: int, inputs: int, hidden: int) -> Data:
    x, h, c = normal(rng, steps, batch, inputs), normal(rng, batch, hidden), normal(rng, batch, hidden)
    return {"x": x, "h": h, "c": c, **lstm_weights(rng, inputs, hidden)}


def newton_data(rng: Generator, n: int) -> Data:
    return {"m": rng.uniform(0, np.pi, n).astype(np.float32)}


def decode_data(rng: Generator, vocabulary: int, width: int, hidden: int) -> Data:
    weights = lstm_weights(rng, width, hidden)
    # Large weights make the stream of tokens varied.
    weights |= {name: weights[name] * np.float32(3) for name in ("wi", "wh")}
    return {
        "tok": np.array([1]),
        "h": normal(rng, 1, hidden),
        "c": normal(rng, 1, hidden),
        "emb": normal(rng, vocabulary, width),
        **weights,
        "wo": normal(rng, vocabulary, hidden, scale=0.3),
        "bo": normal(rng, vocabulary, scale=0.1),
    }


def train_data(rng: Generator, model: str, optimizer: str, rate: float) -> Data:
    settings = {"model": model, "optimizer": optimizer, "rate": rate}
    if model == "gpt":
        tokens = rng.integers(0, GPT["vocabulary"], (8, 65))
        return {"x": tokens[:, :-1].copy(), "y": tokens[:, 1:].copy(), "w": gpt_weights(rng), **settings}
    shape, weights = {"mlp": ((64, 784), mlp_weights), "cnn": ((64, 1, 28, 28), cnn_weights)}[model]
    return {"x": normal(rng, *shape), "y": rng.integers(0, 10, 64), "w": weights(rng), **settings}


def chain_data(rng: Generator, n: int, operations: int) -> Data:
    return {"x": normal(rng, n), "operations": operations}


def two_vectors(rng: Generator, n: int = 10) -> Data:
    return {"x": normal(rng, n), "y": normal(rng, n)}


def one_number(rng: Generator) -> Data:
    return {"x": np.float32(0.7)}


MAKERS: dict[str, Callable[..., Data]] = {
    "pointwise": pointwise_data,
    "softmax": softmax_data,
    "layer_norm": layer_norm_data,
    "cross_entropy": cross_entropy_data,
    "reduce": reduce_data,
    "matmul": matmul_data,
    "linear_gelu": linear_gelu_data,
    "mlp": mlp_data,
    "conv": conv_data,
    "resnet18": resnet18_data,
    "encoder": encoder_data,
    "gpt": gpt_data,
    "lstm": lstm_data,
    "newton": newton_data,
    "decode": decode_data,
    "train": train_data,
    "chain": chain_data,
    "add": two_vectors,
    "add_grad": two_vectors,
    "call": two_vectors,
    "grad_chain": one_number,
    "operation": sweep.data,
}


# -- the rows --


def _matmul(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> Workload:
    return Workload(f"W3.{name}", "matmul", {"a": a, "b": b})


def _conv(
    name: str, inputs: int, outputs: int, image: int, size: int, stride: int, pad: int, groups: int = 1
) -> Workload:
    config = {"batch": 8, "inputs": inputs, "outputs": outputs, "image": image}
    return Workload(f"W5.{name}", "conv", config | {"size": size, "stride": stride, "pad": pad, "groups": groups})


def _train(model: str, optimizer: str, rate: float, tolerance: float = 1e-2) -> Workload:
    config = {"model": model, "optimizer": optimizer, "rate": rate}
    return Workload(f"W8.train_{model}_{optimizer}", "train", config, tolerance)


WORKLOADS = [
    *[Workload(f"W1.pointwise_1e{e}", "pointwise", {"n": 10**e}) for e in (3, 5, 7)],
    Workload("W2.softmax", "softmax"),
    Workload("W2.layernorm", "layer_norm"),
    Workload("W2.xent_fwd_bwd", "cross_entropy"),
    *[
        Workload(f"W2.{op}_axis{axis}", "reduce", {"op": op, "axis": axis})
        for op in ("sum", "mean", "var")
        for axis in (0, 1)
    ],
    *[_matmul(f"matmul_{n}", (n, n), (n, n)) for n in (64, 128, 256, 512, 1024, 2048)],
    _matmul("row_1x1024x1024", (1, 1024), (1024, 1024)),
    _matmul("skinny_64x784x256", (64, 784), (784, 256)),
    Workload("W3.linear_gelu_128x768x3072", "linear_gelu"),
    _matmul("bmm_96x128x64x128", (96, 128, 64), (96, 64, 128)),
    *[Workload(f"W4.mlp_b{batch}", "mlp", {"batch": batch}) for batch in (1, 8, 64)],
    _conv("conv3x3_64_56", 64, 64, 56, 3, 1, 1),
    _conv("conv1x1_256_64_56", 256, 64, 56, 1, 1, 0),
    _conv("conv7x7s2_3_64_224", 3, 64, 224, 7, 2, 3),
    _conv("convdw3x3_128_56", 128, 128, 56, 3, 1, 1, 128),
    *[Workload(f"W5.resnet18_b{batch}", "resnet18", {"batch": batch}, 1e-3) for batch in (1, 8)],
    *[Workload(f"W6.encoder_b{batch}", "encoder", {"batch": batch}) for batch in (1, 8)],
    *[Workload(f"W6.gpt_b{batch}", "gpt", {"batch": batch}, 1e-3) for batch in (1, 8)],
    Workload("W7.lstm_128steps", "lstm", {"steps": 128, "batch": 8, "inputs": 64, "hidden": 128}, 1e-3),
    Workload("W7.newton_while_1e4", "newton", {"n": 10_000}, 1e-3),
    # This seed's stream ends after 54 tokens.
    Workload("W7.greedy_decode", "decode", {"vocabulary": 128, "width": 64, "hidden": 128}, seed=17),
    _train("mlp", "sgd", 1e-2),
    _train("mlp", "adam", 1e-4),
    _train("cnn", "sgd", 1e-2),
    _train("cnn", "adam", 1e-4),
    _train("gpt", "adam", 1e-4, 2e-2),
    Workload("W9.add_10_eager", "add", subject="jitorch-eager"),
    Workload("W9.add_16_eager", "add", {"n": 16}, subject="jitorch-eager"),
    Workload("W9.add_16_eager_grad", "add_grad", {"n": 16}, subject="jitorch-eager"),
    Workload("W9.tiny_compiled_call", "call"),
    Workload("W9.grad_chain_10_eager", "grad_chain", subject="jitorch-eager"),
]
# How cost grows; their outputs are not compared, which the rows above do for the same code.
GROWTH = [
    *[Workload(f"G.elements_{10**e}", "chain", {"n": 10**e, "operations": 4}) for e in range(3, 9)],
    *[Workload(f"G.batch_{2**e}", "mlp", {"batch": 2**e}) for e in range(9)],
    *[Workload(f"G.operations_{k}", "chain", {"n": 10_000, "operations": k}) for k in (1, 2, 5, 10, 20, 50, 100, 200)],
    *[Workload(f"G.nodes_{k}", "chain", {"n": 16, "operations": k}) for k in (1, 3, 10, 30, 100, 300, 1000)],
]
BY_NAME = {workload.name: workload for workload in [*WORKLOADS, *GROWTH]}


def named(name: str) -> Workload:
    """The row of that name; raises KeyError if there is none."""
    if name.startswith(sweep.PREFIX):
        return Workload(name, "operation", {"name": name}, sweep.TOLERANCE)
    return BY_NAME[name]


def select(only: str) -> list[Workload]:
    """The rows whose name starts with one of the comma-separated prefixes; all of them for an empty string."""
    prefixes = [prefix for prefix in only.split(",") if prefix]
    return [w for w in WORKLOADS if not prefixes or any(w.name.startswith(prefix) for prefix in prefixes)]
