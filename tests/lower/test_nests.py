"""Loop nests: order of loops, parameters, several values in one kernel; run by the interpreter."""

from __future__ import annotations

import numpy as np

from jitorch import dtypes
from jitorch.dims import symbol
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, For
from jitorch.ir.types import TensorType
from jitorch.lower import program
from jitorch.lower.nests import kernel_of, map_kernel
from jitorch.ops import OPS
from tests.lower.graphs import assert_lowers, execute, parse
from tests.samples import trace_types

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def loops(kernel: k.Kernel) -> list[str]:
    """The headers of the loops, outermost first."""
    return [f"{s.kind} {s.extent}" for s in k.walk(kernel) if isinstance(s, For)]


def has_division(kernel: k.Kernel) -> bool:
    return any(isinstance(e, k.Call) and e.fn in ("floordiv", "mod") for e in k.walk(kernel))


def test_elementwise_kernels_run_over_all_axes_as_one() -> None:
    lowered = assert_lowers("graph @main(%x: f32[2, 3, 4]) { %0: f32[2, 3, 4] = exp(%x) return %0 }", floats(2, 3, 4))
    assert loops(lowered.kernels[0]) == ["parallel 24"]


def test_a_broadcast_splits_no_more_axes_than_it_must() -> None:
    text = """graph @main(%x: f32[2, 3, 4], %y: f32[2]) {
      %0: f32[2, 1, 1] = reshape_to(%y, shape=(2, 1, 1))
      %1: f32[2, 3, 4] = broadcast_to(%0, shape=(2, 3, 4))
      %2: f32[2, 3, 4] = add(%x, %1)
      return %2
    }"""
    (kernel,) = assert_lowers(text, floats(2, 3, 4), floats(2)).kernels
    assert loops(kernel) == ["parallel 2", "parallel 12"]
    assert not has_division(kernel)


def test_a_transpose_needs_each_axis_and_no_division() -> None:
    text = "graph @main(%x: f32[2, 3, 4]) { %0: f32[4, 3, 2] = transpose_axes(%x, perm=(2, 1, 0)) return %0 }"
    (kernel,) = assert_lowers(text, floats(2, 3, 4)).kernels
    assert loops(kernel) == ["parallel 4", "parallel 3", "parallel 2"]
    assert not has_division(kernel)


def test_a_reduction_of_the_last_axis_is_one_sum_an_element() -> None:
    text = "graph @main(%x: f32[5, 6]) { %0: f32[5] = reduce_sum(%x, axes=(1,)) return %0 }"
    (kernel,) = assert_lowers(text, floats(5, 6)).kernels
    assert loops(kernel) == ["parallel 5", "serial 6"]


def test_a_reduction_of_outer_axes_adds_up_rows() -> None:
    text = "graph @main(%x: f32[3, 5, 6]) { %0: f32[6] = reduce_sum(%x, axes=(0, 1)) return %0 }"
    (kernel,) = assert_lowers(text, floats(3, 5, 6)).kernels
    assert loops(kernel) == ["serial 6", "serial 15", "serial 6"]
    kept = "graph @main(%x: f32[3, 5, 6]) { %0: f32[3, 6] = reduce_max(%x, axes=(1,)) return %0 }"
    (kernel,) = assert_lowers(kept, floats(3, 5, 6)).kernels
    assert loops(kernel) == ["parallel 3", "serial 6", "serial 5", "serial 6"]


def test_values_of_one_shape_share_a_kernel() -> None:
    text = """graph @main(%x: f32[4], %y: f32[4]) {
      %0: f32[4] = exp(%x)
      %1: f32[4] = mul(%0, %y)
      %2: f32[4] = sub(%0, %y)
      return %0, %1, %2
    }"""
    (kernel,) = assert_lowers(text, floats(4), floats(4)).kernels
    assert kernel.name == "fused_1"
    assert sum(isinstance(s, k.Store) for s in k.walk(kernel)) == 3
    assert sum(isinstance(e, k.Call) and e.fn == "exp" for e in k.walk(kernel)) == 1


def test_a_value_without_axes() -> None:
    text = "graph @main(%x: f32[]) { %0: f32[] = exp(%x) return %0 }"
    assert loops(assert_lowers(text, np.asarray(0.5, np.float32)).kernels[0]) == []


def test_map_kernel_alone() -> None:
    graph = parse("graph @main(%x: f32[4]) { %0: f32[4] = neg(%x) return %0 }")
    buffers = {graph.inputs[0]: Buffer("a", dtypes.float32), graph.outputs[0]: Buffer("b", dtypes.float32)}
    kernel = map_kernel("negate", [graph.outputs[0]], buffers, {})
    assert str(kernel).splitlines() == [
        "kernel @negate(a: f32*, b: f32*) {",
        "  for i0 in parallel(4) {",
        "    let t1: f32 = a[i0]",
        "    let t2: f32 = neg(t1)",
        "    b[i0] = t2",
        "  }",
        "}",
    ]


def test_symbolic_extents_are_parameters() -> None:
    n = symbol("N")
    graph = trace_types(lambda x: OPS["reduce_sum"](x, axes=(1,)), [TensorType(dtypes.float32, (n, 3))])
    lowered = program(graph)
    assert loops(lowered.kernels[0]) == ["parallel N", "serial 3"]
    x = floats(4, 3)
    (actual,) = execute(lowered, [x], [x.sum(1)], [4])
    np.testing.assert_allclose(actual, x.sum(1), rtol=1e-6)


def test_kernel_parameters_are_what_the_body_uses() -> None:
    x, y, n, i = Buffer("x", dtypes.float32), Buffer("y", dtypes.float32), k.Var("n"), k.Var("i")
    body = (For(i, n, (k.Store(y, i, k.Load(x, i + k.Var("m"))),)),)
    kernel = kernel_of("copy", body, ())
    assert kernel.params == (y, x, n, k.Var("m"))
