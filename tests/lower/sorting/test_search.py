"""Places in sorted sequences: of one and of several, of all dtypes, with equal elements and NaN."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.ir import kernel as k
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.sorting.search import UNROLLED
from jitorch.ops import OPS
from tests.lower.sorting.lines import DTYPES, compiled, elements
from tests.samples import compile_graph


def searched(right: bool):
    return lambda sequence, values: OPS["search_sorted"](sequence, values, right=right, dtype=dtypes.int64)


@pytest.mark.parametrize("right", [False, True], ids=["left", "right"])
@pytest.mark.parametrize("name", DTYPES)
def test_one_sequence(name: str, right: bool) -> None:
    rng = np.random.default_rng(0)
    for size in (0, 1, 2, 7, 8, 9, 200, UNROLLED, UNROLLED + 1):
        sequence, values = np.sort(elements(rng, (size,), name)), elements(rng, (5, 30), name)
        want = np.searchsorted(sequence, values, "right" if right else "left")
        np.testing.assert_array_equal(compiled(searched(right), sequence, values), want)


def test_several_sequences_and_a_single_value() -> None:
    rng = np.random.default_rng(0)
    sequences, values = np.sort(rng.normal(size=(3, 20))), rng.normal(size=(3, 7))
    want = [np.searchsorted(row, each) for row, each in zip(sequences, values)]
    np.testing.assert_array_equal(compiled(searched(False), sequences, values), want)
    assert compiled(searched(True), sequences[0], np.array(100.0)) == 20


@pytest.mark.parametrize("count", [6, 101])
@pytest.mark.parametrize("size", [0, 1, 2, 100, 10_000])
def test_a_size_that_is_a_symbol(size: int, count: int) -> None:
    types = [TensorType(dtypes.float64, (symbol("N"),)), TensorType(dtypes.float64, (count,))]
    compiled_graph = compile_graph(graph_of(searched(False), types))
    rng = np.random.default_rng(0)
    sequence, values = np.sort(rng.normal(size=size)), rng.normal(size=count)
    np.testing.assert_array_equal(compiled_graph.run([sequence, values])[0], np.searchsorted(sequence, values))


def test_searches_in_long_sequences_go_together() -> None:
    def kernel(size: int) -> k.Kernel:
        types = [TensorType(dtypes.float32, (size,)), TensorType(dtypes.float32, (100,))]
        return program(graph_of(searched(False), types)).kernels[0]

    assert any(isinstance(s, k.For) and s.kind == "vector" for s in k.walk(kernel(UNROLLED + 1)))
    assert not kernel(UNROLLED).scratch
