"""Random graphs over the registry's ops, with inputs, for every pass and backend.

Elements are int64, whose arithmetic wraps and is the same in any order, so results are compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from jitorch import dtypes
from jitorch.builder import GraphBuilder
from jitorch.compiler import compile_graph
from jitorch.dims import Dim, SymDim, symbol
from jitorch.ir.graph import Graph
from jitorch.ir.types import TensorType
from jitorch.ops import OPS, dispatch

MOST = 300
"""Elements of the largest value: the interpreters are slow."""

Draw = st.DrawFn


def _other(draw: Draw, x: Any, values: list[Any]) -> Any:
    """A value of the shape of ``x``, or one that broadcasts to it, or a number."""
    fits = [v for v in values if v.ndim <= x.ndim and all(a in (b, 1) for a, b in zip(v.shape[::-1], x.shape[::-1]))]
    return draw(st.sampled_from([*fits, 3, -2]))


def _binary(draw: Draw, x: Any, values: list[Any]) -> Any:
    name = draw(st.sampled_from("add sub mul maximum minimum floor_divide remainder bitwise_xor".split()))
    return OPS[name](x, _other(draw, x, values))


def _unary(draw: Draw, x: Any, values: list[Any]) -> Any:
    return OPS[draw(st.sampled_from("neg abs sign bitwise_not square copy".split()))](x)


def _where(draw: Draw, x: Any, values: list[Any]) -> Any:
    test = OPS[draw(st.sampled_from(["lt", "eq", "ge"]))](x, _other(draw, x, values))
    return OPS["where"](test, x, _other(draw, x, values))


def _transpose(draw: Draw, x: Any, values: list[Any]) -> Any:
    return OPS["transpose_axes"](x, perm=tuple(draw(st.permutations(range(x.ndim)))))


def _reshape(draw: Draw, x: Any, values: list[Any]) -> Any:
    """Merge two axes, split one in two, drop those of size 1, or put one of size 1 somewhere."""
    shape = list(x.shape)
    i = draw(st.integers(0, x.ndim))
    kind = draw(st.sampled_from(["merge", "split", "drop", "one"]))
    if kind == "merge" and i + 1 < x.ndim:
        shape[i : i + 2] = [shape[i] * shape[i + 1]]
    elif kind == "split" and i < x.ndim and isinstance(shape[i], int):
        factor = draw(st.sampled_from([d for d in (1, 2, 3) if shape[i] % d == 0]))
        shape[i : i + 1] = [factor, shape[i] // factor]
    elif kind == "drop":
        shape = [d for d in shape if d != 1]
    else:
        shape.insert(i, 1)
    return OPS["reshape_to"](x, shape=tuple(shape))


def _slice(draw: Draw, x: Any, values: list[Any]) -> Any:
    return OPS["slice_axes"](x, **_part(draw, x))


def _part(draw: Draw, x: Any) -> dict[str, Any]:
    """Bounds of a slice that is not empty; symbolic axes are taken whole."""
    parts = [(0, d, 1) for d in x.shape]
    for axis in draw(st.sets(st.sampled_from(range(x.ndim)), max_size=2)) if x.ndim else ():
        if isinstance(x.shape[axis], int) and x.shape[axis] > 0:
            stop = draw(st.integers(1, x.shape[axis]))
            parts[axis] = (draw(st.integers(0, stop - 1)), stop, draw(st.integers(1, 3)))
    return dict(zip(("starts", "stops", "steps"), zip(*parts))) if parts else {"starts": (), "stops": (), "steps": ()}


def _slice_write(draw: Draw, x: Any, values: list[Any]) -> Any:
    part = _part(draw, x)
    return OPS["slice_write"](x, OPS["neg"](OPS["slice_axes"](x, **part)), **part)


def _flip(draw: Draw, x: Any, values: list[Any]) -> Any:
    return OPS["flip_axes"](x, axes=tuple(sorted(draw(st.sets(st.sampled_from(range(x.ndim)), min_size=1)))))


def _pad(draw: Draw, x: Any, values: list[Any]) -> Any:
    counts = st.lists(st.integers(0, 2), min_size=x.ndim, max_size=x.ndim).map(tuple)
    interior = tuple(draw(st.integers(0, 1)) if isinstance(d, int) else 0 for d in x.shape)
    value = OPS["constant"](value=7, dtype=x.dtype)
    return OPS["pad_axes"](x, value, low=draw(counts), high=draw(counts), interior=interior)


def _concatenate(draw: Draw, x: Any, values: list[Any]) -> Any:
    axis = draw(st.integers(0, x.ndim - 1))
    fits = [v for v in values if v.ndim == x.ndim and v.shape[:axis] == x.shape[:axis]]
    fits = [v for v in fits if v.shape[axis + 1 :] == x.shape[axis + 1 :]]
    return OPS["concatenate"]([x, draw(st.sampled_from(fits)), OPS["neg"](x)], axis=axis)


def _broadcast(draw: Draw, x: Any, values: list[Any]) -> Any:
    shape = [draw(st.integers(0, 3)) if d == 1 else d for d in x.shape]
    return OPS["broadcast_to"](x, shape=(draw(st.integers(0, 3)), *shape))


def _reduce(draw: Draw, x: Any, values: list[Any]) -> Any:
    axes = tuple(sorted(draw(st.sets(st.sampled_from(range(x.ndim)), min_size=1))))
    names = ["reduce_sum", "reduce_prod"]
    if all(isinstance(x.shape[a], int) and x.shape[a] > 0 for a in axes):
        names += ["reduce_max", "reduce_min", "reduce_argmax", "reduce_argmin"]
    return OPS[draw(st.sampled_from(names))](x, axes=axes)


def _centred(draw: Draw, x: Any, values: list[Any]) -> Any:
    """A value read again at another index, after a reduction of it: the shape of a softmax."""
    axis = draw(st.integers(0, x.ndim - 1))
    total = OPS["reduce_sum"](x, axes=(axis,))
    kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return OPS["sub"](x, OPS["reshape_to"](total, shape=kept))


def _indices(draw: Draw, size: int) -> Any:
    values = draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=4))
    parts = [OPS["reshape_to"](OPS["constant"](value=v, dtype=dtypes.int64), shape=(1,)) for v in values]
    return OPS["concatenate"](parts, axis=0)


def _take(draw: Draw, x: Any, values: list[Any]) -> Any:
    axis = draw(st.integers(0, x.ndim - 1))
    if not isinstance(x.shape[axis], int) or x.shape[axis] == 0:
        return x
    index = _indices(draw, x.shape[axis])
    taken = OPS["take"](x, index, axis=axis)
    if draw(st.booleans()):
        return taken
    return OPS["put"](x, index, taken, axis=axis, accumulate=draw(st.booleans()))


def _matmul(draw: Draw, x: Any, values: list[Any]) -> Any:
    """The product of a matrix with itself on its side, or with another one that fits."""
    if x.ndim < 2:
        return x
    perm = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    fits = [v for v in values if v.ndim == x.ndim and v.shape[-2] == x.shape[-1] and v.shape[:-2] == x.shape[:-2]]
    return OPS["matmul_batched"](x, draw(st.sampled_from([OPS["transpose_axes"](x, perm=perm), *fits])))


def _windows(draw: Draw, x: Any, values: list[Any]) -> Any:
    if not isinstance(x.shape[-1], int) or x.shape[-1] < 2:
        return x
    window = {"sizes": (2,), "strides": (draw(st.integers(1, 2)),), "dilations": (1,)}
    return OPS["windows"](x, **window)


_ANY: tuple[Callable[..., Any], ...] = (_binary, _binary, _unary, _where, _reshape, _broadcast, _slice, _slice_write)
_WITH_AXES = (_transpose, _flip, _pad, _concatenate, _reduce, _reduce, _centred, _take, _matmul, _windows)


def _elements(shape: tuple[Dim, ...], sizes: dict[str, int]) -> int:
    return int(np.prod([sizes[str(d)] if isinstance(d, SymDim) else d for d in shape], dtype=np.int64))


def _is_simple(shape: tuple[Dim, ...], sizes: dict[str, int]) -> bool:
    """Whether the sizes are numbers and bare symbols."""
    return all(isinstance(d, int) or str(d) in sizes for d in shape)


@st.composite
def calls(draw: Draw, symbolic: bool = False, least: int = 0) -> tuple[Graph, list[np.ndarray], dict[str, int]]:
    """A graph, arrays for its inputs, and the sizes of its symbols: ``N`` if ``symbolic``, else none.

    Every value has ``least`` elements or more.
    """
    sizes = {"N": draw(st.integers(least, 4))} if symbolic else {}
    axis = st.integers(least, 4) | st.integers(1, 4)
    shapes = draw(st.lists(st.lists(axis, max_size=3), min_size=1, max_size=3))
    graph = Graph("random")
    builder = GraphBuilder(graph)
    types = [
        TensorType(dtypes.int64, (symbol("N"), *s) if symbolic and i == 0 else tuple(s)) for i, s in enumerate(shapes)
    ]
    values = [builder.wrap(graph.add_input(t)) for t in types]
    token = dispatch.set_grad_enabled_flag(False)
    try:
        with dispatch.interpreting(builder):
            for _ in range(draw(st.integers(1, 7))):
                x = draw(st.sampled_from(values))
                make = draw(st.sampled_from((*_ANY, *_WITH_AXES) if x.ndim else _ANY))
                result = make(draw, x, values)
                if _is_simple(result.shape, sizes) and least <= _elements(result.shape, sizes) <= MOST:
                    values.append(result)
    finally:
        dispatch.reset_grad_enabled(token)
    chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
    graph.outputs = [builder.value(v) for v in (*chosen, values[-1])]
    _add_writes(draw, graph)
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(-9, 10, [sizes[str(d)] if isinstance(d, SymDim) else d for d in t.shape]) for t in types]
    return graph, arrays, sizes


def _add_writes(draw: Draw, graph: Graph) -> None:
    """Let some inputs be written with an output of their type."""
    writes: list[tuple[int, int]] = []
    for i, value in enumerate(graph.inputs):
        taken = {o for _, o in writes}
        fits = [o for o, v in enumerate(graph.outputs) if v.type == value.type and o not in taken]
        if fits and draw(st.booleans()):
            writes.append((i, draw(st.sampled_from(fits))))
    graph.writes = tuple(writes)


def run(execute: Callable[[list[Any]], list[Any]], graph: Graph, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """All outputs of ``graph`` in order; ``execute`` writes inputs in place and returns the other outputs."""
    given = [a.copy() for a in arrays]
    rest = iter(execute(given))
    written = {o: given[i] for i, o in graph.writes}
    return [written[o] if o in written else next(rest) for o in range(len(graph.outputs))]


def assert_same_results(graph: Graph, arrays: list[np.ndarray], backend: str) -> None:
    """The graph compiled for ``backend`` gives exactly what the reference backend gives."""
    expected = run(compile_graph(graph, "reference").run, graph, arrays)
    for actual, want in zip(run(compile_graph(graph, backend).run, graph, arrays), expected, strict=True):
        np.testing.assert_array_equal(actual, want)
