"""The backend object: a region becomes one C function in a shared library."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from jitorch.backends import (
    API,
    HOST_MEMORY,
    Artifact,
    Available,
    Options,
    ProgramExecutable,
    Unavailable,
    Verdict,
    kernel_verdict,
    program_manifest,
)
from jitorch.compiler import Compiled, compile_graph
from jitorch.errors import BackendError
from jitorch.ir.graph import Graph, Node
from jitorch.lower import CSource, program
from jitorch_c.compiler import Compiler, find_compiler, why_not
from jitorch_c.header import header

_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class CBackend:
    """Implements `jitorch.backends.Backend`."""

    api = API
    name = "c"
    memory = HOST_MEMORY

    def probe(self) -> Available | Unavailable:
        found = find_compiler()
        return Unavailable(why_not()) if found is None else Available(str(found))

    def verdict(self, node: Node, target: Any = None) -> Verdict:
        return kernel_verdict(node, CSource.types)

    def compile(self, region: Graph, options: Options) -> Artifact:
        c, lowered = CSource(), program(region)
        source, symbol = c.program(lowered), c.symbol(lowered)
        library = _compiler().shared_library(source, options.opt)
        sources = {f"{symbol}.c": source, f"{symbol}.h": header(region, lowered), "program": str(lowered)}
        return Artifact(self.name, library, program_manifest(region, lowered, symbol), sources)

    def load(self, artifact: Artifact) -> ProgramExecutable:
        folder = _kept.get()
        if folder is not None:
            _write(artifact.sources, folder)
        return ProgramExecutable(_function(artifact), artifact.manifest)

    def fingerprint(self) -> str:
        found = _compiler()
        return f"{found}: {found.version()}"


def _compiler() -> Compiler:
    found = find_compiler()
    if found is None:
        raise BackendError("the c backend cannot run here", actual=why_not())
    return found


def _function(artifact: Artifact) -> Any:
    """Load the library.  A library is loaded from a file, which is not needed any more once it is."""
    with tempfile.TemporaryDirectory(prefix="jitorch-c-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "program.lib")
        path.write_bytes(artifact.payload)
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise BackendError("the compiled C cannot be loaded", actual=str(error)) from error
    return _PROTOTYPE((artifact.manifest["symbol"], library))


_kept: ContextVar[Path | None] = ContextVar("jitorch_c_kept", default=None)


@contextmanager
def keep(directory: str | Path) -> Iterator[Path]:
    """Write the ``.c`` and ``.h`` of every program loaded in this block into ``directory``, made if need be."""
    token = _kept.set(Path(directory))
    try:
        yield Path(directory)
    finally:
        _kept.reset(token)


class HasSources(Protocol):
    """What `jitorch.jit` makes of a function."""

    def sources(self) -> dict[str, str]: ...


def write_sources(compiled: Graph | Compiled | HasSources, directory: str | Path) -> list[Path]:
    """Write the ``.c`` and ``.h`` of a graph, of what `compile_graph` made of one, or of a jitted function.

    Gives their paths.  Raises `BackendError` if no part of it was compiled by this backend.
    """
    if isinstance(compiled, Graph):
        compiled = compile_graph(compiled, backend.name)
    if isinstance(compiled, Compiled):
        texts = {name: text for step in compiled.steps for name, text in step.artifact.sources.items()}
    else:
        texts = compiled.sources()
    paths = _write(texts, Path(directory))
    if not paths:
        raise BackendError("no part of this was compiled by the c backend", hint='compile it with backend="c"')
    return paths


def _write(texts: Mapping[str, str], directory: Path) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / name for name in texts if name.endswith((".c", ".h"))]
    for path in paths:
        path.write_text(texts[path.name], encoding="utf-8")
    return paths


backend = CBackend()
