"""Minimal filtering: exact for small integers whatever the geometry, near plain sums for any numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitorch
import jitorch.nn.functional as F
from jitorch import dtypes
from jitorch.dims import symbol
from jitorch.ir import kernel as k
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.target import Target
from jitorch.ops import OPS
from tests.lower.assembly import MACHINES, inner_loops, multiplications, stack_accesses
from tests.lower.convolutions.test_convolution import geometry, graph_text
from tests.lower.graphs import execute, parse
from tests.samples import trace_types

RNG = np.random.default_rng(0)
SSE = Target("cpu", 16, 16, False)
SAME = geometry(2, low=(1, 1), high=(1, 1))


def is_filtered(lowered: Any) -> bool:
    return any("inputs" in [b.name for b in kernel.scratch] for kernel in lowered.kernels)


def lowered(x: tuple[Any, ...], w: tuple[int, ...], attrs: dict[str, Any], target: Target | str = "cpu") -> Any:
    types = [TensorType(dtypes.float32, x), TensorType(dtypes.float32, w)]
    return program(trace_types(lambda x, y: OPS["convolution"](x, y, **attrs), types), target=target)


def integers(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [RNG.integers(-3, 4, shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("x", "w", "low", "high"),
    [
        ((2, 16, 56, 56), (16, 16, 3, 3), (1, 1), (1, 1)),
        ((1, 17, 13, 31), (19, 17, 3, 3), (1, 1), (1, 1)),
        ((3, 32, 9, 10), (48, 16, 3, 3), (0, 2), (1, 0)),
        ((1, 200, 20, 21), (16, 200, 3, 3), (0, 0), (0, 0)),
        ((8, 64, 7, 7), (100, 64, 3, 3), (1, 1), (1, 1)),
        ((5, 128, 14, 14), (32, 128, 3, 3), (2, 1), (1, 2)),
    ],
    ids=["even", "odd", "groups", "chunks", "small", "images"],
)
def test_small_integers_are_exact(
    x: tuple[int, ...], w: tuple[int, ...], low: tuple[int, int], high: tuple[int, int]
) -> None:
    attrs = geometry(2, low=low, high=high, groups=x[1] // w[1])
    assert is_filtered(lowered(x, w, attrs))
    arrays = integers(x, w)
    expected = OPS["convolution"].rules["numpy"](*arrays, **attrs)
    actual = jitorch.jit(lambda x, y: OPS["convolution"](x, y, **attrs) + 1)(*map(jitorch.tensor, arrays))
    np.testing.assert_array_equal(actual.numpy(), expected + 1)


@pytest.mark.parametrize("target", [SSE, Target("cpu", 32, 16)], ids=["sse2", "avx2"])
def test_under_the_strict_interpreter(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jitorch.lower.convolutions.convolution.FEW_CHANNELS", 2)
    x, w = (1, 2, 9, 14), (7, 2, 3, 3)
    made = lowered(x, w, SAME, target)
    assert is_filtered(made)
    arrays = integers(x, w)
    expected = OPS["convolution"].rules["numpy"](*arrays, **SAME)
    (actual,) = execute(made, arrays, [expected])
    np.testing.assert_array_equal(actual, expected)


def test_a_batch_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jitorch.lower.convolutions.convolution.FEW_CHANNELS", 2)
    made = lowered((symbol("N"), 2, 9, 12), (3, 2, 3, 3), SAME)
    assert is_filtered(made)
    for batch in (0, 1, 2):
        arrays = integers((batch, 2, 9, 12), (3, 2, 3, 3))
        expected = OPS["convolution"].rules["numpy"](*arrays, **SAME)
        (actual,) = execute(made, arrays, [expected], [batch])
        np.testing.assert_array_equal(actual, expected)


def test_rounding_errors_are_those_of_a_sum() -> None:
    x, w = RNG.normal(size=(2, 64, 20, 20)), RNG.normal(size=(32, 64, 3, 3))
    given = [jitorch.tensor(a.astype(np.float32)) for a in (x, w)]
    actual = jitorch.jit(lambda x, w: F.conv2d(x, w, padding=1))(*given).numpy()
    exact, size = (OPS["convolution"].rules["numpy"](a, b, **SAME) for a, b in [(x, w), (np.abs(x), np.abs(w))])
    # Rounding the operands is one unit each; sums of random signs stay far below the bound of n units.
    assert np.max(np.abs(actual - exact) / size) < 4 * np.finfo(np.float32).eps


@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((1, 15, 8, 8), (16, 15, 3, 3), SAME),
        ((1, 16, 8, 8), (15, 16, 3, 3), SAME),
        ((1, 16, 8, 8), (16, 16, 3, 3), geometry(2, stride=(2, 2), low=(1, 1), high=(1, 1))),
        ((1, 16, 8, 8), (16, 16, 3, 3), geometry(2, dilation=(2, 2), low=(2, 2), high=(2, 2))),
        ((1, 16, 8, 8), (16, 16, 5, 3), geometry(2, low=(2, 1), high=(2, 1))),
        ((1, 512, 7, 7), (512, 512, 3, 3), SAME),
    ],
    ids=["few inputs", "few outputs", "stride", "dilation", "kernel", "few pixels"],
)
def test_other_layers_are_plain_sums(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]) -> None:
    assert not is_filtered(lowered(x, w, attrs))


def test_integers_are_plain_sums() -> None:
    assert is_filtered(lowered((2, 16, 28, 28), (16, 16, 3, 3), SAME))
    types = [TensorType(dtypes.int32, shape) for shape in ((2, 16, 28, 28), (16, 16, 3, 3))]
    assert not is_filtered(program(trace_types(lambda x, y: OPS["convolution"](x, y, **SAME), types)))


@pytest.mark.parametrize("name", MACHINES)
def test_sums_stay_in_registers(name: str) -> None:
    target, machine = MACHINES[name]
    made = program(parse(graph_text("convolution", (2, 32, 28, 28), (32, 32, 3, 3), SAME)), target=target)
    assert is_filtered(made)
    loops = inner_loops(made.kernels[-1], machine)
    busiest = max(loops, key=multiplications)
    assert multiplications(busiest) >= 6
    assert not stack_accesses(busiest), "\n".join(busiest)


def test_transformed_weights_are_read_in_order() -> None:
    made = lowered((1, 16, 8, 8), (16, 16, 3, 3), SAME)
    terms = next(kernel for kernel in made.kernels if kernel.name.endswith("_terms"))
    places = [s.index for s in k.walk(terms.body) if isinstance(s, k.Store)]
    assert len(places) == len(set(places)) == 16
