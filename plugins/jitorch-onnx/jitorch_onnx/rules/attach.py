"""The decorator that attaches an ONNX rule to an op of jitorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jitorch.ir.graph import Node
from jitorch.ops import OPS
from jitorch_onnx.context import Context

Rule = Callable[[Context, Node], str | Sequence[str] | None]


def rule(*names: str) -> Callable[[Rule], Any]:
    """Attach the function as the ONNX rule of each op in ``names``."""

    def attach(function: Rule) -> Rule:
        for name in names:
            OPS[name].rule("onnx")(function)
        return function

    return attach
