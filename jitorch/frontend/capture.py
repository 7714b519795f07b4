"""A graph builder for exporters: what a function computes now, and the tensors it computes it from.

An exporter writes down one moment: Python values are taken as they are, without guards, and tensors
that exist outside become inputs of the graph after those made with `CapturingBuilder.add_argument`.

    builder = CapturingBuilder("main")
    x = builder.add_argument(TensorType(float32, (symbol("batch"), 3)))
    with builder.recording():
        y = model(x)
    builder.finish([y])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jitorch.builder import Cell, GraphBuilder
from jitorch.dims import Facts, Guard
from jitorch.errors import UnsupportedError
from jitorch.frontend.modes import disable
from jitorch.ir.graph import Graph
from jitorch.ir.types import TensorType
from jitorch.ops import dispatch
from jitorch.tensor import Tensor


class CapturingBuilder(GraphBuilder):
    """Builds ``graph``; ``parameters`` are the stored tensors that became its inputs, after the arguments."""

    def __init__(self, name: str):
        super().__init__(Graph(name), locations=True)
        self.parameters: list[Tensor] = []
        self._captured: list[Cell] = []
        self._facts = Facts()

    @property
    def guards(self) -> tuple[Guard, ...]:
        """What had to be assumed of the symbolic sizes."""
        return self._facts.guards

    @property
    def written(self) -> list[Tensor]:
        """The parameters that were written to; their new contents are no outputs of the graph."""
        return [tensor for tensor, cell in zip(self.parameters, self._captured) if cell.version]

    def add_argument(self, type: TensorType) -> Tensor:
        """An input of the graph as a tensor without data; all are added before the recording."""
        return self.wrap(self.graph.add_input(type))

    def capture(self, tensor: Tensor) -> Cell:
        root = tensor if tensor._base is None else tensor._base
        if root._steps:
            raise UnsupportedError(
                "a stored tensor that is a view of one that is gone", actual=root.type, hint="clone() it first"
            )
        cell = Cell(self.graph.add_input(root.type))
        self.parameters.append(root)
        self._captured.append(cell)
        return cell

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record, without gradients, the operations of this block; jitted functions run as what they wrap."""
        token = dispatch.set_grad_enabled_flag(False)
        try:
            with self._facts, disable(), dispatch.interpreting(self):
                yield
        finally:
            dispatch.reset_grad_enabled(token)

    def finish(self, results: Sequence[Tensor]) -> Graph:
        """The graph, with ``results`` as its outputs."""
        self.graph.outputs = [self.value(tensor) for tensor in results]
        return self.graph
