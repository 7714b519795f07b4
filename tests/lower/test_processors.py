"""Contractions made for each kind of x86 processor, run on this one."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from jitorch import dtypes
from jitorch.backends.cpu import llvm, native
from jitorch.backends.cpu.host import entry_symbol
from jitorch.ir.kernel import Const
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.ops import OPS
from tests.lower.assembly import MACHINES, inner_loops, multiplications
from tests.lower.convolutions.test_convolution import geometry
from tests.samples import trace_types

RNG = np.random.default_rng(0)
NEEDS = {"avx512": "avx512f", "avx2": "fma", "sse2": "sse2"}
SAME = geometry(2, low=(1, 1), high=(1, 1))

pytestmark = pytest.mark.skipif(not native.host().triple.startswith("x86_64"), reason="these are x86 processors")


def run(machine: str, op: str, attrs: dict[str, Any], *arrays: np.ndarray) -> np.ndarray:
    """The result of ``op`` from code made for ``machine``."""
    target, made_for = MACHINES[machine]
    types = [TensorType(dtypes.float32, a.shape) for a in arrays]
    lowered = program(trace_types(lambda x, y: OPS[op](x, y, **attrs), types), "product", target)
    here = native.Target(native.host().triple, made_for.cpu, made_for.features)
    data = native.compile_text(llvm.render(lowered), target=here)
    function = native.load_object(data, entry_symbol(lowered.name))
    result = np.full(OPS[op].rules["numpy"](*arrays, **attrs).shape, 77, np.float32)
    assert isinstance(lowered.arena, Const)
    arena = np.zeros(int(lowered.arena.value.real) + 64, np.uint8)
    start = (arena.ctypes.data + 63) // 64 * 64
    places = (ctypes.c_void_p * 3)(*(a.ctypes.data for a in (*arrays, result)))
    assert function(ctypes.addressof(places), 0, start) == 0
    return result


@pytest.mark.parametrize("machine", NEEDS)
@pytest.mark.parametrize(
    ("op", "attrs", "x", "w"),
    [
        ("matmul_batched", {}, (97, 130), (130, 101)),
        ("matmul_batched", {}, (64, 400), (400, 512)),
        ("matmul_batched", {}, (1, 256), (256, 300)),
        ("convolution", SAME, (2, 20, 28, 28), (24, 20, 3, 3)),
        ("convolution", geometry(2, stride=(2, 2), low=(3, 3), high=(3, 3)), (1, 3, 30, 30), (16, 3, 7, 7)),
        ("convolution", geometry(2), (2, 64, 14, 14), (32, 64, 1, 1)),
        ("convolution_weight", SAME | {"kernel": (3, 3)}, (2, 8, 12, 12), (2, 16, 12, 12)),
    ],
    ids=["in place", "packed", "one row", "filtered", "stem", "pointwise", "weight gradient"],
)
def test_each_processor_gives_the_same(
    machine: str, op: str, attrs: dict[str, Any], x: tuple[int, ...], w: tuple[int, ...]
) -> None:
    if f"+{NEEDS[machine]}" not in native.host().features.split(","):
        pytest.skip(f"no {NEEDS[machine]} here")
    arrays = [RNG.integers(-3, 4, shape).astype(np.float32) for shape in (x, w)]
    np.testing.assert_array_equal(run(machine, op, attrs, *arrays), OPS[op].rules["numpy"](*arrays, **attrs))


@pytest.mark.parametrize("processor", ["skylake-avx512", "znver4"])
def test_wide_registers_are_used(processor: str) -> None:
    target, machine = MACHINES["avx512"]
    types = [TensorType(dtypes.float32, shape) for shape in ((64, 400), (400, 512))]
    lowered = program(trace_types(lambda x, y: OPS["matmul_batched"](x, y), types), "product", target)
    loops = inner_loops(lowered.kernels[-1], native.Target(machine.triple, processor, ""))
    busiest = max(loops, key=multiplications)
    products = [line for line in busiest if multiplications([line])]
    assert len(products) >= 16
    assert all("%zmm" in line for line in products)
