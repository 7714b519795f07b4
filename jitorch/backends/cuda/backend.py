"""The ``cuda`` backend: it compiles, it does not run yet.

A region becomes CUDA C++ and, by NVRTC, one cubin for each of `ARCHITECTURES`.  Nothing here has run on a
GPU; ``probe`` says so, and so no graph is given to this backend unless it is asked to compile by hand.
"""

from __future__ import annotations

import importlib.util
from typing import Any, NoReturn

from jitorch.backends.base import API, HOST_MEMORY, Artifact, Options, Unavailable, Verdict
from jitorch.backends.cuda.nvrtc import nvrtc
from jitorch.backends.cuda.render import CudaSource
from jitorch.backends.kernels import kernel_verdict
from jitorch.errors import BackendError
from jitorch.ir import program as host
from jitorch.ir.graph import Graph, Node
from jitorch.ir.kernel import Const, Expr, Kernel, Var
from jitorch.ir.program import Program
from jitorch.lower.gpu.grid import for_gpu
from jitorch.lower.gpu.launch import Geometry
from jitorch.lower.program import program
from jitorch.lower.schedules.positions import LIMIT, limited_extents

ARCHITECTURES = (75, 80, 90)
"""Compute capabilities times ten: Turing, Ampere, Hopper; a later GPU of the same major version runs them too."""


class CudaBackend:
    """Implements `jitorch.backends.Backend`."""

    api = API
    name = "cuda"
    memory = HOST_MEMORY

    def probe(self) -> Unavailable:
        without = "" if importlib.util.find_spec("nvidia") else " (nor is NVRTC installed: pip install 'jitorch[cuda]')"
        return Unavailable(f"it compiles kernels, but running on a GPU is not there yet{without}")

    def verdict(self, node: Node, target: Any = None) -> Verdict:
        return kernel_verdict(node, CudaSource.types)

    def compile(self, region: Graph, options: Options) -> Artifact:
        lowered = program(region, region.name, "gpu")
        kernels = [for_gpu(kernel) for kernel in lowered.kernels]
        text = CudaSource(index_bits(lowered)).source([kernel for kernel, _ in kernels])
        cubins = [nvrtc().compile(text, arch) for arch in ARCHITECTURES]
        manifest = {
            "name": lowered.name,
            "architectures": list(ARCHITECTURES),
            "bytes": [len(cubin) for cubin in cubins],
            "kernels": [_launch(kernel, geometry) for kernel, geometry in kernels],
        }
        sources = {
            "kernels": "\n".join(str(kernel) for kernel, _ in kernels), "program": str(lowered), "cuda": text,
        }  # fmt: skip
        return Artifact(self.name, b"".join(cubins), manifest, sources)

    def load(self, artifact: Artifact) -> NoReturn:
        raise BackendError("the cuda backend cannot run a program", actual=self.probe().reason)

    def fingerprint(self) -> str:
        major, minor = nvrtc().version()
        return f"nvrtc-{major}.{minor}"


def index_bits(lowered: Program) -> int:
    """32 where all sizes and extents are known and small, else 64."""
    limited: list[Expr] = list(lowered.sizes.values())
    limited += [s.size for s in host.walk(lowered.body) if isinstance(s, (host.Alloc, host.Place))]
    for kernel in lowered.kernels:
        extents = limited_extents(kernel)
        if extents is None:
            return 64
        limited += extents
    return 32 if all(isinstance(e, Const) and e.value.real < LIMIT for e in limited) else 64


def _launch(kernel: Kernel, geometry: Geometry) -> dict[str, Any]:
    """How a kernel is to be launched, as JSON values; sizes are kernel text over its scalar parameters."""
    return {
        "name": kernel.name,
        "grid": [str(extent) for extent in geometry.grid],
        "block": list(geometry.block),
        "shared": geometry.shared,
        "parameters": [p.typed if isinstance(p, Var) else str(p) for p in kernel.params],
    }


backend = CudaBackend()
