"""The compiler, from top to bottom.

`compile_graph` is the whole of it: clean up, decompose what the backend does not take whole, cut
into regions, let each backend compile its own, and join them.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from jitorch import allocator, collector, config, dtypes, plugins
from jitorch.backends import cache, registry
from jitorch.backends.base import (
    Accept,
    Artifact,
    Backend,
    Decompose,
    Executable,
    Options,
    Unavailable,
    store_writes,
)
from jitorch.backends.counted import Counted
from jitorch.backends.joined import Binding, Joined, Step, allocate, owned
from jitorch.dims import SymDim
from jitorch.errors import BackendError
from jitorch.ir.graph import Graph, Node, Value
from jitorch.ir.op import Op
from jitorch.ir.printer import print_graph
from jitorch.ir.program import Program
from jitorch.ir.types import ScalarType, TensorType
from jitorch.lower.names import Origins
from jitorch.passes import pipeline
from jitorch.passes.batch import batch_products
from jitorch.passes.clean import cse, dce, fold
from jitorch.passes.control import binders, gives_bound_sizes, name_bound_sizes, prune, sink_constants
from jitorch.passes.counts import count_results
from jitorch.passes.decompose import decompose
from jitorch.passes.hoist import hoist, hoist_literals, sink_views
from jitorch.passes.joined_products import join_products
from jitorch.passes.merge_loops import merge_loops
from jitorch.passes.partition import partition
from jitorch.passes.several_turns import merge_turns
from jitorch.passes.simplify import simplify
from jitorch.passes.transposed_products import turn_products

CONTROL_PASSES = (
    merge_loops,
    prune,
    sink_constants,
    simplify,
    fold,
    cse,
    hoist,
    join_products,
    batch_products,
    sink_views,
    prune,
    merge_turns,
    cse,
    dce,
)
"""What makes loops and branches smaller; nothing where there are none."""

COUNTED = "counted"
"""Where a manifest says which sizes of results the program counts."""
HOST = "host"
"""Who binds sizes, between the programs of backends."""
FALLBACK = ("cpu", "reference")
"""Who runs what the chosen backend rejects, in this order."""


Arrays = Mapping[int, np.ndarray[Any, Any]]
"""Constants, by the number of the input that they are."""


def compile_graph(
    graph: Graph, backend: str | None = None, options: Options | None = None, constants: Arrays | None = None
) -> Compiled:
    """Compile ``graph`` for ``backend`` (default: the one in force); the graph itself is not changed.

    ``constants``: what some of its inputs, which it does not write, are in every call.  They are given to each call all
    the same.
    """
    start = time.perf_counter()
    chosen = available(backend or registry.default_backend())
    with graph.assumed(), collector.stopped():
        compiled = _compile(graph, chosen, options or Options(), constants or {})
    compiled.seconds = time.perf_counter() - start
    return compiled


def _compile(graph: Graph, chosen: Backend, options: Options, constants: Arrays) -> Compiled:
    extra = plugins.passes(config.current().passes)
    verdicts = Verdicts(chosen)
    work, literals = _begun(graph, verdicts)
    options = replace(options, constants=(*constants, *_places(graph, literals)))
    key = cache_key(work, chosen, options, [text for text, _ in extra])
    artifact = _from_cache(key)
    if artifact is not None:
        return _whole(graph, literals, chosen, artifact, key, cached=True, constants=constants)
    _optimise(work, verdicts, [change for _, change in extra])
    is_whole, counted = _is_whole(work, verdicts)
    if not is_whole:
        return _compile_regions(graph, work, literals, verdicts, replace(options, constants=()), key)
    artifact = chosen.compile(work, options)
    if counted is not None:
        artifact.manifest[COUNTED] = counted
    if key is not None:
        _keep(key, artifact)
    return _whole(graph, literals, chosen, artifact, key, constants=constants)


def _is_whole(work: Graph, verdicts: Verdicts) -> tuple[bool, dict[str, Any] | None]:
    """Whether one program of the chosen backend does it all; and what its caller must know of sizes that it counts."""
    chosen = verdicts.chosen
    if any(verdicts.of(node) != chosen.name for node in work.nodes):
        return False, None
    if not gives_bound_sizes(work):
        return True, None
    counted = count_results(work) if getattr(chosen, "counts_sizes", False) else None
    return counted is not None, counted


def _places(graph: Graph, literals: Sequence[Any]) -> range:
    """The numbers that the inputs have which `lift_literals` adds."""
    return range(len(graph.inputs), len(graph.inputs) + len(literals))


def _begun(graph: Graph, verdicts: Verdicts) -> tuple[Graph, list[np.ndarray[Any, Any]]]:
    """A copy of ``graph`` as it is known by in the cache, and the constants that it takes as inputs."""
    work = graph.copy()
    literals = lift_literals(work)
    # An op of somebody else's is known by its body, not by its name: the body may change under it.
    decompose(work, keep=lambda node: is_own(node.op) or verdicts.takes_whole(node))
    name_bound_sizes(work)
    return work, literals


def _optimise(work: Graph, verdicts: Verdicts, extra: Sequence[Any]) -> None:
    pipeline.run(work, (dce, simplify, fold, cse, *extra))
    decompose(work, keep=verdicts.takes_whole)
    pipeline.run(work, (simplify, fold, cse, turn_products, dce))
    pipeline.run(work, CONTROL_PASSES)


def lowered(graph: Graph, backend: str, origins: Origins, constants: Iterable[int] = ()) -> Program | None:
    """The program that ``graph`` is compiled to, made again; None if no one backend runs all of it by such a program.

    ``origins`` takes the lines that its kernels come from: what a cache holds does not know them.
    """
    chosen = available(backend)
    lower = getattr(chosen, "lowered", None)
    verdicts = Verdicts(chosen)
    if lower is None:
        return None
    with graph.assumed():
        work, literals = _begun(graph, verdicts)
        _optimise(work, verdicts, [change for _, change in plugins.passes(config.current().passes)])
        if not _is_whole(work, verdicts)[0]:
            return None
        return lower(work, origins, (*constants, *_places(graph, literals)))


def _whole(
    graph: Graph,
    literals: list[np.ndarray[Any, Any]],
    chosen: Backend,
    artifact: Artifact,
    key: str | None,
    cached: bool = False,
    constants: Arrays | None = None,
) -> Compiled:
    """A graph that one backend runs as a whole."""
    inputs, outputs = range(len(graph.inputs) + len(literals)), range(len(graph.outputs))
    steps = [Step(artifact, None, list(inputs), list(outputs))]
    executable = chosen.load(artifact)
    prepare: Callable[..., list[np.ndarray[Any, Any]]] | None = getattr(executable, "prepare", None)
    prepared = [] if prepare is None else prepare([*(constants or {}).values(), *literals])
    counted = artifact.manifest.get(COUNTED)
    if counted is not None:
        executable = Counted(executable, graph, counted)
    return Compiled(
        graph,
        literals,
        executable,
        steps,
        cached=cached,
        key=key,
        digest=key,
        frozen=tuple(constants or ()),
        prepared=prepared,
    )


def load(signature: Graph, literals: list[np.ndarray[Any, Any]], key: str, backend: str) -> Compiled | None:
    """The program that `compile_graph` kept under ``key``, or None if it is gone.

    ``signature`` has the inputs, outputs and writes of its graph; ``literals`` are the constants it takes.
    """
    start = time.perf_counter()
    artifact = _from_cache(key)
    if artifact is None:
        return None
    compiled = _whole(signature, literals, available(backend), artifact, key, cached=True)
    compiled.seconds = time.perf_counter() - start
    return compiled


def _compile_regions(
    graph: Graph,
    work: Graph,
    literals: list[np.ndarray[Any, Any]],
    verdicts: Verdicts,
    options: Options,
    digest: str | None,
) -> Compiled:
    """Several backends share the graph, or results have sizes that it binds: a host plan runs one region after the
    other.  Where a size is bound a region ends, for what follows needs memory of that size."""
    slots: dict[Value, int] = {v: i for i, v in enumerate(work.inputs)}
    steps: list[Step | Binding] = []
    bound = set(binders(work))
    for region in partition(work, lambda node: HOST if node in bound else verdicts.of(node)):
        for v in region.outputs:
            slots.setdefault(v, len(slots))
        if region.backend == HOST:
            for node in region.nodes:
                counted, ramp = slots[node.operands[0]], slots[node.output]
                steps.append(Binding(counted, ramp, node.attrs["size"], _is_read(node.output, work)))
            continue
        backend = registry.get(region.backend)
        artifact = _compiled(region.graph, backend, options)
        steps.append(
            Step(
                artifact,
                backend.load(artifact),
                [slots[v] for v in region.inputs],
                [slots[v] for v in region.outputs],
                region,
            )
        )
    joined = Joined(steps, work, [slots[v] for v in work.outputs], len(slots))
    ran = [s for s in steps if isinstance(s, Step)]
    return Compiled(graph, literals, joined, ran, verdicts.reasons, digest=digest)


def _compiled(region: Graph, backend: Backend, options: Options) -> Artifact:
    """A region's artifact, from the cache or made."""
    key = cache_key(region, backend, options)
    artifact = _from_cache(key)
    if artifact is None:
        artifact = backend.compile(region, options)
        if key is not None:
            _keep(key, artifact)
    return artifact


