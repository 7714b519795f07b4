"""What is made of constants alone goes to a program of its own."""

from __future__ import annotations

import numpy as np
import pytest

from jitorch.ir import program as host
from jitorch.ir.kernel_text import parse_program
from jitorch.ir.program_verify import verify_program
from jitorch.lower.memory.arena import plan_memory
from jitorch.lower.memory.constants import split
from jitorch.lower.program import programs
from tests.lower.graphs import execute, parse

KERNELS = """
kernel @double(x: f32*, y: f32*) { for i in parallel(4) { y[i] = x[i] * 2.0 } }
kernel @add(x: f32*, y: f32*, z: f32*) { for i in parallel(4) { z[i] = x[i] + y[i] } }
kernel @raise(x: f32*, y: f32*) { for i in parallel(4) { y[i] = y[i] + x[i] } }
kernel @ramp(y: f32*) { for i in parallel(4) { y[i] = cast(i, f32) } }
"""
HEAD = "program @main { input x: f32* of 4 input w: f32* of 4 output y: f32* of 4 "


def halves(body: str) -> tuple[host.Program, host.Program | None]:
    program = parse_program(f"{KERNELS}{HEAD}{body} }}")
    return split(program, frozenset(b for b in program.inputs if b.name == "w"))


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ("alloc t: f32* of 4 launch @double(w, t) launch @add(x, t, y)", "t"),
        ("alloc t: f32* of 4 alloc u: f32* of 4 launch @double(w, t) launch @add(w, t, u) launch @add(x, u, y)", "u"),
        ("alloc t: f32* of 4 launch @double(w, t) let i: i64 = 0 "
         "loop { while i < 2 launch @add(x, t, y) let i: i64 = i + 1 }", "t"),
    ],
    ids=["one kernel", "a chain", "read in a loop"],
)  # fmt: skip
def test_what_constants_alone_make_moves(body: str, made: str) -> None:
    main, prepare = halves(body)
    assert prepare is not None
    assert [b.name for b in prepare.inputs] == ["w"]
    assert [b.name for b in main.inputs] == ["x", "w", made]
    assert [b.name for b in prepare.outputs] == [made]
    main, prepare = plan_memory(main), plan_memory(prepare)
    verify_program(main)
    verify_program(prepare)
    x, w = np.arange(4, dtype=np.float32), np.full(4, 3, np.float32)
    (constant,) = execute(prepare, [w], [np.zeros(4, np.float32)], [])
    (y,) = execute(main, [x, w, constant], [np.zeros(4, np.float32)], [])
    np.testing.assert_array_equal(y, x + constant)
    np.testing.assert_array_equal(constant, w * (3 if made == "u" else 2))


@pytest.mark.parametrize(
    "body",
    [
        "alloc t: f32* of 4 launch @double(x, t) launch @add(x, t, y)",
        "launch @double(w, y)",
        "alloc t: f32* of 4 launch @ramp(t) launch @add(x, t, y)",
        "alloc t: f32* of 4 launch @ramp(t) launch @raise(w, t) launch @add(x, t, y)",
        "alloc t: f32* of 4 launch @double(w, t) launch @raise(x, t) launch @add(x, t, y)",
        "alloc t: f32* of 4 launch @double(w, t) copy t = x of 4 launch @add(x, t, y)",
        "alloc t: f32* of 4 launch @double(w, t) view v: f32* of 4 in t at 0 launch @raise(x, v) launch @add(x, t, y)",
        "alloc t: f32* of 4 if true { launch @double(w, t) } launch @add(x, t, y)",
        "alloc t: f32* of 4 launch @double(w, t) launch @double(x, y)",
    ],
    ids=[
        "of an input", "a result", "of nothing", "written before", "written later", "copied over",
        "written through a view", "in a branch", "that nobody reads",
    ],
)  # fmt: skip
def test_all_else_stays(body: str) -> None:
    main, prepare = halves(body)
    assert prepare is None
    assert main == parse_program(f"{KERNELS}{HEAD}{body} }}")


@pytest.mark.parametrize("rows", [1, 8, 13])
def test_a_weight_is_packed_once(rows: int) -> None:
    graph = parse(
        f"""graph @main(%x: f32[{rows}, 16], %w: f32[24, 16]) {{
          %0: f32[16, 24] = transpose_axes(%w, perm=(1, 0))
          %1: f32[{rows}, 24] = matmul_batched(%x, %0)
          return %1
        }}"""
    )
    main, prepare = programs(graph, (1,))
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(rows, 16)).astype(np.float32), rng.normal(size=(24, 16)).astype(np.float32)
    made: list[np.ndarray] = []
    if prepare is not None:
        zeros = [np.zeros(int(str(prepare.sizes[b.name])), np.float32) for b in prepare.outputs]
        made = execute(prepare, [w], zeros, [])
    assert (prepare is None) == (rows == 1)
    assert len(main.kernels) == 1
    (y,) = execute(main, [x, w, *made], [np.zeros((rows, 24), np.float32)], [])
    np.testing.assert_allclose(y, x @ w.T, rtol=1e-4, atol=1e-4)
