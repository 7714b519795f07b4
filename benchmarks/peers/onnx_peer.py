"""ONNX Runtime: models that PyTorch exports."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from benchmarks import functions, models
from benchmarks.peers.base import Case, Peer
from benchmarks.workloads import DECODE_END, DECODE_MAX, ECCENTRICITY, NEWTON_TOLERANCE, Data


class Module(torch.nn.Module):
    """A function as a module, which is what the exporter takes."""

    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


class Newton(torch.nn.Module):
    """The whole loop, for export as ONNX's Loop."""

    def __init__(self) -> None:
        super().__init__()
        self.k: float = ECCENTRICITY
        self.tolerance: float = NEWTON_TOLERANCE

    def forward(self, m):
        e = m
        going = torch.ones([], dtype=torch.bool)
        while bool(going):
            r = e - self.k * torch.sin(e) - m
            e = e - r / (1.0 - self.k * torch.cos(e))
            going = r.abs().max() > self.tolerance
        return e


class OnnxRuntime(Peer):
    """Float32, on the CPU provider with all of its optimisations; spinning workers are its default."""

    cannot = {  # noqa: RUF012
        "": "not written",
        "cross_entropy": "no training in the onnxruntime package",
        "train": "no training in the onnxruntime package",
        "add": "no eager mode",
        "add_grad": "no eager mode",
        "grad_chain": "no eager mode",
    }

    def __init__(self) -> None:
        self.threads = int(os.environ.get("BENCHMARK_THREADS", "1"))
        torch.set_num_threads(self.threads)

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}

    def session(self, module: Any, inputs: list[np.ndarray]) -> Any:
        """The exported ``module`` (or function), ready to run."""
        if not isinstance(module, (torch.nn.Module, torch.jit.ScriptModule)):
            module = Module(module)
        buffer: Any = io.BytesIO()
        arguments = tuple(torch.from_numpy(array) for array in inputs)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            names = [f"x{i}" for i in range(len(inputs))]
            torch.onnx.export(module.eval(), arguments, buffer, input_names=names, opset_version=20, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])

    def exported(self, module: Any, *inputs: np.ndarray) -> Case:
        session = self.session(module, list(inputs))
        feed = {entry.name: array for entry, array in zip(session.get_inputs(), inputs, strict=True)}
        return Case(run=lambda: session.run(None, feed), outputs=lambda: session.run(None, feed))

    def build_pointwise(self, data: Data) -> Case:
        return self.exported(functions.pointwise(torch), *(data[name] for name in "xabyc"))

    def build_softmax(self, data: Data) -> Case:
        return self.exported(functions.softmax(torch), data["x"])

    def build_layer_norm(self, data: Data) -> Case:
        return self.exported(functions.layer_norm(torch), data["x"], data["w"], data["b"])

    def build_reduce(self, data: Data) -> Case:
        return self.exported(functions.reduction(torch, data["op"], data["axis"]), data["x"])

    def build_matmul(self, data: Data) -> Case:
        return self.exported(functions.matmul(torch), data["a"], data["b"])

    def build_linear_gelu(self, data: Data) -> Case:
        layer = torch.nn.Linear(768, 3072)
        layer.load_state_dict({"weight": torch.from_numpy(data["w"]), "bias": torch.from_numpy(data["b"])})
        return self.exported(torch.nn.Sequential(layer, torch.nn.GELU()), data["x"])

    def build_conv(self, data: Data) -> Case:
        weight = data["weight"]
        groups, shape = data["groups"], weight.shape
        layer = torch.nn.Conv2d(shape[1] * groups, shape[0], shape[2], data["stride"], data["pad"], groups=groups)
        layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(data["bias"])})
        return self.exported(layer, data["x"])

    def model(self, name: str, data: Data) -> Case:
        return self.exported(models.loaded(torch, name, data["w"]), data["x"])

    def build_mlp(self, data: Data) -> Case:
        return self.model("mlp", data)

    def build_resnet18(self, data: Data) -> Case:
        return self.model("resnet18", data)

    def build_encoder(self, data: Data) -> Case:
        return self.model("encoder", data)

    def build_gpt(self, data: Data) -> Case:
        return self.model("gpt", data)

    def build_lstm(self, data: Data) -> Case:
        """ONNX's LSTM."""
        layer = torch.nn.LSTM(data["wi"].shape[1], data["wh"].shape[1])
        names = {"weight_ih_l0": "wi", "weight_hh_l0": "wh", "bias_ih_l0": "b"}
        values = {key: torch.from_numpy(data[name]) for key, name in names.items()}
        layer.load_state_dict({**values, "bias_hh_l0": torch.zeros_like(values["bias_ih_l0"])})

        def f(x, h, c):
            outputs, (h, c) = layer(x, (h[None], c[None]))
            return outputs, h[0], c[0]

        module = Module(f)
        module.layer = layer
        return self.exported(module, data["x"], data["h"], data["c"])

    def build_newton(self, data: Data) -> Case:
        return self.exported(torch.jit.script(Newton()), data["m"])

    def build_decode(self, data: Data) -> Case:
        names = ("emb", "wi", "wh", "b", "wo", "bo")
        weights = [torch.from_numpy(data[name]) for name in names]
        step = functions.decode_step(torch)
        start = [data["tok"], data["h"], data["c"]]
        session = self.session(lambda tok, h, c: step(tok, h, c, *weights), start)

        def run():
            state, tokens = start, []
            while len(tokens) < DECODE_MAX:
                state = session.run(None, dict(zip(("x0", "x1", "x2"), state)))
                tokens.append(int(state[0][0]))
                if tokens[-1] == DECODE_END:
                    break
            return tokens

        return Case(run=run, outputs=lambda: [np.array(run())], note="one step a call, Python loop")

    def build_call(self, data: Data) -> Case:
        return self.exported(functions.call(torch), data["x"], data["y"])
