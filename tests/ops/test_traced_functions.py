"""Published functions record: their graph means what they compute at once, with known and with symbolic sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from jitorch import dims
from jitorch.builder import GraphBuilder
from jitorch.dims import Facts
from jitorch.errors import ShapeError
from jitorch.ir.graph import Graph
from jitorch.ir.interpret import interpret
from jitorch.ir.types import TensorType
from jitorch.ops import PUBLIC, Function, dispatch
from jitorch.ops.registry import Sample
from jitorch.tensor import Tensor
from tests.ops.test_generated import expand
from tests.samples import agree

DRAWS = ("jitorch.ops.random", "jitorch.ops.generator")
"""Modules whose functions change a generator, which is no operand."""


COUNTED = {
    "chunk", "combinations", "dsplit", "hsplit", "nn.functional.pdist", "pdist", "split", "tensor_split", "unbind",
    "vsplit",
}  # fmt: skip
"""Functions that give as many results, or make a table, as a size says: it must be known."""


def cases() -> Iterator[Any]:
    for key, entry in sorted(PUBLIC.items()):
        if not isinstance(entry, Function) or entry.__module__ in DRAWS:
            continue
        for i, sample in enumerate(entry.rules["samples"](np.random.default_rng(0))):
            if sample.trace:
                yield pytest.param(key, sample, id=f"{key}-{i}")


CASES = list(cases())


def converted(value: Any, tensor: Callable[[np.ndarray], Any]) -> Any:
    if isinstance(value, np.ndarray):
        return tensor(value)
    if isinstance(value, (list, tuple)):
        return type(value)(converted(v, tensor) for v in value)
    return {k: converted(v, tensor) for k, v in value.items()} if isinstance(value, dict) else value


def tensors(value: Any) -> list[Any]:
    """The tensors in a result, in order."""
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in tensors(v)]
    return [value] if isinstance(value, Tensor) else []


def traced(key: str, sample: Sample, type_of: Callable[[TensorType], TensorType]) -> tuple[Graph, list[np.ndarray]]:
    graph, arrays = Graph("main"), []
    builder = GraphBuilder(graph)

    def tensor(array: np.ndarray) -> Any:
        arrays.append(array)
        return builder.wrap(graph.add_input(type_of(Tensor._from_array(array).type)))

    args, kwargs = converted((sample.args, sample.kwargs), tensor)
    with Facts(), dispatch.interpreting(builder):
        graph.outputs = [builder.value(t) for t in tensors(PUBLIC[key](*args, **kwargs))]
    return graph, arrays


def at_once(key: str, sample: Sample) -> list[Tensor]:
    args, kwargs = converted((sample.args, sample.kwargs), lambda a: Tensor._from_array(a.copy()))
    return tensors(PUBLIC[key](*args, **kwargs))


@pytest.mark.parametrize(("key", "sample"), CASES)
def test_graph_means_what_the_function_computes(key: str, sample: Sample) -> None:
    graph, arrays = traced(key, sample, lambda t: t)
    expected = at_once(key, sample)
    results = interpret(graph, arrays, expand)
    assert all(agree(v.type, t.type) for v, t in zip(graph.outputs, expected, strict=True))
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, want._array, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("key", "sample"), CASES)
def test_symbolic_sizes(key: str, sample: Sample) -> None:
    try:
        graph, _ = traced(key, sample, symbolic)
    except ShapeError as error:
        if key not in COUNTED or "known" not in error.what:
            raise
        return
    assert all(agree(sized(v.type), t.type) for v, t in zip(graph.outputs, at_once(key, sample), strict=True))


def symbolic(type_: TensorType) -> TensorType:
    """Sizes above 1 as symbols, equal sizes as one symbol."""
    return type_.with_shape(d if d < 2 else dims.symbol(f"s{d}", low=0, hint=d) for d in type_.shape)


def sized(type_: TensorType) -> TensorType:
    sizes = {s.name: s.hint for s in dims.symbols(*type_.shape)}
    return type_.with_shape(dims.evaluate(d, sizes) if dims.is_known(d) else d for d in type_.shape)
