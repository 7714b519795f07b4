"""Convolutions and both their gradients: the recipes' kernels against NumPy, and the code made of them."""

from __future__ import annotations

import re
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.backends.cpu import llvm, native
from jitorch.dims import symbol
from jitorch.ir import kernel as k
from jitorch.ir.program import Program
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.target import Target, target_of_features
from jitorch.ops import OPS
from jitorch.ops.conv import padded_sizes
from jitorch.ops.sliding import window_count
from tests.lower.graphs import assert_lowers, execute, parse
from tests.samples import trace_types

RNG = np.random.default_rng(0)
MOST_WORK = 100_000
"""Products in one random convolution."""
NUMPY: dict[str, Any] = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "i32": np.int32, "c64": np.complex64}


def geometry(n: int, **given: Any) -> dict[str, Any]:
    """The attributes of a convolution of ``n`` axes; what is not given changes nothing."""
    plain = {"stride": 1, "dilation": 1, "low": 0, "high": 0, "interior": 0}
    attrs: dict[str, Any] = {name: given.get(name, (value,) * n) for name, value in plain.items()}
    return attrs | {"groups": given.get("groups", 1)}


def outputs(sizes: tuple[int, ...], kernel: tuple[int, ...], attrs: dict[str, Any]) -> tuple[int, ...]:
    padded = padded_sizes(sizes, attrs["low"], attrs["high"], attrs["interior"])
    return tuple(int(window_count(*a)) for a in zip(padded, kernel, attrs["stride"], attrs["dilation"]))  # type: ignore[arg-type]


def graph_text(op: str, x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any], dtype: str = "f32") -> str:
    """A graph of one op over the input and, by op, the weight or the output's gradient."""
    out = (x[0], w[0], *outputs(x[2:], w[2:], attrs))
    second, result = (w, out) if op == "convolution" else (out, w)
    shown = attrs if op == "convolution" else {"kernel": w[2:], **attrs}
    text = ", ".join(f"{name}={value}" for name, value in shown.items())
    types = [f"{dtype}[{', '.join(map(str, s))}]" for s in (x, second, result)]
    return f"graph @main(%x: {types[0]}, %y: {types[1]}) {{\n  %0: {types[2]} = {op}(%x, %y, {text})\n  return %0\n}}"


def check(op: str, x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any], dtype: str = "f32") -> Program:
    """Small integers, whose sums are exact in any order."""
    text = graph_text(op, x, w, attrs, dtype)
    second = w if op == "convolution" else (x[0], w[0], *outputs(x[2:], w[2:], attrs))
    arrays = [RNG.integers(-3, 4, shape).astype(NUMPY[dtype]) for shape in (x, second)]
    return assert_lowers(text, *arrays)


@st.composite
def problems(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    n = draw(st.sampled_from((1, 2, 2, 2, 3)))
    largest = {1: 8, 2: 8, 3: 3}[n]  # the kernels are interpreted, statement by statement

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))

    kernel, groups = each(1, 3), draw(st.integers(1, 3))
    channels, count = draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 5, 9) if n < 3 else (1, 2)))
    attrs = geometry(
        n, groups=groups, low=each(-1, 3), high=each(-1, 3), dilation=each(1, 2),
        stride=each(1, 3) if draw(st.booleans()) else (1,) * n,
        interior=each(0, 2) if draw(st.booleans()) else (0,) * n,
    )  # fmt: skip
    sizes = each(1, largest)
    if min(outputs(sizes, kernel, attrs)) < 1:
        sizes = tuple(s + 8 for s in sizes)
    assume(prod(outputs(sizes, kernel, attrs)) * prod(kernel) * groups * count * channels <= MOST_WORK)
    return (draw(st.integers(1, 2)), groups * channels, *sizes), (groups * count, channels, *kernel), attrs


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems())
def test_any_geometry(problem: tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]) -> None:
    check("convolution", *problem)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems())
def test_the_gradient_of_the_weight_for_any_geometry(
    problem: tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]],
) -> None:
    check("convolution_weight", *problem)


LAYERS = [
    ((1, 3, 5, 37), (13, 3, 3, 3), geometry(2, low=(1, 1), high=(1, 1))),
    ((2, 5, 6, 7), (7, 5, 1, 1), geometry(2)),
    ((1, 2, 11, 9), (3, 2, 7, 7), geometry(2, stride=(2, 2), low=(3, 3), high=(3, 3))),
    ((1, 6, 5, 18), (6, 1, 3, 3), geometry(2, groups=6, low=(1, 1), high=(1, 1))),
    ((2, 9, 1, 1), (4, 9, 1, 1), geometry(2)),
    ((1, 1, 1, 4100), (2, 1, 1, 3), geometry(2, low=(0, 1), high=(0, 1))),
    ((1, 2, 4, 3), (3, 2, 4, 4), geometry(2, low=(2, 2), high=(2, 2), interior=(1, 1))),
    ((1, 2, 3, 3), (3, 2, 1, 1), geometry(2, interior=(1, 1), high=(1, 1))),
    ((1, 2, 3, 3), (2, 2, 2, 2), geometry(2, interior=(3, 3), low=(1, 1), high=(1, 1))),
]
NAMES = "edges pointwise stem depthwise pixel long transposed gaps wide".split()