def _is_read(ramp: Value, graph: Graph) -> bool:
    """Whether somebody asks for the elements of a ramp: those who find positions ask for their number."""
    return ramp in graph.outputs or any(user.op.name != "positions" for user in ramp.users)


def available(name: str) -> Backend:
    """The backend called ``name``, which must be able to run here."""
    backend = registry.get(name)
    answer = backend.probe()
    if isinstance(answer, Unavailable):
        raise BackendError(f"backend {name!r} cannot run here", actual=answer.reason)
    return backend


def is_own(op: Op) -> bool:
    """Whether ``op`` is one of jitorch's, which stay the same while the package does."""
    return getattr(op, "__module__", "").startswith("jitorch.ops.")


def cache_key(graph: Graph, backend: Backend, options: Options, passes: Sequence[str] = ()) -> str | None:
    """The key of a compiled graph: its text, the backend and all it depends on, options, passes of packages.

    None if it holds an op of somebody else's, whose rules may change.
    """
    if not all(map(is_own, _ops(graph))):
        return None
    text = print_graph(graph, locations=False)
    default = dtypes.get_default().name  # what the bodies of composites may ask for
    return cache.key_of(cache.stamp(), text, default, backend.name, backend.fingerprint(), options.key(), *passes)


def _ops(graph: Graph) -> set[Op]:
    """The ops of a graph and of the graphs in it."""
    found = {node.op for node in graph.nodes}
    return found.union(*map(_ops, graph.subgraphs()))


