"""jitorch: compiled (the subject of most rows), and eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jitorch
from benchmarks import functions
from benchmarks.peers.base import Case, Skip
from benchmarks.torchlike import TorchLike, arrays
from benchmarks.workloads import Data

EAGER_ONLY = "an eager row"
STEPS = 16  # of the LSTM, compiled as one


class Eager(TorchLike):
    """jitorch, op by op."""

    def __init__(self) -> None:
        super().__init__(jitorch)

    def versions(self) -> dict[str, str]:
        return {"jitorch": getattr(jitorch, "__version__", "this checkout")}

    def build_call(self, data: Data) -> Case:
        raise Skip("a row of compiled calls")


class Jit(Eager):
    """jitorch with ``@jit``; training steps are compiled whole: forward, backward and update."""

    whole_steps = True

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jitorch.jit(function, fullgraph=True)

    def build_lstm(self, data: Data) -> Case:
        """Compiled for `STEPS` steps, called in a Python loop: all 128 in one take too long to compile."""
        d = self.tensors(data)
        start = [d[name] for name in ("h", "c")]
        weights = [d[name] for name in ("wi", "wh", "b")]
        part, x = self.compiled(functions.lstm_loop(jitorch)), d["x"]

        def run():
            h, c = start
            outputs = []
            for t in range(0, x.shape[0], STEPS):
                output, h, c = part(x[t : t + STEPS], h, c, *weights)
                outputs.append(output)
            return jitorch.cat(outputs), h, c

        note = f"{STEPS} steps compiled as one, Python loop"
        return Case(run=run, outputs=lambda: arrays(run()), note=note)

    def build_call(self, data: Data) -> Case:
        return TorchLike.build_call(self, data)

    def build_add(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)

    def build_add_grad(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)

    def build_grad_chain(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)