@pytest.mark.parametrize("op", ["convolution", "convolution_weight"])
@pytest.mark.parametrize(("x", "w", "attrs"), LAYERS, ids=NAMES)
def test_layers(op: str, x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]) -> None:
    check(op, x, w, attrs)


@pytest.mark.parametrize("op", ["convolution", "convolution_weight"])
@pytest.mark.parametrize("dtype", ["f64", "f16", "i32", "c64"])
def test_other_dtypes(op: str, dtype: str) -> None:
    check(op, (2, 3, 5, 6), (4, 3, 3, 3), geometry(2, low=(1, 1), high=(1, 1)), dtype)


POINTWISE = [
    ((2, 17, 5, 8), (19, 17, 1, 1), geometry(2)),
    ((1, 32, 40), (40, 16, 1), geometry(1, groups=2)),
    ((1, 400, 1, 9), (16, 400, 1, 1), geometry(2)),
    ((2, 16, 2, 3, 4), (33, 16, 1, 1, 1), geometry(3)),
]


@pytest.mark.parametrize(("x", "w", "attrs"), POINTWISE, ids=["images", "groups", "chunks", "volumes"])
@pytest.mark.parametrize("dtype", ["f32", "i32"])
def test_a_pointwise_layer_is_one_product(
    x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any], dtype: str
) -> None:
    lowered = check("convolution", x, w, attrs, dtype)
    kernel = lowered.kernels[-1]
    assert "staged" in [b.name for b in kernel.scratch]
    assert [kernel.name for kernel in lowered.kernels if "weights" not in kernel.name] == ["convolution_1"]


def test_a_pointwise_layer_computes_its_input_on_the_way() -> None:
    text = """graph @main(%x: f32[2, 16, 4, 5], %w: f32[17, 16, 1, 1], %b: f32[2, 17, 4, 5]) {
      %0: f32[2, 16, 4, 5] = mul(%x, %x)
      %1: f32[2, 17, 4, 5] = convolution(%0, %w, stride=(1, 1), dilation=(1, 1), low=(0, 0), high=(0, 0), interior=(0, 0), groups=1)
      %2: f32[2, 17, 4, 5] = add(%1, %b)
      return %2
    }"""  # noqa: E501
    arrays = [RNG.integers(-3, 4, s).astype(np.float32) for s in ((2, 16, 4, 5), (17, 16, 1, 1), (2, 17, 4, 5))]
    assert [kernel.name for kernel in assert_lowers(text, *arrays).kernels] == ["convolution_1"]


def test_a_pointwise_layer_takes_a_batch_of_any_size() -> None:
    types = [TensorType(dtypes.float32, (symbol("N"), 16, 3, 7)), TensorType(dtypes.float32, (16, 16, 1, 1))]
    lowered = program(trace_types(lambda x, y: OPS["convolution"](x, y, **geometry(2)), types))
    for batch in (0, 1, 3):
        arrays = [RNG.integers(-3, 4, s).astype(np.float32) for s in ((batch, 16, 3, 7), (16, 16, 1, 1))]
        expected = OPS["convolution"].rules["numpy"](*arrays, **geometry(2))
        (actual,) = execute(lowered, arrays, [expected], [batch])
        np.testing.assert_array_equal(actual, expected)


def test_the_input_is_read_in_place_where_nothing_is_around_it() -> None:
    lowered = check("convolution", (1, 3, 4, 8), (5, 3, 1, 1), geometry(2))
    assert [kernel.name for kernel in lowered.kernels] == ["convolution_1"]


def test_zeros_between_elements_are_not_multiplied() -> None:
    attrs = geometry(2, low=(1, 1), high=(1, 1), interior=(1, 1))
    lowered = check("convolution", (1, 2, 4, 4), (1, 2, 3, 3), attrs)
    taps = []
    for kernel in lowered.kernels:
        counts = {s.var.name: s.extent for s in k.walk(kernel) if isinstance(s, k.For) and s.var.name in ("k0", "k1")}
        taps.append(tuple(counts[name] for name in ("k0", "k1")))
    one, two = k.const(1), k.const(2)
    assert sorted(map(str, taps)) == sorted(map(str, [(one, one), (one, two), (two, one), (two, two)]))


