"""The backend contract.  Nothing to inherit: anything with these members is a backend.

A region is a Graph: a backend may hand it whole to its own compiler, or call
`jitorch.lower.program` and render kernels.  Ops reduce to primitives with a NumPy meaning, so a
backend of twenty ops runs every model: what it refuses is decomposed, and what is left is given to
another backend.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from jitorch.ir.graph import Graph, Node

API = (1, 0)
"""Version of this contract: (incompatible, compatible) changes."""


@dataclass(frozen=True)
class Available:
    """The backend can run here; ``detail`` says on what."""

    detail: str = ""

    def __str__(self) -> str:
        return f"available ({self.detail})" if self.detail else "available"


@dataclass(frozen=True)
class Unavailable:
    """The backend cannot run here, and why."""

    reason: str

    def __str__(self) -> str:
        return f"unavailable: {self.reason}"


@dataclass(frozen=True)
class Accept:
    """The backend compiles this node as it is."""


@dataclass(frozen=True)
class Decompose:
    """The backend wants the node's body instead (a node without a body then counts as rejected)."""

    reason: str = ""


@dataclass(frozen=True)
class Reject:
    """The backend cannot run this node; another one will."""

    reason: str


Verdict = Accept | Decompose | Reject


@dataclass(frozen=True)
class Options:
    """What the caller chose: ``opt`` is the optimisation level, 0 to 3.

    ``constants``: the numbers of the region's inputs that are the same in every call.  A backend may compute once what
    depends on them alone: see `Preparing`.
    """

    opt: int = 2
    constants: tuple[int, ...] = ()

    def key(self) -> str:
        return f"opt={self.opt} constants={','.join(map(str, self.constants))}"


@dataclass
class Artifact:
    """What compilation gives: bytes that can be kept on disk, and what is needed to load them.

    ``manifest`` holds JSON values only; ``sources`` are texts for people (kernels, LLVM, C) by name.
    """

    backend: str
    payload: bytes
    manifest: dict[str, Any]
    sources: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        head = json.dumps({"backend": self.backend, "manifest": self.manifest, "sources": dict(self.sources)}).encode()
        return len(head).to_bytes(8, "little") + head + self.payload

    @classmethod
    def from_bytes(cls, data: bytes) -> Artifact:
        size = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + size])
        return cls(head["backend"], data[8 + size :], head["manifest"], head["sources"])


class Executable(Protocol):
    """A loaded artifact; immutable and safe to call from several threads."""

    def run(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[np.ndarray[Any, Any]],
        dims: Mapping[str, int],
        stream: Any = None,
    ) -> None:
        """Run the region.

        ``inputs`` match the region's inputs: arrays (C-contiguous) or Python numbers.  ``outputs``
        are arrays for the outputs that are no write-back, allocated by the caller.  ``dims`` gives
        each symbolic size.  An input that the region writes is changed in place.
        """
        ...


class Computing(Protocol):
    """An executable that computes arrays of its own: who wants those need not give it others to copy them to."""

    def results(self, inputs: Sequence[Any], dims: Mapping[str, int]) -> list[Any]:
        """All outputs of the region, in arrays that may show memory of the inputs; nothing is written."""
        ...


class Preparing(Protocol):
    """An executable that wants more inputs, which it makes of the constants among them."""

    def prepare(self, constants: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """What ``run`` is given behind the region's inputs; called once, with those of them that are constants."""
        ...


def store_results(
    graph: Graph, results: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[np.ndarray[Any, Any]]
) -> None:
    """Put ``results``, one for each output of ``graph``, where they belong: into ``outputs`` and into written inputs.

    For executables that compute arrays of their own.  A result may be a view of an input that is written.
    """
    written = {o for _, o in graph.writes}
    for target, o in zip(outputs, (o for o in range(len(results)) if o not in written), strict=True):
        np.copyto(target, results[o])
    store_writes(graph, results, inputs)


def store_writes(graph: Graph, results: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Put those of ``results`` that write-backs are into the inputs that they belong to."""
    staged = [(inputs[i], np.array(results[o])) for i, o in graph.writes]
    for target, result in staged:
        np.copyto(target, result)


class Memory(Protocol):
    """Where a backend's arrays live."""

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any: ...

    def free(self, array: Any) -> None: ...

    def copy(self, source: Any, target: Any) -> None: ...

    def synchronize(self) -> None: ...


class HostMemory:
    """NumPy arrays: what backends that run on the host use."""

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        return np.empty(shape, dtype)

    def free(self, array: Any) -> None:
        """NumPy frees an array with its last reference."""

    def copy(self, source: Any, target: Any) -> None:
        np.copyto(target, source)

    def synchronize(self) -> None:
        """Host code is done when it returns."""


HOST_MEMORY = HostMemory()


@runtime_checkable
class Backend(Protocol):
    """A way to run graphs.  See docs/backends.md for how to write one."""

    api: tuple[int, int]
    name: str
    memory: Memory

    def probe(self) -> Available | Unavailable:
        """Whether it can run here; cheap, and never raises."""
        ...

    def verdict(self, node: Node, target: Any = None) -> Verdict:
        """What to do with ``node``; each no comes with a reason."""
        ...

    def compile(self, region: Graph, options: Options) -> Artifact:
        """Compile a region whose nodes were all accepted; pure: equal regions give equal artifacts."""
        ...

    def load(self, artifact: Artifact) -> Executable:
        """Make an artifact of this backend ready to run."""
        ...

    def fingerprint(self) -> str:
        """Everything beside the region that the artifact depends on: versions, processor features."""
        ...


MEMBERS = ("api", "name", "memory", "probe", "verdict", "compile", "load", "fingerprint")
