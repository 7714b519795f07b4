"""The machine code of matrix products: sums stay in registers on every kind of processor."""

from __future__ import annotations

import pytest

from jitorch import dtypes
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.ops import OPS
from tests.lower.assembly import MACHINES, inner_loops, multiplications, stack_accesses
from tests.samples import trace_types


def sums(machine: str, m: int, inner: int, n: int, transposed: bool) -> list[list[str]]:
    """The loops of a product that multiply."""
    target, native_target = MACHINES[machine]
    types = [
        TensorType(dtypes.float32, (m, inner)),
        TensorType(dtypes.float32, (n, inner) if transposed else (inner, n)),
    ]

    def product(x, y):
        return OPS["matmul_batched"](x, OPS["transpose_axes"](y, perm=(1, 0)) if transposed else y)

    kernel = program(trace_types(product, types), "product", target).kernels[-1]
    return [loop for loop in inner_loops(kernel, native_target) if multiplications(loop) >= 4]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("m", "inner", "n", "transposed"),
    [(64, 400, 1024, True), (64, 64, 64, False), (97, 97, 97, False), (1, 256, 512, False), (1, 256, 512, True)],
    ids=["packed", "in place", "prime", "one row", "dot products"],
)
def test_sums_stay_in_registers(machine: str, m: int, inner: int, n: int, transposed: bool) -> None:
    loops = sums(machine, m, inner, n, transposed)
    assert loops
    for loop in loops:
        assert stack_accesses(loop) == []


@pytest.mark.parametrize(("machine", "least"), [("avx512", 16), ("avx2", 12), ("sse2", 8), ("neon", 16)])
def test_a_tile_uses_the_registers(machine: str, least: int) -> None:
    (loop,) = sums(machine, 64, 400, 1024, True)
    assert multiplications(loop) >= least
