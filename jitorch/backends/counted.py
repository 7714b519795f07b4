"""A program that counts the sizes of its own results (see `jitorch.passes.counts`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.backends.base import Executable, store_results
from jitorch.dims import Dim, Symbol
from jitorch.ir.graph import Graph
from jitorch.ir.types import ScalarType


class Counted:
    """Implements `base.Executable` and `base.Computing` by one that has the sizes as further outputs.

    ``shapes``: of each result that has such sizes, over the names in ``sizes``, which are counted in this order.
    ``room``: the most elements that it can have.
    """

    def __init__(self, inner: Executable, graph: Graph, manifest: Mapping[str, Any]):
        self.inner, self.graph = inner, graph
        self.sizes: list[str] = manifest["sizes"]
        self.room: list[int | None] = manifest["room"]
        known = {name: Symbol(name, computed=True) for name in self.sizes}
        self.shapes: list[tuple[Dim, ...] | None] = [
            None if shape is None else tuple(dims.parse(text, known) for text in shape) for shape in manifest["shapes"]
        ]
        self._writes = {o: i for i, o in graph.writes}
        self._types: list[Any] = [v.type for o, v in enumerate(graph.outputs) if o not in self._writes]

    def run(self, inputs: Sequence[Any], outputs: Sequence[Any], dims: Mapping[str, int], stream: Any = None) -> None:
        store_results(self.graph, self.results(inputs, dims), inputs, outputs)

    def results(self, inputs: Sequence[Any], sizes: Mapping[str, int]) -> list[Any]:
        """All outputs of the graph; an input that it writes is changed in place, and is the output."""
        made = [
            np.empty(type_.shape if room is None else room, type_.dtype.numpy)
            for type_, room in zip(self._types, self.room)
        ]
        counts = [np.empty((), np.int64) for _ in self.sizes]
        self.inner.run(inputs, [*made, *counts], sizes)
        known = {name: int(count) for name, count in zip(self.sizes, counts)}
        returned = iter(self._finished(*x, known) for x in zip(made, self._types, self.shapes))
        outputs = range(len(self.graph.outputs))
        return [inputs[self._writes[o]] if o in self._writes else next(returned) for o in outputs]

    def _finished(self, made: Any, type_: Any, shape: tuple[Dim, ...] | None, known: Mapping[str, int]) -> Any:
        if isinstance(type_, ScalarType):
            return made.item()
        if shape is None:
            return made
        exact = tuple(dims.evaluate(d, known) for d in shape)
        return made[: dims.prod(exact)].reshape(exact).copy()
