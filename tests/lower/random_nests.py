"""Random kernels of the kind that lowering makes: independent outer loops, reductions inside."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.ir import kernel as k
from jitorch.ir.kernel import Buffer, Expr, For, Kernel, Load, Var
from jitorch.ir.kernel_interpret import run

SIZE = 64
X, Y, Z = (Buffer(name, dtypes.float32) for name in "xyz")
N, M = Var("n"), Var("m")


@st.composite
def loop_nests(draw: st.DrawFn) -> Kernel:
    """A kernel over ``x`` (read), ``y`` and ``z`` (written), all of `SIZE` elements, and sizes n, m (at most 5)."""
    count = draw(st.integers(1, 3))
    body = tuple(draw(_nest(i)) for i in range(count))
    return k.verify(Kernel("nest", (X, Y, Z, N, M), (), body))


@st.composite
def _nest(draw: st.DrawFn, number: int) -> k.Stmt:
    """``for i { for j { out[i, j] = ... } }``, in either order of the loops, with what may stand inside."""
    i, j = Var(f"i{number}"), Var(f"j{number}")
    rows, columns = (draw(st.sampled_from([N, M, k.const(3), k.const(4), N + 1])) for _ in range(2))
    out = draw(st.sampled_from([Y, Z]))
    place = draw(st.sampled_from([i * columns + j, j * rows + i, i * columns + (columns - 1 - j)]))
    body = draw(_body(number, out, place, (i, j)))
    kinds = draw(st.sampled_from([("parallel", "parallel"), ("parallel", "serial"), ("serial", "serial")]))
    loops = [(i, rows), (j, columns)]
    if draw(st.booleans()):
        loops.reverse()
    for (var, extent), kind in zip(reversed(loops), reversed(kinds), strict=True):
        body = (For(var, extent, body, kind),)
    return body[0]


@st.composite
def _body(draw: st.DrawFn, number: int, out: Buffer, place: Expr, at: tuple[Var, Var]) -> tuple[k.Stmt, ...]:
    other = draw(st.sampled_from([X, Y if out is Z else X, out]))
    read = Load(other, place if other is not X else (at[0] * 7 + at[1] * draw(st.integers(-3, 5))) % SIZE)
    value = draw(st.sampled_from([read + 1.0, k.call("maximum", read, k.cast(at[1], dtypes.float32)), read * read]))
    match draw(st.sampled_from(["map", "let", "sum", "if", "accumulate"])):
        case "let":
            t = Var(f"t{number}", dtypes.float32)
            return k.Let(t, value), k.Store(out, place, t * 0.5)
        case "sum":
            total, r = Var(f"s{number}", dtypes.float32), Var(f"r{number}")
            item = Load(X, (at[0] * 5 + r) % SIZE) * value
            add = k.Assign(total, k.call("add", total, item, reassociate=True))
            return k.Local(total, k.const(0, dtypes.float32)), For(r, M, (add,)), k.Store(out, place, total)
        case "if":
            return (k.If(at[0] < at[1] * 2, (k.Store(out, place, value),), (k.Store(out, place, read),)),)
        case "accumulate":
            r = Var(f"r{number}")
            return (For(r, k.const(3), (k.Store(out, place, Load(out, place) + Load(X, (at[1] + r) % SIZE)),)),)
    return (k.Store(out, place, value),)


def inputs(n: int, m: int) -> list[np.ndarray]:
    """Three arrays that depend on the sizes alone, of small whole numbers: every order of a sum is exact."""
    rng = np.random.default_rng(n * 8 + m)
    return [rng.integers(-20, 20, SIZE).astype(np.float32) for _ in range(3)]


def results(kernel: Kernel, n: int, m: int) -> list[np.ndarray]:
    """What the kernel makes of `inputs`."""
    arrays = inputs(n, m)
    run(kernel, [*arrays, n, m])
    return arrays
