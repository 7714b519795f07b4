"""The positions of a mask's true elements: which kernels there are, and what they give."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.builder import graph_of
from jitorch.dims import symbol
from jitorch.dtypes import bool_, int64
from jitorch.ir import program as host
from jitorch.ir.types import TensorType
from jitorch.lower.compaction import CHUNK
from jitorch.lower.program import program
from jitorch.ops import OPS
from tests.samples import compile_graph


def counted(size):
    """``positions(mask)``, of which a sum is left: the program binds the size itself."""

    def function(mask):
        count = OPS["reduce_sum"](OPS["cast"](mask, dtype=int64), axes=(0,))
        found = OPS["positions"](mask, OPS["steps"](count, size=symbol("n", computed=True)))
        return OPS["reduce_sum"](OPS["mul"](found, OPS["add"](found, 1)), axes=(0,))

    return graph_of(function, [TensorType(bool_, (size,))])


def launched(made: host.Program) -> list[str]:
    return [s.kernel.name for s in host.walk(made.body) if isinstance(s, host.Launch)]


def test_a_short_mask_is_one_kernel() -> None:
    made = program(counted(CHUNK))
    assert sum(name.startswith("positions") for name in launched(made)) == 1


def test_a_long_mask_is_counted_in_chunks_first() -> None:
    for size in (CHUNK + 1, symbol("N")):
        made = program(counted(size))
        assert [n.rpartition("_")[2] for n in launched(made) if n.startswith("positions")][:2] == ["counts", "sums"]


def test_the_ramp_has_no_memory() -> None:
    made = program(counted(5000))
    assert not any(name.startswith("steps") for name in launched(made))


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_values(backend: str, size: int) -> None:
    compiled = compile_graph(counted(size), backend)
    for share in (0.0, 0.001, 0.5, 1.0):
        mask = np.random.default_rng(0).uniform(size=size) < share
        found = np.flatnonzero(mask)
        assert compiled.run([mask])[0] == (found * (found + 1)).sum()
