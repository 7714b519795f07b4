"""Regions: the parts of a graph that different backends run, or that a size is bound between, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jitorch import allocator, dims
from jitorch.backends.base import Artifact, Executable, store_results
from jitorch.dims import Dim, SymDim
from jitorch.errors import CompilerBug
from jitorch.ir.graph import Graph
from jitorch.ir.types import ScalarType
from jitorch.passes.control import gives_bound_sizes
from jitorch.passes.partition import Region


@dataclass
class Step:
    """One region of a compiled graph: which slots it reads and makes."""

    artifact: Artifact
    executable: Executable | None
    inputs: list[int]
    outputs: list[int]
    region: Region | None = None

    @cached_property
    def computes(self) -> Callable[..., list[Any]] | None:
        """What computes arrays of its own: `base.Computing.results`, if the executable has it."""
        return getattr(self.executable, "results", None)

    @cached_property
    def symbols(self) -> list[str]:
        """The symbolic sizes that the region takes."""
        return [] if self.region is None else [s.name for s in self.region.graph.symbols]


@dataclass(frozen=True)
class Binding:
    """Where the host binds a size, a symbol, to the number in slot ``count``; slot ``ramp`` counts up to it.

    Where the ramp is not ``read``, it only has that many elements.
    """

    count: int
    ramp: int
    size: Dim
    read: bool = True

    def bind(self, table: list[Any], sizes: dict[str, int]) -> None:
        """Fill the slot of the ramp, and note the size."""
        count = sizes[str(self.size)] = int(table[self.count])
        table[self.ramp] = np.arange(count) if self.read else np.empty(count, np.int64)


class Joined:
    """Runs the steps of a partitioned graph over a table of slots."""

    def __init__(self, steps: list[Step | Binding], graph: Graph, outputs: list[int], slots: int):
        self.steps, self.graph, self.outputs, self.slots = steps, graph, outputs, slots
        self.binds = gives_bound_sizes(graph)

    def run(self, inputs: Sequence[Any], outputs: Sequence[Any], dims: Any, stream: Any = None) -> None:
        store_results(self.graph, self.results(inputs, dims, stream), inputs, outputs)

    def results(self, inputs: Sequence[Any], sizes: Mapping[str, int], stream: Any = None) -> list[Any]:
        """What all outputs of the graph are, in arrays that may show memory of the inputs; nothing is written."""
        table: list[Any] = [*inputs, *[None] * (self.slots - len(inputs))]
        known = dict(sizes)
        for step in self.steps:
            if isinstance(step, Binding):
                step.bind(table, known)
                continue
            region = step.region
            if region is None or step.executable is None:
                raise CompilerBug("a joined step without a region")
            arrays = [contiguous(table[i]) for i in step.inputs]
            region_sizes = {name: known[name] for name in step.symbols}
            if step.computes is not None:
                results = step.computes(arrays, region_sizes)
            else:
                results = [allocate(v.type, known) for v in region.graph.outputs]
                step.executable.run(arrays, results, region_sizes, stream)
            for slot, result, value in zip(step.outputs, results, region.graph.outputs):
                table[slot] = np.asarray(result).item() if isinstance(value.type, ScalarType) else result
        return [table[o] for o in self.outputs]


def owned(results: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """``results`` in row-major arrays that share no memory with each other or with ``inputs``: copies where needed."""
    seen = {id(x) for x in inputs}
    made: list[Any] = []
    for result in results:
        if isinstance(result, np.ndarray) and (id(result) in seen or not _has_own_memory(result)):
            result = result.copy()
        seen.add(id(result))
        made.append(result)
    return made


def _has_own_memory(array: np.ndarray[Any, Any]) -> bool:
    return array.flags.c_contiguous and (array.base is None or allocator.is_block(array.base))


def contiguous(x: Any) -> Any:
    """An array in row-major order, of the same rank (``np.ascontiguousarray`` gives 0-d arrays an axis)."""
    return x if not isinstance(x, np.ndarray) or x.flags.c_contiguous else np.ascontiguousarray(x)


def allocate(type_: Any, sizes: Any) -> np.ndarray[Any, Any]:
    """Memory for a value of ``type_``, whose symbols have these sizes."""
    shape = tuple(dims.evaluate(d, sizes) if isinstance(d, SymDim) else d for d in type_.shape)
    return allocator.empty(shape, type_.dtype.numpy)