@pytest.mark.parametrize("op", ["convolution", "convolution_weight"])
def test_a_batch_of_any_size_takes_the_same_kernel(op: str) -> None:
    n = symbol("N")
    attrs = geometry(2, low=(1, 1), high=(1, 1))
    second = (4, 3, 3, 3) if op == "convolution" else (n, 4, 5, 6)
    types = [TensorType(dtypes.float32, (n, 3, 5, 6)), TensorType(dtypes.float32, second)]
    more = {} if op == "convolution" else {"kernel": (3, 3)}
    lowered = program(trace_types(lambda x, y: OPS[op](x, y, **more, **attrs), types))
    assert any(kernel.scratch for kernel in lowered.kernels)
    for batch in (1, 3):
        shape = (4, 3, 3, 3) if op == "convolution" else (batch, 4, 5, 6)
        arrays = [RNG.integers(-3, 4, s).astype(np.float32) for s in ((batch, 3, 5, 6), shape)]
        expected = OPS[op].rules["numpy"](*arrays, **more, **attrs)
        (actual,) = execute(lowered, arrays, [expected], [batch])
        np.testing.assert_array_equal(actual, expected)


def test_an_image_of_any_size() -> None:
    h, w = symbol("H"), symbol("W")
    attrs = geometry(2, stride=(2, 1), low=(1, 1), high=(1, 1))
    types = [TensorType(dtypes.float32, (1, 2, h, w)), TensorType(dtypes.float32, (3, 2, 3, 3))]
    lowered = program(trace_types(lambda x, y: OPS["convolution"](x, y, **attrs), types))
    sizes = {"H": 7, "W": 5}
    x, y = (RNG.integers(-3, 4, s).astype(np.float32) for s in ((1, 2, 7, 5), (3, 2, 3, 3)))
    expected = OPS["convolution"].rules["numpy"](x, y, **attrs)
    (actual,) = execute(lowered, [x, y], [expected], [sizes[v.name] for v in lowered.scalars])
    np.testing.assert_array_equal(actual, expected)


def test_producer_and_consumer_are_fused() -> None:
    text = """graph @main(%x: f32[1, 2, 4, 5], %w: f32[3, 2, 3, 3], %b: f32[1, 3, 4, 5]) {
      %0: f32[1, 2, 4, 5] = mul(%x, %x)
      %1: f32[1, 3, 4, 5] = convolution(%0, %w, stride=(1, 1), dilation=(1, 1), low=(1, 1), high=(1, 1), interior=(0, 0), groups=1)
      %2: f32[1, 3, 4, 5] = add(%1, %b)
      return %2
    }"""  # noqa: E501
    arrays = [RNG.integers(-3, 4, s).astype(np.float32) for s in ((1, 2, 4, 5), (3, 2, 3, 3), (1, 3, 4, 5))]
    assert [kernel.name for kernel in assert_lowers(text, *arrays).kernels] == ["convolution_1_pad", "convolution_1"]


PROCESSORS = {
    "avx512": native.Target("x86_64-unknown-linux-gnu", "skylake-avx512", ""),
    "avx2": native.Target("x86_64-unknown-linux-gnu", "haswell", ""),
    "sse2": native.Target("x86_64-unknown-linux-gnu", "x86-64", ""),
    "neon": native.Target("aarch64-unknown-linux-gnu", "generic", "+neon"),
}
FEATURES = {"avx512": "+avx512f,+avx2,+avx,+fma", "avx2": "+avx2,+avx,+fma", "sse2": "+sse2", "neon": "+neon"}
PRODUCT = re.compile(r"mulps|fmadd|fmla")
STACK = re.compile(r"\(%r[sb]p|\[sp")


def busiest_loop(assembly: str) -> str:
    """The innermost loop with most multiplications of vectors: from a label to the jump back to it."""
    parts = re.split(r"^(\.\w+):", assembly, flags=re.MULTILINE)
    loops = []
    for label, block in zip(parts[1::2], parts[2::2]):
        back = [m.end() for m in re.finditer(rf"^\s+\w+(?:\.\w+)?\s.*{re.escape(label)}$", block, re.MULTILINE)]
        loops += [block[: back[0]]] if back else []
    return max(loops, key=lambda b: len(PRODUCT.findall(b)))


@pytest.mark.parametrize("op", ["convolution", "convolution_weight"])
@pytest.mark.parametrize("processor", PROCESSORS)
def test_sums_stay_in_registers(op: str, processor: str) -> None:
    machine = PROCESSORS[processor]
    target: Target = target_of_features(machine.triple, FEATURES[processor])
    attrs = geometry(2, low=(1, 1), high=(1, 1))
    lowered = program(parse(graph_text(op, (2, 16, 14, 14), (32, 16, 3, 3), attrs)), target=target)
    loop = busiest_loop(native.assembly(llvm.render_kernel(lowered.kernels[-1]), target=machine))
    assert len(PRODUCT.findall(loop)) >= 8
    assert not STACK.search(loop), loop
