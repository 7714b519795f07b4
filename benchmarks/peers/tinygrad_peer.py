"""tinygrad with TinyJit on its CPU device, which the environment of the process chooses (``DEV=CPU``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from tinygrad.device import Device
from tinygrad.engine.jit import TinyJit
from tinygrad.tensor import Tensor

from benchmarks.peers.base import Case, Peer, plain
from benchmarks.workloads import ENCODER, RESNET_STAGES, Data


class TinyGrad(Peer):
    """Float32; a jitted function is called three times before it is replayed."""

    cannot = {"": "not among the rows tinygrad is asked for"}  # noqa: RUF012

    def versions(self) -> dict[str, str]:
        return {"tinygrad": version("tinygrad")}

    def called(self, function: Callable[..., Any], *inputs: Any) -> Case:
        jitted = TinyJit(lambda *args: function(*args).realize())

        def run():
            result = jitted(*inputs)
            Device["CPU"].synchronize()
            return result

        def outputs():
            for _ in range(3):
                result = run()
            return [result.numpy()]

        return Case(run=run, outputs=outputs)

    def ready(self, data: Data) -> Data:
        return plain(data, lambda array: Tensor(array).realize())

    def build_pointwise(self, data: Data) -> Case:
        d = self.ready(data)
        half = math.sqrt(0.5)

        def f(x, a, b, y, c):
            z = x * a + b
            return z * (1 + (z * half).erf()) * 0.5 * y.tanh() + c

        return self.called(f, *(d[name] for name in "xabyc"))

    def build_softmax(self, data: Data) -> Case:
        return self.called(lambda x: x.softmax(-1), self.ready(data)["x"])

    def build_layer_norm(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, w, b: x.layernorm(eps=1e-5) * w + b, d["x"], d["w"], d["b"])

    def build_reduce(self, data: Data) -> Case:
        op, axis = data["op"], data["axis"]
        return self.called(lambda x: getattr(x, op)(axis), self.ready(data)["x"])

    def build_matmul(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda a, b: a @ b, d["a"], d["b"])

    def build_linear_gelu(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, w, b: gelu(x.linear(w.T, b)), d["x"], d["w"], d["b"])

    def build_cross_entropy(self, data: Data) -> Case:
        d = self.ready(data)
        x, t = d["x"], d["t"]

        def step(x, t):
            loss = x.sparse_categorical_crossentropy(t)
            (gradient,) = loss.gradient(x)
            return loss.realize(gradient), gradient

        jitted = TinyJit(step)

        def run():
            result = jitted(x, t)
            Device["CPU"].synchronize()
            return result

        def outputs():
            for _ in range(3):
                result = run()
            return [part.numpy() for part in result]

        return Case(run=run, outputs=outputs)

    def build_resnet18(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x: resnet18(x, d["w"]), d["x"])

    def build_encoder(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x: block(x, d["w"], ENCODER["heads"]), d["x"])

    def build_mlp(self, data: Data) -> Case:
        d = self.ready(data)
        w = d["w"]

        def f(x):
            x = x.linear(w["fc1.weight"].T, w["fc1.bias"]).relu()
            x = x.linear(w["fc2.weight"].T, w["fc2.bias"]).relu()
            return x.linear(w["fc3.weight"].T, w["fc3.bias"])

        return self.called(f, d["x"])

    def build_conv(self, data: Data) -> Case:
        d = self.ready(data)
        options = {"groups": data["groups"], "stride": data["stride"], "padding": data["pad"]}
        return self.called(lambda x, w, b: x.conv2d(w, b, **options), d["x"], d["weight"], d["bias"])

    def build_add(self, data: Data) -> Case:
        d = self.ready(data)
        x, y = d["x"], d["y"]
        return Case(run=lambda: (x + y).realize(), outputs=lambda: [np.array((x + y).numpy())])

    def build_call(self, data: Data) -> Case:
        d = self.ready(data)
        return self.called(lambda x, y: x * y + x, d["x"], d["y"])


def gelu(x: Tensor) -> Tensor:
    """The exact one, which tinygrad's own is not."""
    return 0.5 * x * (1 + (x * math.sqrt(0.5)).erf())


def normalized(x: Tensor, w: Any, name: str) -> Tensor:
    """Layer normalization with the weights of this name."""
    return x.layernorm(eps=1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def block(x: Tensor, w: Any, heads: int) -> Tensor:
    """A transformer block as `benchmarks.models` has it."""
    batch, length, width = x.shape
    qkv = normalized(x, w, "ln1").linear(w["qkv.weight"].T, w["qkv.bias"])
    q, k, v = (part.reshape(batch, length, heads, -1).transpose(1, 2) for part in qkv.chunk(3, -1))
    seen = q.scaled_dot_product_attention(k, v).transpose(1, 2).reshape(batch, length, width)
    x = x + seen.linear(w["proj.weight"].T, w["proj.bias"])
    hidden = gelu(normalized(x, w, "ln2").linear(w["fc1.weight"].T, w["fc1.bias"]))
    return x + hidden.linear(w["fc2.weight"].T, w["fc2.bias"])


def batch_normalized(x: Tensor, w: Any, name: str) -> Tensor:
    """Batch normalization by the running statistics."""
    scale = w[f"{name}.weight"] * (w[f"{name}.running_var"] + 1e-5).rsqrt()
    shift = w[f"{name}.bias"] - w[f"{name}.running_mean"] * scale
    return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


def resnet18(x: Tensor, w: Any) -> Tensor:
    """As `benchmarks.models` has it, in eval mode."""
    x = batch_normalized(x.conv2d(w["conv1.weight"], stride=2, padding=3), w, "bn1").relu()
    x = x.max_pool2d((3, 3), stride=2, padding=1)
    for stage, (_, first) in enumerate(RESNET_STAGES, 1):
        for number in range(2):
            name, stride = f"layer{stage}.{number}", first if number == 0 else 1
            y = batch_normalized(x.conv2d(w[f"{name}.conv1.weight"], stride=stride, padding=1), w, f"{name}.bn1").relu()
            y = batch_normalized(y.conv2d(w[f"{name}.conv2.weight"], padding=1), w, f"{name}.bn2")
            if f"{name}.down.weight" in w:
                x = batch_normalized(x.conv2d(w[f"{name}.down.weight"], stride=stride), w, f"{name}.downbn")
            x = (x + y).relu()
    return x.mean((2, 3)).linear(w["fc.weight"].T, w["fc.bias"])
