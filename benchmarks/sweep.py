"""Every op beside itself: compiled, op by op, and in PyTorch, over sizes and layouts.

    python -m benchmarks --sweep --only sort,cumsum --json sweep.json

A row is one call of one op on the first sample that the registry has for it, scaled: each axis longer than 1 is
multiplied by one whole number, so that the largest operand has about the wanted number of elements.  Rows are named
``S.OP/DTYPE/ELEMENTS``, with ``/t`` where matrices come transposed.  What loses says where compiled code must be made
better, or left to a library: `jitorch.backends.cpu.times` has the table that is written from here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.random import Generator

PREFIX = "S."
TOLERANCE = 1e-3
ELEMENTS = (16, 4096, 65536, 1 << 20, 1 << 22)
DTYPES = ("float32", "float64", "int64")
SIZES = ("size", "shape", "normalized_shape", "num_classes", "embed_dim_to_check")
"""Parameters that hold sizes, and grow with the operands."""
SLOWEST = 0.03
"""Seconds of a call after which no larger size is measured."""
MOST_TIMES = 8
"""What makes a value so many times larger than its operands is not measured at that size."""
STAYS = {
    "cross": (3,), "nn.functional.conv1d": (3,), "nn.functional.conv2d": (3,), "nn.functional.conv3d": (2,),
    "nn.functional.conv_transpose1d": (3,), "nn.functional.conv_transpose2d": (2, 3), "nn.functional.grid_sample": (2,),
    "nn.functional.unfold": (2, 3), "istft": (4,), "view_as_complex": (2,),
}  # fmt: skip
"""Sizes of an op's sample that are no extents of data: kernels, coordinates, channels."""


@dataclass(frozen=True)
class Point:
    """One row of the sweep."""

    op: str
    dtype: str
    elements: int
    transposed: bool = False

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.op}/{self.dtype}/{self.elements}" + ("/t" if self.transposed else "")

    @classmethod
    def named(cls, name: str) -> Point:
        """The point whose row has that name."""
        op, dtype, elements, *layout = name.removeprefix(PREFIX).split("/")
        return cls(op, dtype, int(elements), bool(layout))


def data(rng: Generator, name: str) -> dict[str, Any]:
    """The data of a row."""
    point = Point.named(name)
    arguments, keywords = scaled(point.op, point.dtype, point.elements, rng)
    return {"op": point.op, "arguments": arguments, "keywords": keywords, "transposed": point.transposed}


def graph_of_row(point: Point) -> Any:
    """The graph of a row, as it is traced; None for what no graph can be made of."""
    import jitorch
    from jitorch import dtypes
    from jitorch.builder import graph_of
    from jitorch.errors import JitorchError
    from jitorch.ir.types import TensorType

    row = data(np.random.default_rng(0), point.name)
    types = [TensorType(dtypes.from_numpy(x.dtype), x.shape) for x in operands(row)]
    try:
        return graph_of(call_of(jitorch, row["op"], row["arguments"], row["keywords"]), types, "call")
    except JitorchError:
        return None


def is_too_large(point: Point) -> bool:
    """Whether the op computes a value much larger than its operands."""
    graph = graph_of_row(point)
    if graph is None:
        return False
    sizes = [v.type.size for node in graph for v in node.outputs if hasattr(v.type, "shape")]
    made = [size for size in sizes if isinstance(size, int)]  # one that depends on data is not known here
    given = [v.type.size for v in graph.inputs]
    return max(made, default=0) > MOST_TIMES * max(given, default=0)


def operands(data: dict[str, Any]) -> list[np.ndarray]:
    """The arrays among the arguments of a row, in the order in which `call_of` takes them."""
    return list(_arrays([*data["arguments"], *data["keywords"].values()]))


def tensor(torch: Any, array: np.ndarray, transposed: bool) -> Any:
    """``array`` as a tensor; ``transposed``: its last two axes lie in memory in the other order."""
    if not transposed or array.ndim < 2:
        return torch.from_numpy(np.ascontiguousarray(array))
    return torch.from_numpy(np.ascontiguousarray(array.swapaxes(-1, -2))).mT