def _keep(key: str, artifact: Artifact) -> None:
    """Put an artifact into the cache: its texts, which are most of it and seldom asked for, apart."""
    cache.put(key, replace(artifact, sources={}).to_bytes())
    cache.put(_key_of_texts(key), zlib.compress(json.dumps(dict(artifact.sources)).encode(), 1))


def _from_cache(key: str | None) -> Artifact | None:
    data = None if key is None else cache.get(key)
    if key is None or data is None:
        return None
    return replace(Artifact.from_bytes(data), sources=_KeptTexts(_key_of_texts(key)))


def _key_of_texts(key: str) -> str:
    return cache.key_of("texts", key)


class _KeptTexts(Mapping[str, str]):
    """The texts of an artifact from the cache, read when somebody looks at them; none if they are gone."""

    def __init__(self, key: str):
        self._key = key

    @cached_property
    def _texts(self) -> dict[str, str]:
        data = cache.get(self._key)
        return {} if data is None else json.loads(zlib.decompress(data))

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def lift_literals(graph: Graph) -> list[np.ndarray[Any, Any]]:
    """Turn constant arrays into inputs at the end, so that programs do not contain data; returns the arrays."""
    hoist_literals(graph)
    arrays: list[np.ndarray[Any, Any]] = []
    found: dict[Any, Value] = {}
    for node in graph:
        if node.op.name != "literal":
            continue
        literal = node.attrs["value"]
        value = found.get(literal)
        if value is None:
            value = found[literal] = graph.add_input(node.output.type)
            arrays.append(literal.array)
        graph.replace(node.output, value)
    dce(graph)
    return arrays


class Verdicts:
    """Who runs which node, and why not the one that was asked for."""

    def __init__(self, chosen: Backend):
        self.chosen = chosen
        self.order = [chosen, *(registry.get(n) for n in FALLBACK if n != chosen.name)]
        self.reasons: dict[str, str] = {}

    def takes_whole(self, node: Node) -> bool:
        """Whether the chosen backend wants a composite node as it is."""
        return isinstance(self.chosen.verdict(node), Accept)

    def of(self, node: Node) -> str:
        for backend in self.order:
            verdict = backend.verdict(node)
            if isinstance(verdict, Accept):
                return backend.name
            if backend is self.chosen:
                reason = verdict.reason or ("decomposed" if isinstance(verdict, Decompose) else "rejected")
                self.reasons.setdefault(node.op.name, reason)
        raise BackendError(f"no backend runs {node.op.name}", actual=self.reasons.get(node.op.name))


Make = Callable[[tuple[int, ...], Any], np.ndarray[Any, Any]]


