"""jitorch: compiled (the subject of most rows), and eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jitorch
from benchmarks.peers.base import Case, Skip
from benchmarks.torchlike import TorchLike
from benchmarks.workloads import Data

EAGER_ONLY = "an eager row"


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

    def build_call(self, data: Data) -> Case:
        return TorchLike.build_call(self, data)

    def build_add(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)

    def build_add_grad(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)

    def build_grad_chain(self, data: Data) -> Case:
        raise Skip(EAGER_ONLY)
