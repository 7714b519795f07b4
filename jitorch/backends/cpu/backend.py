"""The ``cpu`` backend: a region becomes one native function, made by LLVM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jitorch import config, dtypes
from jitorch.backends.base import (
    API,
    HOST_MEMORY,
    Accept,
    Artifact,
    Available,
    Options,
    Reject,
    Unavailable,
    Verdict,
)
from jitorch.backends.cpu import host, llvm, native, objects, profile
from jitorch.backends.cpu.times import library_reason
from jitorch.backends.kernels import (
    Preparation,
    ProgramExecutable,
    kernel_verdict,
    preparing_manifest,
    program_manifest,
)
from jitorch.dtypes import Category
from jitorch.ir.graph import Graph, Node
from jitorch.ir.program import Program
from jitorch.lower.names import Origins
from jitorch.lower.program import programs
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
        verdict = kernel_verdict(node, DTYPES, control=True, composites=True)
        if isinstance(verdict, Accept) and (reason := library_reason(node)) is not None:
            return Reject(reason)
        return verdict

    def compile(self, region: Graph, options: Options) -> Artifact:
        machine = native.host()
        profiler = None
        with objects.Compiler(options.opt, len(region.nodes)) as compiler:
            lowered, prepare = self._programs(region, options.constants)
            symbol = host.entry_symbol(lowered.name)
            if config.current().profile:
                profiler = profile.Profiler(profile.table_symbol(symbol), profile.clock_of(machine.triple))
            modules = llvm.modules(lowered, compiler.add, profiler, prepare)
            payload = objects.pack(compiler.finish(modules.host))
        manifest = program_manifest(region, lowered, symbol)
        if prepare is not None:
            manifest["prepare"] = preparing_manifest(prepare, host.entry_symbol(prepare.name))
        if profiler is not None:
            manifest["timed"] = profiler.names
        programs = [lowered] if prepare is None else [lowered, prepare]
        kernels = list(dict.fromkeys(str(kernel) for made in programs for kernel in made.kernels))
        text = "\n\n".join([*kernels, *(made.host_text() for made in programs)])
        sources = {"kernels": "\n".join(kernels), "program": text, "llvm": str(modules)}
        return Artifact(self.name, payload, manifest, sources)

    def lowered(self, region: Graph, origins: Origins | None = None, constants: Sequence[int] = ()) -> Program:
        """The program that `compile` makes machine code of; ``origins`` takes the lines its kernels come from."""
        return self._programs(region, constants, origins)[0]

    def _programs(
        self, region: Graph, constants: Sequence[int], origins: Origins | None = None
    ) -> tuple[Program, Program | None]:
        machine = native.host()
        return programs(region, constants, region.name, target_of_features(machine.triple, machine.features), origins)

    def load(self, artifact: Artifact) -> ProgramExecutable:
        manifest, code = artifact.manifest, objects.unpack(artifact.payload)
        table = profile.table_symbol(manifest["symbol"]) if "timed" in manifest else None
        if "prepare" not in manifest:
            return CpuExecutable(native.load_objects(code, manifest["symbol"], table), manifest)
        symbols = manifest["symbol"], manifest["prepare"]["symbol"]
        function, prepare = native.load_functions(code, symbols, table)
        return PreparingExecutable(function, manifest, Preparation(prepare, manifest["prepare"]))

    def fingerprint(self) -> str:
        return native.fingerprint() + (" profile" if config.current().profile else "")


class CpuExecutable(ProgramExecutable):
    """A program with the table of its profile, if it has one."""

    def __init__(self, function: native.NativeFunction, manifest: Mapping[str, Any]):
        super().__init__(function, manifest)
        self.timed: list[str] = manifest.get("timed", [])
        self.table = function.table

    def profile(self) -> list[profile.Timing]:
        """How long each launch and copy took in all calls so far, in their order; empty without `JITORCH_PROFILE`."""
        return profile.read(self.table, self.timed) if self.timed else []

    def clear_profile(self) -> None:
        """Let the profile start anew."""
        if self.timed:
            profile.clear(self.table, self.timed)


class PreparingExecutable(CpuExecutable):
    """A program that takes what another one makes of its constants; implements `jitorch.backends.base.Preparing`."""

    def __init__(self, function: native.NativeFunction, manifest: Mapping[str, Any], preparation: Preparation):
        super().__init__(function, manifest)
        self.prepare = preparation.results


backend = CpuBackend()
