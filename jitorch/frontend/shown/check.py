"""Checking a compiled function: the first op whose compiled result is not what the op means.

Each op is computed twice from the same operands, those of the compiled run: by the op's NumPy meaning, and by compiled
code.  So an error is reported where it arises, not where it becomes large.  The program that calls really run is
checked as a whole after that, as it is cut into kernels in another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitorch.compiler import compile_graph
from jitorch.dtypes import Category
from jitorch.errors import Location
from jitorch.ir.graph import Graph, Value
from jitorch.ir.interpret import learn, run_node
from jitorch.ir.types import ScalarType, TensorType
from jitorch.passes.decompose import expand

TOLERANCE = 128.0
"""Units in the last place by which results may differ: sums in another order do so by the root of their length."""


@dataclass(frozen=True)
class Difference:
    """One result that differs: of op number ``number`` of the graph (None: of the whole), at the user's line."""

    op: str
    number: int | None
    where: Location | None
    ulps: float
    index: tuple[int, ...]
    expected: Any
    actual: Any

    def __str__(self) -> str:
        place = f" at {list(self.index)}" if self.index else ""
        amount = f"{self.ulps:.3g} ulp" if np.isfinite(self.ulps) else "beyond measure"
        lines = [f"{self.op}{place} differs by {amount}", f"  expected: {self.expected}", f"  actual:   {self.actual}"]
        if self.where is not None:
            first, *rest = self.where.excerpt() or [""]
            lines += [f"  at:       {self.where}   {first}".rstrip(), *rest]
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """What a check found; true if nothing differs by more than ``tolerance`` ulp.

    ``worst`` is the largest difference within the tolerance, in ulp; ``ops`` how many ops were compared.
    """

    difference: Difference | None
    worst: float
    ops: int
    tolerance: float

    def __bool__(self) -> bool:
        return self.difference is None

    def __str__(self) -> str:
        if self.difference is not None:
            return str(self.difference)
        return f"{self.ops} ops agree within {self.worst:.3g} ulp (allowed: {self.tolerance:g})"


def check_graph(
    graph: Graph, inputs: Sequence[Any], backend: str | None = None, tolerance: float = TOLERANCE
) -> Report:
    """Compare the compiled ``graph`` with its meaning on ``inputs`` (tensors and numbers), which stay as they are."""
    probe, mapping = graph.copy_with_values()
    shown = [v for node in graph.nodes for v in node.outputs if _is_shown(v)]
    probe.outputs, probe.writes = [mapping[v] for v in shown], ()
    arrays = [_copied(x) for x in inputs]
    found: dict[Value, Any] = dict(zip(graph.inputs, arrays))
    found.update(zip(shown, compile_graph(probe, backend).run([_copied(x) for x in arrays]), strict=True))
    with graph.assumed():
        return _check_nodes(graph, arrays, found, backend, tolerance)


def _check_nodes(
    graph: Graph, arrays: Sequence[Any], found: dict[Value, Any], backend: str | None, tolerance: float
) -> Report:
    """Compare each node's compiled results, which are ``found``, with its meaning; then the whole program."""
    sizes: dict[str, int] = {}
    for value in graph.inputs:
        learn(value.type, found[value], sizes)
    worst = 0.0
    for number, node in enumerate(graph.nodes):
        operands = [None if v is None else found[v] for v in node.inputs]
        with np.errstate(all="ignore"):
            meant = run_node(node, operands, expand, sizes)
        for value, expected in zip(node.outputs, meant):
            learn(value.type, expected, sizes)
            actual = found.setdefault(value, expected)
            ulps, index = distance(actual, expected)
            if ulps > tolerance:
                shown_values = _at(expected, index), _at(actual, index)
                return Report(
                    Difference(node.op.name, number, node.loc, ulps, index, *shown_values), worst, number + 1, tolerance
                )
            worst = max(worst, ulps)
    whole = _check_whole(graph, arrays, found, backend, tolerance)
    return Report(whole, worst, len(graph.nodes), tolerance)


