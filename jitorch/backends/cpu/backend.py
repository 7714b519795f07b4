"""The ``cpu`` backend: a region becomes one native function, made by LLVM."""

from __future__ import annotations

from typing import Any

from jitorch import dtypes
from jitorch.backends.base import API, HOST_MEMORY, Artifact, Available, Options, Unavailable, Verdict
from jitorch.backends.cpu import host, llvm, native, objects
from jitorch.backends.kernels import ProgramExecutable, kernel_verdict, program_manifest
from jitorch.dtypes import Category
from jitorch.ir.graph import Graph, Node
from jitorch.lower.program import program
from jitorch.lower.target import target_of_features

DTYPES = frozenset(d for d in dtypes.ALL if d.category is not Category.COMPLEX)


class CpuBackend:
    """Implements `jitorch.backends.Backend`."""

    api = API
    name = "cpu"
    memory = HOST_MEMORY

    def probe(self) -> Available | Unavailable:
        try:
            return Available(native.host().cpu)
        except (ImportError, OSError, RuntimeError) as error:
            return Unavailable(f"llvmlite does not work here: {error}")

    def verdict(self, node: Node, target: Any = None) -> Verdict:
        return kernel_verdict(node, DTYPES, control=True)

    def compile(self, region: Graph, options: Options) -> Artifact:
        machine = native.host()
        with objects.Compiler(options.opt, len(region.nodes)) as compiler:
            lowered = program(region, region.name, target_of_features(machine.triple, machine.features))
            modules = llvm.modules(lowered, compiler.add)
            payload = objects.pack(compiler.finish(modules.host))
        manifest = program_manifest(region, lowered, host.entry_symbol(lowered.name))
        sources = {"kernels": "\n".join(map(str, lowered.kernels)), "program": str(lowered), "llvm": str(modules)}
        return Artifact(self.name, payload, manifest, sources)

    def load(self, artifact: Artifact) -> ProgramExecutable:
        return ProgramExecutable(
            native.load_objects(objects.unpack(artifact.payload), artifact.manifest["symbol"]), artifact.manifest
        )

    def fingerprint(self) -> str:
        return native.fingerprint()


backend = CpuBackend()
