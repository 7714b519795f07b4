"""jitorch: compiled (the subject of most rows), and eager."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jitorch
from benchmarks import functions
from benchmarks.peers.base import Case, Skip
from benchmarks.torchlike import TorchLike, arrays
from benchmarks.workloads import Data
from jitorch.frontend.eager import large

EAGER_ONLY = "an eager row"


class Eager(TorchLike):
    """jitorch, op by op."""

    def __init__(self) -> None:
        super().__init__(jitorch)

    def versions(self) -> dict[str, str]:
        return {"jitorch": getattr(jitorch, "__version__", "this checkout")}

    def build_call(self, data: Data) -> Case:
        raise Skip("a row of compiled calls")


class OpByOp(Eager):
    """jitorch, every op by its NumPy meaning: calls on large tensors are not compiled, as those of eager are."""

    def __init__(self) -> None:
        super().__init__()
        large.LARGE = large.LARGE_ELEMENTWISE = sys.maxsize


class Jit(Eager):
    """jitorch with ``@jit``; training steps are compiled whole: forward, backward and update."""

    whole_steps = True

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jitorch.jit(function, fullgraph=True)

    def build_lstm(self, data: Data) -> Case:
        d = self.tensors(data)
        arguments = [d[name] for name in ("x", "h", "c", "wi", "wh", "b")]
        return self._loop(functions.lstm_loop(jitorch), arguments)

    def build_newton(self, data: Data) -> Case:
        return self._loop(functions.newton_loop(jitorch), [self.tensors(data)["m"]])

    def build_decode(self, data: Data) -> Case:
        d = self.tensors(data)
        arguments = [d[name] for name in ("tok", "h", "c", "emb", "wi", "wh", "b", "wo", "bo")]
        return self._loop(functions.decode_loop(jitorch), arguments)

    def _loop(self, function: Callable[..., Any], arguments: list[Any]) -> Case:
        """The whole loop in one program."""
        compiled = self.compiled(function)
        return Case(run=lambda: compiled(*arguments), outputs=lambda: arrays(compiled(*arguments)))

    def build_call(self, data: Data) -> Case:
        return TorchLike.build_call(self, data)

    def build_add(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)

    def build_add_grad(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)

    def build_grad_chain(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)


class Frozen(Jit):
    """Models whose weights are constants, as those of an ONNX file are for ONNX Runtime."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not isinstance(function, jitorch.nn.Module):
            raise Skip("a row without a model for inference")
        return super().compiled(jitorch.jit.freeze(function.eval()))
