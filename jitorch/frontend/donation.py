"""Donation: arguments whose memory a compiled function may use for its results.

``@jit(donate="params")`` says that nobody needs the tensors in that argument after the call.  Each that has the type of
a result becomes a write-back of the trace's graph, so the planner of memory computes the result in place where it
can; the result is a new tensor over that memory, and the old one is a `DonatedTensor` from then on, whose every use is
an error.

Memory that anybody else can see is never taken: where a view, another tensor or a NumPy array shares it, the call
works on a copy, and the argument stays as it is.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jitorch.allocator import is_block
from jitorch.errors import ArgumentError, CheckFailed, user_location
from jitorch.frontend.eager.interpreter import DonatedTensor
from jitorch.frontend.python import Path
from jitorch.frontend.trace.results import Output
from jitorch.frontend.trace.tracer import Traced
from jitorch.ir.graph import Graph, Value
from jitorch.ir.types import TensorType
from jitorch.tensor import Tensor

Places = frozenset[int | str]
"""Arguments, each by position and by name."""


def places(function: Any, donate: Any) -> Places:
    """The arguments of ``function`` that ``donate`` names: a name, a position, or a sequence of them.

    Raises ArgumentError for one that ``function`` does not have.
    """
    named = (donate,) if isinstance(donate, (str, int)) else tuple(donate)
    if not named:
        return frozenset()
    parameters = list(inspect.signature(getattr(function, "forward", function)).parameters.values())
    ordered = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    known = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    found: set[int | str] = set()
    for place in named:
        is_name = isinstance(place, str)
        if place not in known if is_name else type(place) is not int or not 0 <= place < len(ordered):
            raise ArgumentError("jit: donate names no argument", expected=", ".join(known), actual=repr(place))
        name = place if is_name else ordered[place]
        found |= {name, ordered.index(name)} if name in ordered else {name}
    return frozenset(found)


def donate(traced: Traced, given: Places) -> Traced:
    """``traced`` with results in the memory of the tensors in the arguments ``given``, and notes that say which."""
    if not given or traced.staged.refused is not None:
        return traced
    if traced.differentiable:
        return replace(traced, notes=(*traced.notes, "nothing is donated to a call that records gradients"))
    graph, outputs = traced.graph, list(traced.outputs)
    written, returned = {i for i, _ in graph.writes}, {o.source for o in outputs if o.stored}
    handed_on = frozenset(traced.staged.handed_on)
    results = dict(_results(graph, outputs))
    pairs: dict[int, int] = {}  # result of the function -> input
    notes: list[str] = []
    for number, path in enumerate(traced.staged.inputs):
        value = graph.inputs[number]
        if not isinstance(value.type, TensorType) or not _is_in(path, given):
            continue
        is_seen = number in written or number in returned or path.key == "_root" or handed_on.intersection(_from(path))
        found = None if is_seen else _result_for(value, results, graph)
        if found is None:
            notes.append(f"not donated: {path}, for which no result was found")
            continue
        del results[found]
        pairs[found] = number
        notes.append(f"donated: {path} to result {found}")
    _write_back(graph, outputs, pairs)
    return replace(traced, outputs=outputs, notes=(*traced.notes, *notes))


def _from(path: Path) -> Iterator[Path]:
    """``path``, and those of the objects that it leads through."""
    yield path
    while path.kind in ("attr", "item") and isinstance(path.base, Path):
        path = path.base
        yield path


def _is_in(path: Path, given: Places) -> bool:
    *_, first = _from(path)
    return first.kind in ("arg", "kwarg") and first.key in given


def _results(graph: Graph, outputs: Sequence[Output]) -> Iterator[tuple[int, Value]]:
    """The results that are computed and could lie anywhere."""
    counts: dict[Value, int] = {}
    for value in graph.outputs:
        counts[value] = counts.get(value, 0) + 1
    sources = [o.source for o in outputs if not o.stored]
    for number, output in enumerate(outputs):
        if output.stored or output.steps or output.history != "none" or sources.count(output.source) > 1:
            continue
        value = graph.outputs[output.source]
        if value.node is not None and counts[value] == 1:
            yield number, value


def _result_for(value: Value, results: dict[int, Value], graph: Graph) -> int | None:
    """The result to compute in the memory of input ``value``: one made of it element by element, else one that is
    made when it is read no more."""
    alike = [number for number, result in results.items() if result.type == value.type]
    near = _made_elementwise(value) if alike else set()
    found = next((number for number in alike if results[number] in near), None)
    if found is not None:
        return found
    position = {node: i for i, node in enumerate(graph.nodes)}
    last = max((position[node] for node, _ in value.uses), default=-1)
    return next((number for number in alike if position[results[number].node] > last), None)  # type: ignore[index]


def _made_elementwise(value: Value) -> set[Value]:
    """What is computed from ``value`` by ops that keep its shape."""
    found, stack = {value}, [value]
    while stack:
        for node, _ in tuple(stack.pop().uses):
            if node.op.lowering not in ("scalar", None):
                continue
            new = [v for v in node.outputs if v not in found and _has_shape_of(v, value)]
            found.update(new)
            stack += new
    return found


def _has_shape_of(a: Value, b: Value) -> bool:
    return isinstance(a.type, TensorType) and isinstance(b.type, TensorType) and a.type.shape == b.type.shape


def _write_back(graph: Graph, outputs: list[Output], pairs: dict[int, int]) -> None:
    """Make the results ``pairs`` write-backs: they come last among the outputs of ``graph``."""
    gone = {outputs[result].source: number for result, number in pairs.items()}
    kept = [o for o in range(len(graph.outputs)) if o not in gone]
    place = {o: i for i, o in enumerate([*kept, *gone])}
    graph.outputs = [graph.outputs[o] for o in place]
    writes = [(i, place[o]) for i, o in graph.writes]
    graph.writes = (*writes, *((number, place[o]) for o, number in gone.items()))
    for result, output in enumerate(outputs):
        if result in pairs:
            outputs[result] = Output(pairs[result], stored=True, donated=True)
        elif not output.stored:
            outputs[result] = replace(output, source=place[output.source])


# -- calls -------------------------------------------------------------------------------------------


@dataclass
class Loan:
    """The donated inputs of one trace; ``copied`` counts those that calls copied because others see their memory."""

    inputs: tuple[int, ...]
    name: str
    copied: int = 0

    @classmethod
    def of(cls, traced: Traced, name: str) -> Loan | None:
        """None where nothing is donated."""
        inputs = tuple(output.source for output in traced.outputs if output.donated)
        return cls(inputs, name) if inputs else None

    def take(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """``inputs`` with copies in the place of donated ones whose memory is not theirs alone."""
        taken = list(inputs)
        for i in self.inputs:
            tensor = inputs[i]
            is_given_twice = sum(x is tensor for x in inputs) > 1
            if is_given_twice or not is_alone(tensor):
                self.copied += 1
                taken[i] = Tensor._from_array(np.array(tensor._data("a donated argument"), order="C"))
        return tuple(taken)

    def compute(self, program: Callable[[tuple[Any, ...]], list[Any]], taken: tuple[Any, ...]) -> list[Any]:
        """What ``program`` makes of the tensors that ``take`` gave.

        Where it raises, they may be overwritten, and are gone; where a check of it fails, nothing was written.
        """
        is_written = True
        try:
            computed = program(taken)
            is_written = False  # the results are made of them first
        except CheckFailed:
            is_written = False
            raise
        finally:
            if is_written:
                self.close(taken)
        return computed

    def close(self, taken: Sequence[Any]) -> None:
        """The tensors that ``take`` gave are gone."""
        where = user_location()
        for i in self.inputs:
            DonatedTensor.replace(taken[i], f"{self.name}()", where)


def is_alone(tensor: Tensor) -> bool:
    """Whether nobody but ``tensor`` can see its memory; False where Python does not count references."""
    if _ALONE is None or tensor._array is None:
        return False
    counts = _references(tensor)
    if counts is None or max(counts) > _ALONE:
        return False
    return tensor._array.flags.c_contiguous and tensor._array.flags.writeable


def _references(tensor: Tensor) -> list[int] | None:
    """How many references there are to the storage of ``tensor``, its array, and the arrays that this is a view of.

    None if the memory belongs to something else, such as a file.
    """
    counts = [sys.getrefcount(tensor._storage) + 1]
    array: Any = tensor._array
    while True:
        counts.append(sys.getrefcount(array))
        if array.flags.owndata or is_block(array):
            return counts
        array = array.base
        if not isinstance(array, np.ndarray):
            return None


def _count_alone() -> int | None:
    """What `_references` counts where nobody else refers to anything."""
    is_counted = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
    counts = _references(Tensor._from_array(np.zeros(2))) if is_counted else None
    return None if counts is None else max(counts)


_ALONE = _count_alone()
