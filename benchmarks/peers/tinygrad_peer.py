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
from benchmarks.workloads import Data


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
