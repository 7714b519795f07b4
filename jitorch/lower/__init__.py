"""Lowering: ``program(graph)`` makes kernels and the host program over them, `CSource` renders both as C99."""

from jitorch.lower.program import can_lower, program
from jitorch.lower.source.clike import CLike
from jitorch.lower.source.render import CSource

__all__ = ["CLike", "CSource", "can_lower", "program"]
