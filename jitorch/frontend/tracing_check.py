"""The check of `jit.trace`: a second run must give the same program, and the program the result of plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from jitorch.errors import Location, TracingCheckError
from jitorch.frontend.calls.modes import disable
from jitorch.frontend.eager.defaults import default_generator
from jitorch.frontend.shown.check import check_graph, distance
from jitorch.frontend.trace.capture import capture, leaves, replaced
from jitorch.frontend.tracing import Pattern, TracedFunction, typed
from jitorch.ir.graph import Graph, Node, identity
from jitorch.ops import dispatch
from jitorch.tensor import Tensor


def check_traced(
    function: Any, traced: TracedFunction, pattern: Pattern, args: tuple[Any, ...], kwargs: Mapping[str, Any],
    tolerance: float, frozen: bool,
) -> None:  # fmt: skip
    """Raise a TracingCheckError that names the first op in which a second run, or a result, differs."""
    tensors = [x for x in leaves((args, kwargs)) if isinstance(x, Tensor)]
    again = capture(function, args, kwargs, typed(tensors, pattern), traced.graph.name, frozen)
    found = first_difference(traced.graph, again.graph)
    if found is not None:
        raise found
    _check_results(function, traced, args, kwargs, tolerance)


# -- programs --------------------------------------------------------------------------------------------------
def first_difference(first: Graph, second: Graph) -> TracingCheckError | None:
    """What the two graphs of a function differ in first, as an error at its line."""
    numbers: dict[Any, int] = {}
    others: dict[Any, int] = {}
    for graph, known in ((first, numbers), (second, others)):
        known.update({v: i for i, v in enumerate(graph.inputs)})
    for a, b in zip(first.nodes, second.nodes):
        if (inner := _inner_difference(a, b)) is not None:
            return inner
        if a.op is not b.op:
            return _differs("another op", a.op.name, b.op.name, a.loc)
        for name, value in a.attrs.items():
            if not isinstance(value, Graph) and identity(value) != identity(b.attrs[name]):
                what = "the constant" if a.op.name in ("constant", "number", "literal") else f"{name} of {a.op.name}"
                return _differs(what, _shown(value), _shown(b.attrs[name]), a.loc or _first_use(a))
        if [numbers.get(v) for v in a.inputs] != [others.get(v) for v in b.inputs]:
            return _differs(f"the operands of {a.op.name}", _operands(a), _operands(b), a.loc)
        for graph_node, known in ((a, numbers), (b, others)):
            known.update({v: len(known) + i for i, v in enumerate(graph_node.outputs)})
    if len(first) != len(second):
        longer = max(first, second, key=len).nodes[min(len(first), len(second))]
        return _differs("the number of ops", len(first), len(second), longer.loc)
    if [numbers.get(v) for v in first.outputs] != [others.get(v) for v in second.outputs]:
        return _differs("the results", len(first.outputs), len(second.outputs), None)
    return None


def _inner_difference(a: Node, b: Node) -> TracingCheckError | None:
    """The first difference of the graphs that two nodes hold."""
    for name, value in a.attrs.items():
        other = b.attrs.get(name)
        if isinstance(value, Graph) and isinstance(other, Graph):
            found = first_difference(value, other)
            if found is not None:
                return found
    return None


def _first_use(node: Node) -> Location | None:
    return next((user.loc for v in node.outputs for user in v.users if user.loc is not None), None)


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."


def _operands(node: Node) -> str:
    return ", ".join("None" if v is None else str(v.type) for v in node.inputs)


def _differs(what: str, first: object, second: object, where: Location | None) -> TracingCheckError:
    return TracingCheckError(
        f"two traces of one function differ: {what}", expected=first, actual=second, where=where,
        hint="the function depends on something that is no argument; pass it as one, or use @jit, which guards it",
    )  # fmt: skip


# -- results ---------------------------------------------------------------------------------------------------
def _check_results(
    function: Any, traced: TracedFunction, args: tuple[Any, ...], kwargs: Mapping[str, Any], tolerance: float
) -> None:
    held = [table[name] for table, name in traced.held]
    count = traced.program.count
    written = [held[i - count] for i, _ in traced.graph.writes if i >= count]

    def plain() -> Any:
        with disable():
            return function(*_copied(args), **_copied(kwargs))

    expected = _run(plain, written)
    actual = _run(lambda: traced(*_copied(args), **_copied(kwargs)), written)
    found = _first_unequal(actual, expected, tolerance, "the result")
    if found is None:
        return
    place, number, a, b = found
    inputs = [x.detach() for x in leaves((args, kwargs)) if isinstance(x, Tensor)]
    if not traced.graph.facts and all(isinstance(d, int) for v in traced.graph.inputs for d in v.type.shape):  # type: ignore[attr-defined]
        report = check_graph(traced.graph, [*inputs, *held])
        if report.difference is not None:
            raise TracingCheckError(f"the compiled program is wrong: {report.difference}")
    ulps, index = distance(a, b)
    node = _producers(traced)[number]
    name = f"{place}{list(index) if index else ''}"
    by = f"{ulps:.3g} ulp" if np.isfinite(ulps) else "more than can be measured"
    raise TracingCheckError(
        f"the trace and the function differ by {by} in {name}" + ("" if node is None else f", made by {node.op.name}"),
        expected=_at(b, index), actual=_at(a, index), where=None if node is None else node.loc,
        hint="the function depends on something that is no argument; pass it as one, or use @jit, which guards it",
    )  # fmt: skip


def _producers(traced: TracedFunction) -> list[Node | None]:
    """What makes each tensor or number that is returned."""
    slots = list(leaves(traced.program.result))
    return [traced.graph.outputs[s.number].node if hasattr(s, "number") else None for s in slots]


def _copied(tree: Any) -> Any:
    def copy(x: Any) -> Any:
        return x.detach().clone().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x

    return replaced(tree, copy)


def _run(function: Callable[[], Any], written: Sequence[Tensor]) -> Any:
    """``function()``; afterwards the tensors that it wrote, and the random numbers, are what they were."""
    with _kept([*written, default_generator.state]):
        return replaced(function(), lambda x: x.detach().clone() if isinstance(x, Tensor) else x)


@contextmanager
def _kept(tensors: Sequence[Tensor]) -> Iterator[None]:
    before = [(x, x.detach().clone()) for x in tensors]
    try:
        yield
    finally:
        token = dispatch.set_grad_enabled_flag(False)
        try:
            for x, value in before:
                x.copy_(value)
        finally:
            dispatch.reset_grad_enabled(token)


def _first_unequal(
    actual: Any, expected: Any, tolerance: float, name: str
) -> tuple[str, int, np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Name, number and arrays of the first leaf that differs."""
    for number, ((label, a), (_, b)) in enumerate(zip(_labelled(actual, name), _labelled(expected, name), strict=True)):
        x, y = (np.asarray(v.detach().numpy() if isinstance(v, Tensor) else v) for v in (a, b))
        if x.dtype != y.dtype or x.shape != y.shape or not _close(x, y, tolerance):
            return label, number, x, y
    return None


def _close(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], tolerance: float) -> bool:
    if x.dtype.kind in "biuSUO":
        return bool((x == y).all())
    wide = np.complex128 if x.dtype.kind == "c" else np.float64
    return bool(np.allclose(x.astype(wide), y.astype(wide), rtol=tolerance, atol=tolerance, equal_nan=True))


def _labelled(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _labelled(item, f"{name}[{key!r}]")
    elif isinstance(tree, (tuple, list)):
        for i, item in enumerate(tree):
            yield from _labelled(item, f"{name}[{i}]")
    else:
        yield name, tree


def _at(array: np.ndarray[Any, Any], index: tuple[int, ...]) -> Any:
    return array[index] if len(index) == array.ndim else array
