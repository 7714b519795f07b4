"""What recipes take and give: a `Job` in, a `Made` out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jitorch.dims import Dim
from jitorch.ir import kernel as k
from jitorch.ir.graph import Node, Value
from jitorch.ir.types import TensorType
from jitorch.lower.epilogue import Columns, Sink
from jitorch.lower.nests import Buffers, Scalars
from jitorch.lower.target import Target


@dataclass(frozen=True)
class Job:
    """One node to make kernels for.

    ``name`` is free in the program, and so is every name that begins with it.  ``sink`` takes the node's
    result, element by element.  ``fixed`` operands are the same in every turn of the loop around, or in every call.
    ``columns`` are computed from the result when it is in memory.  ``in_turn``: a turn of a loop does it.
    """

    name: str
    node: Node
    buffers: Buffers
    scalars: Scalars
    target: Target
    sink: Sink
    fixed: frozenset[Value] = frozenset()
    columns: Columns | None = None
    in_turn: bool = False

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The operands' types."""
        return tuple(v.type for v in self.node.operands)  # type: ignore[misc]

    @property
    def out(self) -> TensorType:
        return self.node.output.type  # type: ignore[return-value]


@dataclass(frozen=True)
class Made:
    """Kernels in the order they run, and the memory between them: buffers with their sizes in elements.

    ``once``: the same for what reads fixed operands only, which runs once before the loop around, or before all calls.
    """

    kernels: tuple[k.Kernel, ...]
    temporaries: tuple[tuple[k.Buffer, Dim], ...] = ()
    once: Made | None = None


Recipe = Callable[[Job], Made]