def scaled(op: str, dtype: str, elements: int, rng: Generator) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of ``op`` of about so many elements, arrays for tensors; raises KeyError for an op without samples."""
    # The registry has the samples for every peer, so that all are given the same.
    from jitorch.ops.registry import OPS, PUBLIC

    entry = PUBLIC.get(op) or PUBLIC.get(f"Tensor.{op}") or OPS[op]
    sample = next(iter(entry.rules["samples"](rng)))
    arrays = list(_arrays([*sample.args, *sample.kwargs.values()]))
    stays = STAYS.get(op, ())
    factor = _factor([a.shape for a in arrays], stays, elements)
    names = _parameters(entry, len(sample.args))

    def grown(value: Any, name: str) -> Any:
        if isinstance(value, np.ndarray):
            return _grown(value, factor, stays, dtype, rng)
        if isinstance(value, (list, tuple)):
            return type(value)(grown(v, name) for v in value)
        return value * factor if type(value) is int and name in SIZES and value > 0 else value

    positional = [grown(value, name) for value, name in zip(sample.args, names, strict=True)]
    return positional, {name: grown(value, name) for name, value in sample.kwargs.items()}


def _parameters(entry: Any, count: int) -> list[str]:
    """The name of the parameter that takes each of ``count`` positional arguments."""
    names: list[str] = []
    for parameter in inspect.signature(entry).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return [*names, *[parameter.name] * (count - len(names))]
        names.append(parameter.name)
    return names[:count]


def _factor(shapes: list[tuple[int, ...]], stays: tuple[int, ...], elements: int) -> int:
    """By how much axes grow, so that the largest operand has about ``elements``."""
    largest = max(shapes, key=prod, default=())
    growing = sum(1 for d in largest if d > 1 and d not in stays)
    return max(1, round((elements / max(prod(largest), 1)) ** (1 / max(growing, 1))))


def _grown(array: np.ndarray, factor: int, stays: tuple[int, ...], dtype: str, rng: Generator) -> np.ndarray:
    """Elements like those of ``array`` in a larger one: numbers in the same range, indices over the larger axis."""
    shape = tuple(d * factor if d > 1 and d not in stays else d for d in array.shape)
    picked = rng.choice(array.ravel(), shape) if array.size else np.zeros(shape, array.dtype)
    if array.dtype.kind in "fc":
        # All different, and in the domain of the op.
        picked = picked * (1 - 0.05 * rng.random(shape))
        narrow = {"f": dtype, "c": "complex64" if dtype == "float32" else "complex128"}[array.dtype.kind]
        picked = (picked * 100 if dtype == "int64" else picked).astype(narrow)
    elif array.dtype.kind == "i":
        picked = picked * factor + rng.integers(0, factor, shape) * np.sign(picked)
    is_sorted = array.ndim == 1 and array.size > 2 and bool((np.diff(array.astype(float)) >= 0).all())
    return np.sort(picked) if is_sorted else picked


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _arrays(item)


def call_of(torch: Any, op: str, arguments: list[Any], keywords: dict[str, Any]) -> Callable[..., Any]:
    """The op of ``torch`` (or a package like it) as a function of the tensors among its arguments, in their order.

    Its source is made, so that a call costs no more than one that a user writes.
    """
    names: dict[str, Any] = {"function": _function(torch, op)}
    count = 0

    def text(value: Any) -> str:
        nonlocal count
        if isinstance(value, np.ndarray):
            count += 1
            return f"x{count - 1}"
        if isinstance(value, (list, tuple)):
            inner = "".join(f"{text(v)}, " for v in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner})"
        if type(value) in (int, float, bool, str, type(None)):
            return repr(value)
        names[f"k{len(names)}"] = getattr(torch, getattr(value, "name", ""), value)
        return f"k{len(names) - 1}"

    given = [text(value) for value in arguments] + [f"{name}={text(value)}" for name, value in keywords.items()]
    parameters = ", ".join(f"x{i}" for i in range(count))
    exec(f"def call({parameters}):\n    return function({', '.join(given)})\n", names)
    return names["call"]


def _function(torch: Any, op: str) -> Any:
    found: Any = torch
    for part in op.split("."):
        found = getattr(found, part, None)
    if found is None and torch.__name__ == "jitorch":
        # What PyTorch's names are made of.
        found = torch.ops.OPS.get(op)
    return found or getattr(torch.Tensor, op)


def names(only: str) -> list[str]:
    """Ops with samples that take tensors: those asked for, comma-separated, or all; raises SystemExit for others."""
    from jitorch.ops import OPS
    from jitorch.ops.registry import PUBLIC

    wanted = [name for name in only.split(",") if name]
    entries = {**PUBLIC, **{name: op for name, op in OPS.items() if name not in PUBLIC}}
    known = {name.removeprefix("Tensor."): e for name, e in entries.items() if "samples" in e.rules}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"no samples of {', '.join(unknown)}")
    return wanted or [name for name, entry in known.items() if _takes_tensors(entry)]


def _takes_tensors(entry: Any) -> bool:
    sample = next(iter(entry.rules["samples"](np.random.default_rng(0))))
    return sample.trace and any(a.size > 1 for a in _arrays([*sample.args, *sample.kwargs.values()]))


def points(only: str, dtypes: list[str], transposed: bool) -> list[Point]:
    """The rows of a sweep, by op, dtype and size."""
    return [Point(op, dtype, size, transposed) for op in names(only) for dtype in dtypes for size in ELEMENTS]


def measure(bench: Any, wanted: list[Point], rows: dict[str, Any], done: Callable[[], None]) -> None:
    """Add the rows that ``rows`` lacks; of an op whose calls take longer than `SLOWEST` larger sizes are left empty."""
    from benchmarks.workloads import named

    stopped: set[tuple[str, str, bool]] = set()
    for point in wanted:
        series = point.op, point.dtype, point.transposed
        if point.name not in rows:
            is_left_out = series in stopped or is_too_large(point)
            rows[point.name] = {} if is_left_out else bench.row(named(point.name))
            done()
        times = [result["seconds"] for result in rows[point.name].values() if "seconds" in result]
        if not times or max(times) > SLOWEST:
            stopped.add(series)
