"""The reference backend: the NumPy interpreter.  It runs every graph, slowly, and defines what is right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jitorch import dims
from jitorch.backends.base import (
    API,
    HOST_MEMORY,
    Accept,
    Artifact,
    Available,
    Decompose,
    Options,
    Reject,
    Verdict,
    store_results,
)
from jitorch.errors import BackendError
from jitorch.ir.graph import Graph, Node, map_dims
from jitorch.ir.interpret import interpret
from jitorch.ops import OPS
from jitorch.ops.control import expand


def specialize(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """A copy of ``graph`` with the sizes that are known replaced by numbers."""
    graph = graph.copy()
    map_dims(graph, lambda d: dims.substitute(d, sizes))
    return graph


class ReferenceExecutable:
    """Interprets a graph."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def run(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[np.ndarray[Any, Any]],
        dims: Mapping[str, int],
        stream: Any = None,
    ) -> None:
        store_results(self.graph, self.results(inputs, dims), inputs, outputs)

    def results(self, inputs: Sequence[Any], dims: Mapping[str, int]) -> list[Any]:
        """What all outputs of the graph are, in arrays that may show memory of the inputs; nothing is written."""
        graph = specialize(self.graph, dims) if dims else self.graph
        return interpret(graph, inputs, expand)


class ReferenceBackend:
    """Implements `jitorch.backends.Backend`."""

    api = API
    name = "reference"
    memory = HOST_MEMORY

    def probe(self) -> Available:
        return Available(f"NumPy {np.__version__}")

    def verdict(self, node: Node, target: Any = None) -> Verdict:
        if "numpy" in node.op.rules:
            return Accept()
        return Decompose("no NumPy rule") if node.op.body is not None else Reject("no NumPy rule and no body")

    def compile(self, region: Graph, options: Options) -> Artifact:
        return Artifact(self.name, b"", {"graph": str(region)}, {"graph": str(region)})

    def load(self, artifact: Artifact) -> ReferenceExecutable:
        text = artifact.manifest.get("graph")
        if not isinstance(text, str):
            raise BackendError("not an artifact of the reference backend", actual=json.dumps(artifact.manifest)[:80])
        return ReferenceExecutable(Graph.parse(text, OPS))  # type: ignore[arg-type]

    def fingerprint(self) -> str:
        return f"numpy-{np.__version__}"


backend = ReferenceBackend()