def _static(types: Sequence[Any]) -> list[tuple[Make, tuple[int, ...], Any]] | None:
    """How to make arrays for values of these types: function, shape and dtype; None if a size is a symbol."""
    if any(isinstance(d, SymDim) for t in types for d in t.shape):
        return None
    large = [t.size * t.dtype.itemsize >= allocator.SMALLEST for t in types]
    return [(allocator.empty if big else np.empty, tuple(t.shape), t.dtype.numpy) for t, big in zip(types, large)]


@dataclass
class Compiled:
    """A compiled graph.  ``run`` takes what the graph's inputs stand for and gives its outputs.

    ``calls`` counts runs; ``cached`` says that the code came from the disk cache, ``seconds`` how long it took to
    make or find it, ``key`` what it is kept under there (None: it is not kept as a whole).  ``digest`` stands for the
    graph and all that its code depends on (None: it holds an op of somebody else's).  ``literals`` are the arrays that
    the graph holds, ``frozen`` the inputs that are constants as well, ``prepared`` what the executable made of all of
    these.  ``constants``, the literals and what was prepared, are given to it in every run.
    """

    graph: Graph
    literals: list[np.ndarray[Any, Any]]
    executable: Executable
    steps: list[Step]
    reasons: dict[str, str] = field(default_factory=dict)
    cached: bool = False
    calls: int = 0
    seconds: float = 0.0
    key: str | None = None
    digest: str | None = None
    frozen: tuple[int, ...] = ()
    prepared: list[np.ndarray[Any, Any]] = field(default_factory=list)
    may_be_long: bool | None = None  # see `jitorch.frontend.calls.plan`; None: the nodes of the graph say so

    def __post_init__(self) -> None:
        self.constants = [*self.literals, *self.prepared]
        self._computes: Callable[..., list[Any]] | None = getattr(self.executable, "results", None)
        self._written = {o for _, o in self.graph.writes}
        self.returned = [v for o, v in enumerate(self.graph.outputs) if o not in self._written]
        self._symbols = self.graph.symbols
        self._results = _static([v.type for v in self.returned])
        self._numbers = [i for i, v in enumerate(self.returned) if isinstance(v.type, ScalarType)]

    @property
    def memory(self) -> tuple[int, int] | None:
        """Bytes of scratch memory and of results, the most a run needs besides its inputs.

        None if a size is a symbol, or if a backend does not say.
        """
        arenas: list[Any] = [step.artifact.manifest.get("arena") for step in self.steps]
        if self._results is None or not all(isinstance(size, int) for size in arenas):
            return None
        # One after the other, programs use the same scratch memory.
        return max(arenas, default=0), sum(prod(shape) * dtype.itemsize for _, shape, dtype in self._results)

    def sizes(self, inputs: Sequence[Any]) -> dict[str, int]:
        """The symbolic sizes that these inputs have."""
        found: dict[str, int] = {}
        if not self._symbols:
            return found
        for value, x in zip(self.graph.inputs, inputs):
            if isinstance(value.type, TensorType):
                for d, n in zip(value.type.shape, x.shape):
                    if isinstance(d, SymDim):
                        found.setdefault(str(d), n)
        return found

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Run on C-contiguous arrays and Python numbers; returns the outputs that are no write-back.

        An input that the graph writes is changed in place.
        """
        sizes = self.sizes(inputs) if self._symbols else _NO_SIZES
        if self._computes is not None:
            return self._run_computing(self._computes, inputs, sizes)
        if self._results is None:
            outputs: list[Any] = [allocate(v.type, sizes) for v in self.returned]
        else:
            outputs = [make(shape, dtype) for make, shape, dtype in self._results]
        self.executable.run([*inputs, *self.constants] if self.constants else inputs, outputs, sizes)
        self.calls += 1
        for i in self._numbers:
            outputs[i] = outputs[i].item()
        return outputs

    def _run_computing(
        self, computes: Callable[..., list[Any]], inputs: Sequence[Any], sizes: Mapping[str, int]
    ) -> list[Any]:
        """A run by an executable that is `Computing`, whose results may have sizes that nobody knew before."""
        given = [*inputs, *self.constants]
        results = computes(given, sizes)
        outputs = owned([r for o, r in enumerate(results) if o not in self._written], given)
        store_writes(self.graph, results, given)
        self.calls += 1
        return outputs


_NO_SIZES: Mapping[str, int] = {}


def dump(stage: str, text: str) -> None:
    """Write ``text`` to standard error if `JITORCH_DUMP` asks for ``stage``."""
    if config.current().dumps(stage):
        import sys

        print(text, file=sys.stderr)
