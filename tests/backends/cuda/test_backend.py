"""The cuda backend compiles what it cannot run yet."""

from dataclasses import replace

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.backends import Decompose, Options, Reject, Unavailable, list_backends
from jitorch.backends.cuda import backend
from jitorch.backends.cuda.backend import ARCHITECTURES, index_bits
from jitorch.backends.cuda.nvrtc import compile
from jitorch.backends.cuda.render import CudaSource
from jitorch.compiler import compile_graph
from jitorch.dims import symbol
from jitorch.errors import BackendError
from jitorch.ir import kernel as k
from jitorch.ir import program as host
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.kernel_interpret import program_interpret
from jitorch.ir.program import Program
from jitorch.ir.program_verify import verify_program
from jitorch.ir.types import TensorType
from jitorch.lower.gpu.grid import for_gpu
from jitorch.lower.program import program
from jitorch.ops import OPS
from jitorch.passes.decompose import decompose, expand
from tests.samples import assert_close, graph_of_samples, trace, trace_types, with_samples

X = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)


def lowered(graph: Graph) -> Program:
    work = graph.copy()
    decompose(work)
    return program(work, target="gpu")


def on_gpu(p: Program) -> Program:
    """The program with every kernel scheduled for a GPU."""
    known = {kernel: for_gpu(kernel, 8)[0] for kernel in p.kernels}

    def block(body: tuple[host.Stmt, ...]) -> tuple[host.Stmt, ...]:
        return tuple(replace(s, kernel=known[s.kernel]) if isinstance(s, host.Launch) else s for s in body)

    return replace(p, body=block(p.body))


# A generator's state is int64 alone, where samples are tried in narrow dtypes too.
NAMES = [name for name in with_samples() if not name.startswith("random_")]


def refused(graph: Graph) -> list[str]:
    """Why nodes of a graph of primitives have no kernels."""
    work = graph.copy()
    decompose(work)
    return [v.reason for node in work.nodes if isinstance(v := backend.verdict(node), Reject)]


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_computes_the_same_on_blocks_and_threads(name: str) -> None:
    """The kernels as scheduled for a GPU, run by the kernel interpreter, against the graph's."""
    graph, inputs = graph_of_samples(name)
    if reasons := refused(graph):
        assert all("no kernel" in reason for reason in reasons)
        return
    expected = [np.ascontiguousarray(e) for e in interpret(graph.copy(), inputs, expand)]
    scheduled = on_gpu(verify_program(lowered(graph)))
    outputs = [np.empty_like(e) for e in expected]
    program_interpret(scheduled, [a.copy() for a in inputs], outputs)
    assert_close(outputs, expected)


def scheduled_kernels() -> list[k.Kernel]:
    """Every kernel of every sample, for a GPU, each with a name of its own."""
    found: dict[k.Kernel, None] = {}
    for graph in (graph_of_samples(name)[0] for name in NAMES):
        for kernel in () if refused(graph) else lowered(graph).kernels:
            found[replace(for_gpu(kernel)[0], name="k")] = None
    return [replace(kernel, name=f"k{i}") for i, kernel in enumerate(found)]


def test_every_sample_compiles() -> None:
    kernels = scheduled_kernels()
    for i in range(0, len(kernels), 60):
        assert compile(CudaSource(32).source(kernels[i : i + 60]), 80)


def softmax_of_product() -> Graph:
    return trace(lambda x: OPS["softmax"](x @ OPS["exp"](x).mT, axis=1), [X])


def test_a_region_becomes_a_cubin_for_each_architecture() -> None:
    graph = softmax_of_product()
    decompose(graph)
    artifact = backend.compile(graph, Options())
    manifest = artifact.manifest
    assert manifest["architectures"] == list(ARCHITECTURES)
    assert sum(manifest["bytes"]) == len(artifact.payload)
    assert artifact.payload.startswith(b"\x7fELF")
    assert [launch["name"] for launch in manifest["kernels"]] == [x.name for x in lowered(graph).kernels]
    assert all((launch["block"], launch["grid"]) == ([32], ["1"]) for launch in manifest["kernels"])
    assert "__global__" in artifact.sources["cuda"]
    assert type(artifact).from_bytes(artifact.to_bytes()) == artifact


def test_running_is_refused_with_the_reason() -> None:
    answer = list_backends()["cuda"]
    assert isinstance(answer, Unavailable)
    assert "running on a GPU is not there yet" in answer.reason
    with pytest.raises(BackendError) as caught:
        compile_graph(softmax_of_product(), "cuda")
    assert "running on a GPU is not there yet" in str(caught.value)
    decomposed = softmax_of_product()
    decompose(decomposed)
    with pytest.raises(BackendError, match="cannot run a program"):
        backend.load(backend.compile(decomposed, Options()))


def test_composite_nodes_are_decomposed() -> None:
    verdicts = [backend.verdict(node) for node in softmax_of_product().nodes]
    assert any(isinstance(v, Decompose) for v in verdicts)


def test_indices_are_narrow_where_sizes_are_known() -> None:
    assert index_bits(lowered(softmax_of_product())) == 32
    n = symbol("N")
    graph = trace_types(lambda x: OPS["exp"](x), [TensorType(dtypes.float32, (n, 4))])
    assert index_bits(lowered(graph)) == 64
