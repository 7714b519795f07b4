"""A backend of twenty ops runs the digits model: what it refuses is decomposed, and the rest runs elsewhere.

    python examples/backend_20_ops.py

The model is that of `examples/digits.py`, with random weights; no data is needed.  docs/backends.md explains the
backend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import jitorch
from jitorch import nn
from jitorch.backends import (
    API,
    HOST_MEMORY,
    Accept,
    Artifact,
    Available,
    Options,
    Reject,
    Verdict,
    register_backend,
    store_results,
)
from jitorch.ir.graph import Graph, Node
from jitorch.nn import functional as F
from jitorch.ops import OPS

TWENTY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "maximum": np.maximum,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "lt": np.less,
    "gt": np.greater,
    "where": np.where,
    "matmul_batched": np.matmul,
    "relu": lambda x: np.maximum(x, 0),
    "reduce_sum": lambda x, *, axes: x.sum(axes),
    "reduce_max": lambda x, *, axes: x.max(axes),
    "reshape_to": lambda x, *, shape: x.reshape(shape),
    "transpose_axes": lambda x, *, perm: x.transpose(perm),
    "broadcast_to": lambda x, *, shape: np.broadcast_to(x, shape),
}


class TwentyExecutable:
    """Walks over the nodes of a region."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def run(self, inputs: Sequence[Any], outputs: Sequence[Any], dims: Mapping[str, int], stream: Any = None) -> None:
        values = dict(zip(self.graph.inputs, inputs))
        for node in self.graph:
            operands = [values[v] for v in node.operands]
            values[node.output] = TWENTY[node.op.name](*operands, **node.attrs)
        store_results(self.graph, [values[v] for v in self.graph.outputs], inputs, outputs)


class TwentyOps:
    """Implements `jitorch.backends.Backend`."""

    api, name, memory = API, "twenty", HOST_MEMORY

    def probe(self) -> Available:
        return Available(f"NumPy {np.__version__}")

    def verdict(self, node: Node, target: Any = None) -> Verdict:
        return Accept() if node.op.name in TWENTY else Reject("not one of the twenty")

    def compile(self, region: Graph, options: Options) -> Artifact:
        return Artifact(self.name, str(region).encode(), {})

    def load(self, artifact: Artifact) -> TwentyExecutable:
        return TwentyExecutable(Graph.parse(artifact.payload.decode(), OPS))

    def fingerprint(self) -> str:
        return f"twenty-1 numpy-{np.__version__}"


class DigitsNet(nn.Module):
    """Two convolutions, batch normalisation, dropout, two linear layers: ``[N, 1, 8, 8]`` to ``[N, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(32)
        self.dropout = nn.Dropout(0.25)
        self.linear1 = nn.Linear(32 * 2 * 2, 64)
        self.linear2 = nn.Linear(64, 10)

    def forward(self, images: jitorch.Tensor) -> jitorch.Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(images))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        x = self.dropout(F.relu(self.linear1(x.flatten(1))))
        return self.linear2(x)


def main() -> dict[str, int]:
    """Run the model on both backends, compare, and print who ran what; gives the number of regions of each."""
    register_backend(TwentyOps(), replace=True)
    jitorch.manual_seed(0)
    model = DigitsNet().eval()
    images = jitorch.randn(16, 1, 8, 8)
    ours, theirs = jitorch.jit(model, fullgraph=True), jitorch.jit(model, backend="twenty", fullgraph=True)
    with jitorch.no_grad():
        difference = (ours(images) - theirs(images)).abs().max().item()
    # Sums of some hundred float32 products of order 1, in another order.
    if difference > 1e-5:
        raise SystemExit(f"the backends differ by {difference:.1e}")
    print(theirs.explain())
    print(f"greatest difference to the cpu backend: {difference:.1e}")
    steps = [line.split(":")[0].strip() for line in theirs.explain().splitlines() if line.startswith("    ")]
    return dict(Counter(name for name in steps if name in ("twenty", "cpu")))


if __name__ == "__main__":
    main()
