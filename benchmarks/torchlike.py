"""The rows for packages with PyTorch's interface: PyTorch itself, and jitorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import functions, models, sweep
from benchmarks.peers.base import TRAINING_STEPS, Case, Peer, flat_update, plain
from benchmarks.workloads import DECODE_END, DECODE_MAX, NEWTON_TOLERANCE, Data


def arrays(value: Any) -> list[np.ndarray]:
    """The arrays of a tensor, or of a tuple of tensors."""
    values = value if isinstance(value, (tuple, list)) else (value,)
    return [np.array(v.detach().numpy()) for v in values]


class TorchLike(Peer):
    """``torch`` is the package, ``compiled`` what a function or module goes through before it is called.

    ``whole_steps``: gradients and the optimiser are inside of what is compiled.  ``dtype`` replaces float32.
    """

    whole_steps = False

    def __init__(self, torch: Any, dtype: str = "float32"):
        self.torch = torch
        self.dtype = getattr(torch, dtype)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def tensor(self, array: np.ndarray) -> Any:
        tensor = self.torch.from_numpy(np.array(array))
        return tensor.to(self.dtype) if array.dtype.kind == "f" else tensor

    def tensors(self, data: Data, grad: bool = False) -> Data:
        """``data`` as tensors; gradients are recorded from here on, or not."""
        self.torch.set_grad_enabled(grad)
        return plain(data, self.tensor)

    def called(self, function: Callable[..., Any], *inputs: Any) -> Case:
        """The case that calls a compiled ``function``."""
        f = self.compiled(function)
        return Case(run=lambda: f(*inputs), outputs=lambda: arrays(f(*inputs)))

    def build_pointwise(self, data: Data) -> Case:
        d = self.tensors(data)
        return self.called(functions.pointwise(self.torch), d["x"], d["a"], d["b"], d["y"], d["c"])

    def build_softmax(self, data: Data) -> Case:
        return self.called(functions.softmax(self.torch), self.tensors(data)["x"])

    def build_layer_norm(self, data: Data) -> Case:
        d = self.tensors(data)
        return self.called(functions.layer_norm(self.torch), d["x"], d["w"], d["b"])

    def build_cross_entropy(self, data: Data) -> Case:
        d = self.tensors(data, grad=True)
        x, t = d["x"].requires_grad_(), d["t"]
        loss = functions.cross_entropy(self.torch)
        forward = loss if self.whole_steps else self.compiled(loss)

        def step(x, t):
            x.grad = None
            loss = forward(x, t)
            loss.backward()
            return loss

        step = self.compiled(step) if self.whole_steps else step
        return Case(run=lambda: step(x, t), outputs=lambda: arrays((step(x, t), x.grad)))

    def build_reduce(self, data: Data) -> Case:
        return self.called(functions.reduction(self.torch, data["op"], data["axis"]), self.tensors(data)["x"])

    def build_matmul(self, data: Data) -> Case:
        d = self.tensors(data)
        return self.called(functions.matmul(self.torch), d["a"], d["b"])

    def build_linear_gelu(self, data: Data) -> Case:
        d = self.tensors(data)
        return self.called(functions.linear_gelu(self.torch), d["x"], d["w"], d["b"])

    def build_conv(self, data: Data) -> Case:
        d = self.tensors(data)
        function = functions.conv(self.torch, d["stride"], d["pad"], d["groups"])
        return self.called(function, d["x"], d["weight"], d["bias"])

    def _model(self, name: str, data: Data) -> Case:
        x = self.tensors({"x": data["x"]})["x"]
        model = models.loaded(self.torch, name, data["w"], self.dtype).eval()
        return self.called(self.inference(model), x)

    def inference(self, model: Any) -> Any:
        """What is done to a model before it is compiled for inference."""
        return model

    def build_mlp(self, data: Data) -> Case:
        return self._model("mlp", data)

    def build_resnet18(self, data: Data) -> Case:
        return self._model("resnet18", data)

    def build_encoder(self, data: Data) -> Case:
        return self._model("encoder", data)

    def build_gpt(self, data: Data) -> Case:
        return self._model("gpt", data)

    def build_lstm(self, data: Data) -> Case:
        d = self.tensors(data)
        state = [d[name] for name in ("h", "c", "wi", "wh", "b")]
        cell, x, torch = self.compiled(functions.lstm_cell(self.torch)), d["x"], self.torch

        def run():
            h, c, *weights = state
            outputs = []
            for t in range(x.shape[0]):
                h, c = cell(x[t], h, c, *weights)
                outputs.append(h)
            return torch.stack(outputs), h, c

        return Case(run=run, outputs=lambda: arrays(run()), note="one step a call, Python loop")

    def build_newton(self, data: Data) -> Case:
        m = self.tensors(data)["m"]
        step = self.compiled(functions.newton_step(self.torch))

        def run():
            e, largest = step(m, m)
            while largest.item() > NEWTON_TOLERANCE:
                e, largest = step(e, m)
            return e

        return Case(run=run, outputs=lambda: arrays(run()), note="one step a call, Python loop")

    def build_decode(self, data: Data) -> Case:
        d = self.tensors(data)
        step = self.compiled(functions.decode_step(self.torch))
        weights = [d[name] for name in ("emb", "wi", "wh", "b", "wo", "bo")]

        def run():
            tok, h, c = d["tok"], d["h"], d["c"]
            tokens = []
            while len(tokens) < DECODE_MAX:
                tok, h, c = step(tok, h, c, *weights)
                tokens.append(tok.item())
                if tokens[-1] == DECODE_END:
                    break
            return tokens

        return Case(run=run, outputs=lambda: [np.array(run())], note="one step a call, Python loop")

    def build_train(self, data: Data) -> Case:
        d = self.tensors({"x": data["x"], "y": data["y"]}, grad=True)
        x, y = d["x"], d["y"]
        model = models.loaded(self.torch, data["model"], data["w"], self.dtype).train()
        make = self.torch.optim.SGD if data["optimizer"] == "sgd" else self.torch.optim.Adam
        optimizer = make(model.parameters(), lr=data["rate"], fused=True)
        cross_entropy = self.torch.nn.functional.cross_entropy
        scores = model if self.whole_steps else self.compiled(model)

        def step(x, y):
            optimizer.zero_grad()
            loss = cross_entropy(scores(x).flatten(0, -2), y.flatten())
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = self.compiled(step) if self.whole_steps else step

        def outputs():
            before = arrays(list(model.parameters()))
            losses = [arrays(step(x, y))[0] for _ in range(TRAINING_STEPS)]
            return [np.array(losses), flat_update(before, arrays(list(model.parameters())))]

        return Case(run=lambda: step(x, y), outputs=outputs)

    def build_chain(self, data: Data) -> Case:
        return self.called(functions.chain(self.torch, data["operations"]), self.tensors(data)["x"])

    def build_operation(self, data: Data) -> Case:
        self.torch.set_grad_enabled(False)
        f = self.compiled(sweep.call_of(self.torch, data["op"], data["arguments"], data["keywords"]))
        inputs = [sweep.tensor(self.torch, x, data["transposed"]) for x in sweep.operands(data)]

        def outputs():
            self.torch.manual_seed(0)
            return arrays(f(*inputs))

        return Case(run=lambda: f(*inputs), outputs=outputs)

    def build_add(self, data: Data) -> Case:
        d = self.tensors(data)
        x, y = d["x"], d["y"]
        return Case(run=lambda: x + y, outputs=lambda: arrays(x + y))

    def build_add_grad(self, data: Data) -> Case:
        d = self.tensors(data, grad=True)
        x, y = d["x"].requires_grad_(), d["y"]
        return Case(run=lambda: x + y, outputs=lambda: arrays(x + y))

    def build_call(self, data: Data) -> Case:
        d = self.tensors(data)
        return self.called(functions.call(self.torch), d["x"], d["y"])

    def build_grad_chain(self, data: Data) -> Case:
        self.torch.set_grad_enabled(True)
        x = self.torch.tensor(float(data["x"]), dtype=self.dtype, requires_grad=True)

        def run():
            x.grad = None
            y = x
            for _ in range(5):
                y = (y * x).sin()
            y.backward()
            return x.grad

        return Case(run=run, outputs=lambda: arrays(run()))
