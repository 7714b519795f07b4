"""The registry's samples as graphs: what the tests of every backend run.

All samples of an op make one graph, so a backend that is slow to start compiles once an op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jitorch import dims, dtypes
from jitorch.builder import graph_of
from jitorch.compiler import compile_graph
from jitorch.errors import UserError
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.ops import OPS
from jitorch.passes.decompose import expand

ULPS = 32
"""How far compiled code may be from NumPy, in units of the last place of 1 or of the result, whichever is greater:
the C library's maths differ by a few, a sum in another order by more."""

NARROW = {np.dtype(np.float64): np.float32, np.dtype(np.int64): np.int32}


def trace(function: Callable[..., Any], arrays: list[np.ndarray], name: str = "main") -> Graph:
    """``function(*tensors)`` as a graph over inputs like ``arrays``."""
    return trace_types(function, [TensorType(dtypes.from_numpy(a.dtype), a.shape) for a in arrays], name)


def trace_types(function: Callable[..., Any], types: list[Any], name: str = "main") -> Graph:
    """``function`` as a graph over inputs of the given types; its results are the outputs."""
    return graph_of(function, types, name)


def agree(found: TensorType, wanted: TensorType) -> bool:
    """Whether types are equal, but for sizes that the program computes."""
    sizes = zip(found.shape, wanted.shape)
    return (found.dtype, found.rank) == (wanted.dtype, wanted.rank) and all(
        a == b or not dims.is_known(a) for a, b in sizes
    )


def with_samples() -> list[str]:
    """The names of the ops that have samples."""
    return [name for name, op in OPS.items() if "samples" in op.rules]


def graph_of_samples(name: str) -> tuple[Graph, list[np.ndarray]]:
    """One graph of all samples of an op, in wide and in narrow dtypes, and its inputs."""
    whole, inputs = Graph(name), []
    for arguments, keywords, is_narrow in _calls(name):
        arrays = [a for a in _flat([arguments, keywords]) if isinstance(a, np.ndarray)]
        try:
            part = trace(_call(name, arguments, keywords), arrays)
        except UserError:
            if is_narrow:  # the state of a generator has 64 bits
                continue
            raise
        mapping = {v: whole.add_input(v.type) for v in part.inputs}
        whole.paste(part, mapping)
        whole.outputs += [mapping[v] for v in part.outputs]
        inputs += arrays
    return whole, inputs


def _calls(name: str) -> Iterator[tuple[Any, Any, bool]]:
    for sample in OPS[name].rules["samples"](np.random.default_rng(0)):
        yield *_cast((sample.args, sample.kwargs), {}), False
        yield *_cast((sample.args, sample.kwargs), NARROW), True


def _cast(value: Any, to: dict[Any, Any]) -> Any:
    if isinstance(value, np.ndarray):
        return value.astype(to.get(value.dtype, value.dtype), order="C")
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, to) for v in value)
    return {k: _cast(v, to) for k, v in value.items()} if isinstance(value, dict) else value


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from _flat(v)
    elif isinstance(value, dict):
        yield from _flat(list(value.values()))
    else:
        yield value


def _call(name: str, arguments: Any, keywords: Any) -> Callable[..., Any]:
    def replaced(value: Any, tensors: Iterator[Any]) -> Any:
        if isinstance(value, np.ndarray):
            return next(tensors)
        if isinstance(value, (list, tuple)):
            return type(value)(replaced(v, tensors) for v in value)
        return {k: replaced(v, tensors) for k, v in value.items()} if isinstance(value, dict) else value

    def call(*tensors: Any) -> Any:
        given = iter(tensors)
        positional, named = replaced(arguments, given), replaced(keywords, given)
        return OPS[name](*positional, **named)

    return call


def assert_backend_is_the_interpreter(name: str, backend: str) -> None:
    """Every sample of op ``name``: the backend's results against the NumPy interpreter's."""
    graph, inputs = graph_of_samples(name)
    expected = interpret(graph.copy(), inputs, expand)
    compiled = compile_graph(graph, backend)
    allowed = ("extern", "control")  # routines of a library; branches and loops, for some backends
    assert all(OPS[refused].lowering in allowed for refused in compiled.reasons), compiled.reasons
    if not compiled.reasons:
        assert [step.artifact.backend for step in compiled.steps] == [backend]
    assert_close(compiled.run(inputs), expected)


def assert_close(actual: list[Any], expected: list[Any]) -> None:
    """Equal dtypes and shapes, and values within `ULPS`."""
    assert len(actual) == len(expected)
    for i, (got, want) in enumerate(zip(actual, expected)):
        got, want = np.asarray(got), np.asarray(want)
        assert (got.dtype, got.shape) == (want.dtype, want.shape), f"output {i}"
        if want.dtype.kind in "fc":
            bound = ULPS * np.finfo(want.dtype).eps
            np.testing.assert_allclose(got, want, rtol=bound, atol=bound, err_msg=f"output {i}")
        else:
            np.testing.assert_array_equal(got, want, err_msg=f"output {i}")
