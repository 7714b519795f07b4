"""PyTorch: eager, ``torch.jit.script``, ``torch.compile`` (default, and with weights frozen and choices measured)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import functions
from benchmarks.peers.base import Case, Skip
from benchmarks.torchlike import TorchLike, arrays
from benchmarks.workloads import Data

EAGER_ONLY = "an eager row: the same path as torch"


class Eager(TorchLike):
    """PyTorch, op by op; optimisers are the fused ones."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        super().__init__(torch)

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def build_lstm(self, data: Data) -> Case:
        """With ``torch.nn.LSTM``, which is what PyTorch has for it."""
        d = self.tensors(data)
        layer = torch.nn.LSTM(d["wi"].shape[1], d["wh"].shape[1]).to(self.dtype)
        values = {"weight_ih_l0": d["wi"], "weight_hh_l0": d["wh"], "bias_ih_l0": d["b"]}
        layer.load_state_dict({**values, "bias_hh_l0": torch.zeros_like(d["b"])})
        state = d["h"][None], d["c"][None]

        def run():
            outputs, (h, c) = layer(d["x"], state)
            return outputs, h[0], c[0]

        return Case(run=run, outputs=lambda: arrays(run()), note="torch.nn.LSTM")

    def build_call(self, data: Data) -> Case:
        d = self.tensors(data)
        f = functions.call(torch)
        return Case(run=lambda: f(d["x"], d["y"]), outputs=lambda: arrays(f(d["x"], d["y"])), note="eager call")


class Compiler(Eager):
    """The common part of the compiled ways."""

    def build_lstm(self, data: Data) -> Case:
        return TorchLike.build_lstm(self, data)

    def build_call(self, data: Data) -> Case:
        return TorchLike.build_call(self, data)

    def build_add(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)

    def build_add_grad(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)

    def build_grad_chain(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)


class Script(Compiler):
    """``torch.jit.script``, models for inference frozen; functions that it cannot read are traced."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scripted = torch.jit.script(function)
            if isinstance(function, torch.nn.Module) and not function.training:
                return torch.jit.freeze(scripted)
            return scripted

    def scripted_loop(self, function: Any, data: Data, *names: str) -> Case:
        """The whole loop is scripted."""
        d = self.tensors(data)
        case = self.called(function, *(d[name] for name in names))
        case.note = "scripted loop"
        return case

    def build_lstm(self, data: Data) -> Case:
        return self.scripted_loop(functions.lstm_loop(torch), data, "x", "h", "c", "wi", "wh", "b")

    def build_newton(self, data: Data) -> Case:
        return self.scripted_loop(functions.newton_loop(torch), data, "m")

    def build_decode(self, data: Data) -> Case:
        names = ("tok", "h", "c", "emb", "wi", "wh", "b", "wo", "bo")
        return self.scripted_loop(functions.decode_loop(torch), data, *names)


class Compile(Compiler):
    """``torch.compile`` with its defaults."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function)

    def drop(self) -> None:
        torch.compiler.reset()


class CompileMax(Compile):
    """``mode="max-autotune"``, and for inference ``freezing``."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import torch._inductor.config as inductor

        inductor.freezing = not torch.is_grad_enabled()
        return torch.compile(function, mode="max-autotune")

    def build_train(self, data: Data) -> Case:
        raise Skip("freezing of weights is for inference")

    def build_cross_entropy(self, data: Data) -> Case:
        raise Skip("freezing of weights is for inference")