def _check_whole(
    graph: Graph, arrays: Sequence[Any], found: dict[Value, Any], backend: str | None, tolerance: float
) -> Difference | None:
    """The first output of the program as it is really compiled that differs from the op-by-op results."""
    inputs = [_copied(x) for x in arrays]
    results = iter(compile_graph(graph, backend).run(inputs))
    targets = {o: i for i, o in graph.writes}
    # Rounding adds up along the graph.
    allowed = tolerance * max(len(graph.nodes), 1)
    for number, value in enumerate(graph.outputs):
        actual = inputs[targets[number]] if number in targets else next(results)
        ulps, index = distance(actual, found[value])
        if ulps > allowed:
            where = value.node.loc if value.node is not None else None
            name = f"output {number} of the whole program"
            return Difference(name, None, where, ulps, index, _at(found[value], index), _at(actual, index))
    return None


def compare_results(actual: Any, expected: Any, tolerance: float, name: str = "the result") -> Difference | None:
    """The first tensor or number that differs between two results of the same structure."""
    if isinstance(expected, dict):
        pairs: list[tuple[str, Any, Any]] = [(f"{name}[{k!r}]", actual[k], v) for k, v in expected.items()]
    elif isinstance(expected, (list, tuple)):
        pairs = [(f"{name}[{i}]", a, b) for i, (a, b) in enumerate(zip(actual, expected, strict=True))]
    elif hasattr(expected, "requires_grad") or isinstance(expected, (bool, int, float, complex)):
        a, b = _copied(actual), _copied(expected)
        ulps, index = distance(a, b)
        return Difference(name, None, None, ulps, index, _at(b, index), _at(a, index)) if ulps > tolerance else None
    else:
        pairs = []
    return next((d for label, a, b in pairs if (d := compare_results(a, b, tolerance, label))), None)


def distance(actual: Any, expected: Any) -> tuple[float, tuple[int, ...]]:
    """The largest difference in ulp, and where.

    An ulp is that of the element, or of the root mean square of all where that is larger: results of a sum cancel.
    Infinite where shapes or dtypes, an integer, a NaN or an infinity differ.
    """
    a, b = np.asarray(actual), np.asarray(expected)
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.inf, ()
    if not b.size:
        return 0.0, ()
    if b.dtype.kind in "biuSUO":
        units = np.where(a == b, 0.0, np.inf)
    else:
        units = _ulps(a, b)
    flat = int(np.argmax(units))
    return float(units.flat[flat]), tuple(int(i) for i in np.unravel_index(flat, b.shape))


def _ulps(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # bfloat16 is no dtype of NumPy's own: its spacing is known by its number of bits.
    epsilon = 2.0**-7 if b.dtype.kind == "V" or b.dtype.name == "bfloat16" else float(np.finfo(b.dtype).eps)
    wide = np.complex128 if b.dtype.kind == "c" else np.float64
    x, y = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        finite = np.isfinite(x) & np.isfinite(y)
        size = np.abs(y)
        kept = size[np.isfinite(size)]
        scale = np.sqrt(np.mean(kept**2)) if kept.size else 0.0
        unit = np.maximum(np.maximum(size, scale) * epsilon, np.finfo(np.float64).tiny)
        units = np.where(finite, np.abs(x - y) / unit, np.inf)
    same = (a == b) | (np.isnan(x) & np.isnan(y))
    return np.where(same, 0.0, units)


def _is_shown(value: Value) -> bool:
    if isinstance(value.type, ScalarType):
        return value.type.name in ("int", "float", "bool")
    return isinstance(value.type, TensorType) and value.type.dtype.category >= Category.BOOL


def _copied(x: Any) -> Any:
    """A tensor or array as an array of its own; a number as it is."""
    if isinstance(x, np.ndarray):
        return x.copy()
    return x._data("check()").copy() if hasattr(x, "requires_grad") else x


def _at(x: Any, index: tuple[int, ...]) -> Any:
    array = np.asarray(x)
    return array[index] if len(index) == array.ndim else x
